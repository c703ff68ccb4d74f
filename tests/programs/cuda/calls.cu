// Calls that cannot be inlined: recursion, pointers to functions, virtual functions.

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

__device__ __noinline__ int ackermann(int m, int n) {
    if (m == 0) return n + 1;
    if (n == 0) return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

extern "C" __global__ void recursion(int* output) {
    output[threadIdx.x] = fibonacci(threadIdx.x % 12);
    output[32 + threadIdx.x] = ackermann(threadIdx.x % 3, threadIdx.x % 4);
}

__device__ __noinline__ void quicksort(int* data, int low, int high) {
    if (low >= high) return;
    int pivot = data[(low + high) / 2], i = low, j = high;
    while (i <= j) {
        while (data[i] < pivot) i++;
        while (data[j] > pivot) j--;
        if (i <= j) {
            int swap = data[i];
            data[i++] = data[j];
            data[j--] = swap;
        }
    }
    quicksort(data, low, j);
    quicksort(data, i, high);
}

extern "C" __global__ void sort_rows(int* rows, int length) { quicksort(rows + threadIdx.x * length, 0, length - 1); }

// Backtracking: queens that do not attack each other.
__device__ __noinline__ int queens(int n, int row, unsigned columns, unsigned left, unsigned right) {
    if (row == n) return 1;
    int count = 0;
    for (unsigned free = ((1u << n) - 1) & ~(columns | left | right); free; free &= free - 1) {
        unsigned bit = free & -free;
        count += queens(n, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

extern "C" __global__ void count_queens(int* output, int n) {
    unsigned bit = 1u << threadIdx.x;
    output[threadIdx.x] = queens(n, 1, bit, bit << 1, bit >> 1);
}

typedef float (*Operation)(float, float);
__device__ float plus(float a, float b) { return a + b; }
__device__ float minus(float a, float b) { return a - b; }
__device__ float times(float a, float b) { return a * b; }
__device__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ Operation operations[4] = {plus, minus, times, larger};

extern "C" __global__ void pointers(const int* codes, int length, float* output) {
    float value = threadIdx.x;
    for (int i = 0; i < length; i++) value = operations[(codes[i] + threadIdx.x) & 3](value, i + 0.5f);
    output[threadIdx.x] = value;
}

struct Shape {
    __device__ virtual float area() const = 0;
    __device__ virtual int corners() const { return 0; }
    __device__ float price() const { return area() * 2 + corners(); }
};
struct Circle : Shape {
    float radius;
    __device__ Circle(float r) : radius(r) {}
    __device__ float area() const override { return 3 * radius * radius; }
};
struct Box : Shape {
    float width, height;
    __device__ Box(float w, float h) : width(w), height(h) {}
    __device__ float area() const override { return width * height; }
    __device__ int corners() const override { return 4; }
};
struct Square : Box {
    __device__ Square(float w) : Box(w, w) {}
    __device__ float area() const override { return Box::area() + 0.25f; }
};

extern "C" __global__ void shapes(float* output, int salt) {
    Circle circle(threadIdx.x);
    Box box(threadIdx.x, 2);
    Square square(threadIdx.x / 2.0f);
    const Shape* all[3] = {&circle, &box, &square};
    output[threadIdx.x] = all[(threadIdx.x + salt) % 3]->price();
}
