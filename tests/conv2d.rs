//! Convolutions against an f32 reference: the models' own shapes, ragged ones, every geometry, epilogue and tile.

#[path = "support/product.rs"]
mod product;
mod support;

use std::collections::BTreeSet;

use diffedit::ops::conv2d::{Conv2d, Geometry, TimeRow};
use diffedit::plan::{DType, Plan, Tensor};
use half::f16;
use product::{TILES, assert_same_bits, for_each_case, in_every_tile, run_guarded, with_multiprocessors};
use support::{Random, assert_close, device, relative_rms, run_for, upload, upload_f32, widen};

use Geometry::{Downsample, DownsampleBottomRight, Same};

/// Where the time embedding's row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Absent,
    /// Row 0 of an fp16 table.
    Half,
    /// The row of an fp32 table that the device's counter says.
    FloatAtStep,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    size: (usize, usize),
    channels: (usize, usize),
    n: usize,
    kernel: usize,
    geometry: Geometry,
    bias: bool,
    time: Time,
    residual: bool,
    f32: bool,
}

/// A 3x3 convolution with bias.
const fn conv(batch: usize, size: (usize, usize), channels: (usize, usize), n: usize, geometry: Geometry) -> Case {
    let (time, residual, f32) = (Time::Absent, false, false);
    Case { batch, size, channels, n, kernel: 3, geometry, bias: true, time, residual, f32 }
}

const fn upsample(height: usize, width: usize) -> Geometry {
    Geometry::Upsample { height, width }
}

/// Steps and columns of the time tables, and the convolution's first column.
const TIME_ROWS: usize = 3;
const TIME_STEP: i32 = 2;
const TIME_COLUMN: usize = 24;

/// Stable Diffusion 1.5's layers on maps small enough for a test, then its miniature's and ragged ones.
const CASES: &[Case] = &[
    Case { time: Time::FloatAtStep, ..conv(1, (24, 24), (320, 0), 320, Same) },
    Case { residual: true, ..conv(1, (8, 8), (1280, 0), 1280, Same) },
    conv(1, (4, 4), (1280, 1280), 1280, Same),
    conv(1, (16, 16), (640, 0), 640, Downsample),
    conv(1, (4, 4), (1280, 0), 1280, upsample(8, 8)),
    Case { kernel: 1, ..conv(1, (16, 16), (640, 320), 320, Same) },
    Case { kernel: 1, residual: true, ..conv(2, (16, 16), (320, 0), 320, Same) },
    conv(1, (32, 32), (8, 0), 320, Same),
    Case { f32: true, ..conv(1, (32, 32), (320, 0), 4, Same) },
    conv(1, (40, 24), (128, 0), 128, DownsampleBottomRight),
    conv(1, (12, 12), (512, 0), 256, Same),
    Case { f32: true, ..conv(1, (48, 40), (128, 0), 3, Same) },
    Case { f32: true, residual: true, kernel: 1, ..conv(1, (8, 8), (8, 0), 8, Same) },
    Case { time: Time::Half, ..conv(2, (4, 4), (40, 0), 80, Same) },
    conv(3, (4, 4), (40, 0), 40, upsample(8, 8)),
    Case { time: Time::Half, residual: true, ..conv(3, (17, 23), (40, 0), 80, Same) },
    conv(2, (17, 23), (40, 80), 40, Same),
    conv(2, (17, 23), (80, 0), 44, Downsample),
    conv(3, (17, 23), (16, 0), 24, DownsampleBottomRight),
    conv(2, (9, 12), (24, 0), 40, upsample(17, 23)),
    conv(1, (9, 12), (8, 16), 136, upsample(18, 24)),
    Case { kernel: 1, time: Time::FloatAtStep, ..conv(2, (5, 7), (8, 8), 72, Downsample) },
    Case { bias: false, ..conv(1, (1, 1), (8, 0), 8, Same) },
    Case { bias: false, f32: true, time: Time::Half, residual: true, ..conv(2, (3, 50), (16, 8), 21, Same) },
];

/// The tensors of a case, on the host and on the device.
struct Data {
    values: Values,
    input: Tensor,
    skip: Option<Tensor>,
    weight: Tensor,
    bias: Option<Tensor>,
    time: Option<Tensor>,
    step: Tensor,
    residual: Option<Tensor>,
}

struct Values {
    input: Vec<f16>,
    skip: Vec<f16>,
    weight: Vec<f16>,
    bias: Vec<f16>,
    time: Vec<f16>,
    residual: Vec<f16>,
}

impl Case {
    /// Height and width of the output, by torch's formulas.
    fn output_size(&self) -> (usize, usize) {
        let (height, width) = self.size;
        let pad = (self.kernel - 1) / 2;
        match self.geometry {
            Same => self.size,
            Downsample => ((height + 2 * pad - self.kernel) / 2 + 1, (width + 2 * pad - self.kernel) / 2 + 1),
            DownsampleBottomRight => ((height + pad - self.kernel) / 2 + 1, (width + pad - self.kernel) / 2 + 1),
            Geometry::Upsample { height, width } => (height, width),
        }
    }

    fn time_columns(&self) -> usize {
        self.n + 2 * TIME_COLUMN
    }

    fn data(&self) -> Data {
        let Case { batch, size: (height, width), channels: (c1, c2), n, kernel, .. } = *self;
        let (output_height, output_width) = self.output_size();
        let k = kernel * kernel * (c1 + c2);
        let mut random = Random::new((batch * height * width * k * n) as u64);
        let values = Values {
            input: random.halves(batch * height * width * c1, 1.0),
            skip: random.halves(batch * height * width * c2, 1.0),
            weight: random.halves(n * k, 1.0 / (k as f32).sqrt()),
            bias: random.halves(n, 0.5),
            time: random.halves(TIME_ROWS * self.time_columns(), 1.0),
            residual: random.halves(batch * output_height * output_width * n, 1.0),
        };
        let time_shape = [TIME_ROWS, self.time_columns()];
        Data {
            input: upload(&[batch, height, width, c1], &values.input),
            skip: (c2 > 0).then(|| upload(&[batch, height, width, c2], &values.skip)),
            weight: upload(&[n, k], &values.weight),
            bias: self.bias.then(|| upload(&[n], &values.bias)),
            time: match self.time {
                Time::Absent => None,
                Time::Half => Some(upload(&time_shape, &values.time)),
                Time::FloatAtStep => Some(upload_f32(&time_shape, &widen(&values.time))),
            },
            step: device().upload(DType::I32, &[1], &[TIME_STEP]).expect("an upload"),
            residual: self.residual.then(|| upload(&[batch, output_height, output_width, n], &values.residual)),
            values,
        }
    }

    fn record(&self, data: &Data, plan: &mut Plan) -> Tensor {
        let step = (self.time == Time::FloatAtStep).then_some(&data.step);
        let convolution = Conv2d {
            input: &data.input,
            skip: data.skip.as_ref(),
            weight: &data.weight,
            bias: data.bias.as_ref(),
            kernel_size: self.kernel,
            geometry: self.geometry,
            time: data.time.as_ref().map(|table| TimeRow { table, column: TIME_COLUMN, step }),
            residual: data.residual.as_ref(),
            output: if self.f32 { DType::F32 } else { DType::F16 },
        };
        convolution.record(plan).expect("the shapes fit")
    }

    /// The picture that the taps walk over, built: concatenated, enlarged, cropped and padded by 2 zeros on each side.
    /// Gives its height and width too.
    fn padded(&self, values: &Values) -> (Vec<f32>, usize, usize) {
        let Case { batch, size: (height, width), channels: (c1, c2), .. } = *self;
        let (grid_height, grid_width, scale) = match self.geometry {
            Geometry::Upsample { height, width } => (height, width, 2),
            _ => (height, width, 1),
        };
        let (padded_height, padded_width) = (grid_height + 4, grid_width + 4);
        let mut picture = vec![0.0; batch * padded_height * padded_width * (c1 + c2)];
        for sample in 0..batch {
            for y in 0..grid_height {
                for x in 0..grid_width {
                    let from = (sample * height + y / scale) * width + x / scale;
                    let to = (sample * padded_height + y + 2) * padded_width + x + 2;
                    let pixel = &mut picture[to * (c1 + c2)..][..c1 + c2];
                    let channels = values.input[from * c1..][..c1].iter().chain(&values.skip[from * c2..][..c2]);
                    pixel.iter_mut().zip(channels).for_each(|(to, from)| *to = from.to_f32());
                }
            }
        }
        (picture, padded_height, padded_width)
    }

    fn reference(&self, data: &Data) -> Vec<f32> {
        let values = &data.values;
        let channels = self.channels.0 + self.channels.1;
        let (picture, padded_height, padded_width) = self.padded(values);
        let (stride, offset) = match self.geometry {
            Downsample => (2, 2 - (self.kernel - 1) / 2),
            DownsampleBottomRight => (2, 2),
            _ => (1, 2 - (self.kernel - 1) / 2),
        };
        let (output_height, output_width) = self.output_size();
        let mut windows = Vec::new();
        for sample in 0..self.batch {
            for y in 0..output_height {
                for x in 0..output_width {
                    for tap in 0..self.kernel {
                        let row = sample * padded_height + y * stride + offset + tap;
                        let first = row * padded_width + x * stride + offset;
                        windows.extend_from_slice(&picture[first * channels..][..self.kernel * channels]);
                    }
                }
            }
        }
        let mut output = product::product(&windows, &widen(&values.weight), self.kernel * self.kernel * channels);
        let row = if self.time == Time::FloatAtStep { TIME_STEP as usize } else { 0 };
        let time = &values.time[row * self.time_columns() + TIME_COLUMN..][..self.n];
        for (index, sum) in output.iter_mut().enumerate() {
            let column = index % self.n;
            *sum += if self.bias { values.bias[column].to_f32() } else { 0.0 };
            *sum += if self.time != Time::Absent { time[column].to_f32() } else { 0.0 };
            *sum += if self.residual { values.residual[index].to_f32() } else { 0.0 };
        }
        output
    }
}

#[test]
fn agrees_with_the_reference() {
    for_each_case("conv2d", CASES, |name, case| {
        let data = case.data();
        let mut plan = Plan::new(device().capabilities());
        let output = case.record(&data, &mut plan);
        let (output_height, output_width) = case.output_size();
        assert_eq!(output.shape(), [case.batch, output_height, output_width, case.n], "{name}");
        let (actual, expected) = (run_for(&mut plan, &output), case.reference(&data));
        assert_close(name, &actual, &expected);
        if case.f32 {
            // fp32 leaves only the order of the sums, and what tensor cores truncate.
            let error = relative_rms(&actual, &expected);
            assert!(error <= 1e-5, "{name}: relative RMS error {error:.3e} in fp32");
        }
    });
}

#[test]
fn every_tile_gives_the_same_bits() {
    let mut tiles = BTreeSet::new();
    for n in [200, 32] {
        let case = Case { time: Time::Half, residual: true, ..conv(1, (15, 20), (24, 16), n, Same) };
        let data = case.data();
        let name = format!("{case:?}");
        let output = in_every_tile(&name, &mut tiles, |plan| case.record(&data, plan));
        assert_close(&name, &output, &case.reference(&data));
    }
    assert_eq!(tiles, BTreeSet::from(TILES), "the tiles that were tried");
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let ragged = Case { time: Time::FloatAtStep, residual: true, ..conv(3, (17, 23), (40, 16), 72, Same) };
    for case in [ragged, conv(3, (17, 23), (40, 0), 40, Downsample), conv(3, (9, 12), (40, 0), 40, upsample(17, 23))] {
        let data = case.data();
        let mut plan = Plan::new(device().capabilities());
        let output = case.record(&data, &mut plan);
        let together = run_for(&mut plan, &output);
        for sample in 0..case.batch {
            let slice = |tensor: &Option<Tensor>| tensor.as_ref().map(|tensor| tensor.slice(sample, 1));
            let (skip, residual) = (slice(&data.skip), slice(&data.residual));
            let step = (case.time == Time::FloatAtStep).then_some(&data.step);
            let mut plan = Plan::new(device().capabilities());
            let alone = Conv2d {
                input: &data.input.slice(sample, 1),
                skip: skip.as_ref(),
                weight: &data.weight,
                bias: data.bias.as_ref(),
                kernel_size: case.kernel,
                geometry: case.geometry,
                time: data.time.as_ref().map(|table| TimeRow { table, column: TIME_COLUMN, step }),
                residual: residual.as_ref(),
                output: DType::F16,
            };
            let output = alone.record(&mut plan).expect("the shapes fit");
            let elements = output.elements();
            let expected = &together[sample * elements..][..elements];
            assert_same_bits(&format!("{case:?}, sample {sample}"), &run_for(&mut plan, &output), expected);
        }
    }
}

#[test]
fn runs_again_to_the_same_bits() {
    let case = conv(2, (17, 23), (40, 16), 72, Same);
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
    for (n, f32) in [(40, false), (44, false), (44, true), (3, true)] {
        let case = Case { f32, residual: true, ..conv(1, (8, 9), (16, 0), n, Same) };
        let data = case.data();
        for multiprocessors in [1, 10_000] {
            let mut plan = Plan::new(&with_multiprocessors(multiprocessors));
            let output = case.record(&data, &mut plan);
            let name = format!("{case:?}");
            assert_close(&name, &run_guarded(&name, &mut plan, &output), &case.reference(&data));
        }
    }
}

/// Infinite pixels next to the window's padding: what is masked must be skipped, not multiplied by zero.
#[test]
fn pixels_outside_the_window_have_no_say() {
    let case = conv(2, (6, 6), (8, 0), 8, Same);
    let data = case.data();
    let mut pixels = data.values.input.clone();
    pixels[36 * 8..].fill(f16::INFINITY);
    device().write(&data.input, &pixels).expect("an upload");
    let mut plan = Plan::new(device().capabilities());
    let output = case.record(&data, &mut plan);
    let all = run_for(&mut plan, &output);
    let expected = case.reference(&data);
    assert_close("the finite sample", &all[..36 * 8], &expected[..36 * 8]);
}

#[test]
fn refuses_what_it_was_not_written_for() {
    let half = |shape: &[usize]| upload(shape, &vec![f16::ZERO; shape.iter().product()]);
    let (input, weight, skip) = (half(&[1, 4, 4, 8]), half(&[8, 72]), half(&[1, 4, 2, 8]));
    let base = Conv2d {
        input: &input,
        skip: None,
        weight: &weight,
        bias: None,
        kernel_size: 3,
        geometry: Same,
        time: None,
        residual: None,
        output: DType::F16,
    };
    let error = |convolution: Conv2d| {
        let mut plan = Plan::new(device().capabilities());
        let error = convolution.record(&mut plan).expect_err("it must be refused");
        assert!(plan.launches().is_empty());
        error.to_string()
    };
    assert!(base.record(&mut Plan::new(device().capabilities())).is_ok());
    assert!(error(Conv2d { input: &half(&[1, 4, 4, 4]), ..base }).contains("multiples of 8"));
    assert!(error(Conv2d { skip: Some(&skip), ..base }).contains("skip"));
    assert!(error(Conv2d { kernel_size: 1, ..base }).contains("weight"));
    assert!(error(Conv2d { kernel_size: 5, ..base }).contains("kernel size"));
    assert!(error(Conv2d { geometry: upsample(9, 8), ..base }).contains("cropped"));
    assert!(error(Conv2d { residual: Some(&skip), ..base }).contains("residual"));
    assert!(error(Conv2d { output: DType::I32, ..base }).contains("output"));
    let time = TimeRow { table: &half(&[2, 12]), column: 8, step: None };
    assert!(error(Conv2d { time: Some(time), ..base }).contains("time table"));
}
