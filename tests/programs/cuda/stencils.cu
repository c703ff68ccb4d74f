// Stencils: 1D, 2D with a halo in shared memory, 3D marching in registers, cellular automata on bytes and on bits,
// and fractal iteration.

#define RADIUS 3
__constant__ float weights[2 * RADIUS + 1];

extern "C" __global__ void line_stencil(const float* input, float* output, int count) {
    __shared__ float tile[128 + 2 * RADIUS];
    int global = blockIdx.x * 128 + threadIdx.x, local = threadIdx.x + RADIUS;
    auto at = [&](int i) { return i >= 0 && i < count ? input[i] : 0.0f; };
    tile[local] = at(global);
    if (threadIdx.x < RADIUS) {
        tile[local - RADIUS] = at(global - RADIUS);
        tile[local + 128] = at(global + 128);
    }
    __syncthreads();
    float sum = 0;
#pragma unroll
    for (int offset = -RADIUS; offset <= RADIUS; offset++) sum += weights[offset + RADIUS] * tile[local + offset];
    if (global < count) output[global] = sum;
}

// One Jacobi step of the Laplace equation; the edge stays. Returns the largest change through an atomic on its bits.
extern "C" __global__ void jacobi(const float* input, float* output, int width, int height, unsigned* change) {
    __shared__ float tile[10][34];
    int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 8 + threadIdx.y;
    for (int i = threadIdx.y * 32 + threadIdx.x; i < 340; i += 256) {
        int tx = i % 34, ty = i / 34;
        int gx = min(max((int)blockIdx.x * 32 + tx - 1, 0), width - 1), gy = min(max((int)blockIdx.y * 8 + ty - 1, 0), height - 1);
        tile[ty][tx] = input[gy * width + gx];
    }
    __syncthreads();
    if (x >= width || y >= height) return;
    int tx = threadIdx.x + 1, ty = threadIdx.y + 1;
    float old = tile[ty][tx], fresh = old;
    if (x > 0 && y > 0 && x < width - 1 && y < height - 1)
        fresh = 0.25f * (tile[ty - 1][tx] + tile[ty + 1][tx] + tile[ty][tx - 1] + tile[ty][tx + 1]);
    output[y * width + x] = fresh;
    atomicMax(change, __float_as_uint(fabsf(fresh - old)));
}

// Seven points in three dimensions; each thread marches along z with the column in registers.
extern "C" __global__ void seven_point(const double* input, double* output, int nx, int ny, int nz, double c0, double c1) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < 1 || y < 1 || x >= nx - 1 || y >= ny - 1) return;
    int plane = nx * ny, index = y * nx + x;
    double below = input[index], here = input[index + plane], above;
    for (int z = 1; z < nz - 1; z++) {
        index += plane;
        above = input[index + plane];
        output[index] = c0 * here + c1 * (input[index - 1] + input[index + 1] + input[index - nx] + input[index + nx] + below + above);
        below = here;
        here = above;
    }
}

// Game of Life on a torus of bytes.
extern "C" __global__ void life(const unsigned char* now, unsigned char* next, int width, int height) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    int neighbours = 0;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            if (dx || dy) neighbours += now[(y + dy + height) % height * width + (x + dx + width) % width];
    next[y * width + x] = neighbours == 3 || (neighbours == 2 && now[y * width + x]);
}

// The same with 32 cells to a word: bit-sliced addition of the eight neighbours.
extern "C" __global__ void life_bits(const unsigned* now, unsigned* next, int words, int height) {
    int word = threadIdx.x, y = blockIdx.x;
    if (word >= words) return;
    int left = (word + words - 1) % words, right = (word + 1) % words;
    unsigned ones = 0, twos = 0, fours = 0;
    auto add = [&](unsigned cells) {
        unsigned carry = ones & cells;
        ones ^= cells;
        unsigned carry2 = twos & carry;
        twos ^= carry;
        fours |= carry2;
    };
    for (int dy = -1; dy <= 1; dy++) {
        const unsigned* row = now + (y + dy + height) % height * words;
        add(__funnelshift_l(row[left], row[word], 1));
        if (dy) add(row[word]);
        add(__funnelshift_r(row[word], row[right], 1));
    }
    next[y * words + word] = ~fours & twos & (ones | now[y * words + word]);
}

extern "C" __global__ void mandelbrot(unsigned short* iterations, int width, int height, int limit) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    double cr = -2.0 + 3.0 * x / width, ci = -1.5 + 3.0 * y / height, zr = 0, zi = 0;
    int i = 0;
    while (i < limit && __dadd_rn(__dmul_rn(zr, zr), __dmul_rn(zi, zi)) <= 4.0) {
        double next = __dadd_rn(__dadd_rn(__dmul_rn(zr, zr), -__dmul_rn(zi, zi)), cr);
        zi = __dadd_rn(__dmul_rn(2.0 * zr, zi), ci);
        zr = next;
        i++;
    }
    iterations[y * width + x] = i;
}

// A separable blur with a window of the image in shared memory of a size given at launch.
extern "C" __global__ void blur_rows(const uchar4* image, uchar4* output, int width, int radius) {
    extern __shared__ uchar4 row[];
    int y = blockIdx.x;
    for (int x = threadIdx.x; x < width; x += blockDim.x) row[x] = image[y * width + x];
    __syncthreads();
    for (int x = threadIdx.x; x < width; x += blockDim.x) {
        int3 sum = {0, 0, 0};
        int count = 0;
        for (int i = max(x - radius, 0); i <= min(x + radius, width - 1); i++, count++) {
            sum.x += row[i].x;
            sum.y += row[i].y;
            sum.z += row[i].z;
        }
        output[y * width + x] = make_uchar4(sum.x / count, sum.y / count, sum.z / count, row[x].w);
    }
}
