// What follows the sums of a matrix product: bias, time embedding, activation, residual, one rounding, the store.
// A thread finishes eight neighbouring columns of a row, from which GEGLU makes four.
#ifndef EPILOGUE_CUH
#define EPILOGUE_CUH

#include "fp16.cuh"

#ifndef ACTIVATION
#define ACTIVATION 0
#endif

enum Activation { NONE, SILU, GELU, QUICK_GELU, GEGLU };

constexpr int OUTPUTS = ACTIVATION == GEGLU ? 4 : 8;

static_assert(ACTIVATION >= NONE && ACTIVATION <= GEGLU, "one of the above");

__device__ __forceinline__ float to_float(float f) {
    return f;
}

// sum += row[column .. column + 8], as far as the row has n columns.
template <typename T>
__device__ __forceinline__ void add_columns(float (&sum)[8], const T* row, int column, int n) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        if (column + i < n) {
            sum[i] += to_float(row[column + i]);
        }
    }
}

// What is added to the sums before the activation, each part of it optional.
struct Addends {
    const half* bias;  // (n)
    const void* time;  // (steps, time_columns), fp16, or fp32 if time_f32: its row *step, or 0, from time_column on
    const int* step;
    int time_columns;
    int time_column;
    bool time_f32;

    // Of the eight columns from `column` on.
    __device__ __forceinline__ void gather(float (&sum)[8], int column, int n) const {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            sum[i] = 0.0f;
        }
        if (bias != nullptr) {
            add_columns(sum, bias, column, n);
        }
        if (time != nullptr) {
            const u64 first = static_cast<u64>(step != nullptr ? *step : 0) * time_columns + time_column;
            if (time_f32) {
                add_columns(sum, static_cast<const float*>(time) + first, column, n);
            } else {
                add_columns(sum, static_cast<const half*>(time) + first, column, n);
            }
        }
    }
};

// x * sigmoid(scale * x).
__device__ __forceinline__ float swish(float x, float scale) {
    return __fdividef(x, 1.0f + __expf(-scale * x));
}

// GELU by the normal distribution itself, not an approximation of it.
__device__ __forceinline__ float gelu(float x) {
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
}

// The activation of eight neighbouring columns; GEGLU's are four pairs of (value, gate).
__device__ __forceinline__ void activate(const float (&sum)[8], float (&result)[OUTPUTS]) {
#pragma unroll
    for (int i = 0; i < OUTPUTS; ++i) {
        if (ACTIVATION == GEGLU) {
            result[i] = sum[2 * i] * gelu(sum[2 * i + 1]);
        } else if (ACTIVATION == SILU) {
            result[i] = swish(sum[i], 1.0f);
        } else if (ACTIVATION == GELU) {
            result[i] = gelu(sum[i]);
        } else if (ACTIVATION == QUICK_GELU) {
            result[i] = swish(sum[i], 1.702f);
        } else {
            result[i] = sum[i];
        }
    }
}

// OUTPUTS neighbouring fp16 numbers, loaded and stored at once.
struct __align__(2 * OUTPUTS) OutputHalves {
    u32 bits[OUTPUTS / 2];
};

// OUTPUTS neighbouring fp32 numbers.
struct __align__(16) OutputFloats {
    float values[OUTPUTS];
};

// Where the results go, and what is added on the way.
struct Destination {
    void* output;          // (m, n), or (m, n / 2) with GEGLU; fp16, or fp32 if output_f32
    bool output_f32;
    const half* residual;  // of the output's shape, or null
    int m;
    int n;

    __device__ __forceinline__ OutputHalves load_residual(u64 index) const {
        return *reinterpret_cast<const OutputHalves*>(residual + index);
    }

    // Stores OUTPUTS columns from an aligned `index` on, with their residual if there is one.
    __device__ __forceinline__ void store(u64 index, float (&result)[OUTPUTS], const OutputHalves& addend) const {
        if (residual != nullptr) {
#pragma unroll
            for (int i = 0; i < OUTPUTS / 2; ++i) {
                const float2 pair = unpack_half2(addend.bits[i]);
                result[2 * i] += pair.x;
                result[2 * i + 1] += pair.y;
            }
        }
        if (output_f32) {
            OutputFloats floats;
#pragma unroll
            for (int i = 0; i < OUTPUTS; ++i) {
                floats.values[i] = result[i];
            }
            *reinterpret_cast<OutputFloats*>(static_cast<float*>(output) + index) = floats;
        } else {
            OutputHalves halves;
#pragma unroll
            for (int i = 0; i < OUTPUTS / 2; ++i) {
                halves.bits[i] = pack_half2(result[2 * i], result[2 * i + 1]);
            }
            *reinterpret_cast<OutputHalves*>(static_cast<half*>(output) + index) = halves;
        }
    }

    // Stores the first `count` of OUTPUTS columns one by one: for rows that are not aligned.
    __device__ __forceinline__ void store_some(u64 index, int count, const float (&result)[OUTPUTS]) const {
#pragma unroll
        for (int i = 0; i < OUTPUTS; ++i) {
            if (i < count) {
                const float sum = residual != nullptr ? result[i] + to_float(residual[index + i]) : result[i];
                if (output_f32) {
                    static_cast<float*>(output)[index + i] = sum;
                } else {
                    static_cast<half*>(output)[index + i] = to_half(sum);
                }
            }
        }
    }
};

#endif
