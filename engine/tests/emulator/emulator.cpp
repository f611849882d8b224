// Runs the kernels on the host, one block after another.
//
// The threads of a block are fibres: each runs until the next barrier and hands over to its
// neighbour, so a barrier costs some nanoseconds a thread. The last thread to arrive hands back to
// the first, which is what a barrier means. A thread that ends while others wait is a fault of the
// kernel, and stops the process.
//
// A forgotten barrier may go unnoticed when the threads happen to run in the order that the data
// flows. So a launch runs them either upwards or downwards, and the tests do both.
//
// Shared memory starts as a pattern that is a NaN, so that a value that was never written shows in
// the results.

#include "emulator.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include KERNELS

namespace {

constexpr size_t STACK_BYTES = 64 << 10;
constexpr size_t SHARED_BYTES = 48 << 10;

using Entry = void (*)(const uint64_t *arguments);

// What one operating-system thread needs to run a block.
struct Machine {
    std::vector<void *> stack_pointers;
    std::vector<char *> stacks;
    std::vector<size_t> shared_used;
    char *shared = nullptr;
    // What the blocks of this launch have used of it so far.
    size_t shared_bytes = SHARED_BYTES;
    void *caller = nullptr;
    // Threads that have ended, and threads at a barrier that is not complete.
    unsigned finished = 0, waiting = 0;
    bool downwards = false;
    Entry entry = nullptr;
    const uint64_t *arguments = nullptr;

    ~Machine() {
        for (char *stack : stacks) free(stack);
        free(shared);
    }
};

thread_local Machine machine;

// Saves the registers that a call preserves, exchanges stacks, restores them.
extern "C" void emulator_switch(void **save, void *load);
#if defined(__x86_64__)
asm(R"(
.text
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch, .-emulator_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size emulator_switch, .-emulator_switch
)");
#else
#error "the emulator knows x86_64 and aarch64"
#endif

unsigned after(unsigned thread) {
    if (machine.downwards) return thread == 0 ? emulator.threads - 1 : thread - 1;
    return thread + 1 == emulator.threads ? 0 : thread + 1;
}

void go(unsigned from, unsigned to) {
    emulator.thread = to;
    if (from != to) emulator_switch(&machine.stack_pointers[from], machine.stack_pointers[to]);
}

void fault(const char *what) {
    fprintf(stderr, "thread %u of block %u %u %u: %s\n", emulator.thread, emulator.block[0],
            emulator.block[1], emulator.block[2], what);
    abort();
}

void fibre() {
    machine.entry(machine.arguments);
    if (machine.waiting != 0) fault("ends while others wait at a barrier");
    unsigned self = emulator.thread;
    machine.finished++;
    void *ignored;
    if (machine.finished == emulator.threads) emulator_switch(&ignored, machine.caller);
    emulator.thread = after(self);
    emulator_switch(&ignored, machine.stack_pointers[emulator.thread]);
    abort();
}

void *fresh_stack(char *stack) {
    // A call leaves the return address 8 below a multiple of 16; on arm the registers' frame.
    uintptr_t top = (uintptr_t)(stack + STACK_BYTES) & ~(uintptr_t)15;
#if defined(__x86_64__)
    void **at = (void **)(top - 16);
    *at = (void *)fibre;
    memset(at - 6, 0, 6 * sizeof(void *));
    return at - 6;
#else
    char *at = (char *)(top - 160);
    memset(at, 0, 160);
    *(void **)(at + 88) = (void *)fibre;
    return at;
#endif
}

void run_block(unsigned threads) {
    while (machine.stacks.size() < threads) {
        char *stack = (char *)aligned_alloc(64, STACK_BYTES);
        memset(stack, 0xff, STACK_BYTES);
        machine.stacks.push_back(stack);
    }
    if (!machine.shared) machine.shared = (char *)aligned_alloc(64, SHARED_BYTES);
    memset(machine.shared, 0xff, machine.shared_bytes);
    machine.stack_pointers.resize(threads);
    machine.shared_used.assign(threads, 0);
    for (unsigned i = 0; i < threads; i++)
        machine.stack_pointers[i] = fresh_stack(machine.stacks[i]);
    machine.finished = 0;
    emulator.thread = machine.downwards ? threads - 1 : 0;
    emulator_switch(&machine.caller, machine.stack_pointers[emulator.thread]);
}

template <class T> T read(uint64_t word) {
    T value;
    static_assert(sizeof(T) <= sizeof word, "an argument is at most eight bytes");
    memcpy(&value, &word, sizeof value);
    return value;
}

template <class... T, size_t... I>
void call(void (*kernel)(T...), const uint64_t *words, std::index_sequence<I...>) {
    kernel(read<T>(words[I])...);
}

template <class... T> constexpr size_t count(void (*)(T...)) { return sizeof...(T); }

template <class... T> void unpack(void (*kernel)(T...), const uint64_t *words) {
    call(kernel, words, std::index_sequence_for<T...>());
}

struct Named {
    const char *name;
    Entry entry;
    size_t arguments;
};

#define NAMED(kernel) \
    {#kernel, [](const uint64_t *words) { unpack(&kernel, words); }, count(&kernel)},
const Named KERNEL_TABLE[] = {
#include KERNEL_NAMES
};

} // namespace

thread_local Emulator emulator;

void emulator_barrier() {
    if (machine.finished != 0) fault("waits at a barrier; others have ended");
    machine.waiting = machine.waiting + 1 == emulator.threads ? 0 : machine.waiting + 1;
    unsigned self = emulator.thread;
    go(self, after(self));
}

void *emulator_shared(size_t bytes) {
    size_t &used = machine.shared_used[emulator.thread];
    size_t start = (used + 15) & ~(size_t)15;
    used = start + bytes;
    if (used > machine.shared_bytes) machine.shared_bytes = used;
    if (used > SHARED_BYTES) fault("asks for more shared memory than a block has");
    return machine.shared + start;
}

// Runs a kernel over a grid; 0, or 1 for an unknown name, or 2 for another number of arguments.
extern "C" int emulator_launch(const char *name, const unsigned *grid, unsigned threads,
                               const uint64_t *arguments, size_t count, int downwards) {
    const Named *found = nullptr;
    for (const Named &named : KERNEL_TABLE)
        if (!strcmp(named.name, name)) found = &named;
    if (!found) return 1;
    if (found->arguments != count) return 2;
    machine.entry = found->entry;
    machine.arguments = arguments;
    machine.downwards = downwards != 0;
    memcpy(emulator.grid, grid, sizeof emulator.grid);
    emulator.threads = threads;
    uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    for (uint64_t index = 0; index < blocks; index++) {
        uint64_t block = downwards ? blocks - 1 - index : index;
        emulator.block[0] = block % grid[0];
        emulator.block[1] = block / grid[0] % grid[1];
        emulator.block[2] = block / grid[0] / grid[1];
        run_block(threads);
        // The first block started from a whole pattern; the next renew what was used.
        if (index == 0) machine.shared_bytes = machine.shared_used.front();
    }
    machine.shared_bytes = SHARED_BYTES;
    return 0;
}
