// Attention with an online softmax on mma.sync, head dimension 128, four warps of 16 or 32 queries each, written after the
// published description of the ladder (see published.toml).

typedef unsigned short bf16;

const int DIM = 128, THREADS = 128, ROW_BYTES = DIM * 2;

__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned* b) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void load_x4(unsigned* d, unsigned address) {
    asm volatile("ldmatrix.sync.aligned.x4.m8n8.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(address));
}

__device__ __forceinline__ void load_x2(unsigned* d, unsigned address) {
    asm volatile("ldmatrix.sync.aligned.x2.m8n8.shared.b16 {%0,%1}, [%2];" : "=r"(d[0]), "=r"(d[1]) : "r"(address));
}

__device__ __forceinline__ void load_x4_transposed(unsigned* d, unsigned address) {
    asm volatile("ldmatrix.sync.aligned.x4.trans.m8n8.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(address));
}

__device__ __forceinline__ void load_x2_transposed(unsigned* d, unsigned address) {
    asm volatile("ldmatrix.sync.aligned.x2.trans.m8n8.shared.b16 {%0,%1}, [%2];" : "=r"(d[0]), "=r"(d[1]) : "r"(address));
}

// Bytes to an element of a tile; with a swizzle, pieces of 16 bytes change places by the row.
template <bool SWIZZLED>
__device__ __forceinline__ unsigned place(int row, int column) {
    unsigned offset = row * ROW_BYTES + column * 2;
    return SWIZZLED ? offset ^ (row % 8 << 4) : offset;
}

template <bool SWIZZLED, int ROWS>
__device__ __forceinline__ void fetch(unsigned to, const bf16* from) {
    for (int i = 0; i < ROWS * DIM; i += THREADS * 8) {
        int element = i + threadIdx.x * 8;
        unsigned target = to + place<SWIZZLED>(element / DIM, element % DIM);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(from + element));
    }
}

__device__ __forceinline__ unsigned pack(float low, float high) {
    unsigned packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ float across_four(float x, bool largest) {
    for (int o = 1; o < 4; o *= 2) {
        float other = __shfl_xor_sync(~0u, x, o);
        x = largest ? fmaxf(x, other) : x + other;
    }
    return x;
}

// ROWS: tiles of 16 queries a warp. SWIZZLED: tiles without bank conflicts. STAGES: tiles of K and V in flight. WIDE:
// four matrices a load.
template <int ROWS, bool SWIZZLED, int STAGES, bool WIDE, int KEYS>
__device__ __forceinline__ void attention(const bf16* q, const bf16* k, const bf16* v, bf16* o, int queries, int keys) {
    extern __shared__ uint4 memory[];
    const int QUERIES = 64 * ROWS;
    const unsigned base = (unsigned)__cvta_generic_to_shared(memory), tile_bytes = KEYS * ROW_BYTES;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int head = blockIdx.x / (queries / QUERIES), tile = blockIdx.x % (queries / QUERIES);
    q += ((size_t)head * queries + tile * QUERIES) * DIM;
    o += ((size_t)head * queries + tile * QUERIES) * DIM;
    k += (size_t)head * keys * DIM;
    v += (size_t)head * keys * DIM;

    fetch<SWIZZLED, QUERIES>(base, q);
    asm volatile("cp.async.commit_group;");
    asm volatile("cp.async.wait_all;");
    __syncthreads();
    unsigned qs[ROWS][DIM / 16][4];
    #pragma unroll
    for (int r = 0; r < ROWS; r++)
        #pragma unroll
        for (int d = 0; d < DIM / 16; d++)
            load_x4(qs[r][d], base + place<SWIZZLED>((warp * ROWS + r) * 16 + lane % 16, d * 16 + lane / 16 * 8));
    __syncthreads();

    float out[ROWS][DIM / 8][4] = {}, most[ROWS][2], sums[ROWS][2] = {};
    #pragma unroll
    for (int r = 0; r < ROWS; r++) most[r][0] = most[r][1] = -3.4e38f;
    int tiles = keys / KEYS;
    auto fetch_tile = [&](const bf16* from, int index, int second) {
        if (index < tiles)
            fetch<SWIZZLED, KEYS>(base + (index % STAGES * 2 + second) * tile_bytes, from + (size_t)index * KEYS * DIM);
        asm volatile("cp.async.commit_group;");
    };
    if (STAGES == 2) {
        fetch_tile(k, 0, 0);
        fetch_tile(v, 0, 1);
    }
    for (int index = 0; index < tiles; index++) {
        unsigned ks = base + index % STAGES * 2 * tile_bytes, vs = ks + tile_bytes;
        if (STAGES == 2) {
            fetch_tile(k, index + 1, 0);
            asm volatile("cp.async.wait_group 2;");
        } else {
            fetch_tile(k, index, 0);
            asm volatile("cp.async.wait_all;");
        }
        __syncthreads();
        unsigned kf[KEYS / 8][DIM / 16][2];
        #pragma unroll
        for (int j = 0; j < KEYS / 8; j++)
            #pragma unroll
            for (int d = 0; d < DIM / 16; d += WIDE ? 2 : 1) {
                if (WIDE) load_x4(kf[j][d], ks + place<SWIZZLED>(j * 8 + lane % 8, d * 16 + lane / 8 * 8));
                else load_x2(kf[j][d], ks + place<SWIZZLED>(j * 8 + lane % 8, d * 16 + lane / 8 % 2 * 8));
            }
        float scores[ROWS][KEYS / 8][4] = {};
        #pragma unroll
        for (int r = 0; r < ROWS; r++)
            #pragma unroll
            for (int j = 0; j < KEYS / 8; j++)
                #pragma unroll
                for (int d = 0; d < DIM / 16; d++) mma(scores[r][j], qs[r][d], kf[j][d]);
        if (STAGES == 1) __syncthreads();
        fetch_tile(v, STAGES == 2 ? index + 1 : index, 1);

        unsigned weights[ROWS][KEYS / 16][4];
        #pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float now[2] = {most[r][0], most[r][1]}, part[2] = {};
            #pragma unroll
            for (int j = 0; j < KEYS / 8; j++)
                #pragma unroll
                for (int e = 0; e < 4; e++) {
                    scores[r][j][e] *= 0.08838835f;
                    now[e / 2] = fmaxf(now[e / 2], scores[r][j][e]);
                }
            #pragma unroll
            for (int h = 0; h < 2; h++) {
                now[h] = across_four(now[h], true);
                float rescale = __expf(most[r][h] - now[h]);
                most[r][h] = now[h];
                #pragma unroll
                for (int d = 0; d < DIM / 8; d++) {
                    out[r][d][2 * h] *= rescale;
                    out[r][d][2 * h + 1] *= rescale;
                }
                #pragma unroll
                for (int j = 0; j < KEYS / 8; j++) {
                    float x = __expf(scores[r][j][2 * h] - now[h]), y = __expf(scores[r][j][2 * h + 1] - now[h]);
                    part[h] += x + y;
                    weights[r][j / 2][j % 2 * 2 + h] = pack(x, y);
                }
                sums[r][h] = sums[r][h] * rescale + across_four(part[h], false);
            }
        }
        if (STAGES == 2) asm volatile("cp.async.wait_group 2;");
        else asm volatile("cp.async.wait_all;");
        __syncthreads();
        unsigned vf[KEYS / 16][DIM / 8][2];
        #pragma unroll
        for (int j = 0; j < KEYS / 16; j++)
            #pragma unroll
            for (int d = 0; d < DIM / 8; d += WIDE ? 2 : 1) {
                int row = j * 16 + lane % 16;
                if (WIDE) load_x4_transposed(vf[j][d], vs + place<SWIZZLED>(row, d * 8 + lane / 16 * 8));
                else load_x2_transposed(vf[j][d], vs + place<SWIZZLED>(row, d * 8));
            }
        #pragma unroll
        for (int r = 0; r < ROWS; r++)
            #pragma unroll
            for (int d = 0; d < DIM / 8; d++)
                #pragma unroll
                for (int j = 0; j < KEYS / 16; j++) mma(out[r][d], weights[r][j], vf[j][d]);
        if (STAGES == 1) __syncthreads();
    }
    #pragma unroll
    for (int r = 0; r < ROWS; r++)
        #pragma unroll
        for (int d = 0; d < DIM / 8; d++)
            #pragma unroll
            for (int h = 0; h < 2; h++)
                *(unsigned*)&o[((warp * ROWS + r) * 16 + lane / 4 + h * 8) * DIM + d * 8 + lane % 4 * 2] =
                    pack(out[r][d][2 * h] / sums[r][h], out[r][d][2 * h + 1] / sums[r][h]);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_plain(const bf16* q, const bf16* k, const bf16* v, bf16* o, int queries, int keys) {
    attention<2, false, 1, false, 32>(q, k, v, o, queries, keys);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_swizzled(const bf16* q, const bf16* k, const bf16* v, bf16* o, int queries, int keys) {
    attention<2, true, 1, false, 32>(q, k, v, o, queries, keys);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_staged(const bf16* q, const bf16* k, const bf16* v, bf16* o, int queries, int keys) {
    attention<1, true, 2, false, 32>(q, k, v, o, queries, keys);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_wide(const bf16* q, const bf16* k, const bf16* v, bf16* o, int queries, int keys) {
    attention<1, true, 2, true, 32>(q, k, v, o, queries, keys);
}
