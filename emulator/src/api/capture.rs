//! Stream capture: work that becomes nodes of a graph instead of running.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::ThreadId;

use super::driver::Driver;
use super::error::{CUresult, Result, refused};
use super::graph::Task;
use super::types::{CUcontext, CUgraph, CUgraphNode, CUstream};
use super::work::Work;

/// Which other calls a capture forbids while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Calls that may wait, on every thread.
    Global,
    /// Such calls on the thread that captures.
    ThreadLocal,
    Relaxed,
}

impl Mode {
    /// The mode of the driver's number for it.
    pub fn from_number(number: u32) -> Result<Mode> {
        match number {
            0 => Ok(Mode::Global),
            1 => Ok(Mode::ThreadLocal),
            2 => Ok(Mode::Relaxed),
            _ => refused(CUresult::INVALID_VALUE, format!("{number} is no capture mode")),
        }
    }
}

thread_local! {
    /// How much this thread respects captures: `cuThreadExchangeStreamCaptureMode`.
    static THREAD_MODE: Cell<Mode> = const { Cell::new(Mode::Global) };
}

/// Sets this thread's mode and gives the one before.
pub fn exchange_thread_mode(mode: Mode) -> Mode {
    THREAD_MODE.replace(mode)
}

/// A capture that has begun and not ended.
#[derive(Debug)]
pub struct Capture {
    pub origin: CUstream,
    pub context: CUcontext,
    mode: Mode,
    thread: ThreadId,
    /// The graph that the work becomes nodes of.
    pub graph: CUgraph,
    /// The graph was there before the capture, and stays if the capture fails.
    graph_is_given: bool,
    /// The nodes that the next work of each stream depends on.
    frontiers: HashMap<CUstream, Vec<CUgraphNode>>,
    /// Set by a call that the capture forbids; nothing can be added after it.
    pub invalidated: bool,
}

impl Driver {
    /// Begins a capture in `stream`: into a new graph, or behind nodes of one that is there.
    pub fn begin_capture(
        &mut self,
        stream: CUstream,
        mode: Mode,
        given: Option<(CUgraph, Vec<CUgraphNode>)>,
    ) -> Result {
        let context = self.streams[&stream].context;
        if self.contexts[&context].legacy == stream {
            return refused(CUresult::STREAM_CAPTURE_UNSUPPORTED, "the legacy default stream cannot be captured");
        }
        if self.streams[&stream].capture.is_some() {
            return refused(CUresult::ILLEGAL_STATE, "the stream is being captured already");
        }
        let graph_is_given = given.is_some();
        let (graph, frontier) = match given {
            Some(given) => given,
            None => (self.add_empty_graph(context), Vec::new()),
        };
        let capture = Capture {
            origin: stream,
            context,
            mode,
            thread: std::thread::current().id(),
            graph,
            graph_is_given,
            frontiers: HashMap::from([(stream, frontier)]),
            invalidated: false,
        };
        let number = self.new_handle() as u64;
        self.captures.insert(number, capture);
        self.join_stream(stream, number);
        Ok(())
    }

    /// Ends the capture that began in `stream` and gives its graph.
    pub fn end_capture(&mut self, stream: CUstream) -> Result<CUgraph> {
        let Some(number) = self.streams[&stream].capture else {
            return refused(CUresult::ILLEGAL_STATE, "the stream is not being captured");
        };
        let capture = &self.captures[&number];
        if capture.mode != Mode::Relaxed && capture.thread != std::thread::current().id() {
            return refused(CUresult::STREAM_CAPTURE_WRONG_THREAD, "another thread began the capture");
        }
        if capture.origin != stream {
            self.invalidate(&[number]);
            return refused(CUresult::STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
        }
        let joined = self.is_joined(capture);
        let invalidated = capture.invalidated;
        if joined && !invalidated {
            let graph = capture.graph;
            self.leave_capture(number);
            return Ok(graph);
        }
        self.drop_capture(number);
        if invalidated {
            return refused(CUresult::STREAM_CAPTURE_INVALIDATED, "a forbidden call invalidated the capture");
        }
        let message = "work of another stream was captured and nothing in the first stream waits for it";
        refused(CUresult::STREAM_CAPTURE_UNJOINED, message)
    }

    /// Whether all captured streams lead into what the first stream waits for.
    fn is_joined(&self, capture: &Capture) -> bool {
        let mut reached = BTreeSet::new();
        let mut open = capture.frontiers.get(&capture.origin).cloned().unwrap_or_default();
        while let Some(node) = open.pop() {
            if reached.insert(node) {
                open.extend(self.node(node).iter().flat_map(|node| &node.needs));
            }
        }
        capture.frontiers.values().flatten().all(|node| reached.contains(node))
    }

    /// Ends a capture without a graph.
    pub fn drop_capture(&mut self, number: u64) {
        if let Some(capture) = self.leave_capture(number)
            && !capture.graph_is_given
        {
            self.destroy_graph(capture.graph);
        }
    }

    /// Ends a capture for its streams.
    fn leave_capture(&mut self, number: u64) -> Option<Capture> {
        let capture = self.captures.remove(&number)?;
        for stream in capture.frontiers.keys() {
            if let Some(stream) = self.streams.get_mut(stream) {
                stream.capture = None;
            }
        }
        Some(capture)
    }

    /// Makes `work` a node of the capture that `stream` is in.
    pub fn capture_work(&mut self, stream: CUstream, work: Work) -> Result {
        self.capture_task(stream, Task::Work(Arc::new(work)))
    }

    /// Adds a node to the capture that `stream` is in.
    pub fn capture_task(&mut self, stream: CUstream, task: Task) -> Result {
        let capture = self.capture_of(stream)?;
        let (graph, needs) = (capture.graph, capture.frontiers.get(&stream).cloned().unwrap_or_default());
        let node = self.add_node(graph, needs, task)?;
        self.capture_of(stream)?.frontiers.insert(stream, vec![node]);
        Ok(())
    }

    /// The nodes that the next work of `stream` would depend on, and the number of its capture.
    pub fn capture_frontier(&mut self, stream: CUstream) -> Result<(u64, Vec<CUgraphNode>)> {
        let number = self.streams[&stream].capture.unwrap_or_default();
        let frontier = self.capture_of(stream)?.frontiers.get(&stream).cloned();
        Ok((number, frontier.unwrap_or_default()))
    }

    /// Where the list of nodes lies that the next work of `stream` depends on. Good until the next call on the stream.
    pub fn frontier_place(&self, capture: u64, stream: CUstream) -> (*const CUgraphNode, usize) {
        let frontier = self.captures.get(&capture).and_then(|capture| capture.frontiers.get(&stream));
        frontier.map_or((std::ptr::null(), 0), |nodes| (nodes.as_ptr(), nodes.len()))
    }

    /// Lets the next work of `stream`, which is being captured, depend on `nodes`, too or instead.
    pub fn change_frontier(&mut self, stream: CUstream, nodes: &[CUgraphNode], replace: bool) -> Result {
        let graph = self.capture_of(stream)?.graph;
        self.check_nodes(graph, nodes)?;
        let frontier = self.capture_of(stream)?.frontiers.entry(stream).or_default();
        if replace {
            frontier.clear();
        }
        extend_set(frontier, nodes);
        Ok(())
    }

    /// Lets the next work of `stream` depend on `nodes` of capture `number`, which it enters if it is in none.
    pub fn depend_on_captured(&mut self, stream: CUstream, number: u64, nodes: &[CUgraphNode]) -> Result {
        let context = self.streams[&stream].context;
        let own = self.streams[&stream].capture;
        if own.is_some_and(|own| own != number) {
            self.invalidate(&[number, own.unwrap_or_default()]);
            return refused(CUresult::STREAM_CAPTURE_MERGE, "the event and the stream are in different captures");
        }
        if !self.captures.contains_key(&number) {
            return refused(CUresult::CAPTURED_EVENT, "the event was recorded in a capture that has ended");
        }
        if self.contexts[&context].legacy == stream {
            self.invalidate(&[number]);
            return refused(CUresult::STREAM_CAPTURE_IMPLICIT, "the legacy default stream cannot enter a capture");
        }
        self.join_stream(stream, number);
        extend_set(self.capture_of(stream)?.frontiers.entry(stream).or_default(), nodes);
        Ok(())
    }

    fn join_stream(&mut self, stream: CUstream, number: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.capture = Some(number);
        }
    }

    fn capture_of(&mut self, stream: CUstream) -> Result<&mut Capture> {
        let number = self.streams[&stream].capture.unwrap_or_default();
        match self.captures.get_mut(&number) {
            Some(capture) if !capture.invalidated => Ok(capture),
            _ => refused(CUresult::STREAM_CAPTURE_INVALIDATED, "a forbidden call invalidated the capture"),
        }
    }

    fn invalidate(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(capture) = self.captures.get_mut(number) {
                capture.invalidated = true;
            }
        }
    }

    /// Refuses, and invalidates the capture, if `stream` is being captured.
    pub fn forbid_captured_stream(&mut self, stream: CUstream, what: &str) -> Result {
        let Some(number) = self.streams[&stream].capture else { return Ok(()) };
        self.invalidate(&[number]);
        refused(CUresult::STREAM_CAPTURE_UNSUPPORTED, format!("{what} a stream that is being captured"))
    }

    /// Refuses, and invalidates the captures, if a stream of `context` is being captured.
    pub fn forbid_captured_context(&mut self, context: CUcontext, what: &str) -> Result {
        let open: Vec<u64> =
            self.captures.iter().filter(|(_, capture)| capture.context == context).map(|(&number, _)| number).collect();
        if open.is_empty() {
            return Ok(());
        }
        self.invalidate(&open);
        refused(CUresult::STREAM_CAPTURE_UNSUPPORTED, format!("{what} a context with a stream that is being captured"))
    }

    /// Refuses, and invalidates, what would make the legacy default stream wait for a captured stream.
    pub fn forbid_legacy_in_capture(&mut self, context: CUcontext) -> Result {
        let captured = self.streams.values().filter(|stream| stream.context == context && stream.is_blocking());
        let open: Vec<u64> = captured.filter_map(|stream| stream.capture).collect();
        if open.is_empty() {
            return Ok(());
        }
        self.invalidate(&open);
        let message = "the legacy default stream would wait for a stream that is being captured";
        refused(CUresult::STREAM_CAPTURE_IMPLICIT, message)
    }

    /// Refuses, and invalidates the captures, if this thread must not call `what`, which may wait for the device.
    pub fn forbid_in_capture(&mut self, what: &str) -> Result {
        let mode = THREAD_MODE.get();
        let thread = std::thread::current().id();
        let forbids = |capture: &Capture| match (mode, capture.mode) {
            (Mode::Relaxed, _) | (_, Mode::Relaxed) => false,
            (Mode::Global, Mode::Global) => true,
            _ => capture.thread == thread,
        };
        let open: Vec<u64> =
            self.captures.iter().filter(|(_, capture)| forbids(capture)).map(|(&number, _)| number).collect();
        if open.is_empty() {
            return Ok(());
        }
        self.invalidate(&open);
        refused(CUresult::STREAM_CAPTURE_UNSUPPORTED, format!("{what} while a stream is being captured"))
    }
}

/// Adds those of `more` that are not there yet.
fn extend_set(nodes: &mut Vec<CUgraphNode>, more: &[CUgraphNode]) {
    for &node in more {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
}
