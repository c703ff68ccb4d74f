// The end of a product whose k was split: output = activation(sum of parts + bias + time) + residual.
//
//   parts     (parts, m, n)        fp32: what linear.cu and conv2d.cu store where k is split
//   bias      (n)                  fp16, or null
//   time      (steps, time_columns)   fp16 or fp32, or null: row *step (or 0), from time_column on
//   residual  (m, n)               fp16, or null; (m, n / 2) with GEGLU
//   output    (m, n)               fp16 or fp32; (m, n / 2) with GEGLU
//
//   grid    ceil(m * n / 8 / BLOCK): a thread an octet of columns     block   BLOCK
//   shared  none
//
// Numeric policy: parts are added in fp32 in their order along k, before anything else; one rounding at the end.
// Constraints: n % 8 == 0; m * n / 8 < 2^31.
#include "epilogue.cuh"

#ifndef BLOCK
#define BLOCK 256
#endif

extern "C" __global__ void __launch_bounds__(BLOCK)
split_sum(const float* __restrict__ parts, const half* __restrict__ bias, const void* __restrict__ time,
          const int* __restrict__ step, const half* __restrict__ residual, void* __restrict__ output, int part_count,
          int m, int n, int time_columns, int time_column, int time_f32, int output_f32) {
    const int octet = blockIdx.x * BLOCK + threadIdx.x;
    if (octet >= m * (n / 8)) {
        return;
    }
    const u64 first = static_cast<u64>(octet) * 8;
    const int column = octet % (n / 8) * 8;
    float sum[8] = {};
    for (int part = 0; part < part_count; ++part) {
        const float4* values = reinterpret_cast<const float4*>(parts + static_cast<u64>(part) * m * n + first);
        const float4 low = values[0];
        const float4 high = values[1];
        const float addend[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            sum[i] += addend[i];
        }
    }
    float offset[8];
    Addends{bias, time, step, time_columns, time_column, time_f32 != 0}.gather(offset, column, n);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        sum[i] += offset[i];
    }
    float result[OUTPUTS];
    activate(sum, result);
    const Destination destination{output, output_f32 != 0, residual, m, n};
    const u64 index = first / (8 / OUTPUTS);
    OutputHalves addend;
    if (residual != nullptr) {
        addend = destination.load_residual(index);
    }
    destination.store(index, result, addend);
}
