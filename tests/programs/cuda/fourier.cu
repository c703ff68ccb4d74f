// Fourier transforms: radix 2 in shared memory, Stockham of radix 4 and 8, by shuffles, in double precision, and a
// convolution by transforms.

#define PI 3.14159265358979323846

template <typename T> struct Complex {
    T re, im;
    __device__ Complex operator+(Complex o) const { return {re + o.re, im + o.im}; }
    __device__ Complex operator-(Complex o) const { return {re - o.re, im - o.im}; }
    __device__ Complex operator*(Complex o) const { return {re * o.re - im * o.im, re * o.im + im * o.re}; }
};
using C32 = Complex<float>;
using C64 = Complex<double>;

__device__ C32 root(int k, int n) {
    C32 w;
    sincospif(-2.0f * k / n, &w.im, &w.re);
    return w;
}

// Decimation in time: bit-reversed on the way in.
extern "C" __global__ void radix2(const C32* input, C32* output, int bits) {
    extern __shared__ C32 data[];
    int n = 1 << bits, thread = threadIdx.x;
    const C32* from = input + blockIdx.x * n;
    for (int i = thread; i < n; i += blockDim.x) data[__brev(i) >> (32 - bits)] = from[i];
    for (int half = 1; half < n; half *= 2) {
        __syncthreads();
        for (int i = thread; i < n / 2; i += blockDim.x) {
            int k = i & (half - 1), low = 2 * i - k, high = low + half;
            C32 t = data[high] * root(k, 2 * half), a = data[low];
            data[low] = a + t;
            data[high] = a - t;
        }
    }
    __syncthreads();
    for (int i = thread; i < n; i += blockDim.x) output[blockIdx.x * n + i] = data[i];
}

template <int R> __device__ void butterfly(C32* v);

template <> __device__ void butterfly<2>(C32* v) {
    C32 a = v[0];
    v[0] = a + v[1];
    v[1] = a - v[1];
}

__device__ C32 times_minus_i(C32 a) { return {a.im, -a.re}; }

template <> __device__ void butterfly<4>(C32* v) {
    C32 a = v[0] + v[2], b = v[0] - v[2], c = v[1] + v[3], d = times_minus_i(v[1] - v[3]);
    v[0] = a + c;
    v[1] = b + d;
    v[2] = a - c;
    v[3] = b - d;
}

template <> __device__ void butterfly<8>(C32* v) {
    C32 even[4] = {v[0], v[2], v[4], v[6]}, odd[4] = {v[1], v[3], v[5], v[7]};
    butterfly<4>(even);
    butterfly<4>(odd);
    const float h = 0.70710678118654752f;
    C32 w[4] = {{1, 0}, {h, -h}, {0, -1}, {-h, -h}};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        C32 t = odd[i] * w[i];
        v[i] = even[i] + t;
        v[i + 4] = even[i] - t;
    }
}

// Stockham's order: no bit reversal, two buffers.
template <int R>
__device__ void stockham(const C32* input, C32* output, int n) {
    extern __shared__ C32 buffers[];
    C32 *from = buffers, *to = buffers + n;
    for (int i = threadIdx.x; i < n; i += blockDim.x) from[i] = input[i];
    __syncthreads();
    for (int stride = 1; stride < n; stride *= R) {
        for (int i = threadIdx.x; i < n / R; i += blockDim.x) {
            int k = i % stride;
            C32 v[R];
#pragma unroll
            for (int r = 0; r < R; r++) v[r] = from[i + r * (n / R)] * root(r * k, R * stride);
            butterfly<R>(v);
            int place = (i - k) * R + k;
#pragma unroll
            for (int r = 0; r < R; r++) to[place + r * stride] = v[r];
        }
        __syncthreads();
        C32* swap = from;
        from = to;
        to = swap;
    }
    for (int i = threadIdx.x; i < n; i += blockDim.x) output[i] = from[i];
}

extern "C" __global__ void stockham2(const C32* input, C32* output, int n) { stockham<2>(input, output, n); }
extern "C" __global__ void stockham4(const C32* input, C32* output, int n) { stockham<4>(input, output, n); }
extern "C" __global__ void stockham8(const C32* input, C32* output, int n) { stockham<8>(input, output, n); }

// 32 points of double precision in the registers of a warp; the result comes in bit-reversed lanes.
extern "C" __global__ void by_shuffles(const C64* input, C64* output) {
    int lane = threadIdx.x;
    C64 x = input[lane];
    for (int half = 16; half > 0; half /= 2) {
        C64 other = {__shfl_xor_sync(~0u, x.re, half), __shfl_xor_sync(~0u, x.im, half)};
        if (lane & half) {
            double angle = -PI * (lane & (half - 1)) / half;
            C64 w = {cos(angle), sin(angle)};
            x = (other - x) * w;
        } else {
            x = x + other;
        }
    }
    output[__brev(lane) >> 27] = x;
}

// The product of two spectra, and the conjugate, so that one more forward transform gives the convolution.
extern "C" __global__ void multiply_spectra(const C32* a, const C32* b, C32* output, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    C32 product = a[i] * b[i];
    output[i] = {product.re / n, -product.im / n};
}
