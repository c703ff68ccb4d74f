//! Linear layers against an f32 reference: the models' own shapes, ragged ones, every epilogue and every tile.

#[path = "support/product.rs"]
mod product;
mod support;

use std::collections::BTreeSet;

use diffedit::ops::linear::{Activation, Linear};
use diffedit::plan::{DType, Plan, Tensor};
use half::f16;
use product::{TILES, assert_same_bits, for_each_case, in_every_tile, run_guarded, with_multiprocessors};
use support::{Random, assert_close, device, read, run_for, upload, widen};

#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    rows: usize,
    k: usize,
    n: usize,
    activation: Activation,
    bias: bool,
    residual: bool,
}

const fn case(batch: usize, rows: usize, k: usize, n: usize, activation: Activation, extras: (bool, bool)) -> Case {
    Case { batch, rows, k, n, activation, bias: extras.0, residual: extras.1 }
}

const PLAIN: (bool, bool) = (false, false);
const BIAS: (bool, bool) = (true, false);
const BIAS_AND_RESIDUAL: (bool, bool) = (true, true);

use Activation::{Geglu, Gelu, None as NoActivation, QuickGelu, Silu};

/// Stable Diffusion 1.5's layers (fewer rows of the widest), then its miniature's and ragged ones.
const CASES: &[Case] = &[
    case(1, 4096, 320, 320, NoActivation, BIAS_AND_RESIDUAL),
    case(1, 4096, 320, 64, NoActivation, PLAIN),
    case(1, 128, 640, 5120, Geglu, BIAS),
    case(1, 256, 1280, 1280, NoActivation, BIAS_AND_RESIDUAL),
    case(2, 77, 768, 768, NoActivation, BIAS_AND_RESIDUAL),
    case(1, 77, 768, 3072, QuickGelu, BIAS),
    case(1, 64, 5120, 1280, NoActivation, BIAS_AND_RESIDUAL),
    case(1, 50, 320, 1280, Silu, BIAS),
    case(2, 64, 512, 512, NoActivation, BIAS),
    case(2, 16, 40, 40, NoActivation, BIAS),
    case(2, 16, 40, 320, Geglu, BIAS),
    case(3, 37, 72, 88, Gelu, BIAS_AND_RESIDUAL),
    case(1, 1, 8, 8, NoActivation, PLAIN),
    case(1, 130, 136, 200, NoActivation, PLAIN),
    case(3, 129, 104, 132, QuickGelu, BIAS_AND_RESIDUAL),
    case(1, 65, 24, 3, Silu, BIAS_AND_RESIDUAL),
    case(2, 5, 48, 4, NoActivation, BIAS),
    case(1, 33, 16, 24, Geglu, PLAIN),
    case(1, 33, 16, 40, Geglu, BIAS_AND_RESIDUAL),
];

/// The tensors of a case, on the host and on the device.
struct Data {
    values: [Vec<f16>; 4],
    input: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    residual: Option<Tensor>,
}

impl Case {
    fn columns(&self) -> usize {
        if self.activation == Geglu { self.n / 2 } else { self.n }
    }

    fn data(&self) -> Data {
        let Case { batch, rows, k, n, .. } = *self;
        let mut random = Random::new((batch * rows * k * n) as u64);
        let input = random.halves(batch * rows * k, 1.0);
        let weight = random.halves(n * k, 1.0 / (k as f32).sqrt());
        let bias = random.halves(n, 0.5);
        let residual = random.halves(batch * rows * self.columns(), 1.0);
        Data {
            input: upload(&[batch, rows, k], &input),
            weight: upload(&[n, k], &weight),
            bias: self.bias.then(|| upload(&[n], &bias)),
            residual: self.residual.then(|| upload(&[batch, rows, self.columns()], &residual)),
            values: [input, weight, bias, residual],
        }
    }

    fn record(&self, data: &Data, plan: &mut Plan) -> Tensor {
        let Data { input, weight, bias, residual, .. } = data;
        let linear =
            Linear { input, weight, bias: bias.as_ref(), residual: residual.as_ref(), activation: self.activation };
        linear.record(plan).expect("the shapes fit")
    }

    fn reference(&self, data: &Data) -> Vec<f32> {
        let [input, weight, bias, residual] = data.values.each_ref().map(|values| widen(values));
        let mut sums = product::product(&input, &weight, self.k);
        if self.bias {
            sums.chunks_exact_mut(self.n)
                .for_each(|row| row.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias));
        }
        let mut output: Vec<f32> = match self.activation {
            Activation::None => sums,
            Silu => sums.iter().map(|&x| swish(x, 1.0)).collect(),
            QuickGelu => sums.iter().map(|&x| swish(x, 1.702)).collect(),
            Gelu => sums.iter().map(|&x| gelu(x)).collect(),
            Geglu => sums.chunks_exact(2).map(|pair| pair[0] * gelu(pair[1])).collect(),
        };
        if self.residual {
            output.iter_mut().zip(&residual).for_each(|(output, residual)| *output += residual);
        }
        output
    }
}

fn swish(x: f32, scale: f64) -> f32 {
    let x = f64::from(x);
    (x / (1.0 + (-scale * x).exp())) as f32
}

/// GELU by the complementary error function.
fn gelu(x: f32) -> f32 {
    let x = f64::from(x);
    (0.5 * x * erfc(-x / std::f64::consts::SQRT_2)) as f32
}

/// erfc by the series of erf for small arguments and Lentz's continued fraction for large ones.
fn erfc(x: f64) -> f64 {
    let root_pi = std::f64::consts::PI.sqrt();
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - 2.0 / root_pi * sum;
    }
    let fraction = (1..60).rev().fold(x, |tail, n| x + f64::from(n) / 2.0 / tail);
    (-x * x).exp() / root_pi / fraction
}

#[test]
fn agrees_with_the_reference() {
    for_each_case("linear", CASES, |name, case| {
        let data = case.data();
        let mut plan = Plan::new(device().capabilities());
        let output = case.record(&data, &mut plan);
        assert_eq!(output.shape(), [case.batch, case.rows, case.columns()]);
        assert_eq!(plan.macs(), (case.batch * case.rows * case.n * case.k) as u64);
        assert_close(name, &run_for(&mut plan, &output), &case.reference(&data));
    });
}

/// Every activation far out on both sides, where its formula could overflow or cancel.
#[test]
fn activations_are_right_far_from_zero() {
    let inputs: Vec<f32> = (-512..512).map(|i| i as f32 / 16.0).chain([-300.0, -1000.0, 300.0, 1000.0]).collect();
    let (rows, k, n) = (inputs.len(), 8, 8);
    let mut values = vec![f16::ZERO; rows * k];
    let mut identity = vec![f16::ZERO; n * k];
    for (row, &x) in inputs.iter().enumerate() {
        values[row * k] = f16::from_f32(x);
    }
    // Column 0 is x, and so is its gate, column 1.
    identity[0] = f16::ONE;
    identity[k] = f16::ONE;
    let (input, weight) = (upload(&[rows, k], &values), upload(&[n, k], &identity));
    let expected = |activation, x| match activation {
        Activation::None => x,
        Silu => swish(x, 1.0),
        QuickGelu => swish(x, 1.702),
        Gelu => gelu(x),
        Geglu => x * gelu(x),
    };
    for activation in [NoActivation, Silu, QuickGelu, Gelu, Geglu] {
        let mut plan = Plan::new(device().capabilities());
        let linear = Linear { input: &input, weight: &weight, bias: None, residual: None, activation };
        let output = linear.record(&mut plan).expect("the shapes fit");
        let columns = output.columns();
        for (row, &x) in run_for(&mut plan, &output).chunks_exact(columns).zip(&inputs) {
            let expected = f16::from_f32(expected(activation, x)).to_f32();
            // One unit in the last place of fp16, and what 1 + erf loses in fp32, as torch's does; infinity is exact.
            let tolerance = (expected.abs() * 2f32.powi(-10)).max(x * x * 2f32.powi(-24));
            let close = row[0] == expected || (row[0] - expected).abs() <= tolerance;
            assert!(close, "{activation:?}({x}) is {}, not {expected}", row[0]);
        }
    }
}

#[test]
fn every_tile_gives_the_same_bits() {
    let mut tiles = BTreeSet::new();
    for n in [200, 32] {
        let case = case(1, 300, 104, n, NoActivation, BIAS_AND_RESIDUAL);
        let data = case.data();
        let name = format!("{case:?}");
        let output = in_every_tile(&name, &mut tiles, |plan| case.record(&data, plan));
        assert_close(&name, &output, &case.reference(&data));
    }
    assert_eq!(tiles, BTreeSet::from(TILES), "the tiles that were tried");
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    for case in [case(3, 77, 72, 88, NoActivation, BIAS_AND_RESIDUAL), case(3, 150, 40, 320, Geglu, BIAS)] {
        let data = case.data();
        let mut plan = Plan::new(device().capabilities());
        let output = case.record(&data, &mut plan);
        let together = run_for(&mut plan, &output);
        for sample in 0..case.batch {
            let alone = Data {
                values: Default::default(),
                input: data.input.slice(sample, 1),
                weight: data.weight.clone(),
                bias: data.bias.clone(),
                residual: data.residual.as_ref().map(|residual| residual.slice(sample, 1)),
            };
            let mut plan = Plan::new(device().capabilities());
            let output = case.record(&alone, &mut plan);
            let elements = output.elements();
            let expected = &together[sample * elements..][..elements];
            assert_same_bits(&format!("{case:?}, sample {sample}"), &run_for(&mut plan, &output), expected);
        }
    }
}

#[test]
fn runs_again_to_the_same_bits() {
    let case = case(2, 77, 136, 88, Geglu, BIAS);
    let data = case.data();
    let run = || {
        let mut plan = Plan::new(device().capabilities());
        let output = case.record(&data, &mut plan);
        run_for(&mut plan, &output)
    };
    assert_same_bits(&format!("{case:?}"), &run(), &run());
}

#[test]
fn writes_its_output_and_nothing_else() {
    for n in [40, 44, 3] {
        let case = case(1, 72, 40, n, NoActivation, BIAS_AND_RESIDUAL);
        let data = case.data();
        for multiprocessors in [1, 10_000] {
            let mut plan = Plan::new(&with_multiprocessors(multiprocessors));
            let output = case.record(&data, &mut plan);
            let name = format!("{case:?}");
            assert_close(&name, &run_guarded(&name, &mut plan, &output), &case.reference(&data));
        }
    }
}

#[test]
fn reads_a_slice_of_a_tensor() {
    let case = case(4, 33, 40, 48, NoActivation, BIAS);
    let data = case.data();
    let mut plan = Plan::new(device().capabilities());
    let output = case.record(&data, &mut plan);
    let all = run_for(&mut plan, &output);
    let linear = Linear {
        input: &data.input.slice(1, 2).reshape(&[66, 40]),
        weight: &data.weight.slice(8, 16),
        bias: Some(&data.bias.expect("the case has one").slice(8, 16)),
        residual: None,
        activation: NoActivation,
    };
    let mut plan = Plan::new(device().capabilities());
    let output = linear.record(&mut plan).expect("the shapes fit");
    let expected: Vec<f32> = all[33 * 48..99 * 48].chunks_exact(48).flat_map(|row| row[8..24].to_vec()).collect();
    assert_same_bits("a slice", &run_for(&mut plan, &output), &expected);
}

#[test]
fn refuses_what_it_was_not_written_for() {
    let half = |shape: &[usize]| upload(shape, &vec![f16::ZERO; shape.iter().product()]);
    let error = |input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, activation| {
        let mut plan = Plan::new(device().capabilities());
        let linear = Linear { input, weight, bias, residual: None, activation };
        let error = linear.record(&mut plan).expect_err("it must be refused");
        assert!(plan.launches().is_empty());
        error.to_string()
    };
    assert!(error(&half(&[4, 12]), &half(&[8, 12]), None, NoActivation).contains("multiple of 8"));
    assert!(error(&half(&[4, 16]), &half(&[8, 24]), None, NoActivation).contains("weight"));
    assert!(error(&half(&[4, 16]), &half(&[8, 16]), Some(&half(&[16])), NoActivation).contains("bias"));
    assert!(error(&half(&[4, 16]), &half(&[12, 16]), None, Geglu).contains("GEGLU"));
    let single = device().upload(DType::F32, &[4, 16], &[0f32; 64]).expect("an upload");
    assert_eq!(read(&single).len(), 64);
    assert!(error(&single, &half(&[8, 16]), None, NoActivation).contains("input"));
}
