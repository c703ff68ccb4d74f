// A warp's scratch row is written again while other lanes may still be reading it.
// arguments: in 512, zero 128
// checks: races
// expect: races line 10 block 0 thread 0 other 12 says shared memory: a write after a read by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int row[32];
    unsigned lane = threadIdx.x;
    int sum = 0;
    for (unsigned step = 0; step < 4; ++step) {
        row[lane] = in[32 * step + lane];
        __syncwarp();
        sum += row[31 - lane];
        if (ordered)
            __syncwarp();
    }
    out[lane] = sum;
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
