// Two buffers change roles every step; the first step reads the one that has nothing in it yet.
// launch: block 32
// arguments: in 128, fresh 128, u32 1
// expect: initialised line 6 block 0 thread 0 other 6 says byte 0 of the allocation of 128 bytes
__device__ void step(float *from, float *to) {
    to[threadIdx.x] = 0.5f * from[threadIdx.x] + 1.0f;
    __syncthreads();
}

extern "C" __global__ void wrong(float *first, float *second, unsigned steps) {
    for (unsigned i = 0; i < steps; i++)
        step(i % 2 ? first : second, i % 2 ? second : first);
}

extern "C" __global__ void right(float *first, float *second, unsigned steps) {
    for (unsigned i = 0; i < steps; i++)
        step(i % 2 ? second : first, i % 2 ? first : second);
}
