//! Stream capture: work that becomes nodes of a graph instead of running.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::ThreadId;

use super::driver::Driver;
use super::error::{CUresult, Result, refused};
use super::graph::{Graph, Node};
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
    nodes: Vec<Node>,
    /// The nodes that the next work of each stream depends on.
    frontiers: HashMap<CUstream, Vec<usize>>,
    /// Set by a call that the capture forbids; nothing can be added after it.
    pub invalidated: bool,
}

impl Driver {
    /// Begins a capture in `stream`.
    pub fn begin_capture(&mut self, stream: CUstream, mode: Mode) -> Result {
        let context = self.streams[&stream].context;
        if self.contexts[&context].legacy == stream {
            return refused(CUresult::STREAM_CAPTURE_UNSUPPORTED, "the legacy default stream cannot be captured");
        }
        if self.streams[&stream].capture.is_some() {
            return refused(CUresult::INVALID_VALUE, "the stream is being captured already");
        }
        let capture = Capture {
            origin: stream,
            context,
            mode,
            thread: std::thread::current().id(),
            nodes: Vec::new(),
            frontiers: HashMap::from([(stream, Vec::new())]),
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
            return refused(CUresult::INVALID_VALUE, "the stream is not being captured");
        };
        let capture = &self.captures[&number];
        if capture.mode != Mode::Relaxed && capture.thread != std::thread::current().id() {
            return refused(CUresult::STREAM_CAPTURE_WRONG_THREAD, "another thread began the capture");
        }
        if capture.origin != stream {
            self.invalidate(&[number]);
            return refused(CUresult::STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
        }
        let Some(capture) = self.drop_capture(number) else {
            return refused(CUresult::INVALID_VALUE, "the stream is not being captured");
        };
        if capture.invalidated {
            return refused(CUresult::STREAM_CAPTURE_INVALIDATED, "a forbidden call invalidated the capture");
        }
        if !capture.is_joined() {
            let message = "work of another stream was captured and nothing in the first stream waits for it";
            return refused(CUresult::STREAM_CAPTURE_UNJOINED, message);
        }
        Ok(self.add_graph(Graph { context: capture.context, nodes: capture.nodes }))
    }

    /// Ends a capture without a graph.
    pub fn drop_capture(&mut self, number: u64) -> Option<Capture> {
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
        let handle = CUgraphNode(self.new_handle());
        let capture = self.capture_of(stream)?;
        let frontier = capture.frontiers.entry(stream).or_default();
        let needs = std::mem::replace(frontier, vec![capture.nodes.len()]);
        capture.nodes.push(Node { handle, needs, work: Arc::new(work) });
        Ok(())
    }

    /// The nodes that the next work of `stream` would depend on, and the number of its capture.
    pub fn capture_frontier(&mut self, stream: CUstream) -> Result<(u64, Vec<usize>)> {
        let number = self.streams[&stream].capture.unwrap_or_default();
        let frontier = self.capture_of(stream)?.frontiers.get(&stream).cloned();
        Ok((number, frontier.unwrap_or_default()))
    }

    /// Lets the next work of `stream` depend on `nodes` of capture `number`, which it enters if it is in none.
    pub fn depend_on_captured(&mut self, stream: CUstream, number: u64, nodes: &[usize]) -> Result {
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
        let frontier = self.capture_of(stream)?.frontiers.entry(stream).or_default();
        for &node in nodes {
            if !frontier.contains(&node) {
                frontier.push(node);
            }
        }
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

impl Capture {
    /// Whether all nodes lead into what the first stream waits for.
    fn is_joined(&self) -> bool {
        let mut reached = BTreeSet::new();
        let mut open = self.frontiers.get(&self.origin).cloned().unwrap_or_default();
        while let Some(node) = open.pop() {
            if reached.insert(node) {
                open.extend(&self.nodes[node].needs);
            }
        }
        reached.len() == self.nodes.len()
    }
}
