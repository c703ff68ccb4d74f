// The last levels of a tree in the old way, where volatile accesses are taken to be in step; plain ones may not be.
// arguments: in 128, zero 4
// checks: races
// expect: races line 20 block 0 thread 1 other 20 says shared memory: a write after a read by another lane
// expect: races line 20 block 0 thread 2 other 19 says shared memory: a write after a read by another lane
template <bool ordered> struct Row { typedef int type; };
template <> struct Row<true> { typedef volatile int type; };

template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int sums[64];
    unsigned i = threadIdx.x;
    sums[i] = in[i];
    sums[i + 32] = 0;
    __syncwarp();
    typename Row<ordered>::type *row = sums;
    row[i] += row[i + 16];
    row[i] += row[i + 8];
    row[i] += row[i + 4];
    row[i] += row[i + 2];
    row[i] += row[i + 1];
    if (i == 0)
        *out = row[0];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
