//! What the compiler says of every kernel: no spills, no local memory, tensor-core instructions where they belong.

mod support;

use diffedit::device::{Capabilities, Image};
use diffedit::ops::attention::{Attention, Heads};
use diffedit::ops::conv2d::{Conv2d, Geometry};
use diffedit::ops::linear::{Activation, Linear};
use diffedit::plan::{DType, Plan, Unit};

/// Compute capability, multiprocessors, shared memory a block: one device of each architecture that is promised.
const DEVICES: [((u32, u32), u32, u32); 6] = [
    ((8, 0), 108, 166_912),
    ((8, 6), 82, 101_376),
    ((8, 9), 128, 101_376),
    ((9, 0), 132, 232_448),
    ((10, 0), 148, 232_448),
    ((12, 0), 170, 101_376),
];

fn capabilities((compute_capability, multiprocessors, shared): ((u32, u32), u32, u32)) -> Capabilities {
    Capabilities {
        name: "a device".into(),
        compute_capability,
        multiprocessors,
        shared_bytes_per_block: shared,
        memory_bytes: 1 << 34,
    }
}

fn linear(plan: &mut Plan, rows: usize, inputs: usize, outputs: usize, activation: Activation) {
    let input = plan.tensor(DType::F16, &[rows, inputs]);
    let weight = plan.tensor(DType::F16, &[outputs, inputs]);
    Linear { input: &input, weight: &weight, bias: None, residual: None, activation }.record(plan).expect("fits");
}

fn conv2d(plan: &mut Plan, side: usize, inputs: usize, outputs: usize, size: usize, geometry: Geometry) {
    let input = plan.tensor(DType::F16, &[2, side, side, inputs]);
    let weight = plan.tensor(DType::F16, &[outputs, size * size * inputs]);
    Conv2d {
        input: &input,
        skip: None,
        weight: &weight,
        bias: None,
        kernel_size: size,
        geometry,
        time: None,
        residual: None,
        output: DType::F16,
    }
    .record(plan)
    .expect("fits");
}

fn attention(plan: &mut Plan, rows: usize, keys: usize, heads: usize, head_dim: usize, causal: bool) {
    let query = plan.tensor(DType::F16, &[2, rows, heads * head_dim]);
    let key = plan.tensor(DType::F16, &[2, keys, 2 * heads * head_dim]);
    let part = |column| Heads { tensor: &key, column };
    let (key, value) = (part(0), part(heads * head_dim));
    let query = Heads { tensor: &query, column: 0 };
    Attention { query, key, value, heads, head_dim, causal }.record(plan).expect("fits");
}

/// Every unit that Stable Diffusion's shapes and odd ones ask for on a device.
fn units(capabilities: &Capabilities) -> Vec<Unit> {
    let mut plan = Plan::new(capabilities);
    for (rows, width) in [(4096, 320), (1024, 640), (256, 1280), (64, 1280), (77, 768), (9, 40)] {
        for activation in
            [Activation::None, Activation::Silu, Activation::Gelu, Activation::QuickGelu, Activation::Geglu]
        {
            linear(&mut plan, rows, width, 4 * width, activation);
        }
    }
    for (side, channels) in [(64, 320), (32, 640), (16, 1280), (8, 1280), (512, 128), (5, 40)] {
        conv2d(&mut plan, side, channels, channels, 3, Geometry::Same);
        conv2d(&mut plan, side, channels, channels, 1, Geometry::Same);
        conv2d(&mut plan, side, channels, channels, 3, Geometry::Downsample);
        conv2d(&mut plan, side, channels, channels, 3, Geometry::DownsampleBottomRight);
        conv2d(&mut plan, side, channels, channels, 3, Geometry::Upsample { height: 2 * side, width: 2 * side });
        conv2d(&mut plan, side, channels, 4, 3, Geometry::Same);
    }
    for (rows, head_dim) in [(4096, 40), (1024, 80), (256, 160), (64, 160), (16, 40)] {
        attention(&mut plan, rows, rows, 8, head_dim, false);
        attention(&mut plan, rows, 77, 8, head_dim, false);
    }
    attention(&mut plan, 77, 77, 12, 64, true);
    attention(&mut plan, 4096, 4096, 1, 512, false);
    attention(&mut plan, 256, 256, 1, 64, false);
    for head_dim in [8, 24, 56, 96, 128, 192, 200, 256] {
        attention(&mut plan, 300, 300, 2, head_dim, false);
    }
    let mut units: Vec<Unit> = plan.launches().iter().map(|launch| launch.unit.clone()).collect();
    let recorded: Vec<&str> = units.iter().map(|unit| unit.file).collect();
    // The others compile as they stand.
    units.extend(
        diffedit::kernels::files()
            .filter(|file| !recorded.contains(file))
            .map(|file| Unit { file, defines: Vec::new() })
            .collect::<Vec<_>>(),
    );
    units.sort();
    units.dedup();
    units
}

fn compile(capabilities: &Capabilities) -> Vec<(Unit, Image)> {
    let units = units(capabilities);
    let images = support::compiler().images(&units, &capabilities.arch(), &|_| ()).expect("kernels compile");
    units.into_iter().zip(images).collect()
}

#[test]
fn no_kernel_spills_on_any_architecture() {
    for device in DEVICES {
        let capabilities = capabilities(device);
        for (unit, image) in compile(&capabilities) {
            let resources = image.resources();
            assert!(!resources.is_empty(), "{unit:?} reports nothing:\n{}", image.log);
            for kernel in resources {
                let case = format!("{unit:?} for {}: {kernel:?}", capabilities.arch());
                assert_eq!(kernel.spill_bytes, 0, "{case}");
                assert_eq!(kernel.stack_bytes, 0, "{case}");
                assert!((1..=255).contains(&kernel.registers), "{case}");
                assert!(kernel.shared_bytes <= 48 * 1024, "{case}");
            }
        }
    }
}

#[test]
fn the_heavy_kernels_use_tensor_cores_and_asynchronous_copies() {
    for (unit, image) in compile(&capabilities(DEVICES[0])) {
        if ["linear", "conv2d", "attention"].contains(&unit.file) {
            let ptx = String::from_utf8_lossy(&image.ptx);
            for instruction in ["mma.sync", "ldmatrix", "cp.async"] {
                assert!(ptx.contains(instruction), "{unit:?} has no {instruction}");
            }
        }
    }
}
