// What stops a program: traps, failed assertions, wild addresses, misalignment; and what it prints.

extern "C" __global__ void trapping(int lane) {
    if (threadIdx.x == lane) __trap();
}
extern "C" __global__ void asserting(int limit) { assert(threadIdx.x < limit && "thread within the limit"); }
extern "C" __global__ void wild(int* data, long long offset) { data[offset + threadIdx.x] = 1; }
extern "C" __global__ void misaligned(char* data) { *(int*)(data + 1) = 7; }
extern "C" __global__ void null_pointer(int* data, int* output) { *output = *data; }
extern "C" __global__ void shared_overrun(int index, int* output) {
    __shared__ int room[4];
    room[threadIdx.x] = threadIdx.x;
    __syncthreads();
    output[0] = room[index];
}

extern "C" __global__ void printing(int count, const char* text) {
    if (threadIdx.x < 2)
        printf("thread %d of %u: %5.2f|%-6d|%06x|%c|%s|%lld|%%|%e\n", threadIdx.x, blockDim.x, 3.14159 * count, -count, 48879,
               'z', "word", -5000000000ll, 12345.678);
}
