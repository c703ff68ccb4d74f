// A loop with a barrier runs a different number of times for the lanes of a warp.
// launch: block 32
// arguments: in 128, fresh 128
// expect: barriers line 10 block 0 says divergent barrier
__device__ int rounds(const int *in, int count) {
    __shared__ int turn[32];
    turn[threadIdx.x] = in[threadIdx.x];
    int sum = 0;
    for (int i = 0; i < count; i++) {
        __syncthreads();
        sum += turn[(threadIdx.x + i) % 32];
    }
    return sum;
}

extern "C" __global__ void wrong(const int *in, int *out) {
    out[threadIdx.x] = rounds(in, 1 + in[threadIdx.x] % 3);
}

extern "C" __global__ void right(const int *in, int *out) {
    out[threadIdx.x] = rounds(in, 1 + in[5] % 3);
}
