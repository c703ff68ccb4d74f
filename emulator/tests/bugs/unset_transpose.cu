// A transpose stores the part of its tile that lies outside of the matrix, which was not loaded, into a padded output.
// launch: grid 2 block 32,8
// arguments: in 5120, fresh 8192, u32 40
// expect: initialised line 15 block 1 other 15 says shared memory
__device__ void transpose(const float *in, float *out, unsigned width, bool clear) {
    __shared__ float tile[32][33];
    unsigned x = blockIdx.x * 32 + threadIdx.x;
    for (unsigned y = threadIdx.y; y < 32; y += 8)
        if (x < width)
            tile[y][threadIdx.x] = in[y * width + x];
        else if (clear)
            tile[y][threadIdx.x] = 0.0f;
    __syncthreads();
    for (unsigned y = threadIdx.y; y < 32; y += 8)
        out[(blockIdx.x * 32 + y) * 32 + threadIdx.x] = 2.0f * tile[threadIdx.x][y];
}

extern "C" __global__ void wrong(const float *in, float *out, unsigned width) {
    transpose(in, out, width, false);
}

extern "C" __global__ void right(const float *in, float *out, unsigned width) {
    transpose(in, out, width, true);
}
