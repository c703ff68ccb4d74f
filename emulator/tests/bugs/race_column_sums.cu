// Blocks add their part to sums in global memory that they share.
// launch: grid 2,2 block 32
// arguments: in 1024, zero 256
// checks: races
// expect: races line 14 block 0,1 thread 0 other 14 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(const int *in, int *sums) {
    unsigned column = 32 * blockIdx.x + threadIdx.x;
    int sum = 0;
    for (unsigned row = 2 * blockIdx.y; row < 2 * blockIdx.y + 2; ++row)
        sum += in[64 * row + column];
    if (ordered)
        atomicAdd(&sums[column], sum);
    else
        sums[column] += sum;
}

extern "C" __global__ void wrong(const int *in, int *sums) { body<false>(in, sums); }

extern "C" __global__ void right(const int *in, int *sums) { body<true>(in, sums); }
