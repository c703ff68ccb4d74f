//! Graphs: work and what it waits for, built node by node or by capture.

use std::sync::Arc;

use super::driver::{Driver, State, call};
use super::error::{CUresult, Result, refused};
use super::types::{CUcontext, CUevent, CUgraph, CUgraphNode, In, Out};
use super::work::Work;

/// A graph.
#[derive(Debug)]
pub struct Graph {
    pub context: CUcontext,
    /// In the order in which they were added.
    pub nodes: Vec<Node>,
    /// The node whose child the graph is: it ends with that node.
    pub parent: Option<CUgraphNode>,
}

/// A node and the nodes of the same graph that must be done before it.
#[derive(Clone, Debug)]
pub struct Node {
    pub handle: CUgraphNode,
    pub needs: Vec<CUgraphNode>,
    pub task: Task,
    /// The node that this one was cloned from.
    original: Option<CUgraphNode>,
    /// What the last question for a kernel's parameters was answered with.
    pub parameter_pointers: Vec<usize>,
}

/// What a node does.
#[derive(Clone, Debug)]
pub enum Task {
    Work(Arc<Work>),
    /// Waits for an event as it was recorded before the launch.
    Wait(CUevent),
    /// Runs a graph that belongs to the node.
    Child(CUgraph),
}

impl Task {
    /// The driver's number for the kind of the node.
    pub fn kind(&self) -> u32 {
        match self {
            Task::Child(_) => 4,
            Task::Wait(_) => 6,
            Task::Work(work) => match **work {
                Work::Kernel { .. } => 0,
                Work::Copy(_) => 1,
                Work::Fill(_) => 2,
                // Callbacks are not captured.
                Work::Host { .. } | Work::Callback { .. } => 3,
                Work::Nothing => 5,
                Work::Record(_) => 7,
                Work::Allocate(_) => 10,
                Work::Free(_) => 11,
                Work::Poll(_) | Work::Write(_) => 12,
            },
        }
    }
}

/// What kinds of nodes are called, by number.
const KIND_NAMES: [&str; 13] = [
    "KERNEL",
    "MEMCPY",
    "MEMSET",
    "HOST",
    "GRAPH",
    "EMPTY",
    "WAIT_EVENT",
    "EVENT_RECORD",
    "EXT_SEMAS_SIGNAL",
    "EXT_SEMAS_WAIT",
    "MEM_ALLOC",
    "MEM_FREE",
    "BATCH_MEM_OP",
];

/// What an edge of a graph says besides its ends, as the driver's header lays it out; only zeros are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CUgraphEdgeData([u8; 8]);

const PLAIN_EDGE: CUgraphEdgeData = CUgraphEdgeData([0; 8]);

/// Refuses edges that are more than an order.
pub fn check_edges(edges: In<CUgraphEdgeData>, count: usize) -> Result {
    if !edges.is_null() && edges.to_vec(count)?.iter().any(|&edge| edge != PLAIN_EDGE) {
        return refused(CUresult::NOT_SUPPORTED, "edges of a graph with ports or types");
    }
    Ok(())
}

impl Driver {
    /// Gives a graph a handle.
    pub fn add_graph(&mut self, graph: Graph) -> CUgraph {
        let handle = CUgraph(self.new_handle());
        self.nodes.extend(graph.nodes.iter().map(|node| (node.handle, handle)));
        self.graphs.insert(handle, graph);
        handle
    }

    /// A graph without nodes.
    pub fn add_empty_graph(&mut self, context: CUcontext) -> CUgraph {
        self.add_graph(Graph { context, nodes: Vec::new(), parent: None })
    }

    pub fn graph(&self, handle: CUgraph) -> Result<&Graph> {
        match self.graphs.get(&handle) {
            Some(graph) => Ok(graph),
            None => refused(CUresult::INVALID_VALUE, "no such graph, or it was destroyed"),
        }
    }

    /// A node, which its graph holds as long as it lives.
    pub fn node(&self, handle: CUgraphNode) -> Result<&Node> {
        let graph = self.nodes.get(&handle).and_then(|graph| self.graphs.get(graph));
        match graph.and_then(|graph| graph.nodes.iter().find(|node| node.handle == handle)) {
            Some(node) => Ok(node),
            None => refused(CUresult::INVALID_VALUE, "no such node, or its graph was destroyed"),
        }
    }

    /// A node, to change it.
    pub fn node_mut(&mut self, handle: CUgraphNode) -> Result<&mut Node> {
        self.node(handle)?;
        let State { nodes, graphs, .. } = &mut **self;
        let graph = nodes.get(&handle).and_then(|graph| graphs.get_mut(graph));
        match graph.and_then(|graph| graph.nodes.iter_mut().find(|node| node.handle == handle)) {
            Some(node) => Ok(node),
            None => refused(CUresult::INVALID_VALUE, "no such node, or its graph was destroyed"),
        }
    }

    /// Adds a node to a graph. All `needs` must be its nodes.
    pub fn add_node(&mut self, graph: CUgraph, needs: Vec<CUgraphNode>, task: Task) -> Result<CUgraphNode> {
        self.check_nodes(graph, &needs)?;
        if needs.iter().enumerate().any(|(index, need)| needs[..index].contains(need)) {
            return refused(CUresult::INVALID_VALUE, "the same dependency twice");
        }
        let handle = CUgraphNode(self.new_handle());
        if let Task::Child(child) = task
            && let Some(child) = self.graphs.get_mut(&child)
        {
            child.parent = Some(handle);
        }
        self.nodes.insert(handle, graph);
        if let Some(graph) = self.graphs.get_mut(&graph) {
            graph.nodes.push(Node { handle, needs, task, original: None, parameter_pointers: Vec::new() });
        }
        Ok(handle)
    }

    /// Refuses nodes that are not of `graph`.
    pub fn check_nodes(&self, graph: CUgraph, nodes: &[CUgraphNode]) -> Result {
        self.graph(graph)?;
        match nodes.iter().all(|node| self.nodes.get(node) == Some(&graph)) {
            true => Ok(()),
            false => refused(CUresult::INVALID_VALUE, "a node that is none of the graph"),
        }
    }

    /// Copies a graph with its children; the nodes get handles of their own.
    pub fn clone_graph(&mut self, handle: CUgraph) -> Result<CUgraph> {
        let original = self.graph(handle)?;
        let (context, mut nodes) = (original.context, original.nodes.clone());
        let handles: Vec<CUgraphNode> = nodes.iter().map(|_| CUgraphNode(self.new_handle())).collect();
        let renamed = |old: CUgraphNode, nodes: &[Node]| {
            nodes.iter().position(|node| node.handle == old).map(|place| handles[place])
        };
        let needs: Vec<Vec<CUgraphNode>> =
            nodes.iter().map(|node| node.needs.iter().filter_map(|&need| renamed(need, &nodes)).collect()).collect();
        for ((node, handle), needs) in nodes.iter_mut().zip(&handles).zip(needs) {
            node.original = Some(node.handle);
            node.handle = *handle;
            node.needs = needs;
            node.parameter_pointers = Vec::new();
            if let Task::Child(child) = node.task {
                let child = self.clone_graph(child)?;
                node.task = Task::Child(child);
                if let Some(child) = self.graphs.get_mut(&child) {
                    child.parent = Some(*handle);
                }
            }
        }
        Ok(self.add_graph(Graph { context, nodes, parent: None }))
    }

    /// Ends a graph and the graphs of its nodes.
    pub fn destroy_graph(&mut self, handle: CUgraph) {
        let Some(graph) = self.graphs.remove(&handle) else { return };
        for node in graph.nodes {
            self.nodes.remove(&node.handle);
            if let Task::Child(child) = node.task {
                self.destroy_graph(child);
            }
        }
        self.release_objects_of_graph(handle);
        self.release_graph_memory();
    }

    fn destroy_node(&mut self, handle: CUgraphNode) -> Result {
        if let Task::Child(child) = self.node(handle)?.task {
            self.destroy_graph(child);
        }
        let graph = self.nodes.remove(&handle).and_then(|graph| self.graphs.get_mut(&graph));
        if let Some(graph) = graph {
            graph.nodes.retain(|node| node.handle != handle);
            graph.nodes.iter_mut().for_each(|node| node.needs.retain(|&need| need != handle));
        }
        self.release_graph_memory();
        Ok(())
    }

    /// Refuses to take away from a graph that allocates memory.
    fn forbid_change(&self, graph: CUgraph) -> Result {
        match self.graph(graph)?.nodes.iter().any(|node| matches!(node.task.kind(), 10 | 11)) {
            true => refused(CUresult::NOT_SUPPORTED, "taking nodes or edges from a graph that allocates memory"),
            false => Ok(()),
        }
    }

    fn edit_edges(&mut self, graph: CUgraph, from: &[CUgraphNode], to: &[CUgraphNode], add: bool) -> Result {
        self.check_nodes(graph, from)?;
        self.check_nodes(graph, to)?;
        for (&from, &to) in from.iter().zip(to) {
            let node = self.node_mut(to)?;
            match (node.needs.iter().position(|&need| need == from), add) {
                (None, true) if from != to => node.needs.push(from),
                (Some(place), false) => {
                    node.needs.remove(place);
                }
                (_, true) => return refused(CUresult::INVALID_VALUE, "an edge that exists, or from a node to itself"),
                (None, false) => return refused(CUresult::INVALID_VALUE, "there is no such edge"),
            }
        }
        Ok(())
    }

    /// The graph as text in the language of Graphviz.
    fn dot(&self, handle: CUgraph) -> Result<String> {
        let nodes = &self.graph(handle)?.nodes;
        let place = |handle: CUgraphNode| nodes.iter().position(|node| node.handle == handle);
        let mut text = "digraph dot {\nsubgraph cluster_1 {\nlabel=\"graph_1\" graph[style=\"dashed\"];\n".to_owned();
        for (index, node) in nodes.iter().enumerate() {
            let label = match &node.task {
                Task::Work(work) => match &**work {
                    Work::Kernel { module, launch, .. } => {
                        format!("KERNEL\\n{}", module.kernels()[launch.kernel].name)
                    }
                    _ => KIND_NAMES[node.task.kind() as usize].to_owned(),
                },
                task => KIND_NAMES[task.kind() as usize].to_owned(),
            };
            text += &format!("\"graph_1_node_{index}\"[shape=\"rectangle\" label=\"{index}\\n{label}\"];\n");
        }
        for (index, node) in nodes.iter().enumerate() {
            for need in node.needs.iter().filter_map(|&need| place(need)) {
                text += &format!("\"graph_1_node_{need}\" -> \"graph_1_node_{index}\";\n");
            }
        }
        Ok(text + "}\n}\n")
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
        graph.set(driver.add_empty_graph(context))
    })
}

/// Copies a graph; its nodes get handles of their own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphClone(clone: Out<CUgraph>, graph: CUgraph) -> CUresult {
    call("cuGraphClone", |driver| clone.set(driver.clone_graph(graph)?))
}

/// Ends a graph; executable graphs made of it stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphDestroy(graph: CUgraph) -> CUresult {
    call("cuGraphDestroy", |driver| {
        if driver.graph(graph)?.parent.is_some() {
            return refused(CUresult::INVALID_VALUE, "the graph belongs to a node");
        }
        driver.destroy_graph(graph);
        Ok(())
    })
}

/// Ends a node with its edges.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphDestroyNode(node: CUgraphNode) -> CUresult {
    call("cuGraphDestroyNode", |driver| {
        driver.node(node)?;
        driver.forbid_change(driver.nodes[&node])?;
        driver.destroy_node(node)
    })
}

/// The node of a clone that a node of the original became.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeFindInClone(
    node: Out<CUgraphNode>,
    original: CUgraphNode,
    clone: CUgraph,
) -> CUresult {
    call("cuGraphNodeFindInClone", |driver| {
        match driver.graph(clone)?.nodes.iter().find(|node| node.original == Some(original)) {
            Some(found) => node.set(found.handle),
            None => refused(CUresult::INVALID_VALUE, "the graph has no clone of the node"),
        }
    })
}

/// Writes `values` into an array of `*capacity` places and sets `*capacity` to the number of values; without an array
/// only the number. Places too many become null.
pub fn write_list<T: Copy>(out: Out<T>, capacity: Out<usize>, values: &[T], null: T) -> Result {
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

fn edges(
    driver: &Driver,
    graph: CUgraph,
    (from, to): (Out<CUgraphNode>, Out<CUgraphNode>),
    data: Out<CUgraphEdgeData>,
    edge_count: Out<usize>,
) -> Result {
    if from.is_null() != to.is_null() {
        return refused(CUresult::INVALID_VALUE, "one array of two");
    }
    let nodes = &driver.graph(graph)?.nodes;
    let edges = nodes.iter().flat_map(|node| node.needs.iter().map(|&need| (need, node.handle)));
    let (sources, targets): (Vec<CUgraphNode>, Vec<CUgraphNode>) = edges.unzip();
    if !from.is_null() {
        for index in 0..edge_count.get()? {
            from.element(index).set(sources.get(index).copied().unwrap_or(CUgraphNode(0)))?;
            if !data.is_null() {
                data.element(index).set(PLAIN_EDGE)?;
            }
        }
    }
    write_list(to, edge_count, &targets, CUgraphNode(0))
}

/// The dependencies between the nodes of a graph, or their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphGetEdges(
    graph: CUgraph,
    from: Out<CUgraphNode>,
    to: Out<CUgraphNode>,
    edge_count: Out<usize>,
) -> CUresult {
    call("cuGraphGetEdges", |driver| edges(driver, graph, (from, to), Out::at(0), edge_count))
}

/// As [`cuGraphGetEdges`], with what each edge says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphGetEdges_v2(
    graph: CUgraph,
    from: Out<CUgraphNode>,
    to: Out<CUgraphNode>,
    data: Out<CUgraphEdgeData>,
    edge_count: Out<usize>,
) -> CUresult {
    call("cuGraphGetEdges_v2", |driver| edges(driver, graph, (from, to), data, edge_count))
}

/// The neighbours of a node in one direction, or their number.
fn neighbours(
    driver: &Driver,
    node: CUgraphNode,
    before: bool,
    (neighbours, data): (Out<CUgraphNode>, Out<CUgraphEdgeData>),
    count: Out<usize>,
) -> Result {
    let own = driver.node(node)?;
    let handles = if before {
        own.needs.clone()
    } else {
        let nodes = &driver.graph(driver.nodes[&node])?.nodes;
        nodes.iter().filter(|other| other.needs.contains(&node)).map(|other| other.handle).collect()
    };
    if !data.is_null() && !neighbours.is_null() {
        for index in 0..count.get()? {
            data.element(index).set(PLAIN_EDGE)?;
        }
    }
    write_list(neighbours, count, &handles, CUgraphNode(0))
}

/// The nodes that a node depends on, or their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetDependencies(
    node: CUgraphNode,
    nodes: Out<CUgraphNode>,
    count: Out<usize>,
) -> CUresult {
    call("cuGraphNodeGetDependencies", |driver| neighbours(driver, node, true, (nodes, Out::at(0)), count))
}

/// As [`cuGraphNodeGetDependencies`], with what each edge says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetDependencies_v2(
    node: CUgraphNode,
    nodes: Out<CUgraphNode>,
    data: Out<CUgraphEdgeData>,
    count: Out<usize>,
) -> CUresult {
    call("cuGraphNodeGetDependencies_v2", |driver| neighbours(driver, node, true, (nodes, data), count))
}

/// The nodes that depend on a node, or their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetDependentNodes(
    node: CUgraphNode,
    nodes: Out<CUgraphNode>,
    count: Out<usize>,
) -> CUresult {
    call("cuGraphNodeGetDependentNodes", |driver| neighbours(driver, node, false, (nodes, Out::at(0)), count))
}

/// As [`cuGraphNodeGetDependentNodes`], with what each edge says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetDependentNodes_v2(
    node: CUgraphNode,
    nodes: Out<CUgraphNode>,
    data: Out<CUgraphEdgeData>,
    count: Out<usize>,
) -> CUresult {
    call("cuGraphNodeGetDependentNodes_v2", |driver| neighbours(driver, node, false, (nodes, data), count))
}

macro_rules! edge_functions {
    ($($(#[$doc:meta])* $plain:ident, $with_data:ident, $add:literal;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $plain(
                graph: CUgraph, from: In<CUgraphNode>, to: In<CUgraphNode>, count: usize,
            ) -> CUresult {
                // SAFETY: the arguments are the caller's.
                unsafe { $with_data(graph, from, to, In::at(0), count) }
            }

            $(#[$doc])*
            /// Edges may say no more than an order.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $with_data(
                graph: CUgraph, from: In<CUgraphNode>, to: In<CUgraphNode>, data: In<CUgraphEdgeData>, count: usize,
            ) -> CUresult {
                call(stringify!($plain), |driver| {
                    check_edges(data, count)?;
                    if !$add {
                        driver.forbid_change(graph)?;
                    }
                    driver.edit_edges(graph, &from.to_vec(count)?, &to.to_vec(count)?, $add)
                })
            }
        )*
    };
}

edge_functions! {
    /// Lets nodes depend on others.
    cuGraphAddDependencies, cuGraphAddDependencies_v2, true;
    /// Ends dependencies between nodes.
    cuGraphRemoveDependencies, cuGraphRemoveDependencies_v2, false;
}

/// What a node does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphNodeGetType(node: CUgraphNode, kind: Out<u32>) -> CUresult {
    call("cuGraphNodeGetType", |driver| kind.set(driver.node(node)?.task.kind()))
}

/// Writes a graph to a file, as text for Graphviz. The flags, which ask for details, change nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphDebugDotPrint(graph: CUgraph, path: In<std::ffi::c_char>, _flags: u32) -> CUresult {
    call("cuGraphDebugDotPrint", |driver| {
        let path = path.text()?;
        match std::fs::write(&path, driver.dot(graph)?) {
            Ok(()) => Ok(()),
            Err(error) => refused(CUresult::OPERATING_SYSTEM, format!("{path}: {error}")),
        }
    })
}

super::exports![
    cuGraphCreate,
    cuGraphClone,
    cuGraphDestroy,
    cuGraphDestroyNode,
    cuGraphNodeFindInClone,
    cuGraphGetNodes,
    cuGraphGetRootNodes,
    cuGraphGetEdges,
    cuGraphGetEdges_v2,
    cuGraphNodeGetDependencies,
    cuGraphNodeGetDependencies_v2,
    cuGraphNodeGetDependentNodes,
    cuGraphNodeGetDependentNodes_v2,
    cuGraphAddDependencies,
    cuGraphAddDependencies_v2,
    cuGraphRemoveDependencies,
    cuGraphRemoveDependencies_v2,
    cuGraphNodeGetType,
    cuGraphDebugDotPrint,
];
