//! Graphs: captured work that is launched as a whole.

use std::sync::Arc;

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::queue::Ticket;
use super::types::{CUcontext, CUgraph, CUgraphExec, CUgraphNode, CUstream, In, Out};
use super::work::Work;
use crate::statistics::count;

/// A graph. Its nodes come after those that they depend on.
#[derive(Debug)]
pub struct Graph {
    pub context: CUcontext,
    pub nodes: Vec<Node>,
}

/// Work and the nodes that must be done before it, by their places in the graph.
#[derive(Clone, Debug)]
pub struct Node {
    pub handle: CUgraphNode,
    pub needs: Vec<usize>,
    pub work: Arc<Work>,
}

/// A graph that is ready to launch: a copy, which later changes of the graph do not reach.
#[derive(Debug)]
pub struct Executable {
    pub context: CUcontext,
    nodes: Arc<Vec<Node>>,
    flags: u64,
    /// The end of the newest launch: launches of one graph do not overlap.
    last: Option<Ticket>,
}

const AUTO_FREE_ON_LAUNCH: u64 = 1;
const DEVICE_LAUNCH: u64 = 4;
const INSTANTIATE_FLAGS: u64 = 15;

impl Driver {
    /// Gives a graph a handle.
    pub fn add_graph(&mut self, graph: Graph) -> CUgraph {
        let handle = CUgraph(self.new_handle());
        self.nodes.extend(graph.nodes.iter().map(|node| (node.handle, handle)));
        self.graphs.insert(handle, graph);
        handle
    }

    fn graph(&self, handle: CUgraph) -> Result<&Graph> {
        match self.graphs.get(&handle) {
            Some(graph) => Ok(graph),
            None => refused(CUresult::INVALID_VALUE, "no such graph, or it was destroyed"),
        }
    }

    /// The graph that a node is in, and its place there.
    fn node(&self, handle: CUgraphNode) -> Result<(&Graph, usize)> {
        let graph = self.nodes.get(&handle).and_then(|graph| self.graphs.get(graph));
        let found = graph.and_then(|graph| Some((graph, graph.nodes.iter().position(|node| node.handle == handle)?)));
        match found {
            Some(found) => Ok(found),
            None => refused(CUresult::INVALID_VALUE, "no such node, or its graph was destroyed"),
        }
    }

    fn executable(&self, handle: CUgraphExec) -> Result<&Executable> {
        match self.executables.get(&handle) {
            Some(executable) => Ok(executable),
            None => refused(CUresult::INVALID_VALUE, "no such executable graph, or it was destroyed"),
        }
    }

    fn launch_graph(&mut self, handle: CUgraphExec, stream: CUstream) -> Result {
        let stream = self.stream(stream)?;
        let executable = self.executable(handle)?;
        let (nodes, before) = (executable.nodes.clone(), executable.last);
        if executable.context != self.streams[&stream].context {
            return refused(CUresult::INVALID_HANDLE, "the graph belongs to another context");
        }
        count(|statistics| statistics.graph_launches += 1);
        if self.streams[&stream].capture.is_some() {
            self.enqueue(stream, Work::Graph(nodes))?;
            return Ok(());
        }
        let mut start = self.needs(stream)?;
        start.extend(before);
        let end = self.enqueue_nodes(stream, &nodes, &start);
        self.set_last(stream, end);
        if let Some(executable) = self.executables.get_mut(&handle) {
            executable.last = Some(end);
        }
        Ok(())
    }

    /// Adds all nodes to the queue, the first ones after `start`, and gives the ticket of their end.
    fn enqueue_nodes(&mut self, stream: CUstream, nodes: &[Node], start: &[Ticket]) -> Ticket {
        let context = self.streams[&stream].context;
        let mut tickets: Vec<Ticket> = Vec::with_capacity(nodes.len());
        let mut is_leaf = vec![true; nodes.len()];
        for node in nodes {
            let needs: Vec<Ticket> = node.needs.iter().map(|&need| tickets[need]).collect();
            node.needs.iter().for_each(|&need| is_leaf[need] = false);
            let needs = if needs.is_empty() { start } else { &needs };
            tickets.push(self.queue.add(context, needs, node.work.clone()));
        }
        let mut ends: Vec<Ticket> = tickets.iter().zip(is_leaf).filter(|end| end.1).map(|end| *end.0).collect();
        if ends.is_empty() {
            ends = start.to_vec();
        }
        self.queue.add(context, &ends, Arc::new(Work::Nothing))
    }
}

/// The driver's number for the kind of a node.
fn node_type(work: &Work) -> u32 {
    match work {
        Work::Kernel { .. } => 0,
        Work::Copy(_) => 1,
        Work::Fill(_) => 2,
        Work::Host { .. } => 3,
        Work::Graph(_) => 4,
        Work::Nothing => 5,
        Work::Record(_) => 7,
        Work::Allocate(_) => 10,
        Work::Free(_) => 11,
    }
}

/// Makes an empty graph.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphCreate(graph: Out<CUgraph>, flags: u32) -> CUresult {
    call("cuGraphCreate", |driver| {
        let context = driver.current()?;
        if flags != 0 {
            return refused(CUresult::INVALID_VALUE, "graphs have no flags");
        }
        graph.set(driver.add_graph(Graph { context, nodes: Vec::new() }))
    })
}

/// Copies a graph; its nodes get handles of their own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphClone(clone: Out<CUgraph>, graph: CUgraph) -> CUresult {
    call("cuGraphClone", |driver| {
        let original = driver.graph(graph)?;
        let (context, mut nodes) = (original.context, original.nodes.clone());
        nodes.iter_mut().for_each(|node| node.handle = CUgraphNode(driver.new_handle()));
        clone.set(driver.add_graph(Graph { context, nodes }))
    })
}

/// Ends a graph; executable graphs made of it stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphDestroy(graph: CUgraph) -> CUresult {
    call("cuGraphDestroy", |driver| {
        driver.graph(graph)?;
        driver.graphs.remove(&graph);
        driver.nodes.retain(|_, of| *of != graph);
        Ok(())
    })
}

/// Adds a node that joins others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphAddEmptyNode(
    node: Out<CUgraphNode>,
    graph: CUgraph,
    dependencies: In<CUgraphNode>,
    dependency_count: usize,
) -> CUresult {
    call("cuGraphAddEmptyNode", |driver| {
        let nodes = &driver.graph(graph)?.nodes;
        let mut needs = Vec::with_capacity(dependency_count);
        for dependency in dependencies.to_vec(dependency_count)? {
            match nodes.iter().position(|node| node.handle == dependency) {
                Some(place) => needs.push(place),
                None => return refused(CUresult::INVALID_VALUE, "a dependency is no node of the graph"),
            }
        }
        let handle = CUgraphNode(driver.new_handle());
        node.set(handle)?;
        driver.nodes.insert(handle, graph);
        if let Some(graph) = driver.graphs.get_mut(&graph) {
            graph.nodes.push(Node { handle, needs, work: Arc::new(Work::Nothing) });
        }
        Ok(())
    })
}

/// Writes `values` into an array of `*capacity` places and sets `*capacity` to the number of values; without an array
/// only the number. Places too many become null.
fn write_list<T: Copy>(out: Out<T>, capacity: Out<usize>, values: &[T], null: T) -> Result {
    if !out.is_null() {
        for index in 0..capacity.get()? {
            out.element(index).set(values.get(index).copied().unwrap_or(null))?;
        }
        return capacity.set(values.len().min(capacity.get()?));
    }
    capacity.set(values.len())
}

/// The nodes of a graph, or their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphGetNodes(graph: CUgraph, nodes: Out<CUgraphNode>, node_count: Out<usize>) -> CUresult {
    call("cuGraphGetNodes", |driver| {
        let handles: Vec<CUgraphNode> = driver.graph(graph)?.nodes.iter().map(|node| node.handle).collect();
        write_list(nodes, node_count, &handles, CUgraphNode(0))
    })
}

/// The nodes of a graph that depend on none, or their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphGetRootNodes(
    graph: CUgraph,
    nodes: Out<CUgraphNode>,
    node_count: Out<usize>,
) -> CUresult {
    call("cuGraphGetRootNodes", |driver| {
        let roots = driver.graph(graph)?.nodes.iter().filter(|node| node.needs.is_empty());
        let handles: Vec<CUgraphNode> = roots.map(|node| node.handle).collect();
        write_list(nodes, node_count, &handles, CUgraphNode(0))
    })
}

/// The dependencies between the nodes of a graph, or their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphGetEdges(
    graph: CUgraph,
    from: Out<CUgraphNode>,
    to: Out<CUgraphNode>,
    edge_count: Out<usize>,
) -> CUresult {
    call("cuGraphGetEdges", |driver| {
        if from.is_null() != to.is_null() {
            return refused(CUresult::INVALID_VALUE, "one array of two");
        }
        let nodes = &driver.graph(graph)?.nodes;
        let edges = nodes.iter().flat_map(|node| node.needs.iter().map(|&need| (nodes[need].handle, node.handle)));
        let (sources, targets): (Vec<CUgraphNode>, Vec<CUgraphNode>) = edges.unzip();
        if !from.is_null() {
            for index in 0..edge_count.get()? {
                from.element(index).set(sources.get(index).copied().unwrap_or(CUgraphNode(0)))?;
            }
        }
        write_list(to, edge_count, &targets, CUgraphNode(0))
    })
}

/// The nodes that a node depends on, or their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetDependencies(
    node: CUgraphNode,
    dependencies: Out<CUgraphNode>,
    dependency_count: Out<usize>,
) -> CUresult {
    call("cuGraphNodeGetDependencies", |driver| {
        let (graph, place) = driver.node(node)?;
        let handles: Vec<CUgraphNode> = graph.nodes[place].needs.iter().map(|&need| graph.nodes[need].handle).collect();
        write_list(dependencies, dependency_count, &handles, CUgraphNode(0))
    })
}

/// What a node does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetType(node: CUgraphNode, kind: Out<u32>) -> CUresult {
    call("cuGraphNodeGetType", |driver| {
        let (graph, place) = driver.node(node)?;
        kind.set(node_type(&graph.nodes[place].work))
    })
}

/// Makes a graph ready to launch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(
    executable: Out<CUgraphExec>,
    graph: CUgraph,
    flags: u64,
) -> CUresult {
    call("cuGraphInstantiateWithFlags", |driver| {
        let graph = driver.graph(graph)?;
        if flags & !INSTANTIATE_FLAGS != 0 || flags & DEVICE_LAUNCH != 0 && flags & AUTO_FREE_ON_LAUNCH != 0 {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of an executable graph"));
        }
        if flags & DEVICE_LAUNCH != 0 {
            return refused(CUresult::NOT_SUPPORTED, "graphs that a device launches");
        }
        let made = Executable { context: graph.context, nodes: Arc::new(graph.nodes.clone()), flags, last: None };
        let handle = CUgraphExec(driver.new_handle());
        executable.set(handle)?;
        driver.executables.insert(handle, made);
        Ok(())
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
        Ok(())
    })
}

super::exports![
    cuGraphCreate,
    cuGraphClone,
    cuGraphDestroy,
    cuGraphAddEmptyNode,
    cuGraphGetNodes,
    cuGraphGetRootNodes,
    cuGraphGetEdges,
    cuGraphNodeGetDependencies,
    cuGraphNodeGetType,
    cuGraphInstantiateWithFlags,
    cuGraphExecGetFlags,
    cuGraphLaunch,
    cuGraphUpload,
    cuGraphExecDestroy,
];
