// Only 8 of the 16 rows of a tile are there; a matrix product computes with all of them, and all results are stored.
// launch: block 32
// arguments: fresh 512
// expect: initialised line 20 block 0 thread 0 other 14 says shared memory
__device__ void product(float *out, unsigned rows) {
    __shared__ __align__(16) unsigned short a[16 * 16], b[16 * 8];
    for (unsigned i = threadIdx.x; i < 8 * 16; i += 32)
        a[i] = b[i] = 0x3c00;
    __syncthreads();
    unsigned from_a = (unsigned)__cvta_generic_to_shared(a + 16 * (threadIdx.x % 16) + 8 * (threadIdx.x / 16));
    unsigned from_b = (unsigned)__cvta_generic_to_shared(b + 8 * (threadIdx.x % 16));
    unsigned a0, a1, a2, a3, b0, b1;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a0), "=r"(a1), "=r"(a2), "=r"(a3) : "r"(from_a));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(b0), "=r"(b1) : "r"(from_b));
    float d0, d1, d2, d3, zero = 0.0f;
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%10, %10, %10, %10};"
                 : "=f"(d0), "=f"(d1), "=f"(d2), "=f"(d3)
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "f"(zero));
    unsigned row = threadIdx.x / 4, column = 2 * (threadIdx.x % 4);
    out[row * 8 + column] = d0;
    out[row * 8 + column + 1] = d1;
    if (row + 8 < rows) {
        out[(row + 8) * 8 + column] = d2;
        out[(row + 8) * 8 + column + 1] = d3;
    }
}

extern "C" __global__ void wrong(float *out) {
    product(out, 16);
}

extern "C" __global__ void right(float *out) {
    product(out, 8);
}
