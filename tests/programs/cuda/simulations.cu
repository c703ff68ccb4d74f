// Simulations and linear algebra: Monte Carlo, bodies, random walks, dense solvers, eigenvalues, clustering, dynamic
// programming.

// --- Pi by xorshift, four points a step ---
extern "C" __global__ void monte_carlo_pi(unsigned long long* inside, int steps) {
    unsigned state = (blockIdx.x * blockDim.x + threadIdx.x) * 2654435761u + 12345;
    unsigned hits = 0;
    auto next = [&] {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state;
    };
    for (int i = 0; i < steps; i++) {
        unsigned long long x = next() >> 8, y = next() >> 8;
        hits += x * x + y * y < (1ull << 48);
    }
    for (int offset = 16; offset; offset /= 2) hits += __shfl_down_sync(~0u, hits, offset);
    if (threadIdx.x % 32 == 0) atomicAdd(inside, (unsigned long long)hits);
}

// --- Forces of all bodies on all, by tiles ---
extern "C" __global__ void forces(const float4* bodies, float3* accelerations, int count) {
    __shared__ float4 tile[64];
    int i = blockIdx.x * 64 + threadIdx.x;
    float4 me = i < count ? bodies[i] : make_float4(0, 0, 0, 0);
    float3 a = {0, 0, 0};
    for (int start = 0; start < count; start += 64) {
        tile[threadIdx.x] = start + threadIdx.x < count ? bodies[start + threadIdx.x] : make_float4(0, 0, 0, 0);
        __syncthreads();
#pragma unroll 4
        for (int j = 0; j < 64; j++) {
            float dx = tile[j].x - me.x, dy = tile[j].y - me.y, dz = tile[j].z - me.z;
            float square = dx * dx + dy * dy + dz * dz + 0.01f, inverse = rsqrtf(square);
            float scale = tile[j].w * inverse * inverse * inverse;
            a.x += dx * scale, a.y += dy * scale, a.z += dz * scale;
        }
        __syncthreads();
    }
    if (i < count) accelerations[i] = a;
}

// --- LU with partial pivoting, one block ---
extern "C" __global__ void lu(double* a, int* pivots, int n) {
    __shared__ int best;
    for (int k = 0; k < n; k++) {
        if (threadIdx.x == 0) {
            best = k;
            for (int i = k + 1; i < n; i++)
                if (fabs(a[i * n + k]) > fabs(a[best * n + k])) best = i;
            pivots[k] = best;
        }
        __syncthreads();
        if (best != k)
            for (int j = threadIdx.x; j < n; j += blockDim.x) {
                double swap = a[k * n + j];
                a[k * n + j] = a[best * n + j];
                a[best * n + j] = swap;
            }
        __syncthreads();
        for (int i = k + 1 + threadIdx.x; i < n; i += blockDim.x) a[i * n + k] /= a[k * n + k];
        __syncthreads();
        int rest = n - k - 1;
        for (int e = threadIdx.x; e < rest * rest; e += blockDim.x) {
            int i = k + 1 + e / rest, j = k + 1 + e % rest;
            a[i * n + j] -= a[i * n + k] * a[k * n + j];
        }
        __syncthreads();
    }
}

// --- Cholesky, one warp, and triangular solves ---
extern "C" __global__ void cholesky_solve(double* a, double* b, int n) {
    int lane = threadIdx.x;
    for (int k = 0; k < n; k++) {
        if (lane == 0) a[k * n + k] = sqrt(a[k * n + k]);
        __syncwarp();
        for (int i = k + 1 + lane; i < n; i += 32) a[i * n + k] /= a[k * n + k];
        __syncwarp();
        for (int j = k + 1; j < n; j++)
            for (int i = j + lane; i < n; i += 32) a[i * n + j] -= a[i * n + k] * a[j * n + k];
        __syncwarp();
    }
    for (int k = 0; k < n; k++) {
        if (lane == 0) b[k] /= a[k * n + k];
        __syncwarp();
        for (int i = k + 1 + lane; i < n; i += 32) b[i] -= a[i * n + k] * b[k];
        __syncwarp();
    }
    for (int k = n - 1; k >= 0; k--) {
        double sum = 0;
        for (int i = k + 1 + lane; i < n; i += 32) sum += a[i * n + k] * b[i];
        for (int offset = 16; offset; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
        if (lane == 0) b[k] = (b[k] - sum) / a[k * n + k];
        __syncwarp();
    }
}

// --- Conjugate gradients in one block, the matrix never stored ---
__device__ float block_dot(const float* x, const float* y, int n, float* scratch) {
    float sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[i] * y[i];
    for (int offset = 16; offset; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < blockDim.x / 32; w++) sum += scratch[w];
    return sum;
}

extern "C" __global__ void conjugate_gradients(const float* b, float* x, int n, int* iterations) {
    extern __shared__ float shared[];
    float *r = shared, *p = r + n, *q = p + n, *scratch = q + n;
    for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = 0, r[i] = p[i] = b[i];
    __syncthreads();
    float rr = block_dot(r, r, n, scratch), first = rr;
    int count = 0;
    while (rr > 1e-10f * first && count < 2 * n) {
        for (int i = threadIdx.x; i < n; i += blockDim.x)
            q[i] = 2.5f * p[i] - (i > 0 ? p[i - 1] : 0.0f) - (i < n - 1 ? p[i + 1] : 0.0f);
        __syncthreads();
        float alpha = rr / block_dot(p, q, n, scratch);
        for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] += alpha * p[i], r[i] -= alpha * q[i];
        __syncthreads();
        float next = block_dot(r, r, n, scratch);
        for (int i = threadIdx.x; i < n; i += blockDim.x) p[i] = r[i] + next / rr * p[i];
        __syncthreads();
        rr = next;
        count++;
    }
    if (threadIdx.x == 0) *iterations = count;
}

// --- Jacobi's method for eigenvalues of small symmetric matrices, a thread each ---
extern "C" __global__ void eigenvalues(const float* matrices, float* values) {
    float a[4][4];
    for (int i = 0; i < 16; i++) a[i / 4][i % 4] = matrices[threadIdx.x * 16 + i];
    for (int sweep = 0; sweep < 8; sweep++)
        for (int p = 0; p < 3; p++)
            for (int q = p + 1; q < 4; q++) {
                if (fabsf(a[p][q]) < 1e-12f) continue;
                float theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                float t = copysignf(1.0f, theta) / (fabsf(theta) + sqrtf(theta * theta + 1));
                float c = 1 / sqrtf(t * t + 1), s = t * c;
                for (int k = 0; k < 4; k++) {
                    float x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }
                for (int k = 0; k < 4; k++) {
                    float x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                }
            }
    for (int i = 0; i < 4; i++) values[threadIdx.x * 4 + i] = a[i][i];
}

// --- Clusters: the nearest centre, and sums for the next ---
extern "C" __global__ void assign(const float2* points, const float2* centres, int* nearest, float2* sums, int* counts, int n, int k) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float least = 3.4e38f;
    int best = 0;
    for (int c = 0; c < k; c++) {
        float dx = points[i].x - centres[c].x, dy = points[i].y - centres[c].y, d = dx * dx + dy * dy;
        if (d < least) least = d, best = c;
    }
    nearest[i] = best;
    atomicAdd(&sums[best].x, points[i].x);
    atomicAdd(&sums[best].y, points[i].y);
    atomicAdd(&counts[best], 1);
}

// --- The longest common subsequence, by anti-diagonals ---
extern "C" __global__ void common_subsequence(const char* a, const char* b, int n, int m, int* length) {
    extern __shared__ int diagonals[];
    int *before = diagonals, *last = before + n + 1, *now = last + n + 1;
    for (int i = threadIdx.x; i <= n; i += blockDim.x) before[i] = last[i] = now[i] = 0;
    __syncthreads();
    for (int d = 2; d <= n + m; d++) {
        for (int i = max(1, d - m) + threadIdx.x; i <= min(n, d - 1); i += blockDim.x)
            now[i] = a[i - 1] == b[d - i - 1] ? before[i - 1] + 1 : max(last[i - 1], last[i]);
        __syncthreads();
        int* swap = before;
        before = last;
        last = now;
        now = swap;
        // Cells outside the table count as zero.
        if (threadIdx.x == 0) now[0] = 0;
        for (int i = threadIdx.x; i <= n; i += blockDim.x)
            if (i > min(n, d) || i < max(0, d + 1 - m)) now[i] = 0;
        __syncthreads();
    }
    if (threadIdx.x == 0) *length = last[n];
}

// --- All shortest paths, a launch for each intermediate node ---
extern "C" __global__ void floyd_warshall(int* distances, int n, int k) {
    int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y;
    if (j >= n) return;
    int through = distances[i * n + k] + distances[k * n + j];
    if (through < distances[i * n + j]) distances[i * n + j] = through;
}
