//! Executable graphs: instantiation, launch, update.

use std::ffi::c_char;
use std::sync::Arc;

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::graph::{Node, Task};
use super::queue::Ticket;
use super::types::{CUcontext, CUdeviceptr, CUevent, CUgraph, CUgraphExec, CUgraphNode, CUstream, Out, write_text};
use super::work::Work;
use crate::statistics::count;

/// A graph that is ready to launch: a copy, which later changes of the graph do not reach.
#[derive(Debug)]
pub struct Executable {
    pub context: CUcontext,
    steps: Vec<Step>,
    flags: u64,
    /// The end of the newest launch: launches of one graph do not overlap.
    last: Option<Ticket>,
}

/// A node of an executable graph. Steps come after those that they need.
#[derive(Clone, Debug)]
struct Step {
    /// The node that the step was made of.
    node: CUgraphNode,
    kind: u32,
    /// Places of other steps.
    needs: Vec<usize>,
    action: Action,
    enabled: bool,
}

#[derive(Clone, Debug)]
enum Action {
    Work(Arc<Work>),
    Wait(CUevent),
    Steps(Vec<Step>),
}

const AUTO_FREE_ON_LAUNCH: u64 = 1;
const UPLOAD: u64 = 2;
const DEVICE_LAUNCH: u64 = 4;
const INSTANTIATE_FLAGS: u64 = 15;

/// Calls `visit` with all work of `steps`.
fn visit_work(steps: &[Step], visit: &mut impl FnMut(&Work)) {
    for step in steps {
        match &step.action {
            Action::Work(work) => visit(work),
            Action::Wait(_) => {}
            Action::Steps(steps) => visit_work(steps, visit),
        }
    }
}

impl Executable {
    /// Calls `visit` with all work of the graph.
    pub fn visit_work(&self, visit: &mut impl FnMut(&Work)) {
        visit_work(&self.steps, visit);
    }

    /// Memory that a launch allocates and does not free.
    fn unfreed(&self) -> Vec<CUdeviceptr> {
        let (mut allocated, mut freed) = (Vec::new(), Vec::new());
        self.visit_work(&mut |work| match work {
            Work::Allocate(start) => allocated.push(*start),
            Work::Free(start) => freed.push(*start),
            _ => {}
        });
        allocated.retain(|start| !freed.contains(start));
        allocated
    }

    fn step(&mut self, node: CUgraphNode) -> Result<&mut Step> {
        match self.steps.iter_mut().find(|step| step.node == node) {
            Some(step) => Ok(step),
            None => refused(CUresult::INVALID_VALUE, "the executable graph was not made with this node"),
        }
    }
}

impl Driver {
    fn executable(&self, handle: CUgraphExec) -> Result<&Executable> {
        match self.executables.get(&handle) {
            Some(executable) => Ok(executable),
            None => refused(CUresult::INVALID_VALUE, "no such executable graph, or it was destroyed"),
        }
    }

    fn executable_mut(&mut self, handle: CUgraphExec) -> Result<&mut Executable> {
        match self.executables.get_mut(&handle) {
            Some(executable) => Ok(executable),
            None => refused(CUresult::INVALID_VALUE, "no such executable graph, or it was destroyed"),
        }
    }

    /// The steps of a graph, of equally ready ones the earliest node first.
    fn steps(&self, graph: CUgraph) -> Result<Vec<Step>> {
        let mut open: Vec<&Node> = self.graph(graph)?.nodes.iter().collect();
        let mut steps: Vec<Step> = Vec::with_capacity(open.len());
        while !open.is_empty() {
            let place = |need: &CUgraphNode, steps: &[Step]| steps.iter().position(|step| step.node == *need);
            let ready = open.iter().position(|node| node.needs.iter().all(|need| place(need, &steps).is_some()));
            let Some(ready) = ready else {
                return refused(CUresult::INVALID_VALUE, "nodes of the graph wait for each other in a circle");
            };
            let node = open.remove(ready);
            let needs = node.needs.iter().filter_map(|need| place(need, &steps)).collect();
            let action = self.action(&node.task)?;
            steps.push(Step { node: node.handle, kind: node.task.kind(), needs, action, enabled: true });
        }
        Ok(steps)
    }

    fn action(&self, task: &Task) -> Result<Action> {
        Ok(match task {
            Task::Work(work) => Action::Work(Arc::clone(work)),
            Task::Wait(event) => Action::Wait(*event),
            Task::Child(graph) => Action::Steps(self.steps(*graph)?),
        })
    }

    fn instantiate(&mut self, out: Out<CUgraphExec>, graph: CUgraph, flags: u64) -> Result {
        let context = self.graph(graph)?.context;
        if flags & !INSTANTIATE_FLAGS != 0 || flags & DEVICE_LAUNCH != 0 && flags & AUTO_FREE_ON_LAUNCH != 0 {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of an executable graph"));
        }
        if flags & DEVICE_LAUNCH != 0 {
            return refused(CUresult::NOT_SUPPORTED, "graphs that a device launches");
        }
        let executable = Executable { context, steps: self.steps(graph)?, flags, last: None };
        let handle = CUgraphExec(self.new_handle());
        out.set(handle)?;
        self.executables.insert(handle, executable);
        Ok(())
    }

    fn launch_graph(&mut self, handle: CUgraphExec, stream: CUstream) -> Result {
        let stream = self.stream(stream)?;
        let executable = self.executable(handle)?;
        let (steps, before) = (executable.steps.clone(), executable.last);
        if executable.context != self.streams[&stream].context {
            return refused(CUresult::INVALID_HANDLE, "the graph belongs to another context");
        }
        if self.streams[&stream].capture.is_some() {
            return self.capture_launch(stream, &steps);
        }
        let mut start = self.needs(stream)?;
        start.extend(before);
        self.free_before_launch(handle, stream, &mut start)?;
        count(|statistics| statistics.graph_launches += 1);
        let end = self.enqueue_steps(stream, &steps, &start);
        self.set_last(stream, end);
        self.executable_mut(handle)?.last = Some(end);
        Ok(())
    }

    /// Frees what the last launch of the graph allocated and nobody freed, if the graph was made so; else refuses.
    fn free_before_launch(&mut self, handle: CUgraphExec, stream: CUstream, start: &mut Vec<Ticket>) -> Result {
        let executable = self.executable(handle)?;
        let (unfreed, flags) = (executable.unfreed(), executable.flags);
        let held: Vec<CUdeviceptr> =
            unfreed.iter().copied().filter(|start| self.blocks.get(start).is_some_and(|block| block.held)).collect();
        if !held.is_empty() && flags & AUTO_FREE_ON_LAUNCH == 0 {
            let message = "memory that the last launch of the graph allocated was not freed";
            return refused(CUresult::INVALID_VALUE, message);
        }
        let context = self.streams[&stream].context;
        for address in held {
            let ticket = self.queue.add(context, start, Arc::new(Work::Free(address)));
            *start = vec![ticket];
        }
        for address in unfreed {
            if let Some(block) = self.blocks.get_mut(&address) {
                (block.held, block.releasing) = (true, false);
            }
        }
        Ok(())
    }

    /// Makes the launch of a graph a node of the capture that `stream` is in: a child graph.
    fn capture_launch(&mut self, stream: CUstream, steps: &[Step]) -> Result {
        let context = self.streams[&stream].context;
        let child = self.graph_of_steps(context, steps)?;
        self.capture_task(stream, Task::Child(child))
    }

    /// The graph that would be instantiated to `steps`.
    fn graph_of_steps(&mut self, context: CUcontext, steps: &[Step]) -> Result<CUgraph> {
        let graph = self.add_empty_graph(context);
        let mut nodes: Vec<CUgraphNode> = Vec::with_capacity(steps.len());
        for step in steps {
            let needs = step.needs.iter().map(|&need| nodes[need]).collect();
            let task = match &step.action {
                _ if !step.enabled => Task::Work(Arc::new(Work::Nothing)),
                Action::Work(work) => Task::Work(Arc::clone(work)),
                Action::Wait(event) => Task::Wait(*event),
                Action::Steps(steps) => Task::Child(self.graph_of_steps(context, steps)?),
            };
            nodes.push(self.add_node(graph, needs, task)?);
        }
        Ok(graph)
    }

    /// Adds all steps to the queue, the first ones after `start`, and gives the ticket of their end.
    fn enqueue_steps(&mut self, stream: CUstream, steps: &[Step], start: &[Ticket]) -> Ticket {
        let context = self.streams[&stream].context;
        let mut tickets: Vec<Ticket> = Vec::with_capacity(steps.len());
        let mut is_leaf = vec![true; steps.len()];
        for step in steps {
            let mut needs: Vec<Ticket> = step.needs.iter().map(|&need| tickets[need]).collect();
            step.needs.iter().for_each(|&need| is_leaf[need] = false);
            if needs.is_empty() {
                needs = start.to_vec();
            }
            let ticket = match &step.action {
                _ if !step.enabled => self.queue.add(context, &needs, Arc::new(Work::Nothing)),
                Action::Steps(steps) => self.enqueue_steps(stream, steps, &needs),
                Action::Wait(event) => {
                    needs.extend(self.recorded_ticket(*event));
                    self.queue.add(context, &needs, Arc::new(Work::Nothing))
                }
                Action::Work(work) => {
                    let ticket = self.queue.add(context, &needs, Arc::clone(work));
                    if let Work::Record(event) = **work {
                        self.recorded_by(event, ticket);
                    }
                    ticket
                }
            };
            tickets.push(ticket);
        }
        let mut ends: Vec<Ticket> = tickets.iter().zip(is_leaf).filter(|end| end.1).map(|end| *end.0).collect();
        if ends.is_empty() {
            ends = start.to_vec();
        }
        self.queue.add(context, &ends, Arc::new(Work::Nothing))
    }

    /// Gives a step the task of a node that was changed. The kind must stay.
    pub fn set_step(&mut self, executable: CUgraphExec, node: CUgraphNode, task: &Task) -> Result {
        let action = self.action(task)?;
        let step = self.executable_mut(executable)?.step(node)?;
        if step.kind != task.kind() {
            return refused(CUresult::INVALID_VALUE, "the node is of another kind");
        }
        if let (Action::Steps(old), Action::Steps(new)) = (&step.action, &action)
            && differences(old, new).is_some()
        {
            return refused(CUresult::INVALID_VALUE, "the child graph has another topology");
        }
        step.action = action;
        Ok(())
    }

    /// Brings an executable graph to what it would be if it were made of `graph`.
    fn update(&mut self, handle: CUgraphExec, graph: CUgraph) -> Result<Option<Difference>> {
        let new = self.steps(graph)?;
        let executable = self.executable_mut(handle)?;
        if let Some(difference) = differences(&executable.steps, &new) {
            return Ok(Some(difference));
        }
        for (step, new) in executable.steps.iter_mut().zip(new) {
            step.action = new.action;
        }
        Ok(None)
    }
}

/// Why an executable graph cannot be updated: the driver's number, the step's node and the graph's.
type Difference = (u32, CUgraphNode, CUgraphNode);

const UPDATE_TOPOLOGY_CHANGED: u32 = 2;
const UPDATE_NODE_TYPE_CHANGED: u32 = 3;
const UPDATE_PARAMETERS_CHANGED: u32 = 5;

/// What forbids to bring `old` to `new`.
fn differences(old: &[Step], new: &[Step]) -> Option<Difference> {
    if old.len() != new.len() {
        return Some((UPDATE_TOPOLOGY_CHANGED, CUgraphNode(0), CUgraphNode(0)));
    }
    old.iter().zip(new).find_map(|(old, new)| {
        let with = |code| Some((code, old.node, new.node));
        if old.needs != new.needs {
            return with(UPDATE_TOPOLOGY_CHANGED);
        }
        match (&old.action, &new.action) {
            _ if old.kind != new.kind => with(UPDATE_NODE_TYPE_CHANGED),
            (Action::Steps(old), Action::Steps(new)) => differences(old, new),
            (Action::Work(before), Action::Work(after)) => match (&**before, &**after) {
                (Work::Allocate(before), Work::Allocate(after)) | (Work::Free(before), Work::Free(after))
                    if before != after =>
                {
                    with(UPDATE_PARAMETERS_CHANGED)
                }
                _ => None,
            },
            _ => None,
        }
    })
}

/// Makes a graph ready to launch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(
    executable: Out<CUgraphExec>,
    graph: CUgraph,
    flags: u64,
) -> CUresult {
    call("cuGraphInstantiateWithFlags", |driver| driver.instantiate(executable, graph, flags))
}

fn instantiate_with_log(
    driver: &mut Driver,
    (executable, graph): (Out<CUgraphExec>, CUgraph),
    error_node: Out<CUgraphNode>,
    (log, log_bytes): (Out<c_char>, usize),
) -> Result {
    let outcome = driver.instantiate(executable, graph, 0);
    error_node.set_if_wanted(CUgraphNode(0));
    if !log.is_null() && log_bytes > 0 {
        let report = outcome.as_ref().err().and_then(|failure| failure.report.as_ref());
        write_text(log, log_bytes, report.map_or("", |report| &report.message))?;
    }
    outcome
}

/// Makes a graph ready to launch; the log says why it is not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiate(
    executable: Out<CUgraphExec>,
    graph: CUgraph,
    error_node: Out<CUgraphNode>,
    log: Out<c_char>,
    log_bytes: usize,
) -> CUresult {
    call("cuGraphInstantiate", |driver| instantiate_with_log(driver, (executable, graph), error_node, (log, log_bytes)))
}

/// As [`cuGraphInstantiate`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiate_v2(
    executable: Out<CUgraphExec>,
    graph: CUgraph,
    error_node: Out<CUgraphNode>,
    log: Out<c_char>,
    log_bytes: usize,
) -> CUresult {
    call("cuGraphInstantiate_v2", |driver| {
        instantiate_with_log(driver, (executable, graph), error_node, (log, log_bytes))
    })
}

/// How a graph is to be instantiated, and what came of it, as the driver's header lays it out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_GRAPH_INSTANTIATE_PARAMS {
    flags: u64,
    upload_stream: CUstream,
    error_node: CUgraphNode,
    /// 0 success, 1 see the returned error, 2 invalid structure.
    result: u32,
}

/// Makes a graph ready to launch, and brings it to the device if the flags say so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithParams(
    executable: Out<CUgraphExec>,
    graph: CUgraph,
    parameters: Out<CUDA_GRAPH_INSTANTIATE_PARAMS>,
) -> CUresult {
    call("cuGraphInstantiateWithParams", |driver| {
        let mut asked = parameters.get()?;
        let mut outcome = driver.instantiate(executable, graph, asked.flags);
        if outcome.is_ok() && asked.flags & UPLOAD != 0 {
            outcome = driver.stream(asked.upload_stream).map(|_| ());
        }
        (asked.error_node, asked.result) = (CUgraphNode(0), u32::from(outcome.is_err()));
        parameters.set(asked)?;
        outcome
    })
}

/// The flags of an executable graph.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphExecGetFlags(executable: CUgraphExec, flags: Out<u64>) -> CUresult {
    call("cuGraphExecGetFlags", |driver| flags.set(driver.executable(executable)?.flags))
}

/// Adds all work of a graph to a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphLaunch(executable: CUgraphExec, stream: CUstream) -> CUresult {
    call("cuGraphLaunch", |driver| driver.launch_graph(executable, stream))
}

/// Brings a graph to the device before its first launch, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphUpload(executable: CUgraphExec, stream: CUstream) -> CUresult {
    call("cuGraphUpload", |driver| {
        let stream = driver.stream(stream)?;
        driver.executable(executable)?;
        driver.enqueue(stream, Work::Nothing)?;
        Ok(())
    })
}

/// Ends an executable graph; launches of it still run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphExecDestroy(executable: CUgraphExec) -> CUresult {
    call("cuGraphExecDestroy", |driver| {
        driver.executable(executable)?;
        driver.executables.remove(&executable);
        driver.release_graph_memory();
        Ok(())
    })
}

/// What came of an update, as the driver's header lays it out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUgraphExecUpdateResultInfo {
    result: u32,
    node: CUgraphNode,
    from_node: CUgraphNode,
}

fn update(
    driver: &mut Driver,
    executable: CUgraphExec,
    graph: CUgraph,
    tell: impl FnOnce(CUgraphExecUpdateResultInfo) -> Result,
) -> Result {
    let difference = driver.update(executable, graph)?;
    let (result, from_node, node) = difference.unwrap_or((0, CUgraphNode(0), CUgraphNode(0)));
    tell(CUgraphExecUpdateResultInfo { result, node, from_node })?;
    match difference {
        None => Ok(()),
        Some(_) => refused(CUresult::GRAPH_EXEC_UPDATE_FAILURE, "the graph differs in more than parameters"),
    }
}

/// Brings an executable graph to another graph of the same topology.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphExecUpdate(
    executable: CUgraphExec,
    graph: CUgraph,
    error_node: Out<CUgraphNode>,
    result: Out<u32>,
) -> CUresult {
    call("cuGraphExecUpdate", |driver| {
        update(driver, executable, graph, |info| {
            error_node.set_if_wanted(info.node);
            result.set(info.result)
        })
    })
}

/// Brings an executable graph to another graph of the same topology.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphExecUpdate_v2(
    executable: CUgraphExec,
    graph: CUgraph,
    result: Out<CUgraphExecUpdateResultInfo>,
) -> CUresult {
    call("cuGraphExecUpdate_v2", |driver| update(driver, executable, graph, |info| result.set(info)))
}

/// Lets later launches leave a kernel, a copy or a fill out, or not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeSetEnabled(executable: CUgraphExec, node: CUgraphNode, enabled: u32) -> CUresult {
    call("cuGraphNodeSetEnabled", |driver| {
        let step = driver.executable_mut(executable)?.step(node)?;
        if step.kind > 2 {
            return refused(CUresult::INVALID_VALUE, "only kernels, copies and fills can be left out");
        }
        step.enabled = enabled != 0;
        Ok(())
    })
}

/// Whether launches run a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetEnabled(
    executable: CUgraphExec,
    node: CUgraphNode,
    enabled: Out<u32>,
) -> CUresult {
    call("cuGraphNodeGetEnabled", |driver| {
        enabled.set(u32::from(driver.executable_mut(executable)?.step(node)?.enabled))
    })
}

super::exports![
    cuGraphInstantiateWithFlags,
    cuGraphInstantiate,
    cuGraphInstantiate_v2,
    cuGraphInstantiateWithParams,
    cuGraphExecGetFlags,
    cuGraphLaunch,
    cuGraphUpload,
    cuGraphExecDestroy,
    cuGraphExecUpdate,
    cuGraphExecUpdate_v2,
    cuGraphNodeSetEnabled,
    cuGraphNodeGetEnabled,
];
