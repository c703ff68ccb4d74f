// C = A B with fp16 factors and fp32 sums on mma.sync, written after the published description of the ladder (see
// published.toml). Eight warps in two rows of four; M, N and K are multiples of the tiles.

typedef unsigned short half_bits;

__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ unsigned shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void load(unsigned (&d)[4], const uint4* p) {
    asm volatile("ldmatrix.sync.aligned.x4.m8n8.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(shared_address(p)));
}

__device__ __forceinline__ void load(unsigned (&d)[2], const uint4* p) {
    asm volatile("ldmatrix.sync.aligned.x2.m8n8.shared.b16 {%0,%1}, [%2];"
                 : "=r"(d[0]), "=r"(d[1]) : "r"(shared_address(p)));
}

__device__ __forceinline__ void copy(uint4* to, const uint4* from) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" :: "r"(shared_address(to)), "l"(from));
}

// Fragments gathered from shared memory half by half; B is K x N. T x T mma tiles a warp.
template <int T>
__device__ __forceinline__ void plain(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    __shared__ half_bits as[T * 32][16], bs[16][T * 32];
    int thread = threadIdx.y * 16 + threadIdx.x, warp = thread / 32, lane = thread % 32;
    int row0 = T * 32 * blockIdx.y, column0 = T * 32 * blockIdx.x;
    int warp_row = warp / 4 * 16, warp_column = warp % 4 * 8, group = lane / 4, pair = lane % 4 * 2;
    float sums[T][T][4] = {};
    for (int step = 0; step < k; step += 16) {
        for (int o = 0; o < T * 32; o += 16)
            as[o + threadIdx.y][threadIdx.x] = a[(row0 + o + threadIdx.y) * k + step + threadIdx.x];
        for (int o = 0; o < T * 32; o += 16)
            bs[threadIdx.y][o + threadIdx.x] = b[(step + threadIdx.y) * n + column0 + o + threadIdx.x];
        __syncthreads();
        for (int i = 0; i < T; i++) {
            half_bits x[8];
            for (int e = 0; e < 8; e++)
                x[e] = as[i * 32 + warp_row + group + e / 2 % 2 * 8][pair + e / 4 * 8 + e % 2];
            unsigned xs[4];
            for (int e = 0; e < 4; e++) xs[e] = x[2 * e] | (unsigned)x[2 * e + 1] << 16;
            for (int j = 0; j < T; j++) {
                half_bits y[4];
                for (int e = 0; e < 4; e++) y[e] = bs[pair + e / 2 * 8 + e % 2][j * 32 + warp_column + group];
                unsigned ys[2] = {y[0] | (unsigned)y[1] << 16, y[2] | (unsigned)y[3] << 16};
                mma(sums[i][j], xs, ys);
            }
        }
        __syncthreads();
    }
    for (int i = 0; i < T; i++)
        for (int j = 0; j < T; j++)
            for (int e = 0; e < 4; e++)
                c[(row0 + i * 32 + warp_row + group + e / 2 * 8) * n + column0 + j * 32 + warp_column + pair + e % 2] =
                    sums[i][j][e];
}

extern "C" __global__ void __launch_bounds__(256) hgemm_plain(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    plain<1>(a, b, c, n, k);
}

extern "C" __global__ void __launch_bounds__(256) hgemm_plain_2x2(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    plain<2>(a, b, c, n, k);
}

// Where a lane finds its pieces of 16 bytes in tiles of 32 halves a row: two rows share a line of 128 bytes, permuted so
// that eight lanes always meet eight different banks.
struct Places {
    int warp, lane, store_row, store_column, a_row, a_column, b_row, b_column;
    __device__ Places() {
        int thread = threadIdx.y * 16 + threadIdx.x;
        warp = thread / 32;
        lane = thread % 32;
        store_row = warp * 4 + lane / 8;
        store_column = lane % 8 ^ lane / 8;
        a_row = lane % 16 / 2;
        a_column = (lane / 16 + 4 * (lane % 2)) ^ (a_row % 4);
        b_row = lane % 8 / 2;
        b_column = (lane / 8 % 2 + 4 * (lane % 2)) ^ (b_row % 4);
    }
};

template <int T>
__device__ __forceinline__ void store(const Places& at, float (&sums)[T][T][4], float* c, int n) {
    int row0 = blockIdx.y * T * 32 + at.warp / 4 * T * 16 + at.lane / 4;
    int column0 = blockIdx.x * T * 32 + at.warp % 4 * T * 8 + at.lane % 4 * 2;
    for (int i = 0; i < T; i++)
        for (int j = 0; j < T; j++) {
            *(float2*)&c[(row0 + i * 16) * n + column0 + j * 8] = make_float2(sums[i][j][0], sums[i][j][1]);
            *(float2*)&c[(row0 + i * 16 + 8) * n + column0 + j * 8] = make_float2(sums[i][j][2], sums[i][j][3]);
        }
}

// Permuted tiles and ldmatrix, B is N x K; with `KEEP` the fragments of A are loaded once for all of B.
template <bool KEEP>
__device__ __forceinline__ void permuted(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    __shared__ uint4 as[32][8], bs[32][8];
    Places at;
    const uint4* from_a = (const uint4*)(a + blockIdx.y * 64 * k) + (at.warp * 8 + at.lane / 4) * k / 8 + at.lane % 4;
    const uint4* from_b = (const uint4*)(b + blockIdx.x * 64 * k) + (at.warp * 8 + at.lane / 4) * k / 8 + at.lane % 4;
    int warp_a = 16 * (at.warp / 4), warp_b = 8 * (at.warp % 4);
    float sums[2][2][4] = {};
    for (int step = 0; step < k / 8; step += 4) {
        as[at.store_row][at.store_column] = from_a[step];
        bs[at.store_row][at.store_column] = from_b[step];
        __syncthreads();
        for (int i = 0; i < 2; i++) {
            const uint4* row_a = as[warp_a + i * 8 + at.a_row];
            unsigned x[2][4];
            if (KEEP) {
                load(x[0], row_a + at.a_column);
                load(x[1], row_a + (at.a_column ^ 2));
            }
            for (int j = 0; j < 2; j++) {
                const uint4* row_b = bs[warp_b + j * 4 + at.b_row];
                for (int h = 0; h < 2; h++) {
                    unsigned y[2];
                    if (!KEEP) load(x[h], row_a + (at.a_column ^ 2 * h));
                    load(y, row_b + (at.b_column ^ 2 * h));
                    mma(sums[i][j], x[h], y);
                }
            }
        }
        __syncthreads();
    }
    store<2>(at, sums, c, n);
}

extern "C" __global__ void __launch_bounds__(256) hgemm_permuted(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    permuted<false>(a, b, c, n, k);
}

extern "C" __global__ void __launch_bounds__(256) hgemm_permuted_kept(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    permuted<true>(a, b, c, n, k);
}

// Three stages of asynchronous copies; T x T mma tiles a warp.
template <int T>
__device__ __forceinline__ void staged(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    const int STAGES = 3, ROWS = 16 * T;
    __shared__ uint4 as[STAGES * ROWS][8], bs[STAGES * ROWS][8];
    Places at;
    const uint4* from_a = (const uint4*)(a + blockIdx.y * T * 32 * k) + (at.warp * 8 + at.lane / 4) * k / 8 + at.lane % 4;
    const uint4* from_b = (const uint4*)(b + blockIdx.x * T * 32 * k) + (at.warp * 8 + at.lane / 4) * k / 8 + at.lane % 4;
    int warp_a = 8 * T * (at.warp / 4), warp_b = 4 * T * (at.warp % 4);
    float sums[T][T][4] = {};
    auto fetch = [&](int stage, int step) {
        for (int o = 0; o < T / 2; o++) {
            copy(&as[stage * ROWS + at.store_row + o * 32][at.store_column], from_a + o * 64 * k / 8 + step * 4);
            copy(&bs[stage * ROWS + at.store_row + o * 32][at.store_column], from_b + o * 64 * k / 8 + step * 4);
        }
        asm volatile("cp.async.commit_group;");
    };
    for (int stage = 0; stage < STAGES - 1; stage++) fetch(stage, stage);
    for (int step = 0; step < k / 32; step++) {
        int stage = step % STAGES * ROWS;
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2));
        __syncthreads();
        unsigned x[T][2][4], y[T][2][2];
        for (int i = 0; i < T; i++)
            for (int h = 0; h < 2; h++) load(x[i][h], as[stage + warp_a + i * 8 + at.a_row] + (at.a_column ^ 2 * h));
        for (int j = 0; j < T; j++)
            for (int h = 0; h < 2; h++) load(y[j][h], bs[stage + warp_b + j * 4 + at.b_row] + (at.b_column ^ 2 * h));
        int next = step + STAGES - 1;
        fetch(next % STAGES, next < k / 32 ? next : k / 32 - 1);
        for (int i = 0; i < T; i++)
            for (int j = 0; j < T; j++)
                for (int h = 0; h < 2; h++) mma(sums[i][j], x[i][h], y[j][h]);
    }
    store<T>(at, sums, c, n);
}

extern "C" __global__ void __launch_bounds__(256) hgemm_staged(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    staged<2>(a, b, c, n, k);
}

extern "C" __global__ void __launch_bounds__(256) hgemm_staged_4x4(const half_bits* a, const half_bits* b, float* c, int n, int k) {
    staged<4>(a, b, c, n, k);
}
