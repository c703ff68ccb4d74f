// A guard that lets one thread too many through writes behind the end of a buffer.
// launch: block 64
// arguments: fresh 240, u32 60
// expect: memory line 8 block 0 thread 60 says 0 bytes past the end of the allocation of 240 bytes
extern "C" __global__ void wrong(int *out, unsigned count) {
    unsigned i = threadIdx.x;
    if (i <= count)
        out[i] = i;
}

extern "C" __global__ void right(int *out, unsigned count) {
    unsigned i = threadIdx.x;
    if (i < count)
        out[i] = i;
}
