// Vectors of four are loaded over a ragged tail, which is only harmless as long as it is thrown away.
// launch: block 32
// arguments: fresh 512, fresh 512, u32 126
// expect: initialised line 16 block 0 thread 31 other 10 says shared memory
__device__ float4 load(unsigned count) {
    __shared__ __align__(16) float row[128];
    for (unsigned i = threadIdx.x; i < count; i += 32)
        row[i] = i;
    __syncthreads();
    return ((float4 *)row)[threadIdx.x];
}

extern "C" __global__ void wrong(float4 *copies, float *out, unsigned count) {
    float4 v = load(count);
    copies[threadIdx.x] = v;
    out[threadIdx.x] = v.x + v.y + v.z * v.w;
}

extern "C" __global__ void right(float4 *copies, float *out, unsigned count) {
    float4 v = load(count);
    copies[threadIdx.x] = v;
    if (4 * threadIdx.x + 2 >= count)
        v.z = v.w = 0.0f;
    out[threadIdx.x] = v.x + v.y + v.z * v.w;
}
