// Fills the holes of a mask: background that no 4-connected path of background joins to the outside becomes mask, as
// scipy.ndimage.binary_fill_holes does.
//
// Tensors: mask and filled (H, W) u8; anything but 0 is mask, and 1 is written.
// Grid 1, block THREADS; dynamic shared memory 2 * H * ceil(W / 32) * 4 bytes: one bit a pixel of the background, and
// one of the background reached from outside.
// The reached bits grow until a sweep changes nothing. A sweep reads everything before it writes anything, lets a word
// take from its four neighbours, and spreads what it took through the word.
#include "fp16.cuh"
#include "warp.cuh"

#ifndef THREADS
#define THREADS 1024
#endif
// Words a thread holds between reading and writing.
#ifndef WORDS
#define WORDS 2
#endif

// All of `open` that `seed` reaches to the left and to the right inside a word.
__device__ __forceinline__ u32 spread(u32 seed, u32 open) {
    u32 left = seed & open, left_open = open, right = left, right_open = open;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        left |= left_open & (left << distance);
        left_open &= left_open << distance;
        right |= right_open & (right >> distance);
        right_open &= right_open >> distance;
    }
    return left | right;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    fill_holes(const u8* __restrict__ mask, u8* __restrict__ filled, u32 height, u32 width) {
    extern __shared__ u32 words[];
    const u32 columns = (width + 31) / 32, count = height * columns;
    u32* const background = words;      // (height, columns)
    u32* const reached = words + count; // (height, columns)

    for (u32 word = threadIdx.x / WARP_SIZE; word < count; word += THREADS / WARP_SIZE) {
        const u32 y = word / columns, x = word % columns * 32 + threadIdx.x % WARP_SIZE;
        const bool open = x < width && mask[y * width + x] == 0;
        const bool edge = y == 0 || y + 1 == height || x == 0 || x + 1 == width;
        const u32 open_bits = __ballot_sync(FULL_WARP, open), edge_bits = __ballot_sync(FULL_WARP, open && edge);
        if (threadIdx.x % WARP_SIZE == 0) {
            background[word] = open_bits;
            reached[word] = edge_bits;
        }
    }
    __syncthreads();

    bool changed = true;
    while (__syncthreads_or(changed)) {
        u32 grown[WORDS];
        changed = false;
#pragma unroll
        for (int i = 0; i < WORDS; ++i) {
            const u32 word = threadIdx.x + i * THREADS;
            if (word < count) {
                const u32 column = word % columns;
                u32 seed = reached[word];
                seed |= word >= columns ? reached[word - columns] : 0;
                seed |= word + columns < count ? reached[word + columns] : 0;
                seed |= column > 0 ? reached[word - 1] >> 31 : 0;
                seed |= column + 1 < columns ? reached[word + 1] << 31 : 0;
                grown[i] = spread(seed, background[word]);
                changed = changed || grown[i] != reached[word];
            }
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < WORDS; ++i) {
            const u32 word = threadIdx.x + i * THREADS;
            if (word < count) {
                reached[word] = grown[i];
            }
        }
    }

    for (u32 pixel = threadIdx.x; pixel < height * width; pixel += THREADS) {
        const u32 y = pixel / width, x = pixel % width;
        filled[pixel] = ~reached[y * columns + x / 32] >> x % 32 & 1;
    }
}
