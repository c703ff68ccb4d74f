//! Kernels through the driver API: loading, launching, limits, faults.

#[macro_use]
mod common;

use std::ffi::{CString, c_void};

use common::{SUCCESS, TestContext, device_memory, pinned_memory, read, stream};
use cudarc::driver::sys::{self, CUfunction_attribute_enum as Attribute, CUresult};
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

const INVALID_VALUE: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;
const NULL: sys::CUstream = std::ptr::null_mut();
const KIB: u32 = 1024;

/// Beside `add` of [`common::PTX`], kernels that do nothing: `bounded` in blocks of at most 256 threads, with 40 KiB of
/// static shared memory; `heavy` with 168 registers a thread, says the assembler's report.
const OWN_PTX: &str = "
// ptxas info    : Compiling entry function 'heavy' for 'sm_80'
// ptxas info    : Used 168 registers, 352 bytes cmem[0]
.visible .entry bounded() .maxntid 256, 1, 1
{
    .shared .align 4 .b8 tile[40960];
    .reg .b32 %r<2>;
    mov.u32 %r1, 0;
    st.shared.u32 [tile], %r1;
    ret;
}
.visible .entry heavy()
{
    ret;
}
";

fn ptx() -> String {
    common::PTX.to_owned() + OWN_PTX
}

fn load(ptx: &str) -> Result<sys::CUmodule, CUresult> {
    let text = CString::new(ptx).unwrap();
    let mut module = std::ptr::null_mut();
    match result!(cuModuleLoadData(&mut module, text.as_ptr().cast())) {
        SUCCESS => Ok(module),
        code => Err(code),
    }
}

fn kernel(name: &str) -> sys::CUfunction {
    let name = CString::new(name).unwrap();
    let mut function = std::ptr::null_mut();
    succeed!(cuModuleGetFunction(&mut function, load(&ptx()).unwrap(), name.as_ptr()));
    function
}

/// Launches a kernel without parameters.
fn launch(function: sys::CUfunction, grid: [u32; 3], block: [u32; 3], shared: u32) -> CUresult {
    let null = std::ptr::null_mut();
    let ([gx, gy, gz], [bx, by, bz]) = (grid, block);
    result!(cuLaunchKernel(function, gx, gy, gz, bx, by, bz, shared, NULL, null, null))
}

/// Adds 1 to `count` numbers at `address`.
fn launch_add(function: sys::CUfunction, address: u64, count: u32, stream: sys::CUstream) {
    let (mut address, mut count, mut addend) = (address, count, 1u32);
    let mut parameters: [*mut c_void; 3] =
        [(&raw mut address).cast(), (&raw mut count).cast(), (&raw mut addend).cast()];
    let blocks = count.div_ceil(128);
    let null = std::ptr::null_mut();
    succeed!(cuLaunchKernel(function, blocks, 1, 1, 128, 1, 1, 0, stream, parameters.as_mut_ptr(), null));
    // The parameters were read during the call.
    address = 0;
    count = 0;
    addend = 7;
    std::hint::black_box((address, count, addend));
}

fn attribute(function: sys::CUfunction, attribute: Attribute) -> i32 {
    let mut value = 0;
    succeed!(cuFuncGetAttribute(&mut value, attribute, function));
    value
}

#[test]
fn a_kernel_through_cudarc() {
    let _test = TestContext::new();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let module = context.load_module(Ptx::from_src(ptx())).unwrap();
    let add = module.load_function("add").unwrap();
    let mut device = stream.clone_htod(&[1u32; 1000]).unwrap();
    let mut builder = stream.launch_builder(&add);
    builder.arg(&mut device).arg(&999u32).arg(&2u32);
    // SAFETY: the kernel's parameters, and a count within the slice.
    unsafe { builder.launch(LaunchConfig::for_num_elems(1000)) }.unwrap();
    let back = stream.clone_dtoh(&device).unwrap();
    assert!(back[..999].iter().all(|&number| number == 3));
    assert_eq!(back[999], 1);
}

#[test]
fn a_kernel_runs_in_its_turn() {
    let _context = TestContext::new();
    let (add, stream) = (kernel("add"), stream(1));
    let (device, host) = (device_memory(400), pinned_memory(400));
    host.fill(0);
    succeed!(cuMemsetD8Async(device, 0, 400, stream));
    launch_add(add, device, 100, stream);
    launch_add(add, device, 100, stream);
    succeed!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 400, stream));
    assert_eq!(&host[..4], &[0; 4]);
    succeed!(cuStreamSynchronize(stream));
    assert!(host.chunks(4).all(|bytes| bytes == 2u32.to_le_bytes()));
}

#[test]
fn a_captured_kernel_runs_at_each_launch_of_its_graph() {
    let _context = TestContext::new();
    let (add, stream, device) = (kernel("add"), stream(1), device_memory(400));
    let mode = sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_GLOBAL;
    let (mut graph, mut executable) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(cuMemsetD8Async(device, 0, 400, stream); cuStreamBeginCapture_v2(stream, mode));
    launch_add(add, device, 100, stream);
    succeed!(cuStreamEndCapture(stream, &mut graph); cuGraphInstantiateWithFlags(&mut executable, graph, 0));
    for _ in 0..3 {
        succeed!(cuGraphLaunch(executable, stream));
    }
    succeed!(cuStreamSynchronize(stream));
    assert!(read(device, 400).chunks(4).all(|bytes| bytes == 3u32.to_le_bytes()));
}

#[test]
fn variables_of_a_module() {
    let _context = TestContext::new();
    let module = load(&ptx()).unwrap();
    let (mut address, mut bytes) = (0, 0);
    succeed!(cuModuleGetGlobal_v2(&mut address, &mut bytes, module, c"answer".as_ptr()));
    assert_eq!(bytes, 4);
    assert_eq!(read(address, 4), 42u32.to_le_bytes());
    let missing = result!(cuModuleGetGlobal_v2(&mut address, &mut bytes, module, c"nothing".as_ptr()));
    assert_eq!(missing, CUresult::CUDA_ERROR_NOT_FOUND);
    assert_eq!(result!(cuMemFree_v2(address)), INVALID_VALUE, "a module's variable");
    succeed!(cuModuleUnload(module));
    assert_eq!(result!(cuMemsetD8_v2(address, 0, 4)), INVALID_VALUE, "gone with the module");
}

#[test]
fn functions_are_found_once_and_end_with_their_module() {
    let _context = TestContext::new();
    let module = load(&ptx()).unwrap();
    let (mut first, mut second) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(
        cuModuleGetFunction(&mut first, module, c"heavy".as_ptr());
        cuModuleGetFunction(&mut second, module, c"heavy".as_ptr())
    );
    assert_eq!(first, second);
    let missing = result!(cuModuleGetFunction(&mut second, module, c"nothing".as_ptr()));
    assert_eq!(missing, CUresult::CUDA_ERROR_NOT_FOUND);
    succeed!(cuModuleUnload(module));
    assert_eq!(launch(first, [1; 3], [1; 3], 0), CUresult::CUDA_ERROR_INVALID_HANDLE);
}

#[test]
fn shapes_that_no_device_runs() {
    let _context = TestContext::new();
    let heavy = kernel("heavy");
    for (grid, block) in [
        ([0, 1, 1], [1, 1, 1]),
        ([1, 1, 1], [1, 0, 1]),
        ([1, 65536, 1], [1, 1, 1]),
        ([1, 1, 65536], [1, 1, 1]),
        ([1, 1, 1], [1025, 1, 1]),
        ([1, 1, 1], [1, 1, 65]),
        ([1, 1, 1], [33, 32, 1]),
    ] {
        assert_eq!(launch(heavy, grid, block, 0), INVALID_VALUE, "{grid:?} {block:?}");
    }
    assert_eq!(launch(heavy, [65536, 1, 1], [32, 1, 1], 0), SUCCESS);
    assert_eq!(launch(std::ptr::null_mut(), [1; 3], [1; 3], 0), CUresult::CUDA_ERROR_INVALID_HANDLE);
}

#[test]
fn resources_that_a_kernel_cannot_have() {
    let _context = TestContext::new();
    let (bounded, heavy) = (kernel("bounded"), kernel("heavy"));
    assert_eq!(attribute(bounded, Attribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), 256);
    assert_eq!(launch(bounded, [1; 3], [257, 1, 1], 0), INVALID_VALUE);
    assert_eq!(attribute(heavy, Attribute::CU_FUNC_ATTRIBUTE_NUM_REGS), 168);
    let estimate = attribute(kernel("add"), Attribute::CU_FUNC_ATTRIBUTE_NUM_REGS);
    assert!((1..=255).contains(&estimate), "{estimate}");
    assert_eq!(attribute(heavy, Attribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), 384);
    assert_eq!(launch(heavy, [1; 3], [384, 1, 1], 0), SUCCESS);
    assert_eq!(launch(heavy, [1; 3], [385, 1, 1], 0), CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);

    let null = std::ptr::null_mut();
    let cooperative = |blocks| result!(cuLaunchCooperativeKernel(heavy, blocks, 1, 1, 384, 1, 1, 0, NULL, null));
    assert_eq!(cooperative(108), SUCCESS);
    assert_eq!(cooperative(109), CUresult::CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
}

#[test]
fn dynamic_shared_memory_is_opted_into() {
    let _context = TestContext::new();
    let bounded = kernel("bounded");
    let limit = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    assert_eq!(attribute(bounded, Attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), 40 * 1024);
    assert_eq!(attribute(bounded, limit), 8 * 1024, "what the static memory leaves of 48 KiB");
    assert_eq!(launch(bounded, [1; 3], [32, 1, 1], 8 * KIB), SUCCESS);
    assert_eq!(launch(bounded, [1; 3], [32, 1, 1], 8 * KIB + 1), INVALID_VALUE);
    let opt_in = |bytes: u32| result!(cuFuncSetAttribute(bounded, limit, bytes as i32));
    assert_eq!(opt_in(123 * KIB + 1), INVALID_VALUE, "static and dynamic memory leave 163 KiB");
    assert_eq!(opt_in(123 * KIB), SUCCESS);
    assert_eq!(launch(bounded, [1; 3], [32, 1, 1], 123 * KIB), SUCCESS);
    assert_eq!(launch(bounded, [1; 3], [32, 1, 1], 123 * KIB + 1), INVALID_VALUE);
    let read_only = Attribute::CU_FUNC_ATTRIBUTE_NUM_REGS;
    assert_eq!(result!(cuFuncSetAttribute(bounded, read_only, 3)), INVALID_VALUE);
    assert_eq!(result!(cuFuncSetAttribute(bounded, Attribute::CU_FUNC_ATTRIBUTE_MAX, 3)), INVALID_VALUE);
    succeed!(cuCtxSynchronize());
}

#[test]
fn too_much_static_shared_memory_is_refused_at_load() {
    let _context = TestContext::new();
    assert_eq!(load(&ptx().replace("tile[40960]", "tile[49156]")), Err(CUresult::CUDA_ERROR_INVALID_PTX));
    assert_eq!(load(&ptx().replace("mad.lo.s32 %r6", "mad.lo.s32 %r6,,")), Err(CUresult::CUDA_ERROR_INVALID_PTX));
    load(&ptx()).unwrap();
}

#[test]
fn parameters_must_be_given() {
    let _context = TestContext::new();
    let (add, device) = (kernel("add"), device_memory(4));
    assert_eq!(launch(add, [1; 3], [1; 3], 0), INVALID_VALUE);
    let mut block = [0u8; 16];
    block[..8].copy_from_slice(&device.to_le_bytes());
    block[8..12].copy_from_slice(&1u32.to_le_bytes());
    block[12..].copy_from_slice(&1u32.to_le_bytes());
    let mut bytes = block.len();
    let mut extra: [*mut c_void; 5] =
        [1 as _, block.as_mut_ptr().cast(), 2 as _, (&raw mut bytes).cast(), std::ptr::null_mut()];
    let null = std::ptr::null_mut();
    succeed!(
        cuMemsetD32_v2(device, 0, 1);
        cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, NULL, null, extra.as_mut_ptr())
    );
    assert_eq!(read(device, 4), 1u32.to_le_bytes());
}

#[test]
fn a_fault_stays_until_its_context_ends() {
    let _context = TestContext::new();
    let (add, device, stream) = (kernel("add"), device_memory(400), stream(1));
    launch_add(add, device, 101, stream);
    let fault = result!(cuStreamSynchronize(stream));
    assert_ne!(fault, SUCCESS);
    let report = cuda_emulator::last_report().unwrap();
    assert_eq!(report.class, cuda_emulator::report::Class::KernelBug);
    assert_eq!((report.kernel.as_deref(), report.thread), (Some("add"), Some([100, 0, 0])));
    let mut address = 0;
    assert_eq!(result!(cuMemAlloc_v2(&mut address, 4)), fault);
    assert_eq!(launch(add, [1; 3], [1; 3], 0), fault);
    let _another = TestContext::another();
    device_memory(4);
    succeed!(cuCtxSynchronize());
}

#[test]
fn blocks_per_multiprocessor() {
    let _context = TestContext::new();
    let heavy = kernel("heavy");
    let (mut blocks, mut grid, mut threads) = (0, 0, 0);
    succeed!(
        cuOccupancyMaxActiveBlocksPerMultiprocessor(&mut blocks, heavy, 128, 0);
        cuOccupancyMaxPotentialBlockSize(&mut grid, &mut threads, heavy, None, 0, 0)
    );
    assert_eq!(blocks, 3, "12 warps of 168 registers");
    assert_eq!((grid, threads), (108, 384));
    let mut dynamic = 0;
    succeed!(cuOccupancyAvailableDynamicSMemPerBlock(&mut dynamic, heavy, 2, 128));
    assert_eq!(dynamic, 48 * 1024, "without opting in");
}

#[test]
fn attributes_of_a_launch() {
    let _context = TestContext::new();
    let bounded = kernel("bounded");
    let launch = |mut attributes: Vec<sys::CUlaunchAttribute>| {
        let config = sys::CUlaunchConfig {
            gridDimX: 2,
            gridDimY: 1,
            gridDimZ: 1,
            blockDimX: 32,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            hStream: NULL,
            attrs: attributes.as_mut_ptr(),
            numAttrs: attributes.len() as u32,
        };
        result!(cuLaunchKernelEx(&config, bounded, std::ptr::null_mut(), std::ptr::null_mut()))
    };
    let attribute = |id, value| {
        // SAFETY: plain data; zeros are values of all of it.
        let mut attribute: sys::CUlaunchAttribute = unsafe { std::mem::zeroed() };
        (attribute.id, attribute.value) = (id, value);
        attribute
    };
    let cluster = |x| {
        let dimensions = sys::CUlaunchAttributeValue_union__bindgen_ty_1 { x, y: 1, z: 1 };
        let id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        attribute(id, sys::CUlaunchAttributeValue { clusterDim: dimensions })
    };
    let cooperative = sys::CUlaunchAttributeValue { cooperative: 1 };
    let id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    assert_eq!(launch(Vec::new()), SUCCESS);
    assert_eq!(launch(vec![attribute(id, cooperative), cluster(1)]), SUCCESS);
    assert_eq!(launch(vec![cluster(2)]), CUresult::CUDA_ERROR_NOT_SUPPORTED);
    succeed!(cuCtxSynchronize());
}
