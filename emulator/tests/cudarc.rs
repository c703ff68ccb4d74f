//! A program on cudarc's safe API runs on the emulator as it would on a GPU.

mod common;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, CudaStream, PinnedHostSlice, sys};

/// The primary context, for one test at a time: counters and captures are the process's.
fn context() -> (MutexGuard<'static, ()>, Arc<CudaContext>) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    common::install();
    (turn, CudaContext::new(0).unwrap())
}

#[test]
fn the_device_says_that_it_is_emulated() {
    let (_turn, context) = context();
    assert_eq!(context.name().unwrap(), "NVIDIA A100-SXM4-80GB (emulated)");
    assert_eq!(context.compute_capability().unwrap(), (8, 0));
    assert!(context.total_mem().unwrap() > 80_000_000_000);
    let (free, total) = context.mem_get_info().unwrap();
    assert!(free <= total);
}

/// Copies, fills and slices on `stream`.
fn round_trip(stream: &Arc<CudaStream>) {
    let numbers: Vec<f32> = (0..1000).map(|number| number as f32).collect();
    let mut device = stream.clone_htod(&numbers).unwrap();
    stream.memset_zeros(&mut device.slice_mut(10..20)).unwrap();
    let copy = stream.clone_dtod(&device).unwrap();
    let back = stream.clone_dtoh(&copy).unwrap();
    stream.synchronize().unwrap();
    let expected =
        numbers.iter().enumerate().map(|(index, &number)| if (10..20).contains(&index) { 0.0 } else { number });
    assert!(back.iter().copied().eq(expected));
    // SAFETY: nothing reads it as initialised.
    let fresh = unsafe { stream.alloc::<f32>(100) }.unwrap();
    assert!(stream.clone_dtoh(&fresh).unwrap().iter().all(|number| number.is_nan()));
}

#[test]
fn copies_on_default_and_created_streams() {
    let (_turn, context) = context();
    round_trip(&context.default_stream());
    round_trip(&context.new_stream().unwrap());
    context.synchronize().unwrap();
}

#[test]
fn streams_that_share_a_slice_wait_through_cudarcs_events() {
    let (_turn, context) = context();
    let (first, second) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let mut device = first.clone_htod(&[1u32; 64]).unwrap();
    second.memset_zeros(&mut device).unwrap();
    assert_eq!(first.clone_dtoh(&device).unwrap(), [0; 64]);
    let event = second.record_event(None).unwrap();
    first.wait(&event).unwrap();
    event.synchronize().unwrap();
    assert!(event.is_complete());
}

#[test]
fn pinned_memory() {
    let (_turn, context) = context();
    let stream = context.new_stream().unwrap();
    // SAFETY: it is written before it is read.
    let mut pinned: PinnedHostSlice<u32> = unsafe { context.alloc_pinned(16) }.unwrap();
    pinned.as_mut_slice().unwrap().fill(3);
    let device = stream.clone_htod(&pinned).unwrap();
    assert_eq!(stream.clone_dtoh(&device).unwrap(), [3; 16]);
}

#[test]
fn graphs_and_their_counters() {
    let (_turn, context) = context();
    // SAFETY: all accesses use one stream.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    let mut device = stream.clone_htod(&[1u32; 4]).unwrap();
    stream.synchronize().unwrap();
    cuda_emulator::reset_statistics();
    stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    stream.memset_zeros(&mut device).unwrap();
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap().unwrap();
    for _ in 0..3 {
        stream.memcpy_htod(&[2u32; 4], &mut device).unwrap();
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&device).unwrap(), [0; 4]);
    }
    let counted = cuda_emulator::statistics();
    assert_eq!((counted.graph_launches, counted.memsets), (3, 3));
    assert_eq!((counted.host_to_device_copies, counted.host_to_device_bytes), (3, 48));
    assert_eq!((counted.device_to_host_copies, counted.device_to_host_bytes), (3, 48));
    assert_eq!((counted.allocations, counted.frees, counted.kernels), (0, 0, 0));
}

#[test]
fn allocations_are_given_back() {
    let (_turn, context) = context();
    let stream = context.new_stream().unwrap();
    let before = context.mem_get_info().unwrap();
    cuda_emulator::reset_statistics();
    let device = stream.alloc_zeros::<u8>(1 << 20).unwrap();
    assert_eq!(context.mem_get_info().unwrap().0, before.0 - (1 << 20));
    drop(device);
    context.synchronize().unwrap();
    assert_eq!(context.mem_get_info().unwrap(), before);
    let counted = cuda_emulator::statistics();
    assert_eq!((counted.allocations, counted.frees), (1, 1));
}
