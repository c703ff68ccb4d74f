// Matrix products by `mma.sync` in inline assembly, fed by ldmatrix from shared memory, swizzled, double-buffered.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ unsigned shared_address(const void* pointer) { return (unsigned)__cvta_generic_to_shared(pointer); }

__device__ void load_x4(unsigned (&r)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}
__device__ void load_x2_trans(unsigned (&r)[2], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address));
}

__device__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], __half) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], __nv_bfloat16) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// C (fp32) = A (row-major) times B (row-major): 64 x 64 by four warps, 32 x 32 each; K in steps of 32, two buffers
// filled by cp.async, eight-element chunks swizzled by their row. M, N multiples of 64, K of 32.
template <typename T>
__device__ void product(const T* A, const T* B, float* C, int N, int K) {
    __shared__ __align__(128) T a[2][64 * 32], b[2][32 * 64];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, row0 = warp / 2 * 32, column0 = warp % 2 * 32;
    auto fetch = [&](int step) {
        if (step * 32 < K) {
            for (int chunk = thread; chunk < 256; chunk += 128) {
                int row = chunk / 4, c = chunk % 4;
                asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(
                                 shared_address(&a[step & 1][row * 32 + (c ^ (row >> 1 & 3)) * 8])),
                             "l"(A + (blockIdx.y * 64 + row) * K + step * 32 + c * 8));
                row = chunk / 8, c = chunk % 8;
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                                 shared_address(&b[step & 1][row * 64 + (c ^ (row & 7)) * 8])),
                             "l"(B + (step * 32 + row) * N + blockIdx.x * 64 + c * 8));
            }
        }
        asm volatile("cp.async.commit_group;");
    };
    float sums[2][4][4] = {};
    fetch(0);
    for (int step = 0; step * 32 < K; step++) {
        fetch(step + 1);
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
        for (int k = 0; k < 32; k += 16) {
            unsigned x[2][4];
            for (int i = 0; i < 2; i++) {
                int row = row0 + i * 16 + lane % 16, c = k / 8 + lane / 16;
                load_x4(x[i], shared_address(&a[step & 1][row * 32 + (c ^ (row >> 1 & 3)) * 8]));
            }
            for (int j = 0; j < 4; j++) {
                unsigned y[2];
                int row = k + lane % 16, c = column0 / 8 + j;
                load_x2_trans(y, shared_address(&b[step & 1][row * 64 + (c ^ (row & 7)) * 8]));
                for (int i = 0; i < 2; i++) multiply(sums[i][j], x[i], y, T());
            }
        }
        __syncthreads();
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++) {
            int row = blockIdx.y * 64 + row0 + i * 16 + lane / 4, column = blockIdx.x * 64 + column0 + j * 8 + lane % 4 * 2;
            *(float2*)&C[row * N + column] = make_float2(sums[i][j][0], sums[i][j][1]);
            *(float2*)&C[(row + 8) * N + column] = make_float2(sums[i][j][2], sums[i][j][3]);
        }
}

extern "C" __global__ void product_f16(const __half* A, const __half* B, float* C, int N, int K) { product(A, B, C, N, K); }
extern "C" __global__ void product_bf16(const __nv_bfloat16* A, const __nv_bfloat16* B, float* C, int N, int K) {
    product(A, B, C, N, K);
}

// Flash attention, one warp: 16 queries of 16 channels against keys and values in steps of 16, softmax as it goes. The
// probabilities go from accumulators to operands without leaving the registers.
extern "C" __global__ void flash(const __half* Q, const __half* K, const __half* V, float* O, int keys, float scale) {
    __shared__ __align__(16) __half q[16 * 16], kk[16 * 16], v[16 * 16];
    int lane = threadIdx.x;
    const __half* queries = Q + blockIdx.x * 256;
    *(uint4*)&q[lane * 8] = *(const uint4*)&queries[lane * 8];
    __syncwarp();
    unsigned a[4];
    load_x4(a, shared_address(&q[lane % 16 * 16 + lane / 16 * 8]));
    float o[2][4] = {}, high[2] = {-1e30f, -1e30f}, sum[2] = {};
    for (int start = 0; start < keys; start += 16) {
        __syncwarp();
        *(uint4*)&kk[lane * 8] = *(const uint4*)&K[start * 16 + lane * 8];
        *(uint4*)&v[lane * 8] = *(const uint4*)&V[start * 16 + lane * 8];
        __syncwarp();
        float s[2][4] = {};
        for (int j = 0; j < 2; j++) {
            // Keys are rows, which is what the second operand's columns are.
            unsigned b[2] = {*(unsigned*)&kk[(j * 8 + lane / 4) * 16 + lane % 4 * 2],
                             *(unsigned*)&kk[(j * 8 + lane / 4) * 16 + lane % 4 * 2 + 8]};
            multiply(s[j], a, b, __half());
        }
        for (int half = 0; half < 2; half++) {
            float top = high[half];
            for (int j = 0; j < 2; j++)
                for (int c = 0; c < 2; c++) top = fmaxf(top, s[j][half * 2 + c] *= scale);
            top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
            top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
            float shrink = __expf(high[half] - top);
            high[half] = top;
            sum[half] *= shrink;
            for (int j = 0; j < 2; j++)
                for (int c = 0; c < 2; c++) {
                    s[j][half * 2 + c] = __expf(s[j][half * 2 + c] - top);
                    sum[half] += s[j][half * 2 + c];
                    o[j][half * 2 + c] *= shrink;
                }
        }
        unsigned p[4];
        for (int j = 0; j < 2; j++)
            for (int half = 0; half < 2; half++) {
                __half2 pair = __floats2half2_rn(s[j][half * 2], s[j][half * 2 + 1]);
                p[j * 2 + half] = *(unsigned*)&pair;
            }
        for (int j = 0; j < 2; j++) {
            unsigned b[2];
            load_x2_trans(b, shared_address(&v[lane % 16 * 16 + j * 8]));
            multiply(o[j], p, b, __half());
        }
    }
    for (int half = 0; half < 2; half++) {
        sum[half] += __shfl_xor_sync(~0u, sum[half], 1);
        sum[half] += __shfl_xor_sync(~0u, sum[half], 2);
        for (int j = 0; j < 2; j++)
            for (int c = 0; c < 2; c++)
                O[blockIdx.x * 256 + (lane / 4 + half * 8) * 16 + j * 8 + lane % 4 * 2 + c] = o[j][half * 2 + c] / sum[half];
    }
}
