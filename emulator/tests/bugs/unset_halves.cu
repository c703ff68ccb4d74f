// Pairs of fp16 are added of which the upper half is missing; it may be there as long as only the lower half counts.
// launch: block 32
// arguments: fresh 128, fresh 64
// expect: initialised line 8 block 0 thread 0 other 7
__device__ unsigned sum(unsigned short *halves) {
    halves[2 * threadIdx.x] = 0x3c00;
    unsigned pair = ((volatile unsigned *)halves)[threadIdx.x];
    asm("add.f16x2 %0, %1, %1;" : "=r"(pair) : "r"(pair));
    return pair;
}

extern "C" __global__ void wrong(unsigned short *halves, unsigned short *out) {
    out[threadIdx.x] = sum(halves) >> 16;
}

extern "C" __global__ void right(unsigned short *halves, unsigned short *out) {
    out[threadIdx.x] = sum(halves);
}
