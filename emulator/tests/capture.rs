//! Stream capture and graphs.

#[macro_use]
mod common;

use common::{SUCCESS, TestContext, device_memory, event, pinned_memory, read, stream};
use cudarc::driver::sys::{self, CUresult, CUstreamCaptureMode_enum as Mode};

const NON_BLOCKING: u32 = 1;
const NULL: sys::CUstream = std::ptr::null_mut();

fn begin(stream: sys::CUstream, mode: Mode) {
    succeed!(cuStreamBeginCapture_v2(stream, mode));
}

fn end(stream: sys::CUstream) -> Result<sys::CUgraph, CUresult> {
    let mut graph = std::ptr::null_mut();
    match result!(cuStreamEndCapture(stream, &mut graph)) {
        SUCCESS => Ok(graph),
        code => {
            assert!(graph.is_null(), "a failed capture gives no graph");
            Err(code)
        }
    }
}

fn instantiate(graph: sys::CUgraph) -> sys::CUgraphExec {
    let mut executable = std::ptr::null_mut();
    succeed!(cuGraphInstantiateWithFlags(&mut executable, graph, 0));
    executable
}

fn node_count(graph: sys::CUgraph) -> usize {
    let mut count = 0;
    succeed!(cuGraphGetNodes(graph, std::ptr::null_mut(), &mut count));
    count
}

#[test]
fn captured_work_runs_at_each_launch_and_not_before() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let (device, host) = (device_memory(4), pinned_memory(4));
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    succeed!(
        cuMemcpyHtoDAsync_v2(device, host.as_ptr().cast(), 4, stream);
        cuMemsetD8Async(device, 9, 1, stream)
    );
    let graph = end(stream).unwrap();
    assert_eq!(node_count(graph), 2);
    let executable = instantiate(graph);
    succeed!(cuGraphDestroy(graph); cuStreamSynchronize(stream));
    assert_eq!(read(device, 4), [0xFF; 4]);
    for value in [1, 2] {
        host.fill(value);
        succeed!(cuGraphLaunch(executable, stream); cuStreamSynchronize(stream));
        assert_eq!(read(device, 4), [9, value, value, value]);
    }
    succeed!(cuGraphExecDestroy(executable));
    assert_eq!(result!(cuGraphLaunch(executable, stream)), CUresult::CUDA_ERROR_INVALID_VALUE);
}

#[test]
fn a_graph_keeps_its_place_in_the_stream() {
    let _context = TestContext::new();
    let (stream, host) = (stream(NON_BLOCKING), pinned_memory(8));
    let device = device_memory(4);
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_RELAXED);
    succeed!(cuMemsetD8Async(device + 1, 5, 2, stream));
    let executable = instantiate(end(stream).unwrap());
    let copy = |offset: usize| host.as_ptr().wrapping_add(offset).cast_mut().cast();
    succeed!(
        cuMemsetD8Async(device, 1, 4, stream);
        cuGraphLaunch(executable, stream);
        cuMemcpyDtoHAsync_v2(copy(0), device, 4, stream);
        cuMemsetD8Async(device, 2, 4, stream);
        cuGraphLaunch(executable, stream);
        cuMemcpyDtoHAsync_v2(copy(4), device, 4, stream);
        cuStreamSynchronize(stream)
    );
    assert_eq!(host, [1, 5, 5, 1, 2, 5, 5, 2]);
}

#[test]
fn forked_streams_become_branches() {
    let _context = TestContext::new();
    let (main, side) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let (fork, join) = (event(), event());
    let device = device_memory(4);
    begin(main, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    succeed!(
        cuMemsetD8Async(device, 1, 4, main);
        cuEventRecord(fork, main);
        cuStreamWaitEvent(side, fork, 0);
        cuMemsetD8Async(device, 2, 2, side);
        cuMemsetD8Async(device + 2, 3, 1, main);
        cuEventRecord(join, side);
        cuStreamWaitEvent(main, join, 0);
        cuMemcpyDtoDAsync_v2(device + 3, device, 1, main)
    );
    let graph = end(main).unwrap();
    let (mut roots, mut edges) = (0, 0);
    let null = std::ptr::null_mut();
    succeed!(cuGraphGetRootNodes(graph, null, &mut roots); cuGraphGetEdges(graph, null, null, &mut edges));
    assert_eq!((node_count(graph), roots, edges), (4, 1, 4));
    let executable = instantiate(graph);
    succeed!(cuGraphLaunch(executable, main); cuStreamSynchronize(main));
    assert_eq!(read(device, 4), [2, 2, 3, 2]);
    let mut status = sys::CUstreamCaptureStatus_enum::CU_STREAM_CAPTURE_STATUS_ACTIVE;
    succeed!(cuStreamIsCapturing(side, &mut status));
    assert_eq!(status as u32, 0, "the side stream left the capture, too");
}

#[test]
fn unjoined_branches_are_refused() {
    let _context = TestContext::new();
    let (main, side, fork) = (stream(NON_BLOCKING), stream(NON_BLOCKING), event());
    let device = device_memory(4);
    begin(main, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    succeed!(
        cuEventRecord(fork, main);
        cuStreamWaitEvent(side, fork, 0);
        cuMemsetD8Async(device, 2, 2, side)
    );
    assert_eq!(end(main), Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED));
    succeed!(cuMemsetD8Async(device, 1, 4, main); cuStreamSynchronize(main));
}

/// Captures in a blocking stream, does `forbidden`, which must fail with `code`, and finds the capture invalidated.
fn invalidates(code: CUresult, forbidden: impl FnOnce(sys::CUstream) -> CUresult) {
    let stream = stream(0);
    let device = device_memory(4);
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    assert_eq!(forbidden(stream), code);
    let more = result!(cuMemsetD8Async(device, 1, 4, stream));
    assert_eq!(more, CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    assert_eq!(end(stream), Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
    succeed!(cuMemFree_v2(device); cuStreamDestroy_v2(stream));
}

#[test]
fn forbidden_calls_invalidate_the_capture() {
    let _context = TestContext::new();
    let unsupported = CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    let (device, done, before) = (device_memory(4), event(), event());
    let mut bytes = [0u8; 4];
    let mut address = 0;
    succeed!(cuEventRecord(before, NULL));
    invalidates(unsupported, |stream| result!(cuStreamSynchronize(stream)));
    invalidates(unsupported, |stream| result!(cuStreamQuery(stream)));
    invalidates(unsupported, |_| result!(cuCtxSynchronize()));
    invalidates(unsupported, |_| result!(cuMemAlloc_v2(&mut address, 4)));
    invalidates(unsupported, |_| result!(cuMemFree_v2(device)));
    invalidates(unsupported, |_| result!(cuEventQuery(before)));
    invalidates(unsupported, |_| result!(cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), device, 4)));
    let pageable = bytes.as_ptr().cast();
    invalidates(unsupported, |stream| result!(cuMemcpyHtoDAsync_v2(device, pageable, 4, stream)));
    invalidates(CUresult::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, |_| result!(cuMemsetD8Async(device, 1, 4, NULL)));
    invalidates(CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION, |stream| result!(cuStreamWaitEvent(stream, before, 0)));
    invalidates(CUresult::CUDA_ERROR_CAPTURED_EVENT, |stream| {
        succeed!(cuEventRecord(done, stream));
        result!(cuEventSynchronize(done))
    });
}

#[test]
fn relaxed_captures_forbid_only_what_conflicts() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_RELAXED);
    let device = device_memory(4);
    succeed!(cuMemsetD8Async(device, 1, 4, stream); cuMemsetD8Async(device, 2, 4, NULL));
    assert_eq!(read(device, 4), [2; 4]);
    let executable = instantiate(end(stream).unwrap());
    succeed!(cuGraphLaunch(executable, stream); cuStreamSynchronize(stream));
    assert_eq!(read(device, 4), [1; 4]);
}

#[test]
fn captures_begin_and_end_in_order() {
    let _context = TestContext::new();
    let (main, side, fork) = (stream(NON_BLOCKING), stream(NON_BLOCKING), event());
    let global = Mode::CU_STREAM_CAPTURE_MODE_GLOBAL;
    assert_eq!(end(main), Err(CUresult::CUDA_ERROR_ILLEGAL_STATE), "nothing was begun");
    let legacy = result!(cuStreamBeginCapture_v2(NULL, global));
    assert_eq!(legacy, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    begin(main, global);
    assert_eq!(result!(cuStreamBeginCapture_v2(main, global)), CUresult::CUDA_ERROR_ILLEGAL_STATE);
    succeed!(cuEventRecord(fork, main); cuStreamWaitEvent(side, fork, 0));
    assert_eq!(end(side), Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED));
    assert_eq!(end(main), Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
}

#[test]
fn another_thread_cannot_end_a_capture() {
    let context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    let (context_number, stream_number) = (context.handle as usize, stream as usize);
    std::thread::spawn(move || {
        succeed!(cuCtxSetCurrent(context_number as sys::CUcontext));
        let code = end(stream_number as sys::CUstream);
        assert_eq!(code, Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD));
        device_memory(4);
    })
    .join()
    .unwrap();
    assert_eq!(node_count(end(stream).unwrap()), 0);
}

#[test]
fn a_graph_inside_a_graph() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let device = device_memory(4);
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_RELAXED);
    succeed!(cuMemsetD8Async(device, 1, 4, stream); cuMemsetD8Async(device, 2, 2, stream));
    let inner = instantiate(end(stream).unwrap());
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_RELAXED);
    succeed!(cuGraphLaunch(inner, stream); cuMemsetD8Async(device, 3, 1, stream));
    let graph = end(stream).unwrap();
    assert_eq!(node_count(graph), 2);
    let outer = instantiate(graph);
    succeed!(cuGraphLaunch(outer, stream); cuStreamSynchronize(stream));
    assert_eq!(read(device, 4), [3, 2, 1, 1]);
}

#[test]
fn the_capture_tells_its_graph_which_can_be_extended_by_hand() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let device = device_memory(4);
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_RELAXED);
    succeed!(cuMemsetD8Async(device, 1, 4, stream));
    let (mut id, mut graph) = (0, std::ptr::null_mut());
    let mut status = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
    let (mut nodes, mut count) = (std::ptr::null(), 0);
    succeed!(cuStreamGetCaptureInfo_v2(stream, &mut status, &mut id, &mut graph, &mut nodes, &mut count));
    assert_eq!((status, count), (sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE, 1));
    assert_ne!(id, 0);
    let fill = sys::CUDA_MEMSET_NODE_PARAMS { dst: device, pitch: 0, value: 2, elementSize: 1, width: 2, height: 1 };
    let (mut node, mut context) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(
        cuCtxGetCurrent(&mut context);
        cuGraphAddMemsetNode(&mut node, graph, nodes, count, &fill, context);
        cuStreamUpdateCaptureDependencies(stream, &mut node, 1, 1);
        cuMemsetD8Async(device, 3, 1, stream)
    );
    let ended = end(stream).unwrap();
    assert_eq!((ended, node_count(ended)), (graph, 3));
    succeed!(cuGraphLaunch(instantiate(graph), stream); cuStreamSynchronize(stream));
    assert_eq!(read(device, 4), [3, 2, 1, 1]);
    succeed!(cuStreamGetCaptureInfo_v2(stream, &mut status, &mut id, &mut graph, &mut nodes, &mut count));
    assert_eq!(status, sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE);
}

#[test]
fn memory_of_a_graph_lives_from_its_allocation_to_its_release() {
    let _context = TestContext::new();
    let stream = stream(NON_BLOCKING);
    let host = pinned_memory(4);
    let mut address = 0;
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    succeed!(
        cuMemAllocAsync(&mut address, 4, stream);
        cuMemsetD8Async(address, 5, 4, stream);
        cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), address, 4, stream);
        cuMemFreeAsync(address, stream)
    );
    let executable = instantiate(end(stream).unwrap());
    for _ in 0..2 {
        host.fill(0);
        succeed!(cuGraphLaunch(executable, stream); cuStreamSynchronize(stream));
        assert_eq!(host, [5; 4]);
    }
    assert_eq!(result!(cuMemFree_v2(address)), CUresult::CUDA_ERROR_INVALID_VALUE, "the graph freed it");
    begin(stream, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    succeed!(cuMemAllocAsync(&mut address, 4, stream); cuMemsetD8Async(address, 6, 4, stream));
    let graph = end(stream).unwrap();
    let executable = instantiate(graph);
    succeed!(cuGraphLaunch(executable, stream); cuStreamSynchronize(stream));
    assert_eq!(read(address, 4), [6; 4], "the memory outlives the launch");
    assert_eq!(result!(cuGraphLaunch(executable, stream)), CUresult::CUDA_ERROR_INVALID_VALUE, "not freed yet");
    succeed!(cuMemFreeAsync(address, stream); cuGraphLaunch(executable, stream); cuStreamSynchronize(stream));
    succeed!(cuMemFree_v2(address); cuGraphExecDestroy(executable); cuGraphDestroy(graph));
    assert_eq!(result!(cuMemsetD8_v2(address, 0, 1)), CUresult::CUDA_ERROR_INVALID_VALUE, "gone with its graph");
}
