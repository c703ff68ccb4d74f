// Mathematics: elementary functions in single and double precision, fast ones, half precision, special values,
// roundings, option prices.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" __global__ void functions_f32(const float* input, float* output, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float x = input[i], a = fabsf(x), *out = output + i * 32;
    out[0] = expf(x);
    out[1] = logf(a);
    out[2] = sinf(x);
    out[3] = cosf(x);
    out[4] = tanf(x);
    out[5] = atanf(x);
    out[6] = atan2f(x, 0.75f);
    out[7] = tanhf(x);
    out[8] = sinhf(x * 0.01f);
    out[9] = erff(x);
    out[10] = erfcf(x);
    out[11] = powf(a, 1.7f);
    out[12] = cbrtf(x);
    out[13] = sqrtf(a);
    out[14] = rsqrtf(a);
    out[15] = 1.0f / x;
    out[16] = log2f(a);
    out[17] = log10f(a);
    out[18] = exp2f(x);
    out[19] = expm1f(x);
    out[20] = log1pf(a);
    out[21] = hypotf(x, 2.5f);
    out[22] = asinf(x / (a + 1));
    out[23] = acosf(x / (a + 1));
    out[24] = lgammaf(a + 0.5f);
    out[25] = normcdff(x);
    out[26] = sinpif(x);
    out[27] = exp10f(x * 0.1f);
    out[28] = asinhf(x);
    out[29] = tgammaf(fminf(a, 20.0f) + 0.5f);
    out[30] = fmodf(x * 100, 7.3f);
    out[31] = j0f(fminf(a, 8.0f));
}

extern "C" __global__ void functions_f64(const double* input, double* output, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    double x = input[i], a = fabs(x), *out = output + i * 24;
    out[0] = exp(x);
    out[1] = log(a);
    out[2] = sin(x);
    out[3] = cos(x);
    out[4] = tan(x);
    out[5] = atan(x);
    out[6] = atan2(x, -0.75);
    out[7] = tanh(x);
    out[8] = sinh(x * 0.01);
    out[9] = erf(x);
    out[10] = erfc(x);
    out[11] = pow(a, 1.7);
    out[12] = cbrt(x);
    out[13] = sqrt(a);
    out[14] = rsqrt(a);
    out[15] = 1.0 / x;
    out[16] = log2(a);
    out[17] = log10(a);
    out[18] = exp2(x);
    out[19] = expm1(x);
    out[20] = log1p(a);
    out[21] = hypot(x, 2.5);
    out[22] = asin(x / (a + 1));
    out[23] = acosh(a + 1);
}

// The intrinsics of `-use_fast_math`.
extern "C" __global__ void fast(const float* input, float* output, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float x = input[i], a = fabsf(x), *out = output + i * 9;
    out[0] = __expf(x);
    out[1] = __logf(a);
    out[2] = __sinf(x);
    out[3] = __cosf(x);
    out[4] = __fdividef(x, 3.7f);
    out[5] = __powf(a, 1.7f);
    out[6] = __exp10f(x * 0.1f);
    out[7] = __tanf(x * 0.3f);
    out[8] = __log2f(a);
}

// Correctly rounded in all four directions.
extern "C" __global__ void roundings(const float* a, const float* b, float* output) {
    int i = threadIdx.x;
    float x = a[i], y = b[i], *out = output + i * 20;
    out[0] = __fadd_rn(x, y), out[1] = __fadd_rz(x, y), out[2] = __fadd_ru(x, y), out[3] = __fadd_rd(x, y);
    out[4] = __fmul_rn(x, y), out[5] = __fmul_rz(x, y), out[6] = __fmul_ru(x, y), out[7] = __fmul_rd(x, y);
    out[8] = __fdiv_rn(x, y), out[9] = __fdiv_rz(x, y), out[10] = __fdiv_ru(x, y), out[11] = __fdiv_rd(x, y);
    out[12] = __fsqrt_rn(fabsf(x)), out[13] = __fsqrt_rz(fabsf(x)), out[14] = __fsqrt_ru(fabsf(x)), out[15] = __fsqrt_rd(fabsf(x));
    out[16] = __fmaf_rn(x, y, x), out[17] = __fmaf_rz(x, y, x), out[18] = __fmaf_ru(x, y, x), out[19] = __fmaf_rd(x, y, x);
}

// Conversions between all kinds of numbers.
extern "C" __global__ void conversions(const float* input, long long* output) {
    int i = threadIdx.x;
    float x = input[i];
    double d = x;
    long long* out = output + i * 20;
    out[0] = __float2int_rn(x), out[1] = __float2int_rz(x), out[2] = __float2int_ru(x), out[3] = __float2int_rd(x);
    out[4] = __float2uint_rz(x), out[5] = __float2ll_rn(x), out[6] = (long long)__float2ull_rz(x);
    out[7] = __double2int_rd(d), out[8] = __double2ll_ru(d), out[9] = (int)x;
    out[10] = (long long)rintf(x), out[11] = (long long)roundf(x), out[12] = (long long)ceil(d), out[13] = (long long)floor(d), out[14] = (long long)trunc(d);
    out[15] = (signed char)(int)x, out[16] = (unsigned short)(int)x;
    out[17] = __float_as_int((float)(long long)x), out[18] = __double_as_longlong((double)(unsigned)__float2uint_rz(x));
    out[19] = __double2hiint(d) ^ __double2loint(d);
}

// Half precision: scalar, pairs, conversions, comparisons, and bfloat16.
extern "C" __global__ void halves(const __half* a, const __half* b, __half* output) {
    int i = threadIdx.x;
    __half x = a[i], y = b[i], *out = output + i * 16;
    out[0] = x + y, out[1] = x - y, out[2] = x * y, out[3] = x / y;
    out[4] = __hfma(x, y, x), out[5] = __hmax(x, y), out[6] = __hmin(x, y), out[7] = __habs(x);
    out[8] = __hneg(x), out[9] = hsqrt(__habs(x)), out[10] = __float2half_rz(__half2float(x) * 1.001f);
    out[11] = __hlt(x, y) ? __float2half(1.0f) : __float2half(0.0f);
    out[12] = __int2half_rn(__half2int_rn(x)), out[13] = __hadd_sat(x, y), out[14] = hrint(x), out[15] = hfloor(y);
}

extern "C" __global__ void half_pairs(const __half2* a, const __half2* b, __half2* output) {
    int i = threadIdx.x;
    __half2 x = a[i], y = b[i], *out = output + i * 6;
    out[0] = __hfma2(x, y, y), out[1] = __hadd2(x, y), out[2] = __hmul2(x, __low2half2(y));
    out[3] = __lowhigh2highlow(x), out[4] = __hmax2(x, y), out[5] = __hgt2(x, y);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void brains(const float* a, const float* b, __nv_bfloat16* output) {
    int i = threadIdx.x;
    __nv_bfloat16 x = __float2bfloat16(a[i]), y = __float2bfloat16(b[i]), *out = output + i * 6;
    out[0] = x, out[1] = __hadd(x, y), out[2] = __hmul(x, y), out[3] = __hfma(x, y, y), out[4] = __hmax(x, y);
    __nv_bfloat162 pair = __floats2bfloat162_rn(a[i], b[i]);
    out[5] = __high2bfloat16(pair);
}
#endif

// What special values do.
extern "C" __global__ void special_values(const float* values, unsigned* output, int count) {
    int i = threadIdx.x / count, j = threadIdx.x % count;
    float x = values[i], y = values[j];
    unsigned flags = 0;
    flags |= (x < y) << 0 | (x <= y) << 1 | (x == y) << 2 | (x != y) << 3 | (x > y) << 4 | (x >= y) << 5;
    flags |= isnan(x) << 6 | isinf(x) << 7 | signbit(x) << 8 | isfinite(x) << 9 | !(x < y) << 10;
    output[threadIdx.x * 4] = flags;
    output[threadIdx.x * 4 + 1] = __float_as_uint(fminf(x, y));
    output[threadIdx.x * 4 + 2] = __float_as_uint(fmaxf(x, y));
    output[threadIdx.x * 4 + 3] = __float_as_uint(copysignf(x, y));
}

// Options after Black and Scholes, in the polynomial of Abramowitz and Stegun and with erfc.
template <typename T>
__device__ T normal(T d) {
    const T A1 = T(0.31938153), A2 = T(-0.356563782), A3 = T(1.781477937), A4 = T(-1.821255978), A5 = T(1.330274429);
    T K = 1 / (1 + T(0.2316419) * fabs(d));
    T value = T(0.39894228040143267794) * exp(T(-0.5) * d * d) * (K * (A1 + K * (A2 + K * (A3 + K * (A4 + K * A5)))));
    return d > 0 ? 1 - value : value;
}

template <typename T>
__device__ void price(T S, T X, T years, T rate, T volatility, T* call, T* put) {
    T root = sqrt(years), d1 = (log(S / X) + (rate + T(0.5) * volatility * volatility) * years) / (volatility * root);
    T d2 = d1 - volatility * root, discount = exp(-rate * years);
    *call = S * normal(d1) - X * discount * normal(d2);
    *put = X * discount * (1 - normal(d2)) - S * (1 - normal(d1));
}

extern "C" __global__ void black_scholes_f32(const float* S, const float* X, const float* years, float* call, float* put, int count) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x)
        price(S[i], X[i], years[i], 0.02f, 0.3f, &call[i], &put[i]);
}

extern "C" __global__ void black_scholes_f64(const double* S, const double* X, const double* years, double* call, double* put, int count) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x)
        price(S[i], X[i], years[i], 0.02, 0.3, &call[i], &put[i]);
}
