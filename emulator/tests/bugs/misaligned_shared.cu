// Words are read from packed records of six bytes in shared memory.
// launch: block 32
// arguments: fresh 128
// expect: memory line 10 block 0 thread 1 says misaligned access of 4 bytes at shared address 0x6
extern "C" __global__ void wrong(unsigned *out) {
    __shared__ __align__(16) unsigned char records[192];
    for (unsigned i = threadIdx.x; i < 192; i += 32)
        records[i] = i;
    __syncthreads();
    out[threadIdx.x] = *(volatile unsigned *)(records + 6 * threadIdx.x);
}

extern "C" __global__ void right(unsigned *out) {
    __shared__ __align__(16) unsigned char records[192];
    for (unsigned i = threadIdx.x; i < 192; i += 32)
        records[i] = i;
    __syncthreads();
    volatile unsigned short *record = (volatile unsigned short *)(records + 6 * threadIdx.x);
    unsigned low = record[0];
    out[threadIdx.x] = low | (unsigned)record[1] << 16;
}
