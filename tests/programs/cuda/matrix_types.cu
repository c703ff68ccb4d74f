// Matrix instructions of every element type: through `mma.h` on tiles in memory, and `mma.sync` on fragments laid out
// by hand.

#include <mma.h>
using namespace nvcuda;

// One warp a tile of 16 x 16; M, N, K multiples of 16.
template <typename T, typename C>
__device__ void product(const T* A, const T* B, C* D, int M, int N, int K, C bias) {
    int row = blockIdx.y * 16, column = blockIdx.x * 16;
    wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major> a;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::col_major> b;
    wmma::fragment<wmma::accumulator, 16, 16, 16, C> c;
    wmma::fill_fragment(c, bias);
    for (int k = 0; k < K; k += 16) {
        wmma::load_matrix_sync(a, A + row * K + k, K);
        wmma::load_matrix_sync(b, B + column * K + k, K);
        wmma::mma_sync(c, a, b, c);
    }
    for (int i = 0; i < c.num_elements; i++) c.x[i] = c.x[i] + c.x[i];
    wmma::store_matrix_sync(D + row * N + column, c, N, wmma::mem_row_major);
}

extern "C" __global__ void wmma_f16_f32(const half* A, const half* B, float* D, int M, int N, int K) {
    product(A, B, D, M, N, K, 1.0f);
}
extern "C" __global__ void wmma_f16_f16(const half* A, const half* B, half* D, int M, int N, int K) {
    product(A, B, D, M, N, K, __float2half(0.5f));
}
extern "C" __global__ void wmma_s8(const signed char* A, const signed char* B, int* D, int M, int N, int K) {
    product(A, B, D, M, N, K, -3);
}
extern "C" __global__ void wmma_u8(const unsigned char* A, const unsigned char* B, int* D, int M, int N, int K) {
    product(A, B, D, M, N, K, 9);
}
#if __CUDA_ARCH__ >= 800
extern "C" __global__ void wmma_bf16(const __nv_bfloat16* A, const __nv_bfloat16* B, float* D, int M, int N, int K) {
    product(A, B, D, M, N, K, 0.0f);
}

extern "C" __global__ void wmma_tf32(const float* A, const float* B, float* D, int N, int K) {
    wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> a;
    wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> b;
    wmma::fragment<wmma::accumulator, 16, 16, 8, float> c;
    wmma::fill_fragment(c, 0.0f);
    for (int k = 0; k < K; k += 8) {
        wmma::load_matrix_sync(a, A + k, K);
        wmma::load_matrix_sync(b, B + k * N, N);
        for (int i = 0; i < a.num_elements; i++) a.x[i] = wmma::__float_to_tf32(a.x[i]);
        for (int i = 0; i < b.num_elements; i++) b.x[i] = wmma::__float_to_tf32(b.x[i]);
        wmma::mma_sync(c, a, b, c);
    }
    wmma::store_matrix_sync(D, c, N, wmma::mem_row_major);
}

// 16 x 8 x 32 of bytes, by hand: rows of A and columns of B hold K in a row.
extern "C" __global__ void mma_s8(const signed char* A, const signed char* B, int* D) {
    int lane = threadIdx.x, group = lane / 4, part = lane % 4 * 4;
    auto word = [](const signed char* p) { return *(const int*)p; };
    int a0 = word(A + group * 32 + part), a1 = word(A + (group + 8) * 32 + part);
    int a2 = word(A + group * 32 + 16 + part), a3 = word(A + (group + 8) * 32 + 16 + part);
    int b0 = word(B + group * 32 + part), b1 = word(B + group * 32 + 16 + part), d[4] = {};
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    for (int i = 0; i < 4; i++) D[(group + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

// 16 x 8 x 8 of TF32.
extern "C" __global__ void mma_tf32(const float* A, const float* B, float* D) {
    int lane = threadIdx.x, group = lane / 4, part = lane % 4;
    auto rounded = [](float x) {
        unsigned r;
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
        return r;
    };
    unsigned a0 = rounded(A[group * 8 + part]), a1 = rounded(A[(group + 8) * 8 + part]);
    unsigned a2 = rounded(A[group * 8 + part + 4]), a3 = rounded(A[(group + 8) * 8 + part + 4]);
    unsigned b0 = rounded(B[part * 8 + group]), b1 = rounded(B[(part + 4) * 8 + group]);
    float d[4] = {};
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    for (int i = 0; i < 4; i++) D[(group + i / 2 * 8) * 8 + part * 2 + i % 2] = d[i];
}
#endif
