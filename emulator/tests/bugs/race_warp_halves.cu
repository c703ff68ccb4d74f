// One half of a warp writes, the other reads; the branches run in no order.
// arguments: in 128, zero 64
// checks: races
// expect: races line 13 block 0 thread 16 other 9 says shared memory: a read after a write by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int values[16];
    unsigned lane = threadIdx.x;
    if (lane < 16)
        values[lane] = in[lane];
    if (ordered)
        __syncwarp();
    if (lane >= 16)
        out[lane - 16] = values[lane - 16];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
