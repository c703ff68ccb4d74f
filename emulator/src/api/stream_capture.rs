//! The capture of streams.

use super::capture::{Mode, exchange_thread_mode};
use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::graph::{CUgraphEdgeData, check_edges};
use super::types::{CUgraph, CUgraphNode, CUstream, In, Out};

/// Begins to turn the work of a stream into a graph.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBeginCapture_v2(stream: CUstream, mode: u32) -> CUresult {
    call("cuStreamBeginCapture_v2", |driver| {
        let stream = driver.stream(stream)?;
        driver.begin_capture(stream, Mode::from_number(mode)?, None)
    })
}

/// As [`cuStreamBeginCapture_v2`], in the global mode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBeginCapture(stream: CUstream) -> CUresult {
    // SAFETY: the argument is the caller's.
    unsafe { cuStreamBeginCapture_v2(stream, Mode::Global as u32) }
}

/// Begins to add the work of a stream to a graph, behind some of its nodes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBeginCaptureToGraph(
    stream: CUstream,
    graph: CUgraph,
    dependencies: In<CUgraphNode>,
    data: In<CUgraphEdgeData>,
    dependency_count: usize,
    mode: u32,
) -> CUresult {
    call("cuStreamBeginCaptureToGraph", |driver| {
        let stream = driver.stream(stream)?;
        let nodes = dependencies.to_vec(dependency_count)?;
        check_edges(data, dependency_count)?;
        driver.check_nodes(graph, &nodes)?;
        driver.begin_capture(stream, Mode::from_number(mode)?, Some((graph, nodes)))
    })
}

/// Ends a capture and gives its graph, or null when the capture failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(stream: CUstream, graph: Out<CUgraph>) -> CUresult {
    call("cuStreamEndCapture", |driver| {
        let stream = driver.stream(stream)?;
        graph.set(CUgraph(0))?;
        graph.set(driver.end_capture(stream)?)
    })
}

/// What `cuStreamIsCapturing` answers.
const NOT_CAPTURING: u32 = 0;
const CAPTURING: u32 = 1;
const CAPTURE_INVALIDATED: u32 = 2;

fn capture_status(driver: &mut Driver, stream: CUstream) -> Result<u32> {
    let context = driver.streams[&stream].context;
    if driver.contexts[&context].legacy == stream {
        driver.forbid_legacy_in_capture(context)?;
    }
    let capture = driver.streams[&stream].capture.and_then(|number| driver.captures.get(&number));
    Ok(match capture {
        None => NOT_CAPTURING,
        Some(capture) if capture.invalidated => CAPTURE_INVALIDATED,
        Some(_) => CAPTURING,
    })
}

/// Whether a stream is being captured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: CUstream, status: Out<u32>) -> CUresult {
    call("cuStreamIsCapturing", |driver| {
        let stream = driver.stream(stream)?;
        status.set(capture_status(driver, stream)?)
    })
}

/// Sets how much this thread respects captures, and gives the mode before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuThreadExchangeStreamCaptureMode(mode: Out<u32>) -> CUresult {
    call("cuThreadExchangeStreamCaptureMode", |_| {
        let before = exchange_thread_mode(Mode::from_number(mode.get()?)?);
        mode.set(before as u32)
    })
}

/// What is known of the capture that a stream is in; nothing but the state if it is in none.
fn capture_info(
    driver: &mut Driver,
    stream: CUstream,
    (status, id): (Out<u32>, Out<u64>),
    graph: Out<CUgraph>,
    dependencies: Out<*const CUgraphNode>,
    dependency_count: Out<usize>,
) -> Result {
    let stream = driver.stream(stream)?;
    let state = capture_status(driver, stream)?;
    status.set(state)?;
    if state != CAPTURING {
        return Ok(());
    }
    let number = driver.streams[&stream].capture.unwrap_or_default();
    id.set_if_wanted(number);
    graph.set_if_wanted(driver.captures[&number].graph);
    let (place, count) = driver.frontier_place(number, stream);
    dependencies.set_if_wanted(place);
    dependency_count.set_if_wanted(count);
    Ok(())
}

/// The state and the number of a stream's capture.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetCaptureInfo(stream: CUstream, status: Out<u32>, id: Out<u64>) -> CUresult {
    call("cuStreamGetCaptureInfo", |driver| {
        capture_info(driver, stream, (status, id), Out::at(0), Out::at(0), Out::at(0))
    })
}

/// As [`cuStreamGetCaptureInfo`], with the graph, and the nodes that the next work would depend on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetCaptureInfo_v2(
    stream: CUstream,
    status: Out<u32>,
    id: Out<u64>,
    graph: Out<CUgraph>,
    dependencies: Out<*const CUgraphNode>,
    dependency_count: Out<usize>,
) -> CUresult {
    call("cuStreamGetCaptureInfo_v2", |driver| {
        capture_info(driver, stream, (status, id), graph, dependencies, dependency_count)
    })
}

/// As [`cuStreamGetCaptureInfo_v2`]; the edges say nothing, for which there is a null pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetCaptureInfo_v3(
    stream: CUstream,
    status: Out<u32>,
    id: Out<u64>,
    graph: Out<CUgraph>,
    dependencies: Out<*const CUgraphNode>,
    data: Out<*const CUgraphEdgeData>,
    dependency_count: Out<usize>,
) -> CUresult {
    call("cuStreamGetCaptureInfo_v3", |driver| {
        data.set_if_wanted(std::ptr::null());
        capture_info(driver, stream, (status, id), graph, dependencies, dependency_count)
    })
}

fn update_dependencies(
    driver: &mut Driver,
    stream: CUstream,
    dependencies: In<CUgraphNode>,
    dependency_count: usize,
    flags: u32,
) -> Result {
    const REPLACE: u32 = 1;
    let stream = driver.stream(stream)?;
    if flags > REPLACE {
        return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a change of dependencies"));
    }
    if driver.streams[&stream].capture.is_none() {
        return refused(CUresult::ILLEGAL_STATE, "the stream is not being captured");
    }
    driver.change_frontier(stream, &dependencies.to_vec(dependency_count)?, flags == REPLACE)
}

/// Lets the next work of a stream that is being captured depend on nodes, besides what it depends on, or instead.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamUpdateCaptureDependencies(
    stream: CUstream,
    dependencies: In<CUgraphNode>,
    dependency_count: usize,
    flags: u32,
) -> CUresult {
    call("cuStreamUpdateCaptureDependencies", |driver| {
        update_dependencies(driver, stream, dependencies, dependency_count, flags)
    })
}

/// As [`cuStreamUpdateCaptureDependencies`]; edges may say no more than an order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamUpdateCaptureDependencies_v2(
    stream: CUstream,
    dependencies: In<CUgraphNode>,
    data: In<CUgraphEdgeData>,
    dependency_count: usize,
    flags: u32,
) -> CUresult {
    call("cuStreamUpdateCaptureDependencies_v2", |driver| {
        check_edges(data, dependency_count)?;
        update_dependencies(driver, stream, dependencies, dependency_count, flags)
    })
}

super::exports![
    cuStreamBeginCapture,
    cuStreamBeginCapture_v2,
    cuStreamBeginCaptureToGraph,
    cuStreamEndCapture,
    cuStreamIsCapturing,
    cuThreadExchangeStreamCaptureMode,
    cuStreamGetCaptureInfo,
    cuStreamGetCaptureInfo_v2,
    cuStreamGetCaptureInfo_v3,
    cuStreamUpdateCaptureDependencies,
    cuStreamUpdateCaptureDependencies_v2,
];
