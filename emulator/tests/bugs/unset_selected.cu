// What is selected away does not matter, even if the compiler computes with it; what is kept does.
// launch: block 32
// arguments: fresh 128, fresh 128
// expect: initialised line 14 block 0 thread 16 other 9
__device__ float half_filled(float *buffer) {
    if (threadIdx.x < 16)
        buffer[threadIdx.x] = threadIdx.x;
    __syncwarp();
    return ((volatile float *)buffer)[threadIdx.x];
}

extern "C" __global__ void wrong(float *buffer, float *out) {
    float value = half_filled(buffer);
    out[threadIdx.x] = threadIdx.x < 17 ? 2.0f * value + 1.0f : 0.0f;
}

extern "C" __global__ void right(float *buffer, float *out) {
    float value = half_filled(buffer);
    out[threadIdx.x] = threadIdx.x < 16 ? 2.0f * value + 1.0f : 0.0f;
}
