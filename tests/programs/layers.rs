//! Layers of neural networks, against double precision.

use bytemuck::{Pod, Zeroable};

use crate::harness::{ByValue, Source, line, on_every_build, plane, space};
use crate::support::{Random, assert_within};

const SOURCE: Source = Source::new("layers.cu");
const EPSILON: f64 = f32::EPSILON as f64;

fn floats(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.normal()).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
    row.iter().map(|x| (x - top).exp() / sum).collect()
}

#[test]
fn softmax_in_two_and_in_one_pass() {
    let (rows, columns) = (6, 137);
    let input: Vec<f32> = floats(rows * columns, 1).iter().map(|x| x * 10.0).collect();
    let expected: Vec<f64> = wide(&input).chunks(columns).flat_map(softmax).collect();
    let logarithms: Vec<f64> = expected.iter().map(|p| p.ln()).collect();
    on_every_build(SOURCE, |program| {
        let (device, columns) = (program.upload(&input), columns as i32);
        let output = program.room::<f32>(input.len());
        program.launch("softmax", line(rows, 64), &[&device, &output, &columns]);
        // Exponents of up to 100, rounded, make a relative error of 100 halves of a unit; the sum little more.
        assert_within("softmax", &output.read(), &expected, 100.0 * EPSILON);
        let output = program.room::<f32>(input.len());
        program.launch("online_log_softmax", plane([rows / 2, 1], [32, 2]), &[&device, &output, &columns]);
        assert_within("log softmax", &output.read(), &logarithms, 20.0 * EPSILON);
    });
}

#[test]
fn layer_norm_by_welford() {
    let (rows, columns) = (5, 70);
    let input: Vec<f32> = floats(rows * columns, 2).iter().map(|x| x + 3.0).collect();
    let (gain, bias) = (floats(columns, 3), floats(columns, 4));
    let norm = |row: &[f64]| -> Vec<f64> {
        let mean = row.iter().sum::<f64>() / columns as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / columns as f64;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        (0..columns).map(|i| (row[i] - mean) * scale * f64::from(gain[i]) + f64::from(bias[i])).collect()
    };
    let expected: Vec<f64> = wide(&input).chunks(columns).flat_map(norm).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(input.len());
        let arguments = (program.upload(&input), program.upload(&gain), program.upload(&bias));
        let launch = line(rows, 32);
        program.launch("layer_norm", launch, &[&arguments.0, &arguments.1, &arguments.2, &output, &(columns as i32)]);
        // The mean is rounded a few times at a size three times that of the deviations.
        assert_within("layer norm", &output.read(), &expected, 20.0 * EPSILON);
    });
}

/// The error function by its series and its continued fraction.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-18 * sum {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let fraction = (1..60).rev().fold(a, |fraction, k| a + f64::from(k) / 2.0 / fraction);
        1.0 - (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}

#[test]
fn activations() {
    let input: Vec<f32> = (0..321).map(|i| (i as f32 - 160.0) / 20.0).collect();
    let kinds: [fn(f64) -> f64; 7] = [
        |x| x.max(0.0),
        |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        |x| x / (1.0 + (-x).exp()),
        |x| x.exp().ln_1p(),
        f64::tanh,
        |x| 1.0 / (1.0 + (-x).exp()),
    ];
    let expected: Vec<f64> = kinds.iter().flat_map(|f| wide(&input).into_iter().map(f)).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(7 * 321);
        program.launch("activations", line(6, 64), &[&program.upload(&input), &output, &321]);
        for ((kind, actual), expected) in output.read().chunks(321).enumerate().zip(expected.chunks(321)) {
            // CUDA's functions are good to a few units in the last place (programming guide), `__expf` to
            // 2 + |1.16 x| units.
            assert_within(&format!("activation {kind}"), actual, expected, 12.0 * EPSILON);
        }
    });
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Convolution {
    channels: i32,
    height: i32,
    width: i32,
    filters: i32,
    kernel: i32,
    stride: i32,
    padding: i32,
    out_height: i32,
    out_width: i32,
}

#[test]
fn convolutions_directly_and_as_a_product() {
    for (stride, padding) in [(1, 1), (2, 0), (2, 2)] {
        let (channels, height, width, filters, kernel) = (3, 13, 17, 4, 3);
        let (out_height, out_width) =
            ((height + 2 * padding - kernel) / stride + 1, (width + 2 * padding - kernel) / stride + 1);
        let shape = Convolution { channels, height, width, filters, kernel, stride, padding, out_height, out_width };
        let input = floats((channels * height * width) as usize, 5);
        let weights = floats((filters * channels * kernel * kernel) as usize, 6);
        let mut expected = Vec::new();
        for (filter, y, x) in (0..filters * out_height * out_width)
            .map(|i| (i / (out_height * out_width), i / out_width % out_height, i % out_width))
        {
            let mut sum = 0.0;
            for (channel, ky, kx) in (0..channels * kernel * kernel).map(|i| (i / 9, i / 3 % 3, i % 3)) {
                let (iy, ix) = (y * stride + ky - padding, x * stride + kx - padding);
                if (0..height).contains(&iy) && (0..width).contains(&ix) {
                    sum += f64::from(input[((channel * height + iy) * width + ix) as usize])
                        * f64::from(weights[((filter * channels + channel) * 9 + ky * 3 + kx) as usize]);
                }
            }
            expected.push(sum);
        }
        let pixels = (out_height * out_width) as usize;
        on_every_build(SOURCE, |program| {
            let (device, w) = (program.upload(&input), program.upload(&weights));
            let output = program.room::<f32>(expected.len());
            let launch = space([3, 4, filters as usize], [8, 4, 1]);
            program.launch("convolution", launch, &[&device, &w, &output, &ByValue(shape)]);
            assert_within("direct", &output.read(), &expected, 27.0 * EPSILON);
            let columns = program.room::<f32>(27 * pixels);
            program.launch("im2col", line(4, 64), &[&device, &columns, &ByValue(shape)]);
            let output = program.room::<f32>(expected.len());
            let launch = line(expected.len().div_ceil(128), 128);
            program.launch("multiply", launch, &[&w, &columns, &output, &filters, &(pixels as i32), &27]);
            assert_within("as a product", &output.read(), &expected, 27.0 * EPSILON);
        });
    }
}

#[test]
fn depthwise_convolution_and_pooling() {
    let (channels, height, width) = (3usize, 10usize, 14usize);
    let (input, weights) = (floats(channels * height * width, 7), floats(channels * 9, 8));
    let filtered = |channel: usize, y: usize, x: usize| -> f64 {
        let at = |k: usize| {
            let (iy, ix) = ((y + k / 3).checked_sub(1)?, (x + k % 3).checked_sub(1)?);
            (iy < height && ix < width).then(|| f64::from(input[(channel * height + iy) * width + ix]))
        };
        (0..9).map(|k| f64::from(weights[channel * 9 + k]) * at(k).unwrap_or(0.0)).sum()
    };
    let pooled = |i: usize| {
        let (channel, y, x) = (i / (height * width / 4), i / (width / 2) % (height / 2) * 2, i % (width / 2) * 2);
        (0..4).map(|j| filtered(channel, y + j / 2, x + j % 2)).fold(f64::MIN, f64::max)
    };
    let expected: Vec<f64> = (0..channels * height * width / 4).map(pooled).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(expected.len());
        let (device, w) = (program.upload(&input), program.upload(&weights));
        let launch = plane([2, channels], [32, 1]);
        program.launch("depthwise_and_pool", launch, &[&device, &w, &output, &(height as i32), &(width as i32)]);
        assert_within("pooled", &output.read(), &expected, 9.0 * EPSILON);
    });
}

#[test]
fn causal_attention() {
    let (length, channels) = (40, 24);
    let [q, k, v] = [9, 10, 11].map(|seed| floats(length * channels, seed));
    let mut expected = Vec::new();
    for query in 0..length {
        let dot = |key: usize| -> f64 {
            (0..channels).map(|c| f64::from(q[query * channels + c]) * f64::from(k[key * channels + c])).sum()
        };
        let weights = softmax(&(0..=query).map(|key| dot(key) / (channels as f64).sqrt()).collect::<Vec<f64>>());
        expected.extend((0..channels).map(|c| -> f64 {
            weights.iter().enumerate().map(|(key, weight)| weight * f64::from(v[key * channels + c])).sum()
        }));
    }
    on_every_build(SOURCE, |program| {
        let o = program.room::<f32>(expected.len());
        let arguments = (program.upload(&q), program.upload(&k), program.upload(&v));
        let launch = line(length, 32).shared(4 * length);
        program.launch("attention", launch, &[&arguments.0, &arguments.1, &arguments.2, &o, &(channels as i32)]);
        // Scores of up to about 5 after 24 products, and sums of 40 terms.
        assert_within("attention", &o.read(), &expected, 100.0 * EPSILON);
    });
}

#[test]
fn gradient_of_an_embedding() {
    let (tokens, channels) = ([3i64, 0, -1, 3, 1, 3, 0], 20);
    // Multiples of 1/8: exact in any order.
    let gradient: Vec<f32> = floats(tokens.len() * channels, 12).iter().map(|x| (x * 8.0).round() / 8.0).collect();
    let mut expected = vec![0.0; 5 * channels];
    for (position, &token) in tokens.iter().enumerate().filter(|(_, token)| **token >= 0) {
        for c in 0..channels {
            expected[token as usize * channels + c] += gradient[position * channels + c];
        }
    }
    on_every_build(SOURCE, |program| {
        let table = program.zeros::<f32>(expected.len());
        let arguments = (program.upload(&tokens), program.upload(&gradient));
        let launch = line(tokens.len(), 32);
        program.launch("embedding_gradient", launch, &[&arguments.0, &arguments.1, &table, &(channels as i32)]);
        assert_eq!(table.read(), expected);
    });
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Adam {
    rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    decay: f32,
    step: i32,
}

#[test]
fn steps_of_an_optimiser() {
    let count = 100;
    let (first, gradients) = (floats(count, 13), floats(3 * count, 14));
    let adam = Adam { rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.1, step: 0 };
    let [rate, beta1, beta2, epsilon, decay] =
        [adam.rate, adam.beta1, adam.beta2, adam.epsilon, adam.decay].map(f64::from);
    let mut expected = wide(&first);
    let (mut m, mut v) = (vec![0.0; count], vec![0.0; count]);
    for (step, gradients) in (1..).zip(gradients.chunks(count)) {
        for i in 0..count {
            let g = f64::from(gradients[i]);
            m[i] = beta1 * m[i] + (1.0 - beta1) * g;
            v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
            let (m_hat, v_hat) = (m[i] / (1.0 - beta1.powi(step)), v[i] / (1.0 - beta2.powi(step)));
            expected[i] -= rate * (m_hat / (v_hat.sqrt() + epsilon) + decay * expected[i]);
        }
    }
    on_every_build(SOURCE, |program| {
        let weights = program.upload(&first);
        let (m, v) = (program.zeros::<f32>(count), program.zeros::<f32>(count));
        for (step, gradients) in (1..).zip(gradients.chunks(count)) {
            let adam = ByValue(Adam { step, ..adam });
            let launch = line(2, 64);
            program.launch(
                "adam_step",
                launch,
                &[&weights, &program.upload(gradients), &m, &v, &adam, &(count as i32)],
            );
        }
        // 1 - beta2^step cancels down to 1e-3: a thousand units there, half of them in its root, times the rate.
        assert_within("Adam", &weights.read(), &expected, 3.0 * 0.01 * 1000.0 * EPSILON);
    });
}
