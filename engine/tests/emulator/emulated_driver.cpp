// A `libcuda.so.1` over the emulator: what the engine asks of the driver, no more. A program that
// loads it believes to have a GPU, so the way through `cust` and the functions that are found at
// run time are tested where there is none.

#include "emulator.cpp"

namespace {

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_FOUND = 500, NOT_READY = 201 };

// Every thread has a current context, or none.
thread_local void *current = nullptr;
char context, module;

constexpr int MEMORY_BYTES = 1 << 30;

// CUdevice_attribute.
enum { CLOCK_RATE = 13, MULTIPROCESSOR_COUNT = 16, MAJOR = 75, MINOR = 76 };

} // namespace

#define DRIVER extern "C" int

DRIVER cuInit(unsigned) { return SUCCESS; }

DRIVER cuDeviceGetCount(int *count) {
    *count = 1;
    return SUCCESS;
}

DRIVER cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? SUCCESS : 101;
}

DRIVER cuDeviceGetName(char *name, int length, int) {
    snprintf(name, length, "emulated driver");
    return SUCCESS;
}

DRIVER cuDeviceTotalMem_v2(size_t *bytes, int) {
    *bytes = MEMORY_BYTES;
    return SUCCESS;
}

DRIVER cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case CLOCK_RATE: *value = 1000000; return SUCCESS;
    case MULTIPROCESSOR_COUNT: *value = 2; return SUCCESS;
    case MAJOR: *value = 9; return SUCCESS;
    case MINOR: *value = 0; return SUCCESS;
    default: return INVALID_VALUE;
    }
}

DRIVER cuDevicePrimaryCtxRetain(void **out, int) {
    *out = &context;
    return SUCCESS;
}

DRIVER cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }

DRIVER cuCtxSetCurrent(void *next) {
    current = next;
    return SUCCESS;
}

DRIVER cuCtxSynchronize() { return current ? SUCCESS : NOT_READY; }

DRIVER cuModuleLoadDataEx(void **out, const void *image, unsigned, void *, void *) {
    if (!current) return NOT_READY;
    *out = &module;
    // The PTX is the real one, though nothing here reads it.
    return strstr((const char *)image, ".target sm_75") ? SUCCESS : INVALID_VALUE;
}

DRIVER cuModuleLoadData(void **out, const void *image) {
    return cuModuleLoadDataEx(out, image, 0, nullptr, nullptr);
}

DRIVER cuModuleUnload(void *) { return SUCCESS; }

DRIVER cuModuleGetFunction(const void **out, void *, const char *name) {
    for (const Named &named : KERNEL_TABLE) {
        if (strcmp(named.name, name)) continue;
        *out = &named;
        return SUCCESS;
    }
    return NOT_FOUND;
}

DRIVER cuMemAlloc_v2(uint64_t *address, size_t bytes) {
    if (!current) return NOT_READY;
    void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(memory, 0xff, bytes);
    *address = (uint64_t)memory;
    return SUCCESS;
}

DRIVER cuMemFree_v2(uint64_t address) {
    free((void *)address);
    return SUCCESS;
}

DRIVER cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    memcpy((void *)to, from, bytes);
    return current ? SUCCESS : NOT_READY;
}

DRIVER cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    memcpy(to, (const void *)from, bytes);
    return current ? SUCCESS : NOT_READY;
}

DRIVER cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
    memcpy((void *)to, (const void *)from, bytes);
    return current ? SUCCESS : NOT_READY;
}

DRIVER cuMemsetD8_v2(uint64_t address, unsigned char value, size_t bytes) {
    memset((void *)address, value, bytes);
    return current ? SUCCESS : NOT_READY;
}

DRIVER cuLaunchKernel(const void *function, unsigned x, unsigned y, unsigned z, unsigned threads,
                      unsigned threads_y, unsigned threads_z, unsigned, void *, void **parameters,
                      void **) {
    if (!current) return NOT_READY;
    if (threads_y != 1 || threads_z != 1) return INVALID_VALUE;
    const Named *named = (const Named *)function;
    std::vector<uint64_t> words(named->arguments);
    for (size_t i = 0; i < words.size(); i++) memcpy(&words[i], parameters[i], 8);
    unsigned grid[3] = {x, y, z};
    return emulator_launch(named->name, grid, threads, words.data(), words.size(), 0);
}
