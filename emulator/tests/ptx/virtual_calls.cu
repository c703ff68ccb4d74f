// Virtual functions, function pointers in memory, recursion and mutual recursion, structures by value.

struct Shape {
    int id;
    __device__ Shape(int id) : id(id) {}
    __device__ virtual int area(int k) const = 0;
};

struct Square : Shape {
    int side;
    __device__ Square(int id, int side) : Shape(id), side(side) {}
    __device__ int area(int k) const override { return side * side * k + id; }
};

struct Circle : Shape {
    int radius;
    __device__ Circle(int id, int radius) : Shape(id), radius(radius) {}
    __device__ int area(int k) const override { return 3 * radius * radius - k; }
};

struct Sphere : Circle {
    __device__ Sphere(int id, int radius) : Circle(id, radius) {}
    __device__ int area(int k) const override { return 4 * Circle::area(k); }
};

typedef int (*Operation)(int, int);

__device__ int add(int a, int b) { return a + b; }
__device__ int subtract(int a, int b) { return a - b; }
__device__ int multiply(int a, int b) { return a * b; }

__constant__ Operation constant_table[3] = {add, subtract, multiply};
__device__ Operation device_table[2] = {multiply, add};
__device__ Operation chosen;

__device__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

__device__ __noinline__ bool is_odd(int n);
__device__ __noinline__ bool is_even(int n) { return n == 0 || is_odd(n - 1); }
__device__ __noinline__ bool is_odd(int n) { return n != 0 && is_even(n - 1); }

// No tail call: both halves are needed on the way back.
__device__ __noinline__ int depth_sum(int n, int mask) {
    if (n == 0) return mask & 1;
    int left = (mask >> n) & 1 ? is_even(n) : depth_sum(n - 1, mask * 3);
    int right = depth_sum(n - 1, mask + n);
    return 2 * left + right + n;
}

struct Record {
    int values[10];
    double scale;
};

__device__ __noinline__ Record accumulate(Record record, int n) {
    if (n == 0) return record;
    record.values[n % 10] += n;
    record.scale *= 1.5;
    Record inner = accumulate(record, n - 1);
    inner.values[0] += record.values[1];
    return inner;
}

__device__ void quicksort(int* data, int low, int high) {
    while (low < high) {
        int pivot = data[(low + high) / 2], i = low, j = high;
        while (i <= j) {
            while (data[i] < pivot) i++;
            while (data[j] > pivot) j--;
            if (i <= j) {
                int t = data[i];
                data[i++] = data[j];
                data[j--] = t;
            }
        }
        quicksort(data, low, j);
        low = i;
    }
}

extern "C" __global__ void calls(int* out, int* unsorted, int which) {
    int t = threadIdx.x;
    out += 8 * t;

    Square square(t, t + 1);
    Circle circle(t, t + 2);
    Sphere sphere(t, t + 3);
    const Shape* shapes[3] = {&square, &circle, &sphere};
    out[0] = shapes[(t + which) % 3]->area(t);

    out[1] = constant_table[(t * 7 + which) % 3](t, which) + device_table[t & 1](t, 2);
    if (t == 0) chosen = which ? subtract : add;
    __syncthreads();
    out[2] = chosen(10, t);

    out[3] = fibonacci(t % 13);
    out[4] = is_even(t % 9) + 2 * is_odd(t % 5);
    out[5] = depth_sum(t % 6, t);

    Record record = {};
    record.scale = 1;
    record = accumulate(record, t % 12);
    out[6] = record.values[0] + 100 * record.values[3] + (int)record.scale;

    quicksort(unsorted + 16 * t, 0, 15);
    out[7] = 7;
}
