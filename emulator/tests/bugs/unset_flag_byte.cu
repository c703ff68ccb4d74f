// One byte of each record was never written, and decides about it.
// launch: block 32
// arguments: fresh 128, fresh 128
// expect: initialised line 11 block 0 thread 0 other 10
extern "C" __global__ void wrong(unsigned char *records, int *out) {
    unsigned char *record = records + 4 * threadIdx.x;
    record[0] = threadIdx.x;
    record[1] = 1;
    record[3] = 0;
    unsigned all = *(volatile unsigned *)record;
    if ((all & 0xff0000) == 0x10000)
        atomicAdd(out + threadIdx.x, 0);
    else
        out[threadIdx.x] = 2;
}

extern "C" __global__ void right(unsigned char *records, int *out) {
    unsigned char *record = records + 4 * threadIdx.x;
    record[0] = threadIdx.x;
    record[1] = 1;
    record[3] = 0;
    unsigned all = *(volatile unsigned *)record;
    if ((all & 0xff00) == 0x200)
        atomicAdd(out + threadIdx.x, 0);
    else
        out[threadIdx.x] = 2;
}
