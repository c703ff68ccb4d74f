// Beyond what the emulator has: textures and tensor copies. The plain kernel beside them runs.

extern "C" __global__ void plain(int* output) { output[threadIdx.x] = threadIdx.x + 1; }

extern "C" __global__ void texture(unsigned long long object, float* output) {
    float x, y, z, w;
    asm volatile("tex.1d.v4.f32.s32 {%0, %1, %2, %3}, [%4, {%5}];"
                 : "=f"(x), "=f"(y), "=f"(z), "=f"(w) : "l"(object), "r"(threadIdx.x));
    output[threadIdx.x] = x + y + z + w;
}

#if __CUDA_ARCH__ >= 900
extern "C" __global__ void tensor_copy(unsigned long long map) {
    __shared__ __align__(16) int room[64];
    __shared__ unsigned long long barrier;
    unsigned to = (unsigned)__cvta_generic_to_shared(room), signal = (unsigned)__cvta_generic_to_shared(&barrier);
    asm volatile("cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2}], [%3];" ::"r"(
                     to),
                 "l"(map), "r"(0), "r"(signal) : "memory");
}
#endif
