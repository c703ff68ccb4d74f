//! Both NVRTCs that are about, on a driver that takes either: the kernels compile with 12 and with 13, and compute the same
//! but for how each contracts products and sums.

mod support;

use std::path::PathBuf;

use diffedit::cli::{NVRTC_12, NVRTC_13, Wheel, cache_folder, fetch};
use diffedit::device::{Compiler, Device, DeviceChoice, Memory, Nvrtc};
use diffedit::ops::attention::{Attention, Heads};
use diffedit::ops::conv2d::{Conv2d, Geometry};
use diffedit::ops::group_norm::GroupNorm;
use diffedit::ops::linear::{Activation, Linear};
use diffedit::plan::{DType, Layout, Plan, Tensor};
use half::f16;

/// PTX of NVRTC 13.5 is version 9.5: of drivers from CUDA 13.5 on.
const DRIVER_VERSION: i32 = 13_050;

fn open(wheel: &Wheel) -> (u32, std::sync::Arc<Device>) {
    let library = fetch(wheel, &cache_folder().expect("a cache")).expect("NVRTC");
    let nvrtc = Nvrtc::load(&library).expect("NVRTC loads");
    let major = nvrtc.version().0;
    let images = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kernels");
    let compiler = Compiler::new(Some(nvrtc), Some(images)).expect("a compiler");
    (major, Device::open(&DeviceChoice::Emulator(None), compiler).expect("a device"))
}

/// A ResNet's and a transformer's operators in a row, on the device's own copy of the same values.
fn computed(device: &Device) -> Vec<f16> {
    let mut random = support::Random::new(7);
    let mut upload = |shape: &[usize], scale: f32| -> Tensor {
        let values = random.halves(shape.iter().product(), scale);
        device.upload(DType::F16, shape, &values).expect("an upload")
    };
    let input = upload(&[1, 6, 6, 40], 1.0);
    let (weight, bias) = (upload(&[40], 1.0), upload(&[40], 1.0));
    let kernel = upload(&[40, 9 * 40], 0.05);
    let projection = upload(&[120, 40], 0.2);
    let widening = upload(&[320, 40], 0.2);
    let mut plan = Plan::new(device.capabilities());
    let norm = GroupNorm { input: &input, skip: None, weight: &weight, bias: &bias, groups: 4, eps: 1e-5, silu: true };
    let hidden = norm.record(&mut plan).expect("fits");
    let convolution = Conv2d {
        input: &hidden,
        skip: None,
        weight: &kernel,
        bias: Some(&bias),
        kernel_size: 3,
        geometry: Geometry::Same,
        time: None,
        residual: Some(&input),
        output: DType::F16,
    };
    let hidden = convolution.record(&mut plan).expect("fits").reshape(&[1, 36, 40]);
    let linear = |input: &Tensor, weight: &Tensor, activation, plan: &mut Plan| {
        Linear { input, weight, bias: None, residual: None, activation }.record(plan).expect("fits")
    };
    let qkv = linear(&hidden, &projection, Activation::None, &mut plan);
    let part = |index: usize| Heads { tensor: &qkv, column: 40 * index };
    let attention = Attention { query: part(0), key: part(1), value: part(2), heads: 1, head_dim: 40, causal: false };
    let attended = attention.record(&mut plan).expect("fits");
    let output = linear(&attended, &widening, Activation::Geglu, &mut plan);

    device.prepare(&[&plan], &|_, _| ()).expect("kernels compile");
    let kept = device.allocate(output.bytes()).expect("memory").tensor(output.dtype(), output.shape());
    plan.place(&output, &kept);
    let arena = device.allocate(Layout::new(&plan).bytes).expect("memory");
    device.bind(&plan, &Memory::Arena(arena)).expect("binds").run(device).expect("runs");
    device.read(&kept).expect("a download")
}

#[test]
fn both_compilers_agree() {
    // SAFETY: the only test of this process, before its first device.
    unsafe { std::env::set_var("CUDA_EMULATOR_DRIVER_VERSION", DRIVER_VERSION.to_string()) };
    let results = [&NVRTC_12, &NVRTC_13].map(|wheel| {
        let (major, device) = open(wheel);
        (major, computed(&device))
    });
    assert_eq!(results.each_ref().map(|result| result.0), [12, 13]);
    let [twelve, thirteen] = results.map(|(_, values)| support::widen(&values));
    let apart = support::relative_rms(&thirteen, &twelve);
    // fp16 rounds by up to 4.9e-4, and four operators follow one another.
    assert!(apart <= 1e-3, "relative RMS {apart:.1e}");
}
