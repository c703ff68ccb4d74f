// Of a thread's own array only the even elements are set.
// launch: block 32
// arguments: in 128, fresh 128
// expect: initialised line 10 block 0 thread 1 other 9 says local memory
extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    unsigned table[16];
    for (unsigned i = 0; i < 16; i += 2)
        table[i ^ (in[0] & 1)] = in[i];
    unsigned chosen = table[in[threadIdx.x] & 15];
    out[threadIdx.x] = chosen * 3 + 1;
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    unsigned table[16];
    for (unsigned i = 0; i < 16; i += 2)
        table[i ^ (in[0] & 1)] = in[i];
    unsigned chosen = table[in[threadIdx.x] & 14];
    out[threadIdx.x] = chosen * 3 + 1;
}
