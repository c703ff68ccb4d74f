// Beyond what the emulator has: asynchronous barriers and bulk copies. The plain kernel beside them runs.

extern "C" __global__ void plain(int* output) { output[threadIdx.x] = threadIdx.x + 1; }

extern "C" __global__ void asynchronous_barrier(int* output) {
    __shared__ unsigned long long barrier;
    unsigned address = (unsigned)__cvta_generic_to_shared(&barrier);
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(address), "r"(blockDim.x));
    output[threadIdx.x] = 1;
}

#if __CUDA_ARCH__ >= 900
extern "C" __global__ void bulk_copy(const int* input) {
    __shared__ __align__(16) int room[64];
    __shared__ unsigned long long barrier;
    unsigned to = (unsigned)__cvta_generic_to_shared(room), signal = (unsigned)__cvta_generic_to_shared(&barrier);
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 256, [%2];" ::"r"(to),
                 "l"(input), "r"(signal) : "memory");
}
#endif
