//! Contexts and the device: stacks of threads, limits, events of whole contexts, attributes, error codes.

#[macro_use]
mod common;

use std::ffi::{CStr, c_char};

use common::{TestContext, device_memory, event, read, stream};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};

fn current() -> sys::CUcontext {
    let mut context = std::ptr::null_mut();
    succeed!(cuCtxGetCurrent(&mut context));
    context
}

fn attribute(attribute: Attribute) -> i32 {
    let mut value = 0;
    succeed!(cuDeviceGetAttribute(&mut value, attribute, 0));
    value
}

/// A function of the emulator that this version of cudarc does not declare.
fn find<F: Copy>(name: &CStr) -> F {
    let address = cuda_emulator::api::symbol(name).unwrap().address;
    assert_eq!(size_of::<F>(), size_of_val(&address));
    // SAFETY: the caller names the function's own type, a pointer.
    unsafe { std::mem::transmute_copy(&address) }
}

#[test]
fn every_thread_has_its_own_stack_of_contexts() {
    let first = TestContext::new();
    let second = TestContext::another();
    assert_eq!(current(), second.handle);
    let handle = first.handle as usize;
    std::thread::spawn(move || {
        assert!(current().is_null());
        let context = handle as sys::CUcontext;
        succeed!(cuCtxPushCurrent_v2(context); cuCtxPushCurrent_v2(context));
        let mut popped = std::ptr::null_mut();
        succeed!(cuCtxPopCurrent_v2(&mut popped));
        assert_eq!((popped, current()), (context, context));
        succeed!(cuCtxSetCurrent(std::ptr::null_mut()));
        assert_eq!(result!(cuCtxPopCurrent_v2(&mut popped)), CUresult::CUDA_ERROR_INVALID_CONTEXT);
        assert_eq!(result!(cuCtxSynchronize()), CUresult::CUDA_ERROR_INVALID_CONTEXT);
    })
    .join()
    .unwrap();
    assert_eq!(current(), second.handle);
    let (mut one, mut two) = (0, 0);
    let id: unsafe extern "C" fn(sys::CUcontext, *mut u64) -> CUresult = find(c"cuCtxGetId");
    // SAFETY: the pointers are valid for the results.
    unsafe {
        assert_eq!(id(first.handle, &mut one), CUresult::CUDA_SUCCESS);
        assert_eq!(id(std::ptr::null_mut(), &mut two), CUresult::CUDA_SUCCESS);
    }
    assert_ne!(one, two);
}

#[test]
fn limits_and_preferences_are_kept() {
    let _context = TestContext::new();
    let mut value = 0;
    succeed!(
        cuCtxSetLimit(sys::CUlimit::CU_LIMIT_STACK_SIZE, 4096);
        cuCtxGetLimit(&mut value, sys::CUlimit::CU_LIMIT_STACK_SIZE)
    );
    assert_eq!(value, 4096);
    let unknown = result!(cuCtxGetLimit(&mut value, sys::CUlimit::CU_LIMIT_MAX));
    assert_eq!(unknown, CUresult::CUDA_ERROR_UNSUPPORTED_LIMIT);
    let (mut least, mut greatest, mut version) = (9, 9, 0);
    succeed!(
        cuCtxGetStreamPriorityRange(&mut least, &mut greatest);
        cuCtxGetApiVersion(current(), &mut version)
    );
    assert!(least == 0 && greatest < 0 && version > 0);
}

#[test]
fn events_stand_for_whole_contexts() {
    let context = TestContext::new();
    let (working, other) = (stream(1), stream(1));
    let (mark, device) = (event(), device_memory(1));
    type Function = unsafe extern "C" fn(sys::CUcontext, sys::CUevent) -> CUresult;
    let (record, wait): (Function, Function) = (find(c"cuCtxRecordEvent"), find(c"cuCtxWaitEvent"));
    succeed!(cuMemsetD8Async(device, 1, 1, working));
    // SAFETY: handles only.
    unsafe {
        assert_eq!(record(context.handle, mark), CUresult::CUDA_SUCCESS);
        assert_eq!(wait(context.handle, mark), CUresult::CUDA_SUCCESS);
    }
    let mut host = 0u8;
    succeed!(cuMemcpyDtoHAsync_v2((&raw mut host).cast(), device, 1, other); cuStreamSynchronize(other));
    assert_eq!(host, 1, "the other stream waited");
    succeed!(cuEventSynchronize(mark));
    assert_eq!(read(device, 1), [1]);
}

#[test]
fn the_only_device_has_no_peer() {
    let context = TestContext::new();
    let mut value = 9;
    succeed!(cuDeviceCanAccessPeer(&mut value, 0, 0));
    assert_eq!(value, 0);
    let rank = sys::CUdevice_P2PAttribute::CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK;
    let code = result!(cuDeviceGetP2PAttribute(&mut value, rank, 0, 1));
    assert_eq!(code, CUresult::CUDA_ERROR_INVALID_DEVICE);
    assert_eq!(result!(cuCtxEnablePeerAccess(context.handle, 0)), CUresult::CUDA_ERROR_INVALID_DEVICE);
    assert_eq!(result!(cuCtxDisablePeerAccess(context.handle)), CUresult::CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

#[test]
fn attributes_describe_the_device() {
    let _context = TestContext::new();
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 108);
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH), 131_072);
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH), 16_384);
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_LAYERED_LAYERS), 2_046);
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED), 1);
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH), 0, "what is missing is not claimed");
    // SAFETY: plain data, to be overwritten.
    let mut properties: sys::CUdevprop = unsafe { std::mem::zeroed() };
    succeed!(cuDeviceGetProperties(&mut properties, 0));
    assert_eq!(
        (properties.maxThreadsDim, properties.SIMDWidth, properties.clockRate),
        ([1024, 1024, 64], 32, 1_410_000)
    );
}

#[test]
fn all_codes_have_names_and_sentences() {
    let _context = TestContext::new();
    type Tell = unsafe extern "C" fn(u32, *mut *const c_char) -> CUresult;
    let (name_of, sentence_of): (Tell, Tell) = (find(c"cuGetErrorName"), find(c"cuGetErrorString"));
    let tell = |tell: Tell, code| {
        let mut text = std::ptr::null();
        // SAFETY: the pointer is valid for the result, and texts live as long as the process.
        unsafe { (tell(code, &mut text) == CUresult::CUDA_SUCCESS).then(|| CStr::from_ptr(text).to_str().unwrap()) }
    };
    let named = (0..1000).filter_map(|code| Some((code, tell(name_of, code)?))).collect::<Vec<_>>();
    // As many as cuda.h of CUDA 13.2 has.
    assert_eq!(named.len(), 102, "{named:?}");
    for (code, name) in named {
        assert!(name.starts_with("CUDA_") && !tell(sentence_of, code).unwrap().is_empty(), "{code}");
    }
    assert_eq!(tell(name_of, 910), Some("CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE"));
    assert_eq!(tell(name_of, 1), Some("CUDA_ERROR_INVALID_VALUE"));
    assert_eq!(tell(name_of, 998), None);
}
