//! Fourier transforms against the definition in double precision.

use std::f64::consts::TAU;

use crate::harness::{Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("fourier.cu");

fn signal(count: usize, seed: u64) -> Vec<[f32; 2]> {
    let mut random = Random::new(seed);
    (0..count).map(|_| [random.normal(), random.normal()]).collect()
}

fn widened(signal: &[[f32; 2]]) -> Vec<[f64; 2]> {
    signal.iter().map(|&[re, im]| [re.into(), im.into()]).collect()
}

fn transform(signal: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let n = signal.len();
    let term = |k: usize, (j, [re, im]): (usize, &[f64; 2])| {
        let (sin, cos) = (-TAU * ((j * k) % n) as f64 / n as f64).sin_cos();
        [re * cos - im * sin, re * sin + im * cos]
    };
    (0..n)
        .map(|k| {
            signal.iter().enumerate().map(|point| term(k, point)).fold([0.0; 2], |s, t| [s[0] + t[0], s[1] + t[1]])
        })
        .collect()
}

/// The error of a transform, relative to its result in the root mean square, grows with the number of levels, each
/// with a rounded root of unity, product and sum (Gentleman & Sande 1966: at most about 1.06 * sqrt(8) * eps a level).
fn assert_transform(case: &str, actual: &[[f64; 2]], expected: &[[f64; 2]], epsilon: f64) {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let difference = |(a, e): (&[f64; 2], &[f64; 2])| [a[0] - e[0], a[1] - e[1]];
    let error = square(&mut actual.iter().zip(expected).flat_map(difference));
    let size = square(&mut expected.iter().flatten().copied());
    let bound = 3.0 * (expected.len() as f64).log2() * epsilon;
    let relative = (error / size).sqrt();
    assert!(relative <= bound, "{case}: relative error {relative:.1e}, over {bound:.1e}");
}

#[test]
fn radix_2_in_shared_memory() {
    let input = signal(2 * 256, 1);
    let expected: Vec<Vec<[f64; 2]>> = input.chunks(256).map(|part| transform(&widened(part))).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[f32; 2]>(512);
        program.launch("radix2", line(2, 64).shared(256 * 8), &[&program.upload(&input), &output, &8]);
        for (actual, expected) in output.read().chunks(256).zip(&expected) {
            assert_transform("radix 2", &widened(actual), expected, f32::EPSILON.into());
        }
    });
}

#[test]
fn stockham_of_radix_2_4_and_8() {
    on_every_build(SOURCE, |program| {
        for (kernel, n) in [("stockham2", 128), ("stockham4", 256), ("stockham8", 512)] {
            let input = signal(n, 2);
            let output = program.room::<[f32; 2]>(n);
            program.launch(kernel, line(1, 64).shared(16 * n), &[&program.upload(&input), &output, &(n as i32)]);
            assert_transform(kernel, &widened(&output.read()), &transform(&widened(&input)), f32::EPSILON.into());
        }
    });
}

#[test]
fn shuffles_in_double_precision() {
    let input = widened(&signal(32, 3));
    on_every_build(SOURCE, |program| {
        let output = program.room::<[f64; 2]>(32);
        program.launch("by_shuffles", line(1, 32), &[&program.upload(&input), &output]);
        assert_transform("32 points", &output.read(), &transform(&input), f64::EPSILON);
    });
}

#[test]
fn convolution_by_transforms() {
    let n = 64;
    let (a, b) = (signal(n, 4), signal(n, 5));
    let (wide_a, wide_b) = (widened(&a), widened(&b));
    let mut expected = vec![[0.0; 2]; n];
    for i in 0..n {
        for j in 0..n {
            let ([ar, ai], [br, bi]) = (wide_a[i], wide_b[j]);
            let sum = &mut expected[(i + j) % n];
            *sum = [sum[0] + ar * br - ai * bi, sum[1] + ar * bi + ai * br];
        }
    }
    on_every_build(SOURCE, |program| {
        let [fa, fb, product, result] = [(); 4].map(|()| program.room::<[f32; 2]>(n));
        let launch = line(1, 32).shared(8 * n);
        program.launch("radix2", launch, &[&program.upload(&a), &fa, &6]);
        program.launch("radix2", launch, &[&program.upload(&b), &fb, &6]);
        program.launch("multiply_spectra", line(1, n), &[&fa, &fb, &product, &(n as i32)]);
        program.launch("radix2", launch, &[&product, &result, &6]);
        let conjugate: Vec<[f64; 2]> = widened(&result.read()).iter().map(|&[re, im]| [re, -im]).collect();
        // Three transforms and a product.
        assert_transform("convolution", &conjugate, &expected, 4.0 * f64::from(f32::EPSILON));
    });
}
