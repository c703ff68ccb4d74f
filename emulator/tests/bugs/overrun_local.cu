// A digit that comes from memory indexes a small array of the thread without a bound.
// launch: block 32
// arguments: in 128, fresh 128
// expect: memory line 9 block 0 says the local memory of the thread
extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    unsigned seen[16];
    for (int i = 0; i < 16; i++)
        seen[i] = i * in[i];
    out[threadIdx.x] = seen[in[threadIdx.x]];
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    unsigned seen[16];
    for (int i = 0; i < 16; i++)
        seen[i] = i * in[i];
    out[threadIdx.x] = seen[in[threadIdx.x] & 15];
}
