// A product of 32 x 64 by 64 x 16 matrices through `mma.h`: fragments from global and shared memory, element-wise work
// on them, every element type that the header has for 16 x 16 tiles.
#include <mma.h>

using namespace nvcuda::wmma;

template <int K, typename T, typename A, typename B, typename C>
__device__ void product(C *d, const A *a, const B *b, int rows_of_d)
{
    __shared__ A tile[16 * 64];
    fragment<matrix_a, 16, 16, K, T, row_major> x;
    fragment<matrix_b, 16, 16, K, T, col_major> y;
    fragment<accumulator, 16, 16, K, C> sum;
    for (int row = 0; row < rows_of_d; row += 16) {
        for (int i = threadIdx.x; i < 16 * 64; i += 32)
            tile[i] = a[row * 64 + i];
        __syncwarp();
        fill_fragment(sum, C(0));
        for (int k = 0; k < 64; k += K) {
            load_matrix_sync(x, tile + k, 64);
            load_matrix_sync(y, b + k, 64);
            mma_sync(sum, x, y, sum);
        }
        for (int i = 0; i < sum.num_elements; i++)
            sum.x[i] = sum.x[i] + sum.x[i];
        store_matrix_sync(d + row * 16, sum, 16, mem_row_major);
        __syncwarp();
    }
}

// `which`: 0 fp16, 1 bf16, 2 tf32, 3 s8. Results are 32 x 16 fp32 or int.
extern "C" __global__ void warp_matrix(void *d, const void *a, const void *b, int which)
{
    if (which == 0)
        product<16, half>((float *)d, (const half *)a, (const half *)b, 32);
    else if (which == 1)
        product<16, __nv_bfloat16>((float *)d, (const __nv_bfloat16 *)a, (const __nv_bfloat16 *)b, 32);
    else if (which == 2)
        product<8, precision::tf32>((float *)d, (const float *)a, (const float *)b, 32);
    else
        product<16, signed char>((int *)d, (const signed char *)a, (const signed char *)b, 32);
}
