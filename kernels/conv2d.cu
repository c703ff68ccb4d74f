// Convolution as an implicit matrix product: output pixel = sum over taps and channels of input pixel * weight.
//
//   input     (batch, height, width, input_channels)   fp16
//   skip      (batch, height, width, skip_channels)    fp16, or null: further channels of the same pixels
//   weight    (n, kernel, kernel, input_channels + skip_channels)   fp16
//   bias      (n)                                      fp16, or null
//   time      (steps, time_columns)                    fp16 or fp32, or null: row *step (or 0), from time_column on,
//                                                      is added to every pixel
//   residual  (batch, output_height, output_width, n)  fp16, or null
//   output    (batch, output_height, output_width, n)  fp16 or fp32; where k is split, the sums of the parts
//                                                      (gridDim.y, m, n) in fp32
//
// Row r of A (m = batch * output_height * output_width rows) is the window of output pixel r: kernel * kernel taps by
// rows, each with its channels, the input's before the skip's. Tap (ty, tx) of pixel (y, x) reads pixel
// (y * stride + first_row + ty, x * stride - padding + tx) of a grid of (grid_height, grid_width), zero outside; with
// `upsample` 1 that grid is the input enlarged by repeating every pixel 2 x 2 (and perhaps cropped), never built.
// first_row is -padding where the output is all rows, and more where it is some of them.
//
//   grid    (ceil(m / TILE_M) * ceil(n / TILE_N), parts of k)     block   32 * WARPS_M * WARPS_N
//   shared, tile constants, numeric policy: matrix.cuh
// Constraints: input_channels % 8 == skip_channels % 8 == 0, so that 16 bytes lie in one tap and one source.
#include "matrix.cuh"

// The addressing of one convolution.
struct Geometry {
    int height, width;                // of the input
    int grid_height, grid_width;      // of what the taps walk over
    int output_height, output_width;
    int kernel, stride, padding;
    int first_row;                    // of the grid, that the first window begins at
    int upsample;                     // 1 where the grid is the input x2
};

// Loads windows: the loader of A (see MatrixRows). This thread's chunk is at the same (tap, channel) in all its rows.
struct Windows {
    const half* input;
    const half* skip;
    int input_channels, skip_channels;
    int height_limit, width_limit, width;
    int kernel, upsample;
    int y[A_PASSES], x[A_PASSES];  // of the window's first tap in the grid
    int first_pixel[A_PASSES];     // of the sample in the input
    int tap_y, tap_x, channel;     // of this thread's chunk

    __device__ Windows(const half* input, const half* skip, int input_channels, int skip_channels, const Geometry& g,
                       int rows, int first_row)
        : input(input), skip(skip), input_channels(input_channels), skip_channels(skip_channels),
          height_limit(g.grid_height), width_limit(g.grid_width), width(g.width), kernel(g.kernel),
          upsample(g.upsample), tap_y(0), tap_x(0), channel(threadIdx.x % CHUNKS * CHUNK) {
        const int pixels = g.output_height * g.output_width;
#pragma unroll
        for (int pass = 0; pass < A_PASSES; ++pass) {
            const int row = first_row + threadIdx.x / CHUNKS + pass * PASS_ROWS;
            const int sample = row / pixels;
            const int output_y = row % pixels / g.output_width;
            const int output_x = row % pixels % g.output_width;
            // A row past the end lies so far above the grid that no tap reaches it.
            y[pass] = row < rows ? output_y * g.stride + g.first_row : -(1 << 30);
            x[pass] = output_x * g.stride - g.padding;
            first_pixel[pass] = sample * g.height * g.width;
        }
        wrap();
    }

    __device__ __forceinline__ const half* chunk(int pass, bool& valid) const {
        const int grid_y = y[pass] + tap_y;
        const int grid_x = x[pass] + tap_x;
        valid = static_cast<u32>(grid_y) < static_cast<u32>(height_limit) &&
                static_cast<u32>(grid_x) < static_cast<u32>(width_limit) && tap_y < kernel;
        const int pixel = first_pixel[pass] + (grid_y >> upsample) * width + (grid_x >> upsample);
        const bool in_skip = channel >= input_channels;
        const half* source = in_skip ? skip - input_channels : input;
        return source + static_cast<long long>(pixel) * (in_skip ? skip_channels : input_channels) + channel;
    }

    __device__ __forceinline__ void advance(int steps) {
        channel += steps * TILE_K;
        wrap();
    }

    // Carries surplus channels over to the next taps; past the last tap, tap_y is `kernel`.
    __device__ __forceinline__ void wrap() {
        while (channel >= input_channels + skip_channels) {
            channel -= input_channels + skip_channels;
            if (++tap_x == kernel) {
                tap_x = 0;
                ++tap_y;
            }
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS)
conv2d(const half* __restrict__ input, const half* __restrict__ skip, const half* __restrict__ weight,
       const half* __restrict__ bias, const void* __restrict__ time, const int* __restrict__ step,
       const half* __restrict__ residual, void* __restrict__ output, int batch, int n, int input_channels,
       int skip_channels, int height, int width, int grid_height, int grid_width, int output_height, int output_width,
       int kernel, int stride, int padding, int first_row, int upsample, int time_columns, int time_column,
       int time_f32, int output_f32) {
    const int m = batch * output_height * output_width;
    const int k = kernel * kernel * (input_channels + skip_channels);
    const Geometry geometry{height, width, grid_height, grid_width, output_height, output_width,
                            kernel, stride, padding, first_row, upsample};
    const TilePosition position(n);
    Windows windows(input, skip, input_channels, skip_channels, geometry, m, position.row);
    MatrixRows<W_PASSES> weights(weight, n, k, position.column);
    float sums[M_FRAGMENTS][N_FRAGMENTS][4];
    multiply(sums, windows, weights, k);

    const Addends addends{bias, time, step, time_columns, time_column, time_f32 != 0};
    store_tile(sums, position, addends,
               Destination{part_output(output, m, n), output_f32 != 0, residual, m, n});
}
