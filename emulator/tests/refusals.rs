//! What hardware and driver refuse, the emulator refuses with the same code. (Launches: `launch.rs`.)

#[macro_use]
mod common;

use std::ffi::{CStr, CString, c_char, c_void};

use common::{SUCCESS, TestContext, device_memory, event, pinned_memory, stream};
use cudarc::driver::sys::{self, CUresult};

const INVALID_VALUE: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;
const INVALID_HANDLE: CUresult = CUresult::CUDA_ERROR_INVALID_HANDLE;
const INVALID_CONTEXT: CUresult = CUresult::CUDA_ERROR_INVALID_CONTEXT;
const NULL: sys::CUstream = std::ptr::null_mut();

fn why() -> String {
    cuda_emulator::last_report().expect("a refusal leaves a report").message
}

#[test]
fn calls_without_a_context() {
    let _context = TestContext::new();
    succeed!(cuCtxPopCurrent_v2(std::ptr::null_mut()));
    let mut address = 0;
    assert_eq!(result!(cuMemAlloc_v2(&mut address, 4)), INVALID_CONTEXT);
    assert_eq!(result!(cuCtxSynchronize()), INVALID_CONTEXT);
    assert_eq!(result!(cuCtxSetCurrent(0x5000 as sys::CUcontext)), INVALID_CONTEXT);
    let mut device = 0;
    assert_eq!(result!(cuDeviceGet(&mut device, 1)), CUresult::CUDA_ERROR_INVALID_DEVICE);
    assert_eq!(result!(cuDeviceGet(std::ptr::null_mut(), 0)), INVALID_VALUE);
}

/// Programs clear up after their context was popped, as garbage collectors do.
#[test]
fn releases_without_a_context() {
    let context = TestContext::new();
    let (device, host) = (device_memory(4), pinned_memory(4).as_mut_ptr().cast::<c_void>());
    let (own_stream, own_event, module) = (stream(0), event(), common::load(common::PTX));
    succeed!(cuCtxPopCurrent_v2(std::ptr::null_mut()));
    succeed!(
        cuMemFree_v2(device);
        cuMemFreeHost(host);
        cuStreamDestroy_v2(own_stream);
        cuEventDestroy_v2(own_event);
        cuModuleUnload(module)
    );
    assert_eq!(result!(cuMemFree_v2(device)), INVALID_VALUE, "twice");
    succeed!(cuCtxPushCurrent_v2(context.handle));
}

#[test]
fn a_destroyed_context() {
    let context = TestContext::new();
    succeed!(cuCtxPushCurrent_v2(context.handle); cuCtxDestroy_v2(context.handle));
    assert_eq!(result!(cuCtxSynchronize()), CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED);
    assert_eq!(result!(cuCtxDestroy_v2(context.handle)), INVALID_CONTEXT);
    succeed!(cuCtxPopCurrent_v2(std::ptr::null_mut()));
}

#[test]
fn objects_of_another_context_or_destroyed() {
    let _first = TestContext::new();
    let (foreign, foreign_event) = (stream(0), event());
    let _second = TestContext::another();
    let device = device_memory(4);
    assert_eq!(result!(cuMemsetD8Async(device, 0, 4, foreign)), INVALID_HANDLE);
    assert_eq!(result!(cuEventRecord(foreign_event, NULL)), INVALID_HANDLE);
    let (own, own_event) = (stream(0), event());
    succeed!(cuStreamDestroy_v2(own); cuEventDestroy_v2(own_event));
    assert_eq!(result!(cuStreamSynchronize(own)), INVALID_HANDLE);
    assert_eq!(result!(cuStreamDestroy_v2(own)), INVALID_HANDLE);
    assert_eq!(result!(cuEventRecord(own_event, NULL)), INVALID_HANDLE);
    assert_eq!(result!(cuStreamDestroy_v2(NULL)), INVALID_HANDLE);
}

#[test]
fn allocations() {
    let _context = TestContext::new();
    let mut address = 0;
    assert_eq!(result!(cuMemAlloc_v2(&mut address, 0)), INVALID_VALUE);
    assert_eq!(result!(cuMemAlloc_v2(&mut address, 1 << 50)), CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    assert_eq!(result!(cuMemAlloc_v2(std::ptr::null_mut(), 4)), INVALID_VALUE);
    succeed!(cuMemFree_v2(0); cuMemFreeHost(std::ptr::null_mut()));
    assert_eq!(result!(cuMemHostUnregister(std::ptr::null_mut())), INVALID_VALUE);
    let device = device_memory(1000);
    assert_eq!(result!(cuMemFree_v2(device + 256)), INVALID_VALUE, "not the start");
    succeed!(cuMemFree_v2(device));
    assert_eq!(result!(cuMemFree_v2(device)), INVALID_VALUE, "twice");
    let host = pinned_memory(8).as_mut_ptr().cast::<c_void>();
    assert_eq!(result!(cuMemFree_v2(host as u64)), INVALID_VALUE, "host memory");
    succeed!(cuMemFreeHost(host));
    assert_eq!(result!(cuMemFreeHost(host)), INVALID_VALUE, "twice");
}

#[test]
fn registered_host_memory() {
    let _context = TestContext::new();
    let mut bytes = vec![0u8; 64];
    let start = bytes.as_mut_ptr().cast::<c_void>();
    succeed!(cuMemHostRegister_v2(start, 64, 0));
    let again = result!(cuMemHostRegister_v2(start.wrapping_byte_add(8), 8, 0));
    assert_eq!(again, CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    succeed!(cuMemHostUnregister(start));
    assert_eq!(result!(cuMemHostUnregister(start)), CUresult::CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

#[test]
fn copies_and_memsets_outside_allocations() {
    let _context = TestContext::new();
    let device = device_memory(100);
    let mut host = [0u8; 200];
    let pointer = host.as_mut_ptr().cast::<c_void>();
    assert_eq!(result!(cuMemcpyHtoD_v2(device, pointer, 101)), INVALID_VALUE);
    assert!(why().contains("101 bytes") && why().contains("100 bytes"), "{}", why());
    assert_eq!(result!(cuMemcpyDtoH_v2(pointer, device + 50, 51)), INVALID_VALUE);
    assert_eq!(result!(cuMemcpyDtoD_v2(device, device_memory(10), 11)), INVALID_VALUE);
    assert_eq!(result!(cuMemcpyHtoD_v2(pointer as u64, pointer, 4)), INVALID_VALUE, "a host address as a device's");
    assert_eq!(result!(cuMemcpyHtoD_v2(device, device as *const c_void, 4)), INVALID_VALUE, "and the reverse");
    assert_eq!(result!(cuMemcpyHtoD_v2(device, std::ptr::null(), 4)), INVALID_VALUE);
    assert_eq!(result!(cuMemsetD8_v2(device, 0, 101)), INVALID_VALUE);
    assert_eq!(result!(cuMemsetD32_v2(device + 2, 0, 1)), INVALID_VALUE, "misaligned");
    assert_eq!(result!(cuMemsetD32_v2(device, 0, usize::MAX / 2)), INVALID_VALUE, "overflow");
    assert_eq!(result!(cuMemsetD2D8_v2(device, 10, 0, 20, 2)), INVALID_VALUE, "pitch below width");
    succeed!(cuMemFree_v2(device));
    assert_eq!(result!(cuMemsetD8_v2(device, 0, 1)), INVALID_VALUE, "freed");
    assert_eq!(result!(cuMemcpyHtoD_v2(0, pointer, 4)), INVALID_VALUE, "null");
    succeed!(cuMemcpyHtoD_v2(0, pointer, 0));
}

#[test]
fn pinned_memory_freed_before_its_copy_runs() {
    let _context = TestContext::new();
    let stream = stream(1);
    let (device, host) = (device_memory(4), pinned_memory(4));
    let pointer = host.as_mut_ptr().cast();
    succeed!(cuMemcpyHtoDAsync_v2(device, pointer, 4, stream); cuMemFreeHost(pointer));
    assert_eq!(result!(cuStreamSynchronize(stream)), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(result!(cuCtxSynchronize()), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, "the error stays");
    let mut address = 0;
    assert_eq!(result!(cuMemAlloc_v2(&mut address, 4)), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
}

#[test]
fn flags_and_attributes() {
    let _context = TestContext::new();
    let (mut new_stream, mut new_event) = (std::ptr::null_mut(), std::ptr::null_mut());
    assert_eq!(result!(cuStreamCreate(&mut new_stream, 2)), INVALID_VALUE);
    assert_eq!(result!(cuEventCreate(&mut new_event, 8)), INVALID_VALUE);
    assert_eq!(result!(cuEventCreate(&mut new_event, 4)), INVALID_VALUE, "shared between processes, with timing");
    let mut untimed = std::ptr::null_mut();
    let mut milliseconds = 0.0;
    succeed!(cuEventCreate(&mut untimed, 2); cuEventRecord(untimed, NULL); cuEventSynchronize(untimed));
    assert_eq!(result!(cuEventElapsedTime(&mut milliseconds, untimed, untimed)), INVALID_HANDLE);
    let mut value = 0;
    let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
    succeed!(cuDeviceGetAttribute(&mut value, attribute, 0));
    assert_eq!(value, 8);
    assert_eq!(result!(cuDeviceGetAttribute(&mut value, attribute, 7)), CUresult::CUDA_ERROR_INVALID_DEVICE);
}

/// Loads `image` and gives the code and the error log.
fn load(image: &[u8]) -> (CUresult, String) {
    let mut module = std::ptr::null_mut();
    let mut log = [0u8; 300];
    let mut options =
        [sys::CUjit_option_enum::CU_JIT_ERROR_LOG_BUFFER, sys::CUjit_option_enum::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), log.len() as *mut c_void];
    let (options, values_pointer) = (options.as_mut_ptr(), values.as_mut_ptr());
    let code = result!(cuModuleLoadDataEx(&mut module, image.as_ptr().cast(), 2, options, values_pointer));
    let text = CStr::from_bytes_until_nul(&log).unwrap().to_str().unwrap().to_owned();
    assert_eq!(values[1] as usize, text.len());
    (code, text)
}

#[test]
fn images() {
    let _context = TestContext::new();
    assert_eq!(load(b"\x7fELF\x02\x01\x01\0").0, CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_eq!(load(b"\0").0, CUresult::CUDA_ERROR_INVALID_IMAGE);
    assert_eq!(load(b"garbage\0").0, CUresult::CUDA_ERROR_INVALID_IMAGE);
    assert_eq!(load(b".target sm_80\n\0").0, CUresult::CUDA_ERROR_INVALID_IMAGE);
    let (code, log) = load(b".version 8.0\n.target sm_90\n.address_size 64\n\0");
    assert_eq!(code, CUresult::CUDA_ERROR_INVALID_PTX);
    assert!(log.contains("does not run on") && log.contains("sm_"), "{log}");
    let (code, log) = load(b".version 9.5\n.target sm_80\n.address_size 64\n\0");
    assert_eq!(code, CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    assert!(log.contains("9.5") && log.contains("12.9"), "{log}");
    let kernel = |body: &str| {
        let text = format!(".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() {{\n{body} ret;\n}}\0");
        load(text.as_bytes())
    };
    for (body, name) in [("mov.u32 %r1, 2;", "%r1"), ("bra X;", "X"), (".reg .b32 a; add.s32 a, a, %r7;", "%r7")] {
        let (code, log) = kernel(body);
        assert_eq!(code, CUresult::CUDA_ERROR_INVALID_PTX, "{body}");
        assert!(log.contains(&format!("line 5; error   : unknown symbol {name}")), "{log}");
    }
    assert_eq!(kernel("frob.u32 %r1, 2;").0, SUCCESS, "what the emulator lacks is refused at launch");
    let mut module = std::ptr::null_mut();
    assert_eq!(result!(cuModuleLoadData(&mut module, std::ptr::null())), INVALID_VALUE);
    assert_eq!(result!(cuModuleLoad(&mut module, c"/nowhere.ptx".as_ptr())), CUresult::CUDA_ERROR_FILE_NOT_FOUND);
    assert_eq!(result!(cuModuleUnload(0x5000 as sys::CUmodule)), INVALID_HANDLE);
    let mut function = std::ptr::null_mut();
    assert_eq!(result!(cuModuleGetFunction(&mut function, module, c"k".as_ptr())), INVALID_HANDLE);
}

#[test]
fn every_code_has_its_name_and_no_other_has_one() {
    let _context = TestContext::new();
    let mut name: *const c_char = std::ptr::null();
    succeed!(cuGetErrorName(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, &mut name));
    // SAFETY: the driver's names live as long as the process.
    assert_eq!(unsafe { CStr::from_ptr(name) }, c"CUDA_ERROR_ILLEGAL_ADDRESS");
    succeed!(cuGetErrorString(CUresult::CUDA_ERROR_OUT_OF_MEMORY, &mut name));
    // SAFETY: as above.
    assert_eq!(unsafe { CStr::from_ptr(name) }, c"out of memory");
}

#[test]
fn entry_points_are_found_by_plain_name_and_nothing_is_invented() {
    let _context = TestContext::new();
    let find = |name: &str, version| {
        let name = CString::new(name).unwrap();
        let mut function: *mut c_void = std::ptr::null_mut();
        let mut status = sys::CUdriverProcAddressQueryResult::CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
        let code = result!(cuGetProcAddress_v2(name.as_ptr(), &mut function, version, 0, &mut status));
        (code, function as usize, status)
    };
    let (code, alloc, status) = find("cuMemAlloc", 12000);
    assert_eq!((code, status as u32), (SUCCESS, 0));
    let exported = cuda_emulator::api::symbol(c"cuMemAlloc_v2").unwrap().address as usize;
    assert_eq!(alloc, exported);
    assert_ne!(find("cuCtxCreate", 11000).1, find("cuCtxCreate", 12000).1);
    let missing = cuda_emulator::api::symbol(c"cuTexRefCreate").unwrap().address as usize;
    assert_eq!(find("cuTexRefCreate", 12000).1, missing, "what is missing is found, to be refused when it is called");
    assert_ne!(find("cuMemAdvise", 12000).1, find("cuMemAdvise", 12020).1);
    let (code, function, status) = find("cuGraphAddKernelNode", 9000);
    assert_eq!((code, function, status as u32), (SUCCESS, 0, 2), "later than the program's version");
    let (code, function, status) = find("cuNothing", 12000);
    assert_eq!((code, function, status as u32), (CUresult::CUDA_ERROR_NOT_FOUND, 0, 1));
}
