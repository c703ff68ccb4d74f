// Lanes vote on values of which some were never written.
// launch: block 32
// arguments: fresh 128, fresh 128
// expect: initialised line 14 block 0 other 9
__device__ int half_filled(int *buffer) {
    if (threadIdx.x < 16)
        buffer[threadIdx.x] = threadIdx.x;
    __syncwarp();
    return ((volatile int *)buffer)[threadIdx.x];
}

extern "C" __global__ void wrong(int *buffer, unsigned *out) {
    int value = half_filled(buffer);
    out[threadIdx.x] = __ballot_sync(~0u, value > 3);
}

extern "C" __global__ void right(int *buffer, unsigned *out) {
    int value = half_filled(buffer);
    out[threadIdx.x] = __ballot_sync(~0u, threadIdx.x < 16 && value > 3);
}
