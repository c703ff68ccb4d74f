//! Products whose k is split into parts: linear layers and convolutions with too few tiles for the device.

#[path = "support/product.rs"]
mod product;
mod support;

use diffedit::ops::conv2d::{Conv2d, Geometry, TimeRow};
use diffedit::ops::linear::{Activation, Linear};
use diffedit::plan::{DType, Plan, Tensor};
use product::{assert_same_bits, with_multiprocessors};
use support::{Random, assert_close, device, relative_rms, run_for, upload, upload_f32, widen};

/// As many as an A100 has: more than the tests' products have tiles.
const MULTIPROCESSORS: u32 = 108;

/// The number of parts that a plan's product is split into.
fn parts(plan: &Plan) -> usize {
    match plan.launches() {
        [_] => 1,
        [product, sum] => {
            assert_eq!(sum.entry, "split_sum");
            product.grid[1] as usize
        }
        launches => panic!("{} launches", launches.len()),
    }
}

/// Fails unless fp16 results of sums in two orders are the same but for a few that fall to the other side of a rounding:
/// a third of what rounding everything anew would make.
fn assert_rounds_alike(case: &str, actual: &[f32], expected: &[f32]) {
    let difference = relative_rms(actual, expected);
    assert!(difference <= 1e-4, "{case}: relative RMS difference {difference:.3e}");
}

/// A linear layer over (batch, rows, k) with everything that can follow its sums.
struct Layer {
    activation: Activation,
    k: usize,
    n: usize,
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor,
    expected: Vec<f32>,
}

impl Layer {
    fn new(activation: Activation, [batch, rows]: [usize; 2], k: usize, n: usize) -> Layer {
        let mut random = Random::new(k as u64);
        let columns = if activation == Activation::Geglu { n / 2 } else { n };
        let input = random.halves(batch * rows * k, 1.0);
        let weight = random.halves(n * k, 1.0 / (k as f32).sqrt());
        let bias = random.halves(n, 0.5);
        let residual = random.halves(batch * rows * columns, 1.0);
        let mut sums = product::product(&widen(&input), &widen(&weight), k);
        for (index, sum) in sums.iter_mut().enumerate() {
            *sum += bias[index % n].to_f32();
        }
        let swish = |x: f32| x / (1.0 + (-1.702 * x).exp());
        let mut expected: Vec<f32> = match activation {
            Activation::None => sums,
            Activation::QuickGelu => sums.into_iter().map(swish).collect(),
            _ => unreachable!("not tried here"),
        };
        expected.iter_mut().zip(&residual).for_each(|(sum, residual)| *sum += residual.to_f32());
        Layer {
            activation,
            k,
            n,
            input: upload(&[batch, rows, k], &input),
            weight: upload(&[n, k], &weight),
            bias: upload(&[n], &bias),
            residual: upload(&[batch, rows, columns], &residual),
            expected,
        }
    }

    /// Records the layer for `count` samples from `first` on.
    fn record(&self, plan: &mut Plan, first: usize, count: usize) -> Tensor {
        let (input, residual) = (self.input.slice(first, count), self.residual.slice(first, count));
        let linear = Linear {
            input: &input,
            weight: &self.weight,
            bias: Some(&self.bias),
            residual: Some(&residual),
            activation: self.activation,
        };
        linear.record(plan).expect("the shapes fit")
    }
}

#[test]
fn linear_layers_agree_with_the_reference() {
    for (activation, batch_and_rows, k, n) in [
        (Activation::None, [1, 64], 5120, 640),
        (Activation::QuickGelu, [2, 77], 6144, 256),
        (Activation::None, [3, 5], 4104, 40),
    ] {
        let layer = Layer::new(activation, batch_and_rows, k, n);
        let mut plan = Plan::new(&with_multiprocessors(MULTIPROCESSORS));
        let output = layer.record(&mut plan, 0, batch_and_rows[0]);
        let case = format!("{batch_and_rows:?} {} -> {} in {} parts", layer.k, layer.n, parts(&plan));
        assert!(parts(&plan) > 1, "{case}");
        assert_close(&case, &run_for(&mut plan, &output), &layer.expected);
    }
}

#[test]
fn geglu_of_parts_is_geglu_of_the_whole() {
    let (rows, k, n) = (24, 4096, 64);
    let mut random = Random::new(1);
    let input = upload(&[rows, k], &random.halves(rows * k, 1.0));
    let weight = upload(&[n, k], &random.halves(n * k, 1.0 / (k as f32).sqrt()));
    let bias = upload(&[n], &random.halves(n, 0.5));
    let [whole, split] = [1, MULTIPROCESSORS].map(|multiprocessors| {
        let mut plan = Plan::new(&with_multiprocessors(multiprocessors));
        let activation = Activation::Geglu;
        let linear = Linear { input: &input, weight: &weight, bias: Some(&bias), residual: None, activation };
        let output = linear.record(&mut plan).expect("the shapes fit");
        assert_eq!(parts(&plan) > 1, multiprocessors > 1);
        run_for(&mut plan, &output)
    });
    assert_rounds_alike("GEGLU", &split, &whole);
}

#[test]
fn convolutions_agree_with_the_whole() {
    let (batch, side, channels, skip_channels, n) = (2, 5, 320, 168, 72);
    let mut random = Random::new(2);
    let k = 9 * (channels + skip_channels);
    let input = upload(&[batch, side, side, channels], &random.halves(batch * side * side * channels, 1.0));
    let skip = upload(&[batch, side, side, skip_channels], &random.halves(batch * side * side * skip_channels, 1.0));
    let weight = upload(&[n, k], &random.halves(n * k, 1.0 / (k as f32).sqrt()));
    let bias = upload(&[n], &random.halves(n, 0.5));
    let residual = upload(&[batch, side, side, n], &random.halves(batch * side * side * n, 1.0));
    let table = upload_f32(&[3, n + 16], &widen(&random.halves(3 * (n + 16), 1.0)));
    let step = device().upload(DType::I32, &[1], &[2]).expect("an upload");
    for output in [DType::F16, DType::F32] {
        let [whole, split] = [1, MULTIPROCESSORS].map(|multiprocessors| {
            let mut plan = Plan::new(&with_multiprocessors(multiprocessors));
            let convolution = Conv2d {
                input: &input,
                skip: Some(&skip),
                weight: &weight,
                bias: Some(&bias),
                kernel_size: 3,
                geometry: Geometry::Same,
                time: Some(TimeRow { table: &table, column: 8, step: Some(&step) }),
                residual: Some(&residual),
                output,
            };
            let output = convolution.record(&mut plan).expect("the shapes fit");
            assert_eq!(parts(&plan) > 1, multiprocessors > 1);
            run_for(&mut plan, &output)
        });
        match output {
            DType::F16 => assert_rounds_alike("convolution to fp16", &split, &whole),
            _ => {
                let error = relative_rms(&split, &whole);
                // Sums in another order; the truncation of tensor cores makes 3e-6 of it.
                assert!(error <= 1e-5, "convolution to fp32: relative RMS difference {error:.3e}");
            }
        }
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let batch = 3;
    let layer = Layer::new(Activation::QuickGelu, [batch, 37], 4104, 48);
    let run = |first, count| {
        let mut plan = Plan::new(&with_multiprocessors(MULTIPROCESSORS));
        let output = layer.record(&mut plan, first, count);
        assert!(parts(&plan) > 1);
        run_for(&mut plan, &output)
    };
    let together = run(0, batch);
    for sample in 0..batch {
        let alone = run(sample, 1);
        let expected = &together[sample * alone.len()..][..alone.len()];
        assert_same_bits(&format!("sample {sample}"), &alone, expected);
    }
}
