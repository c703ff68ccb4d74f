// A tiled matrix product without the barrier between reading a tile and loading the next.
// launch: grid 2,2 block 16,16
// arguments: in 4096, in 4096, zero 4096
// checks: races
// expect: races line 12 block 0 thread 0 other 16 says shared memory: a write after a read by another lane
// expect: races line 13 block 0 thread 0 other 16 says shared memory: a write after a read by another lane
template <bool ordered> __device__ void body(const int *a, const int *b, int *c) {
    __shared__ int tile_a[16][16], tile_b[16][16];
    unsigned x = threadIdx.x, y = threadIdx.y, row = 16 * blockIdx.y + y, column = 16 * blockIdx.x + x;
    int sum = 0;
    for (unsigned start = 0; start < 32; start += 16) {
        tile_a[y][x] = a[32 * row + start + x];
        tile_b[y][x] = b[32 * (start + y) + column];
        __syncthreads();
        for (unsigned k = 0; k < 16; ++k)
            sum += tile_a[y][k] * tile_b[k][x];
        if (ordered)
            __syncthreads();
    }
    c[32 * row + column] = sum;
}

extern "C" __global__ void wrong(const int *a, const int *b, int *c) { body<false>(a, b, c); }

extern "C" __global__ void right(const int *a, const int *b, int *c) { body<true>(a, b, c); }
