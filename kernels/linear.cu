// Linear layer: output = activation(input weight^T + bias) + residual.
//
//   input     (m, k)   fp16, row-major
//   weight    (n, k)   fp16, row-major, as torch.nn.Linear keeps it
//   bias      (n)      fp16, or null
//   residual  (m, n)   fp16, or null; (m, n / 2) with GEGLU
//   output    (m, n)   fp16; (m, n / 2) with GEGLU; the sums of the parts (gridDim.y, m, n) in fp32 where k is split
//
// ACTIVATION is one of epilogue.cuh's. GEGLU (https://arxiv.org/abs/2002.05202) takes interleaved weights: row 2j makes
// the value h_j, row 2j + 1 its gate g_j, and the output is h_j * GELU(g_j): both lie in one thread.
//
//   grid    (ceil(m / TILE_M) * ceil(n / TILE_N), parts of k)     block   32 * WARPS_M * WARPS_N
//   shared, tile constants, numeric policy: matrix.cuh
// Constraints: k % 8 == 0; n % 8 == 0 with GEGLU.
#include "matrix.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
linear(const half* __restrict__ input, const half* __restrict__ weight, const half* __restrict__ bias,
       const half* __restrict__ residual, void* __restrict__ output, int m, int n, int k) {
    const TilePosition position(n);
    MatrixRows<A_PASSES> rows(input, m, k, position.row);
    MatrixRows<W_PASSES> weights(weight, n, k, position.column);
    float sums[M_FRAGMENTS][N_FRAGMENTS][4];
    multiply(sums, rows, weights, k);

    const bool split = gridDim.y > 1;
    store_tile(sums, position, Addends{bias}, Destination{part_output(output, m, n), split, residual, m, n});
}
