// Transposes: naive, through a tile in shared memory, padded and swizzled, in place, of several element sizes, by warp
// shuffles, and permutations of more dimensions.

extern "C" __global__ void naive(const float* input, float* output, int width, int height) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < width && y < height) output[x * height + y] = input[y * width + x];
}

template <typename T>
__device__ void tiled(const T* __restrict__ input, T* __restrict__ output, int width, int height) {
    __shared__ T tile[32][33];
    int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
#pragma unroll
    for (int j = 0; j < 32; j += 8)
        if (x < width && y + j < height) tile[threadIdx.y + j][threadIdx.x] = input[(y + j) * width + x];
    __syncthreads();
    x = blockIdx.y * 32 + threadIdx.x;
    y = blockIdx.x * 32 + threadIdx.y;
#pragma unroll
    for (int j = 0; j < 32; j += 8)
        if (x < height && y + j < width) output[(y + j) * height + x] = tile[threadIdx.x][threadIdx.y + j];
}

extern "C" __global__ void tiled_u8(const unsigned char* in, unsigned char* out, int w, int h) { tiled(in, out, w, h); }
extern "C" __global__ void tiled_u16(const unsigned short* in, unsigned short* out, int w, int h) { tiled(in, out, w, h); }
extern "C" __global__ void tiled_u32(const unsigned* in, unsigned* out, int w, int h) { tiled(in, out, w, h); }
extern "C" __global__ void tiled_u64(const unsigned long long* in, unsigned long long* out, int w, int h) {
    tiled(in, out, w, h);
}

// No padding: the column is permuted by the row, so that rows and columns both meet all banks.
extern "C" __global__ void swizzled(const float* input, float* output, int size) {
    __shared__ float tile[32 * 32];
    int x = threadIdx.x, y = threadIdx.y;
    const float* from = input + (blockIdx.y * 32) * size + blockIdx.x * 32;
    for (int j = y; j < 32; j += blockDim.y) tile[j * 32 + (x ^ j)] = from[j * size + x];
    __syncthreads();
    float* to = output + (blockIdx.x * 32) * size + blockIdx.y * 32;
    for (int j = y; j < 32; j += blockDim.y) to[j * size + x] = tile[x * 32 + (j ^ x)];
}

// The blocks above the diagonal swap their tile with the mirrored one.
extern "C" __global__ void in_place(double* matrix, int size) {
    __shared__ double a[16][17], b[16][17];
    if (blockIdx.x < blockIdx.y) return;
    int x = blockIdx.x * 16 + threadIdx.x, y = blockIdx.y * 16 + threadIdx.y;
    int mirrored_x = blockIdx.y * 16 + threadIdx.x, mirrored_y = blockIdx.x * 16 + threadIdx.y;
    a[threadIdx.y][threadIdx.x] = matrix[y * size + x];
    b[threadIdx.y][threadIdx.x] = matrix[mirrored_y * size + mirrored_x];
    __syncthreads();
    matrix[y * size + x] = b[threadIdx.x][threadIdx.y];
    matrix[mirrored_y * size + mirrored_x] = a[threadIdx.x][threadIdx.y];
}

// A warp transposes a 32 x 32 matrix that it holds in registers, a row a lane.
extern "C" __global__ void in_registers(const int* input, int* output) {
    int lane = threadIdx.x, row[32];
#pragma unroll
    for (int i = 0; i < 32; i++) row[i] = input[lane * 32 + i];
#pragma unroll
    for (int bit = 1; bit < 32; bit *= 2) {
#pragma unroll
        for (int i = 0; i < 32; i++) {
            if (i & bit) continue;
            bool upper = lane & bit;
            int give = upper ? row[i] : row[i + bit];
            int got = __shfl_xor_sync(~0u, give, bit);
            if (upper) row[i] = got;
            else row[i + bit] = got;
        }
    }
#pragma unroll
    for (int i = 0; i < 32; i++) output[lane * 32 + i] = row[i];
}

// Batches of images from NCHW to NHWC, four channels at once.
extern "C" __global__ void channels_last(const float* input, float4* output, int channels, int pixels) {
    int pixel = blockIdx.x * blockDim.x + threadIdx.x, group = blockIdx.y, image = blockIdx.z;
    if (pixel >= pixels) return;
    const float* from = input + ((long long)image * channels + group * 4) * pixels + pixel;
    float4 value = make_float4(from[0], from[pixels], from[2 * pixels], from[3 * pixels]);
    output[((long long)image * pixels + pixel) * (channels / 4) + group] = value;
}

// Any permutation of four dimensions, by division and remainder.
struct Shape {
    int size[4];
    int order[4];
};

extern "C" __global__ void permute(const short* input, short* output, Shape shape, int count) {
    int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    int coordinate[4], rest = index;
    for (int d = 3; d >= 0; d--) {
        coordinate[d] = rest % shape.size[d];
        rest /= shape.size[d];
    }
    int target = 0;
    for (int d = 0; d < 4; d++) target = target * shape.size[shape.order[d]] + coordinate[shape.order[d]];
    output[target] = input[index];
}
