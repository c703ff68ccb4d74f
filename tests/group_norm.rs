//! GroupNorm against its definition in f64.

mod support;

use diffedit::Error;
use diffedit::ops::group_norm::{GroupNorm, Statistics};
use diffedit::plan::{Plan, Tensor};
use half::f16;
use support::{Random, assert_close, device, run_for, upload, widen};

/// One shape, and what is odd about it.
#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    height: usize,
    width: usize,
    /// Channels of the input and of the skip (0: none).
    channels: (usize, usize),
    groups: usize,
    silu: bool,
    /// Mean of the input in standard deviations.
    mean: f32,
}

/// A sample of SD1.5's shapes, ragged ones, and the miniature's.
const CASES: &[Case] = &[
    case(1, 64, 64, (320, 0), 32, true),
    case(2, 16, 16, (640, 0), 32, false),
    case(1, 8, 8, (1280, 0), 32, true),
    case(2, 8, 8, (1280, 640), 32, true),
    case(1, 8, 8, (1280, 1280), 32, true),
    case(1, 16, 16, (640, 320), 32, true),
    case(1, 32, 32, (128, 0), 32, true),
    case(2, 7, 9, (320, 320), 32, true),
    case(1, 7, 9, (40, 24), 4, false),
    case(3, 8, 8, (16, 0), 4, true),
    case(1, 4, 4, (64, 32), 4, true),
    case(1, 2, 3, (320, 0), 4, false),
    case(1, 1, 1, (8, 0), 4, true),
    // More pixels than 256 chunks of the least size take.
    case(1, 40, 30, (1280, 1280), 32, false),
    Case { mean: 500.0, ..case(2, 16, 16, (320, 0), 32, false) },
    Case { mean: -800.0, ..case(1, 7, 9, (640, 320), 32, false) },
];

const fn case(batch: usize, height: usize, width: usize, channels: (usize, usize), groups: usize, silu: bool) -> Case {
    Case { batch, height, width, channels, groups, silu, mean: 0.0 }
}

/// A case's operands. Channels differ in scale and mean, so that a wrong group shows.
struct Operands {
    input: Vec<f16>,
    skip: Vec<f16>,
    weight: Vec<f16>,
    bias: Vec<f16>,
}

impl Operands {
    fn new(case: &Case) -> Operands {
        let mut random = Random::new(7);
        let samples = case.batch * case.height * case.width;
        let mut half = |channels: usize| -> Vec<f16> {
            (0..samples * channels)
                .map(|index| {
                    let channel = (index % channels) as f32;
                    f16::from_f32(case.mean + channel / 64.0 + (1.0 + channel / 512.0) * random.normal())
                })
                .collect()
        };
        let (input, skip) = (half(case.channels.0), half(case.channels.1));
        let channels = case.channels.0 + case.channels.1;
        Operands { input, skip, weight: random.halves(channels, 1.0), bias: random.halves(channels, 1.0) }
    }

    /// Runs samples `start .. start + count`.
    fn run(&self, case: &Case, start: usize, count: usize) -> Vec<f32> {
        let tensor = |values: &[f16], channels: usize| -> Tensor {
            let sample = case.height * case.width * channels;
            upload(&[count, case.height, case.width, channels], &values[start * sample..][..count * sample])
        };
        let channels = case.channels.0 + case.channels.1;
        let input = tensor(&self.input, case.channels.0);
        let skip = (case.channels.1 > 0).then(|| tensor(&self.skip, case.channels.1));
        let mut plan = Plan::new(device().capabilities());
        let norm = GroupNorm {
            input: &input,
            skip: skip.as_ref(),
            weight: &upload(&[channels], &self.weight),
            bias: &upload(&[channels], &self.bias),
            groups: case.groups,
            eps: 1e-5,
            silu: case.silu,
        };
        let output = norm.record(&mut plan).expect("the shapes fit");
        run_for(&mut plan, &output)
    }
}

/// The operator by its definition.
fn reference(case: &Case, operands: &Operands) -> Vec<f32> {
    let (c1, c2) = case.channels;
    let (pixels, channels) = (case.height * case.width, c1 + c2);
    let width = channels / case.groups;
    let at = |pixel: usize, channel: usize| -> f64 {
        let value =
            if channel < c1 { operands.input[pixel * c1 + channel] } else { operands.skip[pixel * c2 + channel - c1] };
        value.to_f64()
    };
    let mut output = vec![0.0; case.batch * pixels * channels];
    for (sample, group) in (0..case.batch).flat_map(|sample| (0..case.groups).map(move |group| (sample, group))) {
        let elements = || {
            (sample * pixels..(sample + 1) * pixels)
                .flat_map(|pixel| (group * width..(group + 1) * width).map(move |channel| (pixel, channel)))
        };
        let count = (pixels * width) as f64;
        let mean = elements().map(|(pixel, channel)| at(pixel, channel)).sum::<f64>() / count;
        let variance = elements().map(|(pixel, channel)| (at(pixel, channel) - mean).powi(2)).sum::<f64>() / count;
        for (pixel, channel) in elements() {
            let normal = (at(pixel, channel) - mean) / (variance + 1e-5).sqrt();
            let value = normal * operands.weight[channel].to_f64() + operands.bias[channel].to_f64();
            let value = if case.silu { value / (1.0 + (-value).exp()) } else { value };
            output[pixel * channels + channel] = value as f32;
        }
    }
    output
}

#[test]
fn agrees_with_the_definition() {
    for case in CASES {
        let operands = Operands::new(case);
        let output = operands.run(case, 0, case.batch);
        assert_close(&format!("{case:?}"), &output, &reference(case, &operands));
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let case = Case { batch: 3, ..case(3, 7, 9, (320, 160), 32, true) };
    let operands = Operands::new(&case);
    let together = operands.run(&case, 0, 3);
    let alone: Vec<f32> = (0..3).flat_map(|sample| operands.run(&case, sample, 1)).collect();
    assert!(together == alone);
}

#[test]
fn a_constant_group_gives_the_bias() {
    let case = case(1, 8, 8, (64, 0), 4, false);
    let mut operands = Operands::new(&case);
    operands.input.fill(f16::from_f32(1234.0));
    let bias = widen(&operands.bias);
    assert!(operands.run(&case, 0, 1).chunks(64).all(|pixel| pixel == bias));
}

#[test]
fn other_shapes_are_refused() {
    let zeros = |shape: &[usize]| upload(shape, &vec![f16::ZERO; shape.iter().product()]);
    let input = zeros(&[1, 4, 4, 64]);
    let (weight, bias) = (zeros(&[96]), zeros(&[96]));
    let skip = zeros(&[1, 4, 4, 32]);
    let good =
        GroupNorm { input: &input, skip: Some(&skip), weight: &weight, bias: &bias, groups: 4, eps: 1e-5, silu: true };
    let record = |norm: GroupNorm<'_>| norm.record(&mut Plan::new(device().capabilities()));
    assert!(record(good).is_ok());
    let bad = [
        GroupNorm { skip: None, ..good },
        GroupNorm { groups: 5, ..good },
        GroupNorm { groups: 0, ..good },
        GroupNorm { skip: Some(&zeros(&[1, 4, 5, 32])), ..good },
        GroupNorm { input: &zeros(&[1, 4, 4, 60]), skip: Some(&zeros(&[1, 4, 4, 36])), ..good },
    ];
    for norm in bad {
        assert!(matches!(record(norm), Err(Error::Shape { op: "group_norm", .. })), "{norm:?}");
    }
    for (channels, groups) in [(0, 1), (60, 4), (64, 0), (64, 5), (8192, 32)] {
        let statistics = Statistics::new(&mut Plan::new(device().capabilities()), 1, 64, channels, groups);
        assert!(matches!(statistics, Err(Error::Shape { .. })), "{channels} channels in {groups} groups");
    }
}
