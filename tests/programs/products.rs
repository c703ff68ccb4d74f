//! Matrix products without tensor cores.

use crate::harness::{Source, line, on_every_build, plane, space};
use crate::support::{Random, assert_within};

const SOURCE: Source = Source::new("products.cu");

fn floats(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.normal()).collect()
}

fn product(a: &[f32], b: &[f32], n: usize, k: usize) -> Vec<f64> {
    let dot = |row: usize, column: usize| -> f64 {
        (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[i * n + column])).sum()
    };
    (0..a.len() / k * n).map(|i| dot(i / n, i % n)).collect()
}

/// A dot product of `k` terms, each product and sum rounded once; the terms' magnitudes add up to less than `k` times
/// the largest result's for the sizes here.
fn bound(k: usize) -> f64 {
    k as f64 * f64::from(f32::EPSILON)
}

#[test]
fn naive_and_tiled_with_ragged_edges() {
    let (m, n, k) = (37, 29, 45);
    let (a, b) = (floats(m * k, 1), floats(k * n, 2));
    let expected = product(&a, &b, n, k);
    on_every_build(SOURCE, |program| {
        let (a, b) = (program.upload(&a), program.upload(&b));
        for (kernel, launch) in [("naive", plane([4, 5], [8, 8])), ("tiled_f32", plane([2, 3], [16, 16]))] {
            let c = program.room::<f32>(m * n);
            program.launch(kernel, launch, &[&a, &b, &c, &(m as i32), &(n as i32), &(k as i32)]);
            assert_within(kernel, &c.read(), &expected, bound(k));
        }
    });
}

#[test]
fn of_integers_and_doubles() {
    let (m, n, k) = (11, 19, 13);
    let mut random = Random::new(3);
    let (a, b): (Vec<i64>, Vec<i64>) =
        ((0..m * k).map(|_| random.next() as i64).collect(), (0..k * n).map(|_| random.next() as i64).collect());
    let dot = |i: usize| (0..k).fold(0i64, |s, j| s.wrapping_add(a[i / n * k + j].wrapping_mul(b[j * n + i % n])));
    let expected: Vec<i64> = (0..m * n).map(dot).collect();
    // Small integers as doubles: exact.
    let small = |values: &[i64]| -> Vec<f64> { values.iter().map(|&x| (x % 1000) as f64).collect() };
    let (wide_a, wide_b) = (small(&a), small(&b));
    let wide: Vec<f64> =
        (0..m * n).map(|i| (0..k).map(|j| wide_a[i / n * k + j] * wide_b[j * n + i % n]).sum()).collect();
    on_every_build(SOURCE, |program| {
        let c = program.room::<i64>(m * n);
        let launch = plane([3, 2], [8, 8]);
        let size = (m as i32, n as i32, k as i32);
        program.launch("tiled_i64", launch, &[&program.upload(&a), &program.upload(&b), &c, &size.0, &size.1, &size.2]);
        assert_eq!(c.read(), expected);
        let c = program.room::<f64>(m * n);
        let (a, b) = (program.upload(&wide_a), program.upload(&wide_b));
        program.launch("tiled_f64", launch, &[&a, &b, &c, &size.0, &size.1, &size.2]);
        assert_eq!(c.read(), wide);
    });
}

#[test]
fn blocked_in_registers() {
    let (m, n, k) = (64, 128, 40);
    let (a, b) = (floats(m * k, 4), floats(k * n, 5));
    let expected = product(&a, &b, n, k);
    on_every_build(SOURCE, |program| {
        let c = program.room::<f32>(m * n);
        let size = (m as i32, n as i32, k as i32);
        let (a, b) = (program.upload(&a), program.upload(&b));
        program.launch("blocked", plane([2, 1], [256, 1]), &[&a, &b, &c, &size.0, &size.1, &size.2]);
        assert_within("blocked", &c.read(), &expected, bound(k));
    });
}

#[test]
fn three_stages_of_asynchronous_copies() {
    let (m, n, k) = (64, 32, 96);
    let (a, b) = (floats(m * k, 6), floats(k * n, 7));
    let expected = product(&a, &b, n, k);
    on_every_build(SOURCE.since(80), |program| {
        let c = program.room::<f32>(m * n);
        let size = (m as i32, n as i32, k as i32);
        let (a, b) = (program.upload(&a), program.upload(&b));
        program.launch("pipelined", plane([1, 2], [64, 1]), &[&a, &b, &c, &size.0, &size.1, &size.2]);
        assert_within("pipelined", &c.read(), &expected, bound(k));
    });
}

#[test]
fn copies_that_fill_with_zeros() {
    let input = floats(64, 8);
    let mut expected: Vec<f32> = (0..64usize).map(|i| if i ^ 1 < 45 { input[i ^ 1] } else { 0.0 }).collect();
    expected.extend(&input);
    on_every_build(SOURCE.since(80), |program| {
        let output = program.room::<f32>(128);
        program.launch("zero_filled", line(1, 64), &[&program.upload(&input), &output, &45]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn split_along_k() {
    let (m, n, k) = (20, 33, 50);
    let mut random = Random::new(9);
    let (a, b): (Vec<i32>, Vec<i32>) =
        ((0..m * k).map(|_| random.next() as i32).collect(), (0..k * n).map(|_| random.next() as i32).collect());
    let dot = |i: usize| (0..k).fold(0i32, |s, j| s.wrapping_add(a[i / n * k + j].wrapping_mul(b[j * n + i % n])));
    let expected: Vec<i32> = (0..m * n).map(dot).collect();
    on_every_build(SOURCE, |program| {
        let c = program.zeros::<i32>(m * n);
        let size = (m as i32, n as i32, k as i32);
        let (a, b) = (program.upload(&a), program.upload(&b));
        program.launch("split_k", space([3, 3, 4], [16, 8, 1]), &[&a, &b, &c, &size.0, &size.1, &size.2]);
        assert_eq!(c.read(), expected);
    });
}

#[test]
fn stream_k_with_flags_between_blocks() {
    let (m, n, k) = (32, 48, 80);
    let (a, b) = (floats(m * k, 10), floats(k * n, 11));
    let expected = product(&a, &b, n, k);
    on_every_build(SOURCE, |program| {
        for blocks in [1, 4, 7, 13] {
            let (c, partials) = (program.room::<f32>(m * n), program.room::<f32>(blocks * 256));
            let (flags, size) = (program.zeros::<u32>(blocks + 1), (m as i32, n as i32, k as i32));
            let (a, b) = (program.upload(&a), program.upload(&b));
            let launch = plane([blocks, 1], [16, 16]);
            program.launch("stream_k", launch, &[&a, &b, &c, &partials, &flags, &size.0, &size.1, &size.2]);
            assert_within("stream-K", &c.read(), &expected, bound(k));
        }
    });
}

#[test]
fn matrix_by_vector() {
    let (rows, columns) = (12, 200);
    let (a, x) = (floats(rows * columns, 12), floats(columns, 13));
    let expected = product(&a, &x, 1, columns);
    on_every_build(SOURCE, |program| {
        let y = program.room::<f32>(rows);
        let launch = plane([3, 1], [32, 4]);
        program.launch("matrix_vector", launch, &[&program.upload(&a), &program.upload(&x), &y, &(columns as i32 / 4)]);
        assert_within("matrix by vector", &y.read(), &expected, bound(columns));
    });
}

#[test]
fn dot_products_of_four_bytes() {
    let (m, n, k) = (9, 40, 64);
    let mut random = Random::new(14);
    let mut bytes = |count: usize| -> Vec<i8> { (0..count).map(|_| random.next() as i8).collect() };
    let (a, b) = (bytes(m * k), bytes(n * k));
    let dot = |i: usize| (0..k).map(|j| i32::from(a[i / n * k + j]) * i32::from(b[i % n * k + j])).sum();
    let expected: Vec<i32> = (0..m * n).map(dot).collect();
    on_every_build(SOURCE, |program| {
        let c = program.room::<i32>(m * n);
        let launch = plane([2, m], [32, 1]);
        program.launch(
            "bytes_dp4a",
            launch,
            &[&program.upload(&a), &program.upload(&b), &c, &(n as i32), &(k as i32 / 4)],
        );
        assert_eq!(c.read(), expected);
    });
}
