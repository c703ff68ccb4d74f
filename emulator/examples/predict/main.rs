//! Predicts the times of kernels whose times were published, and prints the error beside each prediction.
//!
//! ```sh
//! LD_LIBRARY_PATH=FOLDER_OF_NVRTC cargo run --release -p cuda-emulator --example predict -- [--fit] [--json] [part of a name]
//! ```
//!
//! The kernels are CUDA C++ in `benches/kernels`, compiled by NVRTC for the device of the measurement; the first
//! wave of blocks of each launch runs on the emulator, with cold caches. With `--fit` the parameters of the model are searched on the measurements
//! that are marked for that, and printed. With `--json` everything that was counted is printed, a line a kernel.

mod compile;
mod published;

use compile::Compiler;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use cuda_emulator::profile::LaunchProfile;
use cuda_emulator::profile::model::{ACCURACY, Accuracy, Parameters};
use published::{Argument, Measurement, Split};

/// A measurement and what the emulator counted of its launch.
struct Case {
    measurement: Measurement,
    profile: LaunchProfile,
}

impl Case {
    fn measured(&self) -> f64 {
        self.measurement.work / self.measurement.rate
    }

    /// Logarithm of predicted over measured time.
    fn error(&self, parameters: &Parameters) -> f64 {
        (self.profile.estimate(parameters).seconds / self.measured()).ln()
    }
}

fn main() {
    let (options, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let wanted = |measurement: &Measurement| names.iter().all(|name| measurement.name.contains(name.as_str()));
    let json = options.iter().any(|option| option == "--json");
    let mut compiler = Compiler::default();
    let measurements = published::read().into_iter().filter(wanted);
    let cases: Vec<Case> = measurements
        .map(|measurement| {
            let profile = count(&measurement, &mut compiler);
            if json {
                println!("{}", profile.to_json());
            }
            Case { measurement, profile }
        })
        .collect();
    let fits = options.iter().any(|option| option == "--fit");
    let parameters = if fits { fit(&cases) } else { Parameters::default() };
    println!("{parameters:?}\n");
    print_table(&cases, &parameters);
    print_accuracy(&cases, Split::Fit, "fitted to", &parameters);
    let accuracy = print_accuracy(&cases, Split::Judge, "judged by", &parameters);
    if names.is_empty() && !fits && !agree(accuracy, ACCURACY) {
        eprintln!("other figures than every profile gives: {ACCURACY:?}");
        std::process::exit(1);
    }
}

/// What the published launch does, extended from two with short loops where it has one.
fn count(measurement: &Measurement, compiler: &mut Compiler) -> LaunchProfile {
    let Some([short, long, published]) = measurement.loops else {
        return profile(measurement, compiler, 0);
    };
    let factor = f64::from(published - long) / f64::from(long - short);
    let shorter = profile(measurement, compiler, short);
    profile(measurement, compiler, long).extended(&shorter, factor)
}

fn profile(measurement: &Measurement, compiler: &mut Compiler, length: u32) -> LaunchProfile {
    let mut memory = Memory::default();
    let (file, kernel) = measurement.kernel.split_once(':').expect("FILE:KERNEL");
    let ptx = compiler.ptx(file, measurement.device.architecture());
    let module = Module::load(&ptx, &measurement.device, &mut memory).unwrap_or_else(|report| panic!("{report}"));
    let index = module.kernels().iter().position(|known| known.name == kernel).expect("the file has the kernel");
    let info = &module.kernels()[index];
    let mut parameters = vec![0; info.parameter_bytes];
    for (argument, place) in measurement.arguments.iter().zip(&info.parameters) {
        let value = match *argument {
            Argument::Buffer(bytes) => memory.allocate(bytes).expect("room on the device"),
            Argument::Int(value) => u64::from(value),
            Argument::Loop => u64::from(length),
        };
        parameters[place.offset..place.offset + place.bytes].copy_from_slice(&value.to_le_bytes()[..place.bytes]);
    }
    let launch = Launch {
        kernel: index,
        grid: measurement.grid,
        block: measurement.block,
        dynamic_shared_bytes: measurement.shared_bytes,
        cooperative: false,
        parameters,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = std::time::Instant::now();
    let options = Options { threads, ..Options::default() };
    let profile = module.profile(&launch, &memory, options, Some(1));
    eprintln!("{}: counted in {:.1} s", measurement.name, started.elapsed().as_secs_f64());
    profile.unwrap_or_else(|report| panic!("{report}"))
}

fn print_table(cases: &[Case], parameters: &Parameters) {
    println!("| kernel | device | split | measured us | predicted us | error | bound | then |");
    println!("|---|---|---|---:|---:|---:|---|---|");
    for case in cases {
        let estimate = case.profile.estimate(parameters);
        let predicted = estimate.seconds;
        let next = estimate.terms.iter().find(|term| term.name != estimate.bound && term.name != "grid fill");
        println!(
            "| {} | {} | {} | {:.0} | {:.0} | {:+.0}% | {} | {} |",
            case.measurement.name,
            case.measurement.device.key,
            case.measurement.split.name(),
            case.measured() * 1e6,
            predicted * 1e6,
            (predicted / case.measured() - 1.0) * 100.0,
            estimate.bound,
            next.map_or("", |term| term.name),
        );
    }
}

fn print_accuracy(cases: &[Case], split: Split, what: &str, parameters: &Parameters) -> Accuracy {
    let errors: Vec<f64> =
        cases.iter().filter(|c| c.measurement.split == split).map(|c| c.error(parameters).abs()).collect();
    let kernels = errors.len();
    let mean = errors.iter().sum::<f64>() / kernels.max(1) as f64;
    let worst = errors.iter().copied().fold(0.0, f64::max);
    if kernels > 0 {
        println!("\n{kernels} kernels {what}: mean |ln error| {mean:.3}, worst {worst:.3}");
    }
    Accuracy { kernels, mean, worst }
}

/// Whether figures are the same as printed.
fn agree(measured: Accuracy, stated: Accuracy) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() < 1e-3;
    measured.kernels == stated.kernels && close(measured.mean, stated.mean) && close(measured.worst, stated.worst)
}

/// The parameters with the least mean error on the measurements marked `fit`, by a search over a grid.
fn fit(cases: &[Case]) -> Parameters {
    let fitted: Vec<&Case> = cases.iter().filter(|case| case.measurement.split == Split::Fit).collect();
    let error = |parameters: &Parameters| fitted.iter().map(|case| case.error(parameters).abs()).sum::<f64>();
    let mut best = (f64::INFINITY, Parameters::default());
    for overlap in [1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0] {
        for dram_share in [0.82, 0.85, 0.88, 0.91, 0.94] {
            for issue_share in [0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0] {
                for l1_share in [0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0] {
                    let parameters = Parameters { overlap, dram_share, issue_share, l1_share };
                    let found = error(&parameters);
                    if found < best.0 {
                        best = (found, parameters);
                    }
                }
            }
        }
    }
    best.1
}
