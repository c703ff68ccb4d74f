// A structure with padding is passed through shared memory; one member of it is never set. Copying it is no use of it.
// launch: block 32
// arguments: fresh 512, fresh 128
// expect: initialised line 22 block 0 thread 0 other 16 says shared memory
struct Item {
    unsigned char kind;
    unsigned weight, count, flags;
};

__device__ Item exchange(unsigned kind) {
    __shared__ Item items[32];
    items[threadIdx.x].kind = kind;
    items[threadIdx.x].weight = 2 * kind;
    items[threadIdx.x].count = 1;
    __syncthreads();
    return items[threadIdx.x ^ 1];
}

extern "C" __global__ void wrong(Item *copies, unsigned *out) {
    Item item = exchange(threadIdx.x);
    copies[threadIdx.x] = item;
    out[threadIdx.x] = item.kind + item.weight * item.flags;
}

extern "C" __global__ void right(Item *copies, unsigned *out) {
    Item item = exchange(threadIdx.x);
    copies[threadIdx.x] = item;
    out[threadIdx.x] = item.kind + item.weight * item.count;
}
