//! Streams: default streams of threads, callbacks, waits for values in memory.

#[macro_use]
mod common;

use std::ffi::c_void;

use common::{AddParameters, PTX, TestContext, device_memory, function, load, pinned_memory, read, stream};
use cudarc::driver::sys::{self, CUresult};

const NULL: sys::CUstream = std::ptr::null_mut();
const NON_BLOCKING: u32 = 1;

type Fill = unsafe extern "C" fn(u64, u8, usize, sys::CUstream) -> CUresult;
type Synchronize = unsafe extern "C" fn(sys::CUstream) -> CUresult;

/// A function of the variant for default streams of threads, or of that for the legacy one.
fn find(name: &std::ffi::CStr, per_thread: bool) -> *mut c_void {
    let mut found = std::ptr::null_mut();
    succeed!(cuGetProcAddress_v2(
        name.as_ptr(),
        &mut found,
        12000,
        if per_thread { 2 } else { 1 },
        std::ptr::null_mut()
    ));
    found
}

#[test]
fn the_null_stream_is_the_threads_own_in_the_variants_for_it() {
    let _context = TestContext::new();
    let (host, device) = (pinned_memory(1), device_memory(1));
    assert_ne!(find(c"cuMemsetD8Async", true), find(c"cuMemsetD8Async", false));
    assert_eq!(find(c"cuMemAlloc", true), find(c"cuMemAlloc", false), "nothing to tell apart");
    // SAFETY: the functions' own types.
    let fill: Fill = unsafe { std::mem::transmute(find(c"cuMemsetD8Async", true)) };
    // SAFETY: as above.
    let synchronize: Synchronize = unsafe { std::mem::transmute(find(c"cuStreamSynchronize", true)) };
    let other = stream(NON_BLOCKING);
    succeed!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 1, other); cuStreamSynchronize(other));
    // SAFETY: a device address and one byte.
    assert_eq!(unsafe { fill(device, 1, 1, NULL) }, CUresult::CUDA_SUCCESS);
    // A stream that does not block waits for neither default stream: the fill has not run.
    succeed!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 1, other); cuStreamSynchronize(other));
    assert_eq!(host, [0xFF]);
    // SAFETY: no pointers.
    assert_eq!(unsafe { synchronize(NULL) }, CUresult::CUDA_SUCCESS);
    succeed!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 1, other); cuStreamSynchronize(other));
    assert_eq!(host, [1]);
    // Handle 2 is the same stream.
    let (mut own, mut two) = (0, 0);
    // SAFETY: the function's own type.
    let id: unsafe extern "C" fn(sys::CUstream, *mut u64) -> CUresult =
        unsafe { std::mem::transmute(find(c"cuStreamGetId", true)) };
    // SAFETY: the pointers are valid for the results.
    unsafe {
        assert_eq!(id(NULL, &mut own), CUresult::CUDA_SUCCESS);
        assert_eq!(id(2 as sys::CUstream, &mut two), CUresult::CUDA_SUCCESS);
    }
    let mut legacy = 0;
    succeed!(cuStreamGetId(NULL, &mut legacy));
    assert!(own == two && own != legacy, "{own} {two} {legacy}");
}

#[test]
fn the_legacy_stream_and_a_threads_own_wait_for_each_other() {
    let _context = TestContext::new();
    let device = device_memory(1);
    // SAFETY: the function's own type.
    let fill: Fill = unsafe { std::mem::transmute(find(c"cuMemsetD8Async", true)) };
    // SAFETY: a device address and one byte.
    assert_eq!(unsafe { fill(device, 1, 1, NULL) }, CUresult::CUDA_SUCCESS);
    assert_eq!(read(device, 1), [1], "the copy in the legacy stream waits");
}

unsafe extern "C" fn note_state(_stream: sys::CUstream, state: CUresult, list: *mut c_void) {
    // SAFETY: the test gave a list that lives.
    unsafe { (*list.cast::<Vec<CUresult>>()).push(state) };
}

#[test]
fn callbacks_learn_of_faults_and_host_functions_do_not_run_after_them() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let fault = function(load(PTX), "fault");
    let mut states: Vec<CUresult> = Vec::new();
    let list: *mut c_void = (&raw mut states).cast();
    let null = std::ptr::null_mut();
    succeed!(
        cuStreamAddCallback(stream, Some(note_state), list, 0);
        cuLaunchKernel(fault, 1, 1, 1, 1, 1, 1, 0, stream, null, null);
        cuStreamAddCallback(stream, Some(note_state), list, 0)
    );
    let code = CUresult::CUDA_ERROR_ILLEGAL_ADDRESS;
    assert_eq!(result!(cuStreamSynchronize(stream)), code);
    assert_eq!(states, [CUresult::CUDA_SUCCESS, code]);
    assert_eq!(result!(cuStreamQuery(stream)), code, "every later call answers with it");
    assert_eq!(result!(cuStreamAddCallback(stream, Some(note_state), list, 0)), code);
}

#[test]
fn streams_wait_for_values_that_other_streams_write() {
    let _context = TestContext::new();
    let (waiting, writing) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let (flag, data) = (device_memory(4), device_memory(4));
    let add = function(load(PTX), "add");
    succeed!(cuMemsetD32_v2(flag, 0, 1); cuMemsetD32_v2(data, 0, 1); cuCtxSynchronize());
    let mut parameters = AddParameters::new(data, 1, 5);
    let (pointers, null) = (parameters.pointers.as_mut_ptr(), std::ptr::null_mut());
    let mut half = AddParameters::new(data, 1, 100);
    succeed!(
        cuStreamWaitValue32_v2(waiting, flag, 3, 0);
        cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, waiting, pointers, null)
    );
    assert_eq!(result!(cuStreamQuery(waiting)), CUresult::CUDA_ERROR_NOT_READY);
    succeed!(
        cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, writing, half.pointers.as_mut_ptr(), null);
        cuStreamWriteValue32_v2(writing, flag, 3, 0);
        cuStreamSynchronize(waiting)
    );
    assert_eq!(common::read_integers(data, 1), [105]);
    assert_eq!(common::read_integers(flag, 1), [3]);
}

#[test]
fn streams_wait_for_values_that_the_host_writes() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let flag = pinned_memory(8);
    flag.fill(0);
    let address = flag.as_ptr() as u64;
    succeed!(cuStreamWaitValue64_v2(stream, address, 1 << 40, 1));
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        // SAFETY: the memory lives as long as the test's context.
        unsafe { (address as *mut u64).write_volatile(1 << 40) };
    });
    succeed!(cuStreamSynchronize(stream));
    writer.join().unwrap();
    assert_eq!(result!(cuStreamWaitValue32_v2(stream, address + 2, 0, 0)), CUresult::CUDA_ERROR_INVALID_VALUE);
}

#[test]
fn attributes_are_kept_and_copied() {
    let _context = TestContext::new();
    let (one, two) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    // SAFETY: plain data.
    let mut value: sys::CUstreamAttrValue = unsafe { std::mem::zeroed() };
    value.syncPolicy = sys::CUsynchronizationPolicy::CU_SYNC_POLICY_YIELD;
    let policy = sys::CUstreamAttrID::CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY;
    // SAFETY: plain data.
    let mut told: sys::CUstreamAttrValue = unsafe { std::mem::zeroed() };
    succeed!(
        cuStreamSetAttribute(one, policy, &value);
        cuStreamCopyAttributes(two, one);
        cuStreamGetAttribute(two, policy, &mut told)
    );
    // SAFETY: the attribute that was asked for.
    assert_eq!(unsafe { told.syncPolicy }, sys::CUsynchronizationPolicy::CU_SYNC_POLICY_YIELD);
}
