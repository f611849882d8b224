// The little language that the kernels are written in: CUDA C without its headers.
//
// The same text is compiled twice. clang turns it into PTX for a GPU; g++ turns it into ordinary
// functions, which tests/emulator runs thread by thread, so that the logic of every kernel is
// checked bit for bit on a machine without a GPU.
//
// Floating point goes through the functions below and nothing else: each is one IEEE operation,
// rounded to nearest even, subnormals kept. On the device they are the `.rn` instructions, which
// an assembler may not fuse; on the host they are C operations under -ffp-contract=off.
// There are no atomics on floats, no `.ftz`, and no library functions.

#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

// Four neighbours, moved in one instruction.
typedef float float4v __attribute__((vector_size(16)));


#ifdef __CUDA__

#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("nounroll")
// A kernel for blocks of so many threads, with registers for at least so many blocks a processor.
#define KERNEL(threads, blocks) \
    extern "C" __attribute__((global)) __attribute__((launch_bounds(threads, blocks))) void
#define DEVICE static __attribute__((device)) __attribute__((always_inline)) inline
#define MEMBER __attribute__((device)) __attribute__((always_inline)) inline
#define SHARED(type, name, count) static __attribute__((shared)) type name[count]

DEVICE u32 thread_index() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE u32 thread_count() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE u32 block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE u32 block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE u32 block_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }
DEVICE u32 blocks_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE void barrier() { __syncthreads(); }

DEVICE float fma(float a, float b, float c) { return __nvvm_fma_rn_f(a, b, c); }
DEVICE float mul(float a, float b) { return __nvvm_mul_rn_f(a, b); }
DEVICE float add(float a, float b) { return __nvvm_add_rn_f(a, b); }
DEVICE float sub(float a, float b) { return __nvvm_add_rn_f(a, -b); }
DEVICE float quotient(float a, float b) { return __nvvm_div_rn_f(a, b); }
DEVICE float root(float a) { return __nvvm_sqrt_rn_f(a); }
DEVICE double fma(double a, double b, double c) { return __nvvm_fma_rn_d(a, b, c); }
DEVICE double mul(double a, double b) { return __nvvm_mul_rn_d(a, b); }
DEVICE double add(double a, double b) { return __nvvm_add_rn_d(a, b); }
DEVICE double sub(double a, double b) { return __nvvm_add_rn_d(a, -b); }
DEVICE double quotient(double a, double b) { return __nvvm_div_rn_d(a, b); }
DEVICE double root(double a) { return __nvvm_sqrt_rn_d(a); }
DEVICE float narrow(double a) { return __nvvm_d2f_rn(a); }

// Integers only: their sum and minimum do not depend on order.
DEVICE u32 atomic_add(u32 *to, u32 value) { return __nvvm_atom_add_gen_i((int *)to, (int)value); }
DEVICE u64 atomic_min(u64 *to, u64 value) {
    return (u64)__nvvm_atom_min_gen_ull((unsigned long long *)to, value);
}

#else

#include "emulator.h"

#define UNROLL _Pragma("GCC unroll 16")
#define ROLLED
#define KERNEL(threads, blocks) extern "C" void
#define DEVICE static inline
#define MEMBER inline
#define SHARED(type, name, count) \
    type(&name)[count] = *reinterpret_cast<type(*)[count]>(emulator_shared(sizeof(type[count])))

DEVICE u32 thread_index() { return emulator.thread; }
DEVICE u32 thread_count() { return emulator.threads; }
DEVICE u32 block_x() { return emulator.block[0]; }
DEVICE u32 block_y() { return emulator.block[1]; }
DEVICE u32 block_z() { return emulator.block[2]; }
DEVICE u32 blocks_x() { return emulator.grid[0]; }
DEVICE void barrier() { emulator_barrier(); }

DEVICE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE float mul(float a, float b) { return a * b; }
DEVICE float add(float a, float b) { return a + b; }
DEVICE float sub(float a, float b) { return a - b; }
DEVICE float quotient(float a, float b) { return a / b; }
DEVICE float root(float a) { return __builtin_sqrtf(a); }
DEVICE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
DEVICE double mul(double a, double b) { return a * b; }
DEVICE double add(double a, double b) { return a + b; }
DEVICE double sub(double a, double b) { return a - b; }
DEVICE double quotient(double a, double b) { return a / b; }
DEVICE double root(double a) { return __builtin_sqrt(a); }
DEVICE float narrow(double a) { return (float)a; }

DEVICE u32 atomic_add(u32 *to, u32 value) {
    u32 before = *to;
    *to = before + value;
    return before;
}
DEVICE u64 atomic_min(u64 *to, u64 value) {
    u64 before = *to;
    if (value < before) *to = value;
    return before;
}

#endif

// Hides from the compiler what it knows about a number.
#define FORGET(word) __asm__ volatile("" : "+r"(word))

// Rows that a thread fetches ahead of a fold over many.
#define AHEAD 16u

DEVICE u32 bits_of(float value) { return __builtin_bit_cast(u32, value); }
DEVICE float float_of(u32 bits) { return __builtin_bit_cast(float, bits); }
DEVICE double double_of(u64 bits) { return __builtin_bit_cast(double, bits); }

DEVICE u32 smaller(u32 a, u32 b) { return a < b ? a : b; }

// The index of this thread among all threads of a one-dimensional grid.
DEVICE u64 global_index() { return (u64)block_x() * thread_count() + thread_index(); }
