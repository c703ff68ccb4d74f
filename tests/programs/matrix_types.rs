//! Matrix instructions of every element type.

use bytemuck::Pod;
use half::{bf16, f16};

use crate::harness::{Program, Source, line, on_every_build, plane};
use crate::support::Random;

const SOURCE: Source = Source::new("matrix_types.cu");
const M: usize = 32;
const N: usize = 48;
const K: usize = 64;

/// Small integers: every product and sum is exact in each of the types.
fn integers(count: usize, seed: u64, low: i32, high: i32) -> Vec<i32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| low + (random.next() % (high - low) as u64) as i32).collect()
}

/// A (rows of K) times B (columns of K).
fn product(a: &[i32], b: &[i32], n: usize, k: usize) -> Vec<i32> {
    (0..a.len() / k * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[i % n * k + j]).sum()).collect()
}

fn check<T: Pod, C: Pod + PartialEq + std::fmt::Debug>(
    program: &Program,
    kernel: &str,
    [a, b]: [&[i32]; 2],
    narrow: fn(i32) -> T,
    result: impl Fn(i32) -> C,
) {
    let convert = |values: &[i32]| -> Vec<T> { values.iter().map(|&x| narrow(x)).collect() };
    let expected: Vec<C> = product(a, b, N, K).into_iter().map(result).collect();
    let d = program.room::<C>(M * N);
    let (a, b) = (program.upload(&convert(a)), program.upload(&convert(b)));
    let launch = plane([N / 16, M / 16], [32, 1]);
    program.launch(kernel, launch, &[&a, &b, &d, &(M as i32), &(N as i32), &(K as i32)]);
    assert!(d.read() == expected, "{kernel}");
}

#[test]
fn tiles_through_mma_h() {
    let (a, b) = (integers(M * K, 1, -4, 5), integers(N * K, 2, -4, 5));
    let (wide_a, wide_b) = (integers(M * K, 3, -128, 128), integers(N * K, 4, -128, 128));
    on_every_build(SOURCE, |program| {
        let half = |x: i32| f16::from_f32(x as f32);
        check(program, "wmma_f16_f32", [&a, &b], half, |x| 2.0 * (x as f32 + 1.0));
        check(program, "wmma_f16_f16", [&a, &b], half, |x| f16::from_f32(2.0 * (x as f32 + 0.5)));
        check(program, "wmma_s8", [&wide_a, &wide_b], |x| x as i8, |x| 2 * (x - 3));
        let unsigned = |values: &[i32]| -> Vec<i32> { values.iter().map(|x| x + 128).collect() };
        check(program, "wmma_u8", [&unsigned(&wide_a), &unsigned(&wide_b)], |x| x as u8, |x| 2 * (x + 9));
    });
    on_every_build(SOURCE.since(80), |program| {
        check(program, "wmma_bf16", [&a, &b], |x| bf16::from_f32(x as f32), |x| 2.0 * x as f32);
    });
}

#[test]
fn tf32_and_bytes() {
    let (a, b) = (integers(16 * 64, 5, -500, 500), integers(16 * 64, 6, -500, 500));
    let floats = |values: &[i32]| -> Vec<f32> { values.iter().map(|&x| x as f32).collect() };
    // B by rows here, so that its columns of K are to be gathered.
    let columns = |b: &[i32], n: usize, k: usize| -> Vec<i32> { (0..n * k).map(|i| b[i % k * n + i / k]).collect() };
    let expected = floats(&product(&a, &columns(&b, 16, 64), 16, 64));
    let small = floats(&product(&a[..128], &columns(&b[..64], 8, 8), 8, 8));
    let bytes = |values: &[i32]| -> Vec<i8> { values.iter().map(|&x| x as i8).collect() };
    let (byte_a, byte_b) = (bytes(&a[..512]), bytes(&b[..256]));
    let wide = |values: &[i8]| -> Vec<i32> { values.iter().map(|&x| x.into()).collect() };
    let byte_product = product(&wide(&byte_a), &wide(&byte_b), 8, 32);
    on_every_build(SOURCE.since(80), |program| {
        let d = program.room::<f32>(256);
        let (device_a, device_b) = (program.upload(&floats(&a)), program.upload(&floats(&b)));
        program.launch("wmma_tf32", line(1, 32), &[&device_a, &device_b, &d, &16, &64]);
        assert_eq!(d.read(), expected);
        let d = program.room::<f32>(128);
        program.launch("mma_tf32", line(1, 32), &[&device_a, &device_b, &d]);
        assert_eq!(d.read(), small);
        let d = program.room::<i32>(128);
        program.launch("mma_s8", line(1, 32), &[&program.upload(&byte_a), &program.upload(&byte_b), &d]);
        assert_eq!(d.read(), byte_product);
    });
}
