// A copy of memory that was never written is as undefined as its source, by whatever way it went.
// launch: block 32
// arguments: fresh 512, fresh 512, fresh 128
// expect: initialised line 19 block 0 thread 8 other 19 says byte 132 of the allocation of 512 bytes
__device__ void copy(float4 *first, float4 *second) {
    __shared__ float4 between[32];
    if (threadIdx.x < 8)
        first[threadIdx.x] = make_float4(1.0f, 2.0f, 3.0f, 4.0f);
    __syncthreads();
    between[threadIdx.x ^ 3] = first[threadIdx.x];
    __syncthreads();
    second[threadIdx.x] = between[threadIdx.x ^ 3];
    __syncthreads();
}

extern "C" __global__ void wrong(float4 *first, float4 *second, float *out) {
    copy(first, second);
    float4 *volatile again = second;
    out[threadIdx.x] = again[threadIdx.x].y * 0.5f;
}

extern "C" __global__ void right(float4 *first, float4 *second, float *out) {
    copy(first, second);
    float4 *volatile again = second;
    out[threadIdx.x] = again[threadIdx.x & 7].y * 0.5f;
}
