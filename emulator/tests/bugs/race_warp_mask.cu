// The lanes that read are not among those that meet.
// arguments: in 128, zero 128
// checks: races
// expect: races line 15 block 0 thread 12 other 8 says shared memory: a read after a write by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int values[32];
    unsigned lane = threadIdx.x;
    values[lane] = in[lane];
    if (ordered)
        __syncwarp();
    else if (lane < 16)
        __syncwarp(0x0000ffff);
    else
        __syncwarp(0xffff0000);
    out[lane] = values[(lane + 4) % 32];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
