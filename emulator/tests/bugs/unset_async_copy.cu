// Three of four parts of a tile are copied asynchronously, and all four are summed.
// launch: block 32
// arguments: in 512, fresh 128
// expect: initialised line 17 block 0 thread 24 says shared memory
__device__ void fill(float4 *tile, const float4 *in, unsigned count) {
    unsigned address = (unsigned)__cvta_generic_to_shared(tile + threadIdx.x);
    if (threadIdx.x < count)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(in + threadIdx.x));
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
}

extern "C" __global__ void wrong(const float4 *in, float *out) {
    __shared__ float4 tile[32];
    fill(tile, in, 24);
    out[threadIdx.x] = tile[threadIdx.x].x + tile[threadIdx.x].w;
}

extern "C" __global__ void right(const float4 *in, float *out) {
    __shared__ float4 tile[32];
    fill(tile, in, 32);
    out[threadIdx.x] = tile[threadIdx.x].x + tile[threadIdx.x].w;
}
