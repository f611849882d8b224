// What the kernels see of the machine when g++ compiles them: see emulator.cpp.

#pragma once

#include <cstddef>

struct Emulator {
    unsigned thread, threads;
    unsigned block[3], grid[3];
};

extern thread_local Emulator emulator __attribute__((tls_model("initial-exec")));

// Waits until every thread of the block is here.
void emulator_barrier();

// The next `bytes` of the block's shared memory; every thread asks for the same in the same order.
void *emulator_shared(std::size_t bytes);
