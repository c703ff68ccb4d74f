// Paths through one node, in place: shortest ones leave the row and the column of that node as they are, so that other
// blocks may read there meanwhile; longest ones do not.
// launch: grid 4 block 64
// arguments: in 1024, u32 3
// checks: races
// expect: races line 15 block 1 thread 0 other 17 says global memory: a read after a write by another block
template <bool shortest> __device__ int choose(int direct, int around) {
    return shortest ? min(direct, around) : max(direct, around);
}

template <bool shortest> __device__ void body(int *length, unsigned node) {
    unsigned to = threadIdx.x % 16, from = 4 * blockIdx.x + threadIdx.x / 16;
    int direct = length[16 * from + to];
    int first = length[16 * from + node];
    int second = length[16 * node + to];
    __syncthreads();
    length[16 * from + to] = choose<shortest>(direct, first + second);
}

extern "C" __global__ void wrong(int *length, unsigned node) { body<false>(length, node); }

extern "C" __global__ void right(int *length, unsigned node) { body<true>(length, node); }
