// An asynchronous copy reads whole vectors behind the end of its source instead of filling up with zeros.
// launch: block 32
// arguments: in 496, fresh 512
// expect: memory line 7 block 0 thread 31 says 0 bytes past the end of the allocation of 496 bytes
__device__ void copy(void *to, const void *from, unsigned bytes) {
    unsigned address = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes));
    asm volatile("cp.async.wait_all;" ::: "memory");
}

extern "C" __global__ void wrong(const float4 *in, float4 *out) {
    __shared__ float4 tile[32];
    copy(tile + threadIdx.x, in + threadIdx.x, 16);
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

extern "C" __global__ void right(const float4 *in, float4 *out) {
    __shared__ float4 tile[32];
    copy(tile + threadIdx.x, in + threadIdx.x, threadIdx.x < 31 ? 16 : 0);
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x ^ 1];
}
