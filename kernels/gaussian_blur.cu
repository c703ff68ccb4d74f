// OpenCV's GaussianBlur of an 8-bit mask, then `> 0.1`.
//
//   s[y, x] = sum over i, j of kernel[i] * kernel[j] * mask[reflect(y + i - k / 2), reflect(x + j - k / 2)]
//   y[y, x] = (s[y, x] + 32768) >> 16 > 0
//
// with OpenCV's BORDER_REFLECT_101, which mirrors as often as it takes in a mask smaller than the radius.
//
// Tensors: mask and blurred (H, W) u8; kernel (k) i32, 8.8 fixed point, its sum 256.
// Grid (ceil(W / TILE_WIDTH), ceil(H / TILE_HEIGHT)), block TILE_WIDTH * TILE_HEIGHT, one pixel a thread.
// Dynamic shared memory (TILE_HEIGHT + k - 1) * TILE_WIDTH * 4 bytes: the rows' sums.
// Numeric policy: integers throughout; s <= 255 * 65536 fits 32 bits.
#include "fp16.cuh"
#include "pixel_tile.cuh"

// OpenCV's borderInterpolate for BORDER_REFLECT_101: gfedcb|abcdefgh|gfedcba.
__device__ __forceinline__ int reflect(int position, int length) {
    if (length == 1) {
        return 0;
    }
    while (position < 0 || position >= length) {
        position = position < 0 ? -position : 2 * length - 2 - position;
    }
    return position;
}

extern "C" __global__ void __launch_bounds__(TILE_WIDTH * TILE_HEIGHT)
    gaussian_blur(const u8* __restrict__ mask, const int* __restrict__ kernel, u8* __restrict__ blurred, int height,
                  int width, int size) {
    extern __shared__ int sums[]; // (TILE_HEIGHT + size - 1, TILE_WIDTH)
    const int column = threadIdx.x % TILE_WIDTH, row = threadIdx.x / TILE_WIDTH;
    const int x = blockIdx.x * TILE_WIDTH + column, y = blockIdx.y * TILE_HEIGHT + row;
    const int radius = size / 2;

    for (int r = row; r < TILE_HEIGHT + size - 1; r += TILE_HEIGHT) {
        const int source = reflect(static_cast<int>(blockIdx.y * TILE_HEIGHT) + r - radius, height);
        int sum = 0;
        for (int j = 0; j < size; ++j) {
            sum += kernel[j] * mask[source * width + reflect(x + j - radius, width)];
        }
        sums[r * TILE_WIDTH + column] = sum;
    }
    __syncthreads();

    if (x < width && y < height) {
        int sum = 0;
        for (int i = 0; i < size; ++i) {
            sum += kernel[i] * sums[(row + i) * TILE_WIDTH + column];
        }
        blurred[y * width + x] = (sum + 32768) >> 16 > 0;
    }
}
