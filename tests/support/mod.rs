//! What the integration tests share: the device, running a plan, random tensors, and the measure of error.
#![allow(dead_code)]

pub mod checkpoint;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use diffedit::device::{Compiler, Device, DeviceChoice, Memory, Target};
use diffedit::plan::{DType, Layout, Plan, Tensor};
use half::f16;

/// The device under test: `DIFFEDIT_TEST_DEVICE`, or the emulator.
pub fn device() -> &'static Arc<Device> {
    static DEVICE: OnceLock<Arc<Device>> = OnceLock::new();
    DEVICE.get_or_init(|| Device::open(&device_choice(), compiler()).expect("a device to test on"))
}

/// `DIFFEDIT_TEST_DEVICE`, or the emulator.
pub fn device_choice() -> DeviceChoice {
    let choice = std::env::var("DIFFEDIT_TEST_DEVICE").unwrap_or_else(|_| "emulator".into());
    choice.parse().expect("DIFFEDIT_TEST_DEVICE")
}

/// NVRTC as the command line finds or fetches it, with images kept under the target folder.
pub fn compiler() -> Compiler {
    // The tests compile for Blackwell too, whatever device they run on.
    let here = diffedit::device::target(&device_choice()).expect("a device to test on");
    let nvrtc = diffedit::cli::nvrtc_for(Target { compute_capability: (12, 0), ..here }, None, false).expect("NVRTC");
    Compiler::new(Some(nvrtc), Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kernels"))).expect("a compiler")
}

/// Compiles what the plan needs, runs it in one arena full of NaN and waits for it.
pub fn run(plan: &Plan) {
    let device = device();
    device.prepare(&[plan], &|_, _| ()).expect("kernels compile");
    let arena = device.allocate(Layout::new(plan).bytes).expect("memory");
    // Memory that was filled counts as initialised.
    if !checks().initialised {
        device.fill(&arena.tensor(DType::U8, &[arena.bytes()]), 0xFF).expect("a fill");
    }
    let program = device.bind(plan, &Memory::Arena(arena)).expect("the plan binds");
    program.run(device).expect("the plan runs");
    device.synchronize().expect("the plan runs");
    assert_clean();
}

/// What the emulator checks: with `CUDA_EMULATOR_CHECK=all` every kernel of the tests has to be clean.
fn checks() -> cuda_emulator::Checks {
    cuda_emulator::Config::from_environment().expect("the emulator's variables").checks
}

/// No check of the emulator has found anything.
pub fn assert_clean() {
    if let Some(finding) = cuda_emulator::findings().first() {
        panic!("{} findings, the first: {}", cuda_emulator::findings().len(), finding.report);
    }
}

/// A device tensor of fp16.
pub fn upload(shape: &[usize], values: &[f16]) -> Tensor {
    device().upload(DType::F16, shape, values).expect("an upload")
}

/// A device tensor of fp32.
pub fn upload_f32(shape: &[usize], values: &[f32]) -> Tensor {
    device().upload(DType::F32, shape, values).expect("an upload")
}

/// A tensor for a plan's result, which outlives the plan: `plan.place(&output, &kept(&output))`. It is full of NaN, so
/// that elements left unwritten fail.
pub fn kept(tensor: &Tensor) -> Tensor {
    poisoned(tensor.dtype(), tensor.shape())
}

/// A device tensor full of NaN.
pub fn poisoned(dtype: DType, shape: &[usize]) -> Tensor {
    let bytes = shape.iter().product::<usize>() * dtype.bytes();
    let tensor = device().allocate(bytes).expect("memory").tensor(dtype, shape);
    device().fill(&tensor, 0xFF).expect("a fill");
    tensor
}

/// Makes `output` outlive the plan, runs the plan and reads it back as f32.
pub fn run_for(plan: &mut Plan, output: &Tensor) -> Vec<f32> {
    let destination = kept(output);
    plan.place(output, &destination);
    run(plan);
    read(&destination)
}

/// The elements of an existing tensor as f32.
pub fn read(tensor: &Tensor) -> Vec<f32> {
    match tensor.dtype() {
        DType::F16 => device().read::<f16>(tensor).expect("a download").into_iter().map(f16::to_f32).collect(),
        DType::F32 => device().read::<f32>(tensor).expect("a download"),
        DType::U8 => device().read::<u8>(tensor).expect("a download").into_iter().map(f32::from).collect(),
        DType::I32 => device().read::<i32>(tensor).expect("a download").into_iter().map(|value| value as f32).collect(),
    }
}

/// A small reproducible generator (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Roughly normal, mean 0, variance 1.
    pub fn normal(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64 - 0.5).sum();
        (sum * 3f64.sqrt()) as f32
    }

    /// `count` values of standard deviation `scale`, as fp16.
    pub fn halves(&mut self, count: usize, scale: f32) -> Vec<f16> {
        (0..count).map(|_| f16::from_f32(self.normal() * scale)).collect()
    }
}

/// fp16 values as f32.
pub fn widen(values: &[f16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}

/// (n, c, pixels) to (n, pixels, c), padded with zeros to `padded` channels.
pub fn channels_last(planes: &[f32], channels: usize, pixels: usize, padded: usize) -> Vec<f32> {
    let value = |draw: &[f32], index: usize| {
        let (pixel, channel) = (index / padded, index % padded);
        if channel < channels { draw[channel * pixels + pixel] } else { 0.0 }
    };
    let draws = planes.chunks_exact(channels * pixels);
    draws.flat_map(|draw| (0..pixels * padded).map(move |index| value(draw, index))).collect()
}

/// (n, pixels, c) to (n, c, pixels).
pub fn channels_first(rows: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let draws = rows.chunks_exact(channels * pixels);
    draws.flat_map(|draw| (0..channels * pixels).map(move |i| draw[(i % pixels) * channels + i / pixels])).collect()
}

/// Values rounded to fp16.
pub fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&value| f16::from_f32(value)).collect()
}

/// Root mean square of `actual - expected` over that of `expected`.
pub fn relative_rms(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let square = |value: f64| value * value;
    let error: f64 = actual.iter().zip(expected).map(|(&a, &e)| square(f64::from(a) - f64::from(e))).sum();
    let norm: f64 = expected.iter().map(|&e| square(f64::from(e))).sum();
    (error / norm.max(f64::MIN_POSITIVE)).sqrt()
}

/// Fails unless `actual`, computed in fp16, is within twice the error of rounding `expected` to fp16.
pub fn assert_close(case: &str, actual: &[f32], expected: &[f32]) {
    let rounded: Vec<f32> = expected.iter().map(|&value| f16::from_f32(value).to_f32()).collect();
    let (error, yardstick) = (relative_rms(actual, expected), relative_rms(&rounded, expected));
    assert!(error <= 2.0 * yardstick, "{case}: relative RMS error {error:.3e}, over twice {yardstick:.3e}");
}

/// Fails unless every element of `actual` is within `tolerance` of `expected`, times the largest magnitude expected.
pub fn assert_within(case: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{case}");
    let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let close = (f64::from(actual) - expected).abs() <= tolerance * largest;
        assert!(close, "{case}: element {index} is {actual}, not {expected} (tolerance {:.3e})", tolerance * largest);
    }
}
