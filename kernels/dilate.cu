// A mask grown in every direction.
//
//   y[y, x] = 1 where mask[y + i, x + j] is not 0 for some i, j in -radius..radius, else 0; beyond the border is 0
//
// Tensors: mask and dilated (H, W) u8.
// Grid (ceil(W / TILE_WIDTH), ceil(H / TILE_HEIGHT)), block TILE_WIDTH * TILE_HEIGHT, one pixel a thread.
// Dynamic shared memory (TILE_HEIGHT + 2 * radius) * TILE_WIDTH bytes: whether a row has some mask within the radius.
#include "fp16.cuh"
#include "pixel_tile.cuh"

extern "C" __global__ void __launch_bounds__(TILE_WIDTH * TILE_HEIGHT)
    dilate(const u8* __restrict__ mask, u8* __restrict__ dilated, int height, int width, int radius) {
    extern __shared__ u8 rows[]; // (TILE_HEIGHT + 2 * radius, TILE_WIDTH)
    const int column = threadIdx.x % TILE_WIDTH, row = threadIdx.x / TILE_WIDTH;
    const int x = blockIdx.x * TILE_WIDTH + column, y = blockIdx.y * TILE_HEIGHT + row;

    for (int r = row; r < TILE_HEIGHT + 2 * radius; r += TILE_HEIGHT) {
        const int source = static_cast<int>(blockIdx.y * TILE_HEIGHT) + r - radius;
        u8 found = 0;
        if (source >= 0 && source < height) {
            for (int i = max(x - radius, 0); i <= min(x + radius, width - 1); ++i) {
                found |= mask[source * width + i];
            }
        }
        rows[r * TILE_WIDTH + column] = found;
    }
    __syncthreads();

    if (x < width && y < height) {
        u8 found = 0;
        for (int i = 0; i <= 2 * radius; ++i) {
            found |= rows[(row + i) * TILE_WIDTH + column];
        }
        dilated[y * width + x] = found != 0;
    }
}
