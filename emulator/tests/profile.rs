//! What is counted of launches, against what their sources say.

#[macro_use]
mod common;

use std::ffi::{CString, c_void};

use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use cuda_emulator::profile::model::Parameters;
use cuda_emulator::profile::{self, LaunchProfile, Limit};

const GEMM: &str = include_str!("ptx/gemm.ptx");

/// A launch of the tensor-core GEMM: C = A B^T in tiles of 128 x 128, with a report of its registers.
struct Gemm {
    module: Module,
    memory: Memory,
    launch: Launch,
    out: (u64, usize),
}

impl Gemm {
    fn new(device: &str, [m, n, k]: [usize; 3]) -> Gemm {
        let device = Description::by_name(device).unwrap();
        let mut memory = Memory::default();
        let report =
            "// ptxas info : Compiling entry function 'gemm' for 'sm_80'\n// ptxas info : Used 128 registers\n";
        let module = Module::load(&(report.to_owned() + GEMM), &device, &mut memory).unwrap();
        let mut upload = |count: usize| {
            let address = memory.allocate(2 * count as u64).unwrap();
            let ones = vec![0x3c00u16; count];
            // SAFETY: device addresses are host addresses, and the allocation holds the values.
            unsafe { ones.as_ptr().copy_to_nonoverlapping(address as *mut u16, count) };
            address
        };
        let addresses = [upload(m * k), upload(n * k), upload(m * n)];
        let mut parameters: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
        parameters.extend([m, n, k].iter().flat_map(|size| (*size as u32).to_le_bytes()));
        let launch = Launch {
            kernel: 0,
            grid: [n.div_ceil(128) as u32, m.div_ceil(128) as u32, 1],
            block: [256, 1, 1],
            dynamic_shared_bytes: 3 * 16384,
            cooperative: false,
            parameters,
        };
        Gemm { module, memory, launch, out: (addresses[2], m * n) }
    }

    fn profile(&self, options: Options, sample: Option<u32>) -> LaunchProfile {
        let profile = self.module.profile(&self.launch, &self.memory, options, sample);
        profile.unwrap_or_else(|report| panic!("{report}"))
    }

    fn result(&self) -> Vec<u16> {
        // SAFETY: the allocation holds that many values.
        (0..self.out.1).map(|index| unsafe { (self.out.0 as *const u16).add(index).read() }).collect()
    }
}

#[test]
fn a_gemm_is_counted_as_its_sizes_say() {
    let [m, n, k] = [512, 256, 128];
    let gemm = Gemm::new("a100", [m, n, k]);
    let profile = gemm.profile(Options::default(), None);
    assert!(gemm.result().iter().all(|&value| value == 0x5800), "128 in fp16");
    let counters = &profile.counters;
    let macs = (m * n * k) as u64;
    assert_eq!(counters.matrix["m16n8k16.f32.f16"].macs, macs);
    assert_eq!(counters.matrix["m16n8k16.f32.f16"].operations, macs / 2048);
    // Every block reads 128 rows of A and of B, in whole sectors, and the eight blocks together the matrices.
    assert_eq!(counters.global.read_bytes, 8 * 256 * k as u64 * 2);
    assert_eq!(counters.global.read_sectors, counters.global.read_bytes / 32);
    assert_eq!(counters.global.written_bytes, (m * n * 2) as u64);
    assert_eq!(counters.footprint.read_bytes, ((m + n) * k * 2) as u64);
    assert_eq!(counters.footprint.written_bytes, (m * n * 2) as u64);
    assert_eq!(counters.cache.dram_read_sectors * 32, counters.footprint.read_bytes, "each sector comes once");
    assert_eq!(counters.cache.l2_read_sectors, counters.global.read_sectors, "cp.async.cg passes L1 by");
    // The guards of the ragged edges hold back no lane here, but leave some instructions without any.
    assert!(counters.active_lanes() > 30.0 && counters.active_lanes() <= 32.0);
    assert_eq!(profile.shape.occupancy.blocks, 2);
    assert_eq!(profile.shape.occupancy.limit, Limit::Registers);
    assert!(!profile.shape.registers_estimated);
    // Four copies of 16 bytes a thread and step, written without a conflict; the swizzle serves ldmatrix as well.
    assert_eq!(counters.shared.wavefronts, counters.shared.conflict_free_wavefronts);
    assert_eq!(counters.shared.written_bytes, counters.global.read_bytes);
}

#[test]
fn counts_depend_on_no_order_and_change_no_result() {
    let sizes = [300, 136, 96];
    let plain = Gemm::new("a100", sizes);
    plain.module.run(&plain.launch, &plain.memory, Options::default()).unwrap();
    let first = Gemm::new("a100", sizes);
    let expected = first.profile(Options::default(), None).counters;
    assert!(first.result() == plain.result());
    for (threads, seed) in [(3, 0), (1, 7), (3, 99)] {
        let gemm = Gemm::new("a100", sizes);
        let mut counters = gemm.profile(Options { threads, seed, ..Options::default() }, None).counters;
        assert!(gemm.result() == plain.result());
        // Sums of fractions round by their order.
        let close = |a: f64, b: f64| (a / b - 1.0).abs() <= 1e-9;
        assert!(close(counters.chain.clocks, expected.chain.clocks));
        assert!(counters.unit_clocks.iter().zip(expected.unit_clocks).all(|(a, b)| *a == b || close(*a, b)));
        counters.chain = expected.chain;
        counters.unit_clocks = expected.unit_clocks;
        counters.machine_instructions = expected.machine_instructions;
        assert_eq!(counters, expected, "{threads} threads, seed {seed}");
    }
}

/// Holds counts of a sampled launch against those of the whole one.
fn assert_near(whole: &LaunchProfile, sample: &LaunchProfile, tolerance: f64) {
    assert!(!whole.sampled() && sample.sampled());
    assert!(sample.blocks_run * 3 < whole.blocks_run, "{} blocks of {}", sample.blocks_run, whole.blocks_run);
    let near = |name: &str, count: fn(&LaunchProfile) -> f64, tolerance: f64| {
        let (sampled, counted) = (count(sample), count(whole));
        assert!((sampled / counted - 1.0).abs() <= tolerance, "{name}: {sampled} sampled, {counted} counted");
    };
    near("instructions", |p| p.counters.instructions() as f64, 1e-4);
    near("bytes", |p| p.counters.global.read_bytes as f64, 1e-4);
    near("L2", |p| p.counters.cache.l2_read_sectors as f64, 0.01);
    near("DRAM", |p| p.counters.cache.dram_read_sectors as f64, tolerance);
    near("time", |p| p.estimate(&Parameters::default()).seconds, 0.03);
}

#[test]
fn samples_of_a_gemm_count_as_the_whole_does() {
    // Operands that fit in 1.5 MB of L2 beside the results that stream through it, and that do not.
    for k in [64, 256] {
        let gemm = Gemm::new("rtx3050laptop", [2560, 2048, k]);
        let (whole, sample) = (gemm.profile(Options::default(), None), gemm.profile(Options::default(), Some(2)));
        assert_eq!(sample.counters.matrix_macs(), whole.counters.matrix_macs());
        assert_near(&whole, &sample, 0.03);
    }
}

/// `k(in, out)`: each block adds three neighbouring rows of a 1024 wide image at 256 places, as a convolution does.
const STENCIL: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 in, .param .u64 out)
{
    .reg .b32 %r<5>;
    .reg .f32 %f<6>;
    .reg .b64 %rd<6>;
    ld.param.u64 %rd1, [in];
    ld.param.u64 %rd2, [out];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %tid.x;
    mad.lo.u32 %r3, %r1, 256, %r2;
    mul.wide.u32 %rd3, %r3, 4;
    add.u64 %rd4, %rd1, %rd3;
    add.u64 %rd5, %rd2, %rd3;
    ld.global.f32 %f1, [%rd4];
    ld.global.f32 %f2, [%rd4+4096];
    ld.global.f32 %f3, [%rd4+8192];
    add.f32 %f4, %f1, %f2;
    add.f32 %f5, %f4, %f3;
    st.global.f32 [%rd5], %f5;
    ret;
}
";

#[test]
fn samples_of_a_stencil_count_as_the_whole_does() {
    let device = Description::by_name("rtx3050laptop").unwrap();
    let mut memory = Memory::default();
    let module = Module::load(STENCIL, &device, &mut memory).unwrap();
    let (rows, row_bytes) = (2048, 4096);
    let addresses = [memory.allocate((rows + 2) * row_bytes).unwrap(), memory.allocate(rows * row_bytes).unwrap()];
    let parameters = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    let (grid, block) = ([4 * rows as u32, 1, 1], [256, 1, 1]);
    let launch = Launch { kernel: 0, grid, block, dynamic_shared_bytes: 0, cooperative: false, parameters };
    let profile = |sample| module.profile(&launch, &memory, Options::default(), sample).unwrap();
    let (whole, sample) = (profile(None), profile(Some(2)));
    assert_eq!(whole.counters.cache.dram_read_sectors, (rows + 2) * row_bytes / 32, "each row comes once");
    assert_eq!(whole.counters.cache.l2_read_sectors, 3 * rows * row_bytes / 32, "and is asked for three times");
    assert_near(&whole, &sample, 0.05);
}

/// `k(out, stride)`: thread i of a warp adds its number to a float at `stride * i`, in shared memory and in global; odd
/// threads take a branch.
const STRIDED: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out, .param .u32 stride)
{
    .reg .pred %p<2>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<4>;
    .shared .align 4 .b8 tile[8192];
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [stride];
    mov.u32 %r2, %tid.x;
    mul.lo.u32 %r3, %r2, %r1;
    mov.u32 %r4, tile;
    add.u32 %r5, %r4, %r3;
    st.shared.u32 [%r5], %r2;
    cvt.u64.u32 %rd2, %r3;
    add.u64 %rd3, %rd1, %rd2;
    ld.global.u32 %r6, [%rd3];
    and.b32 %r7, %r2, 1;
    setp.eq.u32 %p1, %r7, 0;
    @%p1 bra DONE;
    st.global.u32 [%rd3], %r6;
DONE:
    bar.sync 0;
    ret;
}
";

fn strided(stride: u32) -> LaunchProfile {
    let device = Description::default();
    let mut memory = Memory::default();
    let module = Module::load(STRIDED, &device, &mut memory).unwrap();
    let out = memory.allocate(1 << 16).unwrap();
    let parameters = [&out.to_le_bytes()[..], &stride.to_le_bytes(), &[0; 4]].concat();
    let parameters = parameters[..module.kernels()[0].parameter_bytes].to_vec();
    let (grid, block) = ([1, 1, 1], [32, 1, 1]);
    let launch = Launch { kernel: 0, grid, block, dynamic_shared_bytes: 0, cooperative: false, parameters };
    module.profile(&launch, &memory, Options::default(), None).unwrap()
}

#[test]
fn strides_cost_sectors_and_wavefronts_and_odd_lanes_diverge() {
    for (stride, sectors, wavefronts) in [(4, 4, 1), (8, 8, 2), (128, 32, 32), (132, 32, 1)] {
        let profile = strided(stride);
        let counters = &profile.counters;
        assert_eq!(counters.global.read_sectors, sectors, "stride {stride}");
        assert_eq!(counters.global.read_bytes, 128);
        assert_eq!(counters.global.written_bytes, 64);
        assert_eq!(counters.shared.wavefronts, wavefronts, "stride {stride}");
        assert_eq!(counters.shared.conflict_free_wavefronts, 1);
        assert_eq!((counters.control.branches, counters.control.divergent_branches), (1, 1));
        assert_eq!(counters.control.barriers, 1);
        assert!(profile.shape.registers_estimated);
    }
}

/// Launches `k` once through the driver API.
fn launch_strided() {
    let text = CString::new(STRIDED).unwrap();
    let (mut module, mut function) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(
        cuModuleLoadData(&mut module, text.as_ptr().cast());
        cuModuleGetFunction(&mut function, module, c"k".as_ptr());
    );
    let mut out = common::device_memory(1 << 16);
    let mut stride = 4u32;
    let mut parameters: [*mut c_void; 2] = [(&raw mut out).cast(), (&raw mut stride).cast()];
    let (stream, extra) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(
        cuLaunchKernel(function, 3, 1, 1, 32, 1, 1, 0, stream, parameters.as_mut_ptr(), extra);
        cuCtxSynchronize();
    );
}

/// Where the child process of [`launches_are_profiled_through_the_driver`] writes.
const CHILD: &str = "CUDA_EMULATOR_PROFILE";

#[test]
fn launches_are_profiled_through_the_driver() {
    if std::env::var_os(CHILD).is_some() {
        cuda_emulator::install().unwrap();
        let mut context = std::ptr::null_mut();
        succeed!(cuInit(0); cuCtxCreate_v2(&mut context, 0, 0));
        return launch_strided();
    }
    let context = common::TestContext::new();
    launch_strided();
    assert!(profile::take().is_empty(), "nobody asked for it yet");
    profile::start();
    launch_strided();
    profile::stop();
    launch_strided();
    let profiles = profile::take();
    assert_eq!(profiles.len(), 1);
    assert_eq!((profiles[0].kernel.as_str(), profiles[0].shape.grid), ("k", [3, 1, 1]));
    let table = profile::table(&profiles);
    assert!(table.contains("launch"), "such a small kernel takes as long as an empty one");
    assert!(table.contains("on 15 published kernels off by a factor of"), "{table}");
    drop(context);

    let path = std::env::temp_dir().join(format!("cuda-emulator-profile-{}.json", std::process::id()));
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launches_are_profiled_through_the_driver"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(written.starts_with("[{\"kernel\":\"k\"") && written.ends_with("}]\n"), "{written}");
    assert!(written.contains("\"grid\":[3,1,1]"));
    assert!(written.contains("\"against_published\":{\"kernels\":15,"), "{written}");
}
