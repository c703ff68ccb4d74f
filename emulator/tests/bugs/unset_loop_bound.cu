// The number of rounds was never written.
// launch: block 32
// arguments: fresh 4, fresh 128
// expect: initialised line 8 other 7 block 0 thread 0
extern "C" __global__ void wrong(const unsigned *rounds, unsigned *out) {
    unsigned sum = threadIdx.x;
    unsigned count = *rounds & 15;
    for (unsigned i = 0; i < count; i++) {
        sum = sum * 5 + i;
        out[threadIdx.x] = sum;
    }
}

extern "C" __global__ void right(const unsigned *rounds, unsigned *out) {
    unsigned sum = threadIdx.x;
    unsigned count = (size_t)rounds & 15;
    for (unsigned i = 0; i < count; i++) {
        sum = sum * 5 + i;
        out[threadIdx.x] = sum;
    }
}
