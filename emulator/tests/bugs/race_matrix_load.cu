// ldmatrix of a tile that the other warp stores.
// launch: block 64
// arguments: in 512, zero 256
// checks: races
// expect: races line 9 block 0 thread 32 other 15 says shared memory: a write after a read by another warp
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ __align__(16) int tile[64][4];
    unsigned i = threadIdx.x;
    *reinterpret_cast<int4 *>(tile[i]) = reinterpret_cast<const int4 *>(in)[i % 32];
    if (ordered)
        __syncthreads();
    unsigned row = (unsigned)__cvta_generic_to_shared(tile[(i + 32) % 64]), d[4];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(row)
                 : "memory");
    out[i] = d[0] + d[1] + d[2] + d[3];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
