// The launch gives room for one row of each warp, but the last warp takes two.
// launch: block 64 shared 256
// arguments: fresh 256
// expect: memory line 8 block 0 thread 32 says 0 bytes past the end of the dynamic shared memory of 256 bytes
extern "C" __global__ void wrong(float *out) {
    extern __shared__ float rows[];
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    rows[64 * warp + lane] = lane;
    __syncthreads();
    out[threadIdx.x] = rows[64 * warp + (lane ^ 1)];
}

extern "C" __global__ void right(float *out) {
    extern __shared__ float rows[];
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    rows[32 * warp + lane] = lane;
    __syncthreads();
    out[threadIdx.x] = rows[32 * warp + (lane ^ 1)];
}
