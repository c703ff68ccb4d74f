// Objects on the device's heap: virtual destructors, arrays, and what `new` gives is writable.

struct Sequence {
    int* values;
    int length;
    int* destroyed;
    __device__ Sequence(int length, int* destroyed) : values(new int[length]), length(length), destroyed(destroyed) {}
    __device__ virtual int next(int i) const = 0;
    __device__ int sum() {
        int total = 0;
        for (int i = 0; i < length; i++) values[i] = next(i);
        for (int i = 0; i < length; i++) total += values[i];
        return total;
    }
    __device__ virtual ~Sequence() {
        delete[] values;
        *destroyed += 1;
    }
};

struct Squares : Sequence {
    __device__ Squares(int length, int* destroyed) : Sequence(length, destroyed) {}
    __device__ int next(int i) const override { return i * i; }
    __device__ ~Squares() override { *destroyed += 1; }
};

struct Line : Sequence {
    int start;
    __device__ Line(int length, int start, int* destroyed) : Sequence(length, destroyed), start(start) {}
    __device__ int next(int i) const override { return 3 * i + start; }
};

extern "C" __global__ void heap(int* out) {
    int t = threadIdx.x;
    int* destroyed = &out[blockDim.x + t];
    *destroyed = 0;
    Sequence* sequence;
    if (t % 2) sequence = new Squares(t % 7 + 1, destroyed);
    else sequence = new Line(t % 7 + 1, t, destroyed);
    __syncthreads();
    out[t] = sequence->sum();
    delete sequence;
}
