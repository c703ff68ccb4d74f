// A warp sums values of which some lanes have none.
// launch: block 32
// arguments: fresh 128, fresh 4
// expect: initialised line 15 block 0 thread 0 other 9
__device__ int half_filled(int *buffer) {
    if (threadIdx.x < 16)
        buffer[threadIdx.x] = threadIdx.x;
    __syncwarp();
    return ((volatile int *)buffer)[threadIdx.x];
}

extern "C" __global__ void wrong(int *buffer, int *out) {
    int value = half_filled(buffer);
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_down_sync(~0u, value, offset);
    if (threadIdx.x == 0)
        *out = value;
}

extern "C" __global__ void right(int *buffer, int *out) {
    int value = half_filled(buffer);
    for (int offset = 8; offset > 0; offset /= 2)
        value += __shfl_down_sync(~0u, value, offset);
    if (threadIdx.x == 0)
        *out = value;
}
