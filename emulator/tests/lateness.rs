//! Work runs as late as the rules of streams allow: a program that forgets to wait finds old data.

#[macro_use]
mod common;

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{SUCCESS, TestContext, device_memory, event, pinned_memory, read, stream};
use cudarc::driver::sys::{self, CUresult};

const NON_BLOCKING: u32 = 1;
const NULL: sys::CUstream = std::ptr::null_mut();

#[test]
fn a_pinned_source_is_read_when_the_copy_runs() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let (device, host) = (device_memory(4), pinned_memory(4));
    host.fill(1);
    succeed!(cuMemcpyHtoDAsync_v2(device, host.as_ptr().cast(), 4, stream));
    host.fill(2);
    succeed!(cuStreamSynchronize(stream));
    assert_eq!(read(device, 4), [2; 4]);
}

#[test]
fn a_pageable_source_is_read_during_the_call() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let device = device_memory(4);
    let mut host = [1u8; 4];
    succeed!(cuMemcpyHtoDAsync_v2(device, host.as_ptr().cast(), 4, stream));
    host.fill(2);
    succeed!(cuStreamSynchronize(stream));
    assert_eq!(read(device, 4), [1; 4]);
    assert_eq!(host, [2; 4]);
}

#[test]
fn a_pinned_target_is_old_until_somebody_waits() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let (device, host) = (device_memory(4), pinned_memory(4));
    host.fill(9);
    succeed!(
        cuMemsetD8Async(device, 7, 4, stream);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, stream)
    );
    assert_eq!(host, [9; 4]);
    succeed!(cuStreamSynchronize(stream));
    assert_eq!(host, [7; 4]);
}

#[test]
fn a_pageable_target_is_complete_when_the_call_returns() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let device = device_memory(4);
    let mut host = [9u8; 4];
    succeed!(
        cuMemsetD8Async(device, 7, 4, stream);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, stream)
    );
    assert_eq!(host, [7; 4]);
}

#[test]
fn streams_do_not_wait_for_each_other_without_an_event() {
    let _context = TestContext::new();
    let (writer, reader) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let device = device_memory(4);
    let mut host = [0u8; 4];
    succeed!(
        cuMemsetD8Async(device, 7, 4, writer);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, reader)
    );
    assert_eq!(host, [0xFF; 4], "the memset has not run: fresh memory is NaN");
    let done = event();
    succeed!(
        cuEventRecord(done, writer);
        cuStreamWaitEvent(reader, done, 0);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, reader)
    );
    assert_eq!(host, [7; 4]);
}

#[test]
fn an_event_stands_for_its_recording_at_the_time_of_the_wait() {
    let _context = TestContext::new();
    let (writer, reader) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let (device, done) = (device_memory(4), event());
    let mut host = [0u8; 4];
    succeed!(
        cuMemsetD8Async(device, 1, 4, writer);
        cuEventRecord(done, writer);
        cuStreamWaitEvent(reader, done, 0);
        cuMemsetD8Async(device, 2, 4, writer);
        cuEventRecord(done, writer);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, reader)
    );
    assert_eq!(host, [1; 4]);
}

#[test]
fn the_legacy_stream_and_blocking_streams_wait_for_each_other() {
    let _context = TestContext::new();
    let (blocking, free) = (stream(0), stream(NON_BLOCKING));
    let device = device_memory(8);
    succeed!(cuMemsetD8Async(device, 1, 4, blocking); cuMemsetD8Async(device + 4, 1, 4, free));
    assert_eq!(read(device, 8), [1, 1, 1, 1, 0xFF, 0xFF, 0xFF, 0xFF]);

    let mut host = [0u8; 4];
    succeed!(
        cuMemsetD8Async(device, 2, 4, NULL);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, blocking)
    );
    assert_eq!(host, [2; 4]);
    succeed!(
        cuMemsetD8Async(device, 3, 4, NULL);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, free)
    );
    assert_eq!(host, [2; 4]);
}

#[test]
fn work_of_a_destroyed_stream_still_runs() {
    let _context = TestContext::new();
    let gone = stream(0);
    let device = device_memory(4);
    succeed!(cuMemsetD8Async(device, 5, 4, gone); cuStreamDestroy_v2(gone));
    assert_eq!(read(device, 4), [5; 4]);
}

#[test]
fn polling_comes_to_an_end() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let (device, host, done) = (device_memory(4), pinned_memory(4), event());
    assert_eq!(result!(cuEventQuery(done)), SUCCESS, "never recorded");
    for value in 0..100 {
        succeed!(cuMemsetD8Async(device, value, 4, stream));
    }
    succeed!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, stream); cuEventRecord(done, stream));
    assert_eq!(result!(cuEventQuery(done)), CUresult::CUDA_ERROR_NOT_READY);
    let polls = (0..100).take_while(|_| result!(cuEventQuery(done)) == CUresult::CUDA_ERROR_NOT_READY).count();
    assert!(polls < 100);
    assert_eq!((result!(cuEventQuery(done)), result!(cuStreamQuery(stream))), (SUCCESS, SUCCESS));
    assert_eq!(host, [99; 4]);
}

#[test]
fn stream_ordered_memory_lives_between_its_two_calls() {
    let _context = TestContext::new();
    let (first, second) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let mut device = 0;
    succeed!(cuMemAllocAsync(&mut device, 4, first); cuMemsetD8Async(device, 5, 4, first));
    let mut host = [0u8; 4];
    succeed!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, first));
    assert_eq!(host, [5; 4]);

    let mut unordered = 0;
    succeed!(cuMemAllocAsync(&mut unordered, 4, first); cuMemsetD8Async(unordered, 5, 4, second));
    assert_eq!(result!(cuStreamSynchronize(second)), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, "used before it is there");
    assert_eq!(result!(cuStreamSynchronize(first)), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, "the context is lost");
}

#[test]
fn memory_freed_in_a_stream_is_gone_for_what_comes_later() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let mut device = 0;
    succeed!(
        cuMemAllocAsync(&mut device, 4, stream);
        cuMemFreeAsync(device, stream);
        cuMemsetD8Async(device, 5, 4, stream)
    );
    assert_eq!(result!(cuMemFreeAsync(device, stream)), CUresult::CUDA_ERROR_INVALID_VALUE, "freed twice");
    assert_eq!(result!(cuCtxSynchronize()), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
}

#[test]
fn releasing_plain_memory_waits_for_its_users() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let (device, host) = (device_memory(4), pinned_memory(4));
    succeed!(
        cuMemsetD8Async(device, 5, 4, stream);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), device, 4, stream);
        cuMemFree_v2(device)
    );
    assert_eq!(host, [5; 4]);
}

static CALLS: AtomicU32 = AtomicU32::new(0);
static CODE_INSIDE: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn host_function(data: *mut c_void) {
    CALLS.store(data as u32, Ordering::Relaxed);
    CODE_INSIDE.store(result!(cuCtxSynchronize()) as u32, Ordering::Relaxed);
}

#[test]
fn a_host_function_runs_in_its_turn_and_must_not_call_the_driver() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    succeed!(cuLaunchHostFunc(stream, Some(host_function), 42 as *mut c_void));
    assert_eq!(CALLS.load(Ordering::Relaxed), 0);
    succeed!(cuStreamSynchronize(stream));
    assert_eq!(CALLS.load(Ordering::Relaxed), 42);
    assert_eq!(CODE_INSIDE.load(Ordering::Relaxed), CUresult::CUDA_ERROR_NOT_PERMITTED as u32);
}

#[test]
fn times_between_events_are_those_of_the_work() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let (start, end) = (event(), event());
    let mut milliseconds = f32::NAN;
    let mut elapsed = || result!(cuEventElapsedTime(&mut milliseconds, start, end));
    assert_eq!(elapsed(), CUresult::CUDA_ERROR_INVALID_HANDLE, "not recorded");
    unsafe extern "C" fn sleep(_: *mut c_void) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    succeed!(
        cuEventRecord(start, stream);
        cuLaunchHostFunc(stream, Some(sleep), std::ptr::null_mut());
        cuEventRecord(end, stream)
    );
    assert_eq!(elapsed(), CUresult::CUDA_ERROR_NOT_READY);
    succeed!(cuEventSynchronize(end));
    assert_eq!(elapsed(), SUCCESS);
    assert!((20.0..2000.0).contains(&milliseconds), "{milliseconds} ms");
}

#[test]
fn a_copy_without_a_stream_is_done_when_it_returns_unless_a_seed_asks_for_the_worst() {
    let _context = TestContext::new();
    let config = cuda_emulator::Config { quiet: true, threads: 2, ..cuda_emulator::Config::default() };
    let mut seen = Vec::new();
    for seed in [0, 1, 2, 3, 4, 5, 6, 7] {
        cuda_emulator::configure(cuda_emulator::Config { seed, ..config.clone() }).expect("only the seed changes");
        let (source, target, stream) = (device_memory(4), device_memory(4), stream(NON_BLOCKING));
        succeed!(
            cuMemcpyHtoD_v2(source, [7u8; 4].as_ptr().cast(), 4);
            cuMemcpyDtoDAsync_v2(target, source, 4, stream);
            cuStreamSynchronize(stream)
        );
        seen.push(read(target, 4) == [7; 4]);
    }
    cuda_emulator::configure(config).expect("only the seed changes");
    assert!(seen[0], "the program has waited for nothing, as programs do");
    assert!(seen.contains(&false), "no seed shows what is allowed");
}
