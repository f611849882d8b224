// Every kernel, in one translation unit. How it becomes kernels.ptx is in engine/tests/cuda_ptx.rs.

#include "attention.cuh"
#include "blake3.cuh"
#include "decode.cuh"
#include "elementwise.cuh"
#include "exchange.cuh"
#include "loss.cuh"
#include "norm.cuh"
#include "product.cuh"
