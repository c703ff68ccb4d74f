// C = A B in fp32, row major, written after the published description of the ladder (see published.toml): every rung
// adds one idea. Sizes are multiples of the tiles.

// Neighbouring threads take neighbouring rows: no load coalesces.
extern "C" __global__ void sgemm_naive(const float* a, const float* b, float* c, int n, int k) {
    int row = blockIdx.x * 32 + threadIdx.x;
    int column = blockIdx.y * 32 + threadIdx.y;
    float sum = 0.0f;
    for (int i = 0; i < k; i++) sum += a[row * k + i] * b[i * n + column];
    c[row * n + column] = sum;
}

// Neighbouring threads take neighbouring columns.
extern "C" __global__ void sgemm_coalesced(const float* a, const float* b, float* c, int n, int k) {
    int row = blockIdx.x * 32 + threadIdx.x / 32;
    int column = blockIdx.y * 32 + threadIdx.x % 32;
    float sum = 0.0f;
    for (int i = 0; i < k; i++) sum += a[row * k + i] * b[i * n + column];
    c[row * n + column] = sum;
}

// Tiles of 32 x 32 in shared memory, a result a thread.
extern "C" __global__ void sgemm_shared(const float* a, const float* b, float* c, int n, int k) {
    __shared__ float as[32 * 32], bs[32 * 32];
    int row = threadIdx.x / 32, column = threadIdx.x % 32;
    a += blockIdx.x * 32 * k;
    b += blockIdx.y * 32;
    float sum = 0.0f;
    for (int tile = 0; tile < k; tile += 32) {
        as[row * 32 + column] = a[row * k + column];
        bs[row * 32 + column] = b[row * n + column];
        __syncthreads();
        a += 32;
        b += 32 * n;
        for (int i = 0; i < 32; i++) sum += as[row * 32 + i] * bs[i * 32 + column];
        __syncthreads();
    }
    c[(blockIdx.x * 32 + row) * n + blockIdx.y * 32 + column] = sum;
}

// Tiles of 64 x 64, eight results of a column a thread.
extern "C" __global__ void sgemm_column(const float* a, const float* b, float* c, int n, int k) {
    __shared__ float as[64 * 8], bs[8 * 64];
    int column = threadIdx.x % 64, row = threadIdx.x / 64;
    a += blockIdx.y * 64 * k;
    b += blockIdx.x * 64;
    float sums[8] = {};
    for (int tile = 0; tile < k; tile += 8) {
        as[threadIdx.x] = a[threadIdx.x / 8 * k + threadIdx.x % 8];
        bs[threadIdx.x] = b[threadIdx.x / 64 * n + threadIdx.x % 64];
        __syncthreads();
        a += 8;
        b += 8 * n;
        for (int i = 0; i < 8; i++) {
            float x = bs[i * 64 + column];
            for (int r = 0; r < 8; r++) sums[r] += as[(row * 8 + r) * 8 + i] * x;
        }
        __syncthreads();
    }
    for (int r = 0; r < 8; r++) c[(blockIdx.y * 64 + row * 8 + r) * n + blockIdx.x * 64 + column] = sums[r];
}

// Tiles of 128 x 128, 8 x 8 results a thread.
extern "C" __global__ void __launch_bounds__(256, 1) sgemm_square(const float* a, const float* b, float* c, int n, int k) {
    __shared__ float as[128 * 8], bs[8 * 128];
    int column = threadIdx.x % 16, row = threadIdx.x / 16;
    a += blockIdx.y * 128 * k;
    b += blockIdx.x * 128;
    float sums[8][8] = {};
    float x[8], y[8];
    for (int tile = 0; tile < k; tile += 8) {
        for (int o = 0; o < 128; o += 32)
            as[(threadIdx.x / 8 + o) * 8 + threadIdx.x % 8] = a[(threadIdx.x / 8 + o) * k + threadIdx.x % 8];
        for (int o = 0; o < 8; o += 2)
            bs[(threadIdx.x / 128 + o) * 128 + threadIdx.x % 128] = b[(threadIdx.x / 128 + o) * n + threadIdx.x % 128];
        __syncthreads();
        a += 8;
        b += 8 * n;
        for (int i = 0; i < 8; i++) {
            for (int r = 0; r < 8; r++) x[r] = as[(row * 8 + r) * 8 + i];
            for (int s = 0; s < 8; s++) y[s] = bs[i * 128 + column * 8 + s];
            for (int r = 0; r < 8; r++)
                for (int s = 0; s < 8; s++) sums[r][s] += x[r] * y[s];
        }
        __syncthreads();
    }
    for (int r = 0; r < 8; r++)
        for (int s = 0; s < 8; s++)
            c[(blockIdx.y * 128 + row * 8 + r) * n + blockIdx.x * 128 + column * 8 + s] = sums[r][s];
}

// As before, with loads of 16 bytes and A transposed on its way to shared memory.
extern "C" __global__ void sgemm_vectors(const float* a, const float* b, float* c, int n, int k) {
    __shared__ float as[8 * 128], bs[8 * 128];
    int column = threadIdx.x % 16, row = threadIdx.x / 16;
    a += blockIdx.y * 128 * k;
    b += blockIdx.x * 128;
    int a_row = threadIdx.x / 2, a_column = threadIdx.x % 2 * 4;
    int b_row = threadIdx.x / 32, b_column = threadIdx.x % 32 * 4;
    float sums[8][8] = {};
    float x[8], y[8];
    for (int tile = 0; tile < k; tile += 8) {
        float4 v = *(const float4*)&a[a_row * k + a_column];
        as[(a_column + 0) * 128 + a_row] = v.x;
        as[(a_column + 1) * 128 + a_row] = v.y;
        as[(a_column + 2) * 128 + a_row] = v.z;
        as[(a_column + 3) * 128 + a_row] = v.w;
        *(float4*)&bs[b_row * 128 + b_column] = *(const float4*)&b[b_row * n + b_column];
        __syncthreads();
        a += 8;
        b += 8 * n;
        for (int i = 0; i < 8; i++) {
            for (int r = 0; r < 8; r++) x[r] = as[i * 128 + row * 8 + r];
            for (int s = 0; s < 8; s++) y[s] = bs[i * 128 + column * 8 + s];
            for (int r = 0; r < 8; r++)
                for (int s = 0; s < 8; s++) sums[r][s] += x[r] * y[s];
        }
        __syncthreads();
    }
    for (int r = 0; r < 8; r++)
        for (int s = 0; s < 8; s += 4)
            *(float4*)&c[(blockIdx.y * 128 + row * 8 + r) * n + blockIdx.x * 128 + column * 8 + s] =
                make_float4(sums[r][s], sums[r][s + 1], sums[r][s + 2], sums[r][s + 3]);
}

// Tiles of 128 x 128 x 16 for four warps of 64 x 64, each in four strips of 16 columns; 8 x 4 results a thread and strip.
extern "C" __global__ void __launch_bounds__(128) sgemm_warps(const float* a, const float* b, float* c, int n, int k) {
    __shared__ float as[16 * 128], bs[16 * 128];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int warp_row = warp / 2 * 64, warp_column = warp % 2 * 64;
    int row = lane / 4 * 8, column = lane % 4 * 4;
    a += blockIdx.y * 128 * k;
    b += blockIdx.x * 128;
    int a_row = threadIdx.x / 4, a_column = threadIdx.x % 4 * 4;
    int b_row = threadIdx.x / 32, b_column = threadIdx.x % 32 * 4;
    float sums[8][16] = {};
    float x[8], y[16];
    for (int tile = 0; tile < k; tile += 16) {
        for (int o = 0; o < 128; o += 32) {
            float4 v = *(const float4*)&a[(a_row + o) * k + a_column];
            as[(a_column + 0) * 128 + a_row + o] = v.x;
            as[(a_column + 1) * 128 + a_row + o] = v.y;
            as[(a_column + 2) * 128 + a_row + o] = v.z;
            as[(a_column + 3) * 128 + a_row + o] = v.w;
        }
        for (int o = 0; o < 16; o += 4)
            *(float4*)&bs[(b_row + o) * 128 + b_column] = *(const float4*)&b[(b_row + o) * n + b_column];
        __syncthreads();
        for (int i = 0; i < 16; i++) {
            for (int r = 0; r < 8; r++) x[r] = as[i * 128 + warp_row + row + r];
            for (int strip = 0; strip < 4; strip++)
                for (int s = 0; s < 4; s++) y[strip * 4 + s] = bs[i * 128 + warp_column + strip * 16 + column + s];
            for (int r = 0; r < 8; r++)
                for (int s = 0; s < 16; s++) sums[r][s] += x[r] * y[s];
        }
        a += 16;
        b += 16 * n;
        __syncthreads();
    }
    c += (blockIdx.y * 128 + warp_row + row) * n + blockIdx.x * 128 + warp_column + column;
    for (int r = 0; r < 8; r++)
        for (int strip = 0; strip < 4; strip++)
            *(float4*)&c[r * n + strip * 16] =
                make_float4(sums[r][strip * 4], sums[r][strip * 4 + 1], sums[r][strip * 4 + 2], sums[r][strip * 4 + 3]);
}
