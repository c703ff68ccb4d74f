//! What the benches share: the device, how large to be, a plan as a timed program, and the GPU's own sensors.
#![allow(dead_code)]

#[path = "../../tests/support/mod.rs"]
pub mod support;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use diffedit::device::{Device, Memory, Program};
use diffedit::plan::{Layout, Plan, Tensor};
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::Clock;

/// Whether cargo asked for measurements. Otherwise, in the tests, everything runs once and tiny.
pub fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// `full` when measuring, else `tiny`.
pub fn sized<T>(full: T, tiny: T) -> T {
    if measuring() { full } else { tiny }
}

/// Compiles and binds a plan in an arena of its own.
pub fn program(device: &Device, plan: &Plan) -> Program {
    device.prepare(&[plan], &|_, _| ()).expect("kernels compile");
    let arena = device.allocate(Layout::new(plan).bytes).expect("memory");
    device.bind(plan, &Memory::Arena(arena)).expect("the plan binds")
}

/// Times a plan from launch to finished, in multiply-accumulates a second, and prints a hash of what `output` holds
/// after it: two runs of a bench that differ there did different work.
pub fn bench_plan(group: &mut BenchmarkGroup<WallTime>, name: &str, mut plan: Plan, output: &Tensor) {
    let device = support::device();
    let kept = support::kept(output);
    plan.place(output, &kept);
    let program = program(device, &plan);
    let before = Sensors::read();
    group.throughput(Throughput::Elements(plan.macs().max(1)));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            program.run(device).expect("the plan runs");
            device.synchronize().expect("the plan runs");
        });
    });
    program.run(device).expect("the plan runs");
    device.synchronize().expect("the plan runs");
    println!("{name}: result {:016x}{}", hash(&support::read(&kept)), Sensors::since(before));
}

/// Names a result.
pub fn hash(values: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// What a GPU's sensors said at one time.
pub struct Sensors {
    clock_mhz: u32,
    power_mw: u32,
    energy_mj: u64,
}

impl Sensors {
    /// The first GPU's sensors; `None` where there is no NVIDIA driver.
    pub fn read() -> Option<Sensors> {
        let nvml = Nvml::init().ok()?;
        let gpu = nvml.device_by_index(0).ok()?;
        Some(Sensors {
            clock_mhz: gpu.clock_info(Clock::SM).ok()?,
            power_mw: gpu.power_usage().ok()?,
            energy_mj: gpu.total_energy_consumption().ok()?,
        })
    }

    /// Clock and power now and the energy spent since, to follow a result; nothing without a GPU.
    pub fn since(before: Option<Sensors>) -> String {
        let (Some(before), Some(now)) = (before, Sensors::read()) else { return String::new() };
        let joules = (now.energy_mj - before.energy_mj) as f64 / 1e3;
        format!(", {} MHz, {:.1} W, {joules:.1} J", now.clock_mhz, f64::from(now.power_mw) / 1e3)
    }
}
