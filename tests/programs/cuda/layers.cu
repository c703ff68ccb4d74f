// Layers of neural networks: softmax, norms, activations, convolutions, attention with a mask, embedding, pooling,
// an optimiser's step.

template <typename F>
__device__ float block_reduce(float value, F combine) {
    __shared__ float shared[32];
    for (int mask = 16; mask; mask >>= 1) value = combine(value, __shfl_xor_sync(~0u, value, mask));
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    value = shared[0];
    for (int warp = 1; warp < blockDim.x / 32; warp++) value = combine(value, shared[warp]);
    __syncthreads();
    return value;
}

extern "C" __global__ void softmax(const float* input, float* output, int columns) {
    const float* row = input + blockIdx.x * columns;
    float top = -3.4e38f, sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) top = fmaxf(top, row[i]);
    top = block_reduce(top, [](float a, float b) { return fmaxf(a, b); });
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += expf(row[i] - top);
    sum = block_reduce(sum, [](float a, float b) { return a + b; });
    for (int i = threadIdx.x; i < columns; i += blockDim.x) output[blockIdx.x * columns + i] = expf(row[i] - top) / sum;
}

// Maximum and sum in one pass, one warp a row: pairs (top, sum) combine in any order.
extern "C" __global__ void online_log_softmax(const float* input, float* output, int columns) {
    const float* row = input + (blockIdx.x * blockDim.y + threadIdx.y) * columns;
    float* to = output + (blockIdx.x * blockDim.y + threadIdx.y) * columns;
    float top = -3.4e38f, sum = 0;
    for (int i = threadIdx.x; i < columns; i += 32) {
        float x = row[i];
        if (x > top) {
            sum = sum * expf(top - x) + 1;
            top = x;
        } else {
            sum += expf(x - top);
        }
    }
    for (int mask = 16; mask; mask /= 2) {
        float other_top = __shfl_xor_sync(~0u, top, mask), other_sum = __shfl_xor_sync(~0u, sum, mask);
        float both = fmaxf(top, other_top);
        sum = sum * expf(top - both) + other_sum * expf(other_top - both);
        top = both;
    }
    for (int i = threadIdx.x; i < columns; i += 32) to[i] = row[i] - top - logf(sum);
}

// Welford's running mean and variance, combined by Chan's formula.
extern "C" __global__ void layer_norm(const float* input, const float* gain, const float* bias, float* output, int columns) {
    const float* row = input + blockIdx.x * columns;
    float count = 0, mean = 0, squares = 0;
    for (int i = threadIdx.x; i < columns; i += 32) {
        float delta = row[i] - mean;
        count += 1;
        mean += delta / count;
        squares += delta * (row[i] - mean);
    }
    for (int mask = 16; mask; mask /= 2) {
        float count2 = __shfl_xor_sync(~0u, count, mask), mean2 = __shfl_xor_sync(~0u, mean, mask);
        float squares2 = __shfl_xor_sync(~0u, squares, mask), total = count + count2;
        float delta = mean2 - mean;
        if (total > 0) {
            mean = (count * mean + count2 * mean2) / total;
            squares += squares2 + delta * delta * count * count2 / total;
            count = total;
        }
    }
    float scale = rsqrtf(squares / columns + 1e-5f);
    for (int i = threadIdx.x; i < columns; i += 32)
        output[blockIdx.x * columns + i] = (row[i] - mean) * scale * gain[i] + bias[i];
}

enum Activation { RELU, GELU, GELU_TANH, SILU, SOFTPLUS, TANH, SIGMOID };

template <int KIND>
__device__ float activate(float x) {
    switch (KIND) {
        case RELU: return fmaxf(x, 0.0f);
        case GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
        case GELU_TANH: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
        case SILU: return x / (1.0f + expf(-x));
        case SOFTPLUS: return log1pf(expf(x));
        case TANH: return tanhf(x);
        default: return 1.0f / (1.0f + __expf(-x));
    }
}

extern "C" __global__ void activations(const float* input, float* output, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float x = input[i];
    output[i] = activate<RELU>(x);
    output[count + i] = activate<GELU>(x);
    output[2 * count + i] = activate<GELU_TANH>(x);
    output[3 * count + i] = activate<SILU>(x);
    output[4 * count + i] = activate<SOFTPLUS>(x);
    output[5 * count + i] = activate<TANH>(x);
    output[6 * count + i] = activate<SIGMOID>(x);
}

struct Convolution {
    int channels, height, width, filters, kernel, stride, padding, out_height, out_width;
};

extern "C" __global__ void convolution(const float* input, const float* weights, float* output, Convolution c) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, filter = blockIdx.z;
    if (x >= c.out_width || y >= c.out_height) return;
    float sum = 0;
    for (int channel = 0; channel < c.channels; channel++)
        for (int ky = 0; ky < c.kernel; ky++)
            for (int kx = 0; kx < c.kernel; kx++) {
                int iy = y * c.stride + ky - c.padding, ix = x * c.stride + kx - c.padding;
                if (iy < 0 || ix < 0 || iy >= c.height || ix >= c.width) continue;
                sum += input[(channel * c.height + iy) * c.width + ix] *
                       weights[((filter * c.channels + channel) * c.kernel + ky) * c.kernel + kx];
            }
    output[(filter * c.out_height + y) * c.out_width + x] = sum;
}

// The same as a matrix: a column for each output pixel.
extern "C" __global__ void im2col(const float* input, float* columns, Convolution c) {
    int pixels = c.out_height * c.out_width, rows = c.channels * c.kernel * c.kernel;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < rows * pixels; i += gridDim.x * blockDim.x) {
        int pixel = i % pixels, row = i / pixels, kx = row % c.kernel, ky = row / c.kernel % c.kernel;
        int channel = row / (c.kernel * c.kernel), x = pixel % c.out_width, y = pixel / c.out_width;
        int iy = y * c.stride + ky - c.padding, ix = x * c.stride + kx - c.padding;
        bool inside = iy >= 0 && ix >= 0 && iy < c.height && ix < c.width;
        columns[i] = inside ? input[(channel * c.height + iy) * c.width + ix] : 0.0f;
    }
}

extern "C" __global__ void multiply(const float* A, const float* B, float* C, int M, int N, int K) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= M * N) return;
    float sum = 0;
    for (int k = 0; k < K; k++) sum += A[i / N * K + k] * B[k * N + i % N];
    C[i] = sum;
}

// 3 x 3 per channel, unrolled over a row of weights in registers, and two by two maxima of it.
extern "C" __global__ void depthwise_and_pool(const float* input, const float* weights, float* output, int height, int width) {
    const float* plane = input + blockIdx.y * height * width;
    float w[9];
#pragma unroll
    for (int i = 0; i < 9; i++) w[i] = weights[blockIdx.y * 9 + i];
    int i = blockIdx.x * blockDim.x + threadIdx.x, pooled_width = width / 2;
    if (i >= height / 2 * pooled_width) return;
    float top = -3.4e38f;
    for (int dy = 0; dy < 2; dy++)
        for (int dx = 0; dx < 2; dx++) {
            int y = i / pooled_width * 2 + dy, x = i % pooled_width * 2 + dx;
            float sum = 0;
#pragma unroll
            for (int k = 0; k < 9; k++) {
                int iy = y + k / 3 - 1, ix = x + k % 3 - 1;
                if ((unsigned)iy < height && (unsigned)ix < width) sum = fmaf(w[k], plane[iy * width + ix], sum);
            }
            top = max(top, sum);
        }
    output[blockIdx.y * (height / 2) * pooled_width + i] = top;
}

// Causal attention, a block a query: scores in shared memory.
extern "C" __global__ void attention(const float* Q, const float* K, const float* V, float* O, int channels) {
    extern __shared__ float scores[];
    int query = blockIdx.x, keys = query + 1;
    float top = -3.4e38f, sum = 0;
    for (int key = threadIdx.x; key < keys; key += blockDim.x) {
        float dot = 0;
        for (int c = 0; c < channels; c++) dot += Q[query * channels + c] * K[key * channels + c];
        scores[key] = dot * rsqrtf(channels);
        top = fmaxf(top, scores[key]);
    }
    top = block_reduce(top, [](float a, float b) { return fmaxf(a, b); });
    for (int key = threadIdx.x; key < keys; key += blockDim.x) sum += scores[key] = exp2f((scores[key] - top) * 1.44269504f);
    sum = block_reduce(sum, [](float a, float b) { return a + b; });
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        float value = 0;
        for (int key = 0; key < keys; key++) value += scores[key] * V[key * channels + c];
        O[query * channels + c] = value / sum;
    }
}

// The gradient of an embedding by atomics.
extern "C" __global__ void embedding_gradient(const long long* tokens, const float* gradient, float* table, int channels) {
    long long token = tokens[blockIdx.x];
    if (token < 0) return;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) atomicAdd(table + token * channels + c, gradient[blockIdx.x * channels + c]);
}

struct Adam {
    float rate, beta1, beta2, epsilon, decay;
    int step;
};

extern "C" __global__ void adam_step(float* weights, const float* gradients, float* m, float* v, Adam adam, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float g = gradients[i];
    m[i] = adam.beta1 * m[i] + (1 - adam.beta1) * g;
    v[i] = adam.beta2 * v[i] + (1 - adam.beta2) * g * g;
    float m_hat = m[i] / (1 - powf(adam.beta1, adam.step)), v_hat = v[i] / (1 - powf(adam.beta2, adam.step));
    weights[i] -= adam.rate * (m_hat / (sqrtf(v_hat) + adam.epsilon) + adam.decay * weights[i]);
}
