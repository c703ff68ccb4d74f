// Rows of a matrix tile are padded by one element, which no row of ldmatrix may be.
// launch: block 32
// arguments: fresh 128
// expect: memory line 7 block 0 thread 1 says misaligned matrix row
__device__ unsigned load(const void *row) {
    unsigned address = (unsigned)__cvta_generic_to_shared(row), value;
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(value) : "r"(address));
    return value;
}

extern "C" __global__ void wrong(unsigned *out) {
    __shared__ __align__(16) unsigned short tile[8 * 9];
    for (unsigned i = threadIdx.x; i < 72; i += 32)
        tile[i] = i;
    __syncthreads();
    out[threadIdx.x] = load(tile + 9 * (threadIdx.x & 7));
}

extern "C" __global__ void right(unsigned *out) {
    __shared__ __align__(16) unsigned short tile[8 * 16];
    for (unsigned i = threadIdx.x; i < 128; i += 32)
        tile[i] = i;
    __syncthreads();
    out[threadIdx.x] = load(tile + 16 * (threadIdx.x & 7));
}
