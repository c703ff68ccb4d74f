// Matrix products without tensor cores: naive, tiled, register-blocked, double-buffered by cp.async, split along K by
// atomics, stream-K with flags between blocks, of integers and of doubles, and matrix by vector.

extern "C" __global__ void naive(const float* A, const float* B, float* C, int M, int N, int K) {
    int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= M || column >= N) return;
    float sum = 0;
    for (int k = 0; k < K; k++) sum += A[row * K + k] * B[k * N + column];
    C[row * N + column] = sum;
}

template <typename T, int TILE>
__device__ void tiled(const T* A, const T* B, T* C, int M, int N, int K) {
    __shared__ T a[TILE][TILE], b[TILE][TILE];
    int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * TILE + ty, column = blockIdx.x * TILE + tx;
    T sum = 0;
    for (int start = 0; start < K; start += TILE) {
        a[ty][tx] = row < M && start + tx < K ? A[row * K + start + tx] : T(0);
        b[ty][tx] = column < N && start + ty < K ? B[(start + ty) * N + column] : T(0);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < TILE; k++) sum += a[ty][k] * b[k][tx];
        __syncthreads();
    }
    if (row < M && column < N) C[row * N + column] = sum;
}

extern "C" __global__ void tiled_f32(const float* A, const float* B, float* C, int M, int N, int K) {
    tiled<float, 16>(A, B, C, M, N, K);
}
extern "C" __global__ void tiled_f64(const double* A, const double* B, double* C, int M, int N, int K) {
    tiled<double, 8>(A, B, C, M, N, K);
}
extern "C" __global__ void tiled_i64(const long long* A, const long long* B, long long* C, int M, int N, int K) {
    tiled<long long, 8>(A, B, C, M, N, K);
}

// 64 x 64 by 256 threads, four by four results each, vector loads. M, N multiples of 64, K of 8.
extern "C" __global__ __launch_bounds__(256, 2) void blocked(const float* __restrict__ A, const float* __restrict__ B,
                                                             float* __restrict__ C, int M, int N, int K) {
    __shared__ __align__(16) float a[8][64], b[8][64];
    int thread = threadIdx.x, tx = thread % 16, ty = thread / 16;
    const float* from_a = A + blockIdx.y * 64 * K;
    const float* from_b = B + blockIdx.x * 64;
    float sums[4][4] = {};
    for (int start = 0; start < K; start += 8) {
        if (thread < 128) {
            int row = thread / 2, k = thread % 2 * 4;
            float4 v = *reinterpret_cast<const float4*>(&from_a[row * K + start + k]);
            a[k][row] = v.x, a[k + 1][row] = v.y, a[k + 2][row] = v.z, a[k + 3][row] = v.w;
        } else {
            int k = (thread - 128) / 16, column = thread % 16 * 4;
            *reinterpret_cast<float4*>(&b[k][column]) = *reinterpret_cast<const float4*>(&from_b[(start + k) * N + column]);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float4 x = *reinterpret_cast<float4*>(&a[k][ty * 4]), y = *reinterpret_cast<float4*>(&b[k][tx * 4]);
            float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) sums[i][j] = fmaf(xs[i], ys[j], sums[i][j]);
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; i++) {
        int row = blockIdx.y * 64 + ty * 4 + i;
        *reinterpret_cast<float4*>(&C[row * N + blockIdx.x * 64 + tx * 4]) =
            make_float4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    }
}

// K is split over blockIdx.z; the parts meet by atomics.
extern "C" __global__ void split_k(const int* A, const int* B, int* C, int M, int N, int K) {
    int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= M || column >= N) return;
    int part = (K + gridDim.z - 1) / gridDim.z, start = blockIdx.z * part, end = min(start + part, K);
    int sum = 0;
    for (int k = start; k < end; k++) sum += A[row * K + k] * B[k * N + column];
    atomicAdd(&C[row * N + column], sum);
}

// Stream-K: blocks share tiles evenly along K; the block that starts a tile adds up what later blocks leave for it, in
// order, once their flags are up. Tiles of 16 x 16, steps of 16.
extern "C" __global__ void stream_k(const float* A, const float* B, float* C, float* partials, unsigned* flags, int M,
                                    int N, int K) {
    __shared__ float a[16][17], b[16][17];
    int tx = threadIdx.x, ty = threadIdx.y;
    int steps = K / 16, columns = N / 16, total = steps * (M / 16) * columns;
    int each = (total + gridDim.x - 1) / gridDim.x;
    int begin = blockIdx.x * each, end = min(begin + each, total);
    while (begin < end) {
        int tile = begin / steps, first = begin % steps, last = min(steps, first + end - begin);
        int row = tile / columns * 16 + ty, column = tile % columns * 16 + tx;
        float sum = 0;
        for (int step = first; step < last; step++) {
            a[ty][tx] = A[row * K + step * 16 + tx];
            b[ty][tx] = B[(step * 16 + ty) * N + column];
            __syncthreads();
            for (int k = 0; k < 16; k++) sum += a[ty][k] * b[k][tx];
            __syncthreads();
        }
        begin += last - first;
        if (first > 0) {
            // The tile is another block's: leave the part and raise the flag.
            partials[blockIdx.x * 256 + ty * 16 + tx] = sum;
            __threadfence();
            __syncthreads();
            if (tx == 0 && ty == 0) atomicExch(&flags[blockIdx.x], 1u);
            continue;
        }
        for (int done = last, other = blockIdx.x + 1; done < steps; other++) {
            if (tx == 0 && ty == 0)
                while (atomicAdd(&flags[other], 0u) == 0) {}
            __syncthreads();
            __threadfence();
            sum += reinterpret_cast<volatile float*>(partials)[other * 256 + ty * 16 + tx];
            done += min(each, steps - done);
        }
        C[row * N + column] = sum;
    }
}

// One warp a row, four columns at once, through the read-only cache.
extern "C" __global__ void matrix_vector(const float4* __restrict__ A, const float4* __restrict__ x, float* y, int quads) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    float sum = 0;
    for (int i = threadIdx.x; i < quads; i += 32) {
        float4 a = __ldg(&A[row * quads + i]), v = __ldg(&x[i]);
        sum += a.x * v.x + a.y * v.y + a.z * v.z + a.w * v.w;
    }
    for (int offset = 16; offset; offset >>= 1) sum += __shfl_xor_sync(~0u, sum, offset);
    if (threadIdx.x == 0) y[row] = sum;
}

// Bytes by dot products of four, in inline assembly: NVRTC 13.5 refuses `__dp4a` where it is not to optimise.
extern "C" __global__ void bytes_dp4a(const int* A, const int* B_transposed, int* C, int N, int quads) {
    int row = blockIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= N) return;
    int sum = 0;
    for (int k = 0; k < quads; k++)
        asm("dp4a.s32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(A[row * quads + k]), "r"(B_transposed[column * quads + k]));
    C[row * N + column] = sum;
}

#if __CUDA_ARCH__ >= 800
// Three stages of cp.async in inline assembly. 32 x 32 tiles, steps of 16, by 64 threads with 4 x 4 results.
extern "C" __global__ void pipelined(const float* A, const float* B, float* C, int M, int N, int K) {
    __shared__ __align__(16) float a[3][32][16], b[3][16][32];
    int thread = threadIdx.x, steps = K / 16;
    auto fetch = [&](int step) {
        if (step < steps) {
            int stage = step % 3;
            for (int i = thread; i < 128; i += 64) {
                int row = i / 4, column = i % 4 * 4;
                unsigned to = (unsigned)__cvta_generic_to_shared(&a[stage][row][column]);
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to),
                             "l"(&A[(blockIdx.y * 32 + row) * K + step * 16 + column]));
                row = i / 8, column = i % 8 * 4;
                to = (unsigned)__cvta_generic_to_shared(&b[stage][row][column]);
                asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(to),
                             "l"(&B[(step * 16 + row) * N + blockIdx.x * 32 + column]));
            }
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    fetch(0);
    fetch(1);
    float sums[4][4] = {};
    int tx = thread % 8, ty = thread / 8;
    for (int step = 0; step < steps; step++) {
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
        fetch(step + 2);
        int stage = step % 3;
        for (int k = 0; k < 16; k++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) sums[i][j] += a[stage][ty * 4 + i][k] * b[stage][k][tx * 4 + j];
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            C[(blockIdx.y * 32 + ty * 4 + i) * N + blockIdx.x * 32 + tx * 4 + j] = sums[i][j];
}

// cp.async of 4 and 8 bytes, with fewer bytes to read than to write, and waiting for everything.
extern "C" __global__ void zero_filled(const float* input, float* output, int count) {
    __shared__ float tile[64];
    __shared__ double wide[32];
    int thread = threadIdx.x;
    unsigned to = (unsigned)__cvta_generic_to_shared(&tile[thread]);
    int bytes = thread < count ? 4 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(bytes ? input + thread : input), "r"(bytes));
    if (thread < 32) {
        to = (unsigned)__cvta_generic_to_shared(&wide[thread]);
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(to), "l"((const double*)input + thread));
    }
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    output[thread] = tile[thread ^ 1];
    ((double*)output)[32 + (thread & 31)] = wide[thread & 31];
}
#endif
