//! Matrix products and attention on tensor cores.

use half::{bf16, f16};

use crate::harness::{Source, line, on_every_build, plane};
use crate::support::{Random, assert_within};

const SOURCE: Source = Source::new("tensor_cores.cu").since(80);

fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.normal()).collect()
}

fn product(a: &[f64], b: &[f64], n: usize, k: usize) -> Vec<f64> {
    (0..a.len() / k * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum()).collect()
}

/// Products of 11-bit numbers are exact in fp32; each of the sums is rounded or truncated, at most a unit in the last
/// place of something no larger than `k` times the largest result.
fn bound(k: usize) -> f64 {
    2.0 * k as f64 * f64::from(f32::EPSILON)
}

#[test]
fn products_of_halves() {
    let (m, n, k) = (64, 128, 96);
    let (a, b) = (values(m * k, 1), values(k * n, 2));
    let (half_a, half_b): (Vec<f16>, Vec<f16>) =
        (a.iter().map(|&x| f16::from_f32(x)).collect(), b.iter().map(|&x| f16::from_f32(x)).collect());
    let wide = |values: &[f16]| -> Vec<f64> { values.iter().map(|x| x.to_f64()).collect() };
    let expected = product(&wide(&half_a), &wide(&half_b), n, k);
    let (brain_a, brain_b): (Vec<bf16>, Vec<bf16>) =
        (a.iter().map(|&x| bf16::from_f32(x)).collect(), b.iter().map(|&x| bf16::from_f32(x)).collect());
    let wide = |values: &[bf16]| -> Vec<f64> { values.iter().map(|x| x.to_f64()).collect() };
    let brain_expected = product(&wide(&brain_a), &wide(&brain_b), n, k);
    on_every_build(SOURCE, |program| {
        let launch = plane([n / 64, m / 64], [128, 1]);
        let c = program.room::<f32>(m * n);
        let (a, b) = (program.upload(&half_a), program.upload(&half_b));
        program.launch("product_f16", launch, &[&a, &b, &c, &(n as i32), &(k as i32)]);
        assert_within("fp16", &c.read(), &expected, bound(k));
        let c = program.room::<f32>(m * n);
        let (a, b) = (program.upload(&brain_a), program.upload(&brain_b));
        program.launch("product_bf16", launch, &[&a, &b, &c, &(n as i32), &(k as i32)]);
        assert_within("bf16", &c.read(), &brain_expected, bound(k));
    });
}

#[test]
fn flash_attention() {
    let (queries, keys, channels) = (32, 48, 16);
    let halves = |count, seed| -> Vec<f16> { values(count, seed).into_iter().map(f16::from_f32).collect() };
    let (q, k, v) = (halves(queries * channels, 3), halves(keys * channels, 4), halves(keys * channels, 5));
    let scale = 0.5f32;
    let mut expected = Vec::new();
    for query in q.chunks(channels) {
        let dot = |key: &[f16]| -> f64 { query.iter().zip(key).map(|(q, k)| q.to_f64() * k.to_f64()).sum() };
        let scores: Vec<f64> = k.chunks(channels).map(|key| dot(key) * f64::from(scale)).collect();
        let top = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
        let total: f64 = weights.iter().sum();
        expected.extend((0..channels).map(|c| {
            weights.iter().enumerate().map(|(key, weight)| weight / total * v[key * channels + c].to_f64()).sum::<f64>()
        }));
    }
    on_every_build(SOURCE, |program| {
        let o = program.room::<f32>(queries * channels);
        let arguments = (program.upload(&q), program.upload(&k), program.upload(&v));
        let launch = line(queries / 16, 32);
        program.launch("flash", launch, &[&arguments.0, &arguments.1, &arguments.2, &o, &(keys as i32), &scale]);
        // The probabilities are rounded to fp16 (2^-11), and values are at most a few times the largest result.
        assert_within("flash attention", &o.read(), &expected, 4.0 / 2048.0);
    });
}
