//! The nodes of graphs, kind by kind: adding them, and reading and changing what they do, in a graph or in an
//! executable one.

use std::sync::Arc;

use super::copy::CUDA_MEMCPY3D;
use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::graph::{CUgraphEdgeData, Task, check_edges};
use super::launch::Request;
use super::memory::Origin;
use super::pool::PoolProperties;
use super::types::{
    CUcontext, CUdeviceptr, CUevent, CUfunction, CUgraph, CUgraphExec, CUgraphNode, CUkernel, CUstream, In, Out,
};
use super::work::{Fill, HostFunction, Work};

/// A kernel of a graph, as the driver's header lays it out since CUDA 12; before, it ended after `extra`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_KERNEL_NODE_PARAMS {
    earlier: CUDA_KERNEL_NODE_PARAMS_v1,
    /// The kernel of a library, if there is no function.
    kernel: CUkernel,
    context: CUcontext,
}

/// A kernel of a graph as before CUDA 12.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_KERNEL_NODE_PARAMS_v1 {
    function: CUfunction,
    grid: [u32; 3],
    block: [u32; 3],
    dynamic_shared_bytes: u32,
    parameters: In<In<u8>>,
    extra: In<usize>,
}

/// A fill of a graph.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_MEMSET_NODE_PARAMS {
    target: CUdeviceptr,
    pitch: usize,
    value: u32,
    element_bytes: u32,
    width: usize,
    height: usize,
}

/// A host function of a graph.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_HOST_NODE_PARAMS {
    function: Option<HostFunction>,
    data: usize,
}

/// An allocation of a graph.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_MEM_ALLOC_NODE_PARAMS {
    pool: PoolProperties,
    access: usize,
    access_count: usize,
    bytes: usize,
    address: CUdeviceptr,
}

/// A node of any kind: its number, then what the kind has.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUgraphNodeParams {
    kind: u32,
    reserved: [u32; 3],
    parameters: [u64; 29],
    reserved_end: u64,
}

/// Where the parameters of a node of any kind begin.
const PARAMETERS_OFFSET: u64 = 16;

impl Driver {
    fn kernel_task(&mut self, node: &CUDA_KERNEL_NODE_PARAMS_v1, kernel: CUkernel) -> Result<Task> {
        let function = if node.function.0 == 0 { CUfunction(kernel.0) } else { node.function };
        let request = Request {
            grid: node.grid,
            block: node.block,
            dynamic_shared_bytes: node.dynamic_shared_bytes,
            stream: CUstream(0),
            cooperative: false,
            parameters: node.parameters,
            extra: node.extra,
        };
        Ok(Task::Work(Arc::new(self.kernel_work(function, &request)?)))
    }

    fn fill_task(&mut self, node: &CUDA_MEMSET_NODE_PARAMS) -> Result<Task> {
        let bytes = node.value.to_le_bytes();
        let element = match node.element_bytes {
            width @ (1 | 2 | 4) => bytes[..width as usize].to_vec(),
            other => return refused(CUresult::INVALID_VALUE, format!("elements of {other} bytes")),
        };
        let (pitch, width, height) = (node.pitch as u64, node.width as u64, node.height as u64);
        let fill = Fill { target: node.target, pitch, element, width, height };
        self.check_fill(&fill)?;
        Ok(Task::Work(Arc::new(Work::Fill(fill))))
    }

    fn copy_task(&mut self, copy: &CUDA_MEMCPY3D) -> Result<Task> {
        Ok(Task::Work(Arc::new(Work::Copy(self.copy_for_graph(copy)?))))
    }

    fn event_of_graph(&self, event: CUevent) -> Result<CUevent> {
        match self.events.contains_key(&event) {
            true => Ok(event),
            false => refused(CUresult::INVALID_VALUE, "no such event, or it was destroyed"),
        }
    }

    fn child_task(&mut self, child: CUgraph) -> Result<Task> {
        if self.graph(child)?.nodes.iter().any(|node| matches!(node.task.kind(), 10 | 11)) {
            return refused(CUresult::NOT_SUPPORTED, "child graphs that allocate or free memory");
        }
        Ok(Task::Child(self.clone_graph(child)?))
    }

    /// Makes room in the address space for what a node of `graph` will allocate.
    fn allocation_task(&mut self, graph: CUgraph, node: &CUDA_MEM_ALLOC_NODE_PARAMS) -> Result<(Task, CUdeviceptr)> {
        node.pool.check()?;
        let context = self.graph(graph)?.context;
        let address = self.reserve(context, node.bytes, Origin::Graph)?;
        Ok((Task::Work(Arc::new(Work::Allocate(address))), address))
    }

    fn free_task(&mut self, address: CUdeviceptr) -> Result<Task> {
        match self.blocks.get(&address) {
            Some(block) if matches!(block.origin, Origin::Graph | Origin::Stream(_)) => {
                Ok(Task::Work(Arc::new(Work::Free(address))))
            }
            _ => refused(CUresult::INVALID_VALUE, format!("no stream-ordered allocation starts at {address:#x}")),
        }
    }

    /// The task that parameters of any kind of node describe; those of an allocation learn their address.
    fn task_of(&mut self, graph: CUgraph, node: Out<CUgraphNodeParams>) -> Result<Task> {
        let kind = node.cast::<u32>().get()?;
        let place = node.address() as u64 + PARAMETERS_OFFSET;
        match kind {
            0 => {
                let kernel: CUDA_KERNEL_NODE_PARAMS = In::at(place).get()?;
                self.kernel_task(&kernel.earlier, kernel.kernel)
            }
            // Flags and a context come before the copy.
            1 => self.copy_task(&In::at(place + 16).get()?),
            2 => self.fill_task(&In::at(place).get()?),
            3 => host_task(In::at(place)),
            4 => self.child_task(In::at(place).get()?),
            5 => Ok(Task::Work(Arc::new(Work::Nothing))),
            6 => Ok(Task::Wait(self.event_of_graph(In::at(place).get()?)?)),
            7 => Ok(Task::Work(Arc::new(Work::Record(self.event_of_graph(In::at(place).get()?)?)))),
            10 => {
                let parameters = Out::<CUDA_MEM_ALLOC_NODE_PARAMS>::at(place);
                let asked = parameters.get()?;
                let (task, address) = self.allocation_task(graph, &asked)?;
                parameters.set(CUDA_MEM_ALLOC_NODE_PARAMS { address, ..asked })?;
                Ok(task)
            }
            11 => self.free_task(In::at(place).get()?),
            8 | 9 | 12..=14 => refused(CUresult::NOT_SUPPORTED, format!("nodes of kind {kind} in a graph")),
            _ => refused(CUresult::INVALID_VALUE, format!("there is no kind {kind} of nodes")),
        }
    }

    /// Gives a node of a graph another task of the same kind.
    fn set_task(&mut self, node: CUgraphNode, task: Task) -> Result {
        let node = self.node_mut(node)?;
        if node.task.kind() != task.kind() {
            return refused(CUresult::INVALID_VALUE, "the node is of another kind");
        }
        node.task = task;
        node.parameter_pointers = Vec::new();
        Ok(())
    }

    /// The work of a node, which must be of kind `kind`.
    fn work_of(&self, node: CUgraphNode, kind: u32) -> Result<Arc<Work>> {
        match &self.node(node)?.task {
            Task::Work(work) if self.node(node)?.task.kind() == kind => Ok(Arc::clone(work)),
            _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
        }
    }

    /// The parameters of a kernel node. The pointers in them are good until the node changes.
    fn kernel_parameters(&mut self, node: CUgraphNode) -> Result<CUDA_KERNEL_NODE_PARAMS> {
        let work = self.work_of(node, 0)?;
        let Work::Kernel { module, launch, function } = &*work else {
            return refused(CUresult::INVALID_VALUE, "the node is of another kind");
        };
        let kernel = &module.kernels()[launch.kernel];
        let pointers =
            kernel.parameters.iter().map(|parameter| launch.parameters[parameter.offset..].as_ptr() as usize);
        let place = self.node_mut(node)?;
        place.parameter_pointers = pointers.collect();
        let earlier = CUDA_KERNEL_NODE_PARAMS_v1 {
            function: *function,
            grid: launch.grid,
            block: launch.block,
            dynamic_shared_bytes: launch.dynamic_shared_bytes,
            parameters: In::at(place.parameter_pointers.as_ptr() as u64),
            extra: In::at(0),
        };
        Ok(CUDA_KERNEL_NODE_PARAMS { earlier, kernel: CUkernel(0), context: CUcontext(0) })
    }
}

fn host_task(parameters: In<CUDA_HOST_NODE_PARAMS>) -> Result<Task> {
    let CUDA_HOST_NODE_PARAMS { function, data } = parameters.get()?;
    match function {
        Some(function) => Ok(Task::Work(Arc::new(Work::Host { function, data }))),
        None => refused(CUresult::INVALID_VALUE, "a null pointer for a host function"),
    }
}

/// Declares functions that add a node: the task comes from `$task`, which may use the driver and the arguments.
macro_rules! adders {
    ($($(#[$doc:meta])* $name:ident(|$driver:ident, $graph:ident| $($argument:ident: $kind:ty),*) => $task:expr;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                node: Out<CUgraphNode>,
                $graph: CUgraph,
                dependencies: In<CUgraphNode>,
                dependency_count: usize,
                $($argument: $kind),*
            ) -> CUresult {
                call(stringify!($name), |$driver| {
                    let needs = dependencies.to_vec(dependency_count)?;
                    $driver.check_nodes($graph, &needs)?;
                    let task: Task = $task;
                    node.set($driver.add_node($graph, needs, task)?)
                })
            }
        )*
    };
}

adders! {
    /// Adds a node that joins others.
    cuGraphAddEmptyNode(|driver, graph|) => Task::Work(Arc::new(Work::Nothing));
    /// Adds a kernel.
    cuGraphAddKernelNode(|driver, graph| parameters: In<CUDA_KERNEL_NODE_PARAMS_v1>) => {
        driver.kernel_task(&parameters.get()?, CUkernel(0))?
    };
    /// Adds a kernel.
    cuGraphAddKernelNode_v2(|driver, graph| parameters: In<CUDA_KERNEL_NODE_PARAMS>) => {
        let parameters = parameters.get()?;
        driver.kernel_task(&parameters.earlier, parameters.kernel)?
    };
    /// Adds a copy.
    cuGraphAddMemcpyNode(|driver, graph| copy: In<CUDA_MEMCPY3D>, context: CUcontext) => {
        driver.check_contexts([context, context])?;
        driver.copy_task(&copy.get()?)?
    };
    /// Adds a fill.
    cuGraphAddMemsetNode(|driver, graph| fill: In<CUDA_MEMSET_NODE_PARAMS>, context: CUcontext) => {
        driver.check_contexts([context, context])?;
        driver.fill_task(&fill.get()?)?
    };
    /// Adds a host function.
    cuGraphAddHostNode(|driver, graph| parameters: In<CUDA_HOST_NODE_PARAMS>) => host_task(parameters)?;
    /// Adds a copy of a graph.
    cuGraphAddChildGraphNode(|driver, graph| child: CUgraph) => driver.child_task(child)?;
    /// Adds the recording of an event.
    cuGraphAddEventRecordNode(|driver, graph| event: CUevent) => {
        Task::Work(Arc::new(Work::Record(driver.event_of_graph(event)?)))
    };
    /// Adds a wait for an event.
    cuGraphAddEventWaitNode(|driver, graph| event: CUevent) => Task::Wait(driver.event_of_graph(event)?);
    /// Adds an allocation, whose address is known at once.
    cuGraphAddMemAllocNode(|driver, graph| parameters: Out<CUDA_MEM_ALLOC_NODE_PARAMS>) => {
        let asked = parameters.get()?;
        let (task, address) = driver.allocation_task(graph, &asked)?;
        parameters.set(CUDA_MEM_ALLOC_NODE_PARAMS { address, ..asked })?;
        task
    };
    /// Adds the release of an allocation.
    cuGraphAddMemFreeNode(|driver, graph| address: CUdeviceptr) => driver.free_task(address)?;
}

fn add_any(
    (node, graph): (Out<CUgraphNode>, CUgraph),
    dependencies: In<CUgraphNode>,
    data: In<CUgraphEdgeData>,
    dependency_count: usize,
    parameters: Out<CUgraphNodeParams>,
) -> CUresult {
    call("cuGraphAddNode", |driver| {
        let needs = dependencies.to_vec(dependency_count)?;
        check_edges(data, dependency_count)?;
        driver.check_nodes(graph, &needs)?;
        let task = driver.task_of(graph, parameters)?;
        node.set(driver.add_node(graph, needs, task)?)
    })
}

/// Adds a node of any kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphAddNode(
    node: Out<CUgraphNode>,
    graph: CUgraph,
    dependencies: In<CUgraphNode>,
    dependency_count: usize,
    parameters: Out<CUgraphNodeParams>,
) -> CUresult {
    add_any((node, graph), dependencies, In::at(0), dependency_count, parameters)
}

/// Adds a node of any kind; its edges may say no more than an order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphAddNode_v2(
    node: Out<CUgraphNode>,
    graph: CUgraph,
    dependencies: In<CUgraphNode>,
    data: In<CUgraphEdgeData>,
    dependency_count: usize,
    parameters: Out<CUgraphNodeParams>,
) -> CUresult {
    add_any((node, graph), dependencies, data, dependency_count, parameters)
}

/// Declares functions that change a node: in a graph, and in an executable graph made of it.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident, $of_executable:ident(|$driver:ident, $node:ident| $argument:ident: $kind:ty
        $(; $context:ident)?) => $task:expr;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($node: CUgraphNode, $argument: $kind) -> CUresult {
                call(stringify!($name), |$driver| {
                    let task: Task = $task;
                    $driver.set_task($node, task)
                })
            }

            $(#[$doc])*
            /// In an executable graph, for launches from now on.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $of_executable(
                executable: CUgraphExec, $node: CUgraphNode, $argument: $kind $(, $context: CUcontext)?
            ) -> CUresult {
                call(stringify!($of_executable), |$driver| {
                    $($driver.check_contexts([$context, $context])?;)?
                    let task: Task = $task;
                    $driver.set_step(executable, $node, &task)
                })
            }
        )*
    };
}

setters! {
    /// Gives a node another kernel or other parameters.
    cuGraphKernelNodeSetParams, cuGraphExecKernelNodeSetParams(
        |driver, node| parameters: In<CUDA_KERNEL_NODE_PARAMS_v1>
    ) => driver.kernel_task(&parameters.get()?, CUkernel(0))?;
    /// Gives a node another kernel or other parameters.
    cuGraphKernelNodeSetParams_v2, cuGraphExecKernelNodeSetParams_v2(
        |driver, node| parameters: In<CUDA_KERNEL_NODE_PARAMS>
    ) => {
        let parameters = parameters.get()?;
        driver.kernel_task(&parameters.earlier, parameters.kernel)?
    };
    /// Gives a node another copy.
    cuGraphMemcpyNodeSetParams, cuGraphExecMemcpyNodeSetParams(|driver, node| copy: In<CUDA_MEMCPY3D>; context) => {
        driver.copy_task(&copy.get()?)?
    };
    /// Gives a node another fill.
    cuGraphMemsetNodeSetParams, cuGraphExecMemsetNodeSetParams(
        |driver, node| fill: In<CUDA_MEMSET_NODE_PARAMS>; context
    ) => driver.fill_task(&fill.get()?)?;
    /// Gives a node another host function.
    cuGraphHostNodeSetParams, cuGraphExecHostNodeSetParams(|driver, node| parameters: In<CUDA_HOST_NODE_PARAMS>) => {
        host_task(parameters)?
    };
    /// Gives a node another event to record.
    cuGraphEventRecordNodeSetEvent, cuGraphExecEventRecordNodeSetEvent(|driver, node| event: CUevent) => {
        Task::Work(Arc::new(Work::Record(driver.event_of_graph(event)?)))
    };
    /// Gives a node another event to wait for.
    cuGraphEventWaitNodeSetEvent, cuGraphExecEventWaitNodeSetEvent(|driver, node| event: CUevent) => {
        Task::Wait(driver.event_of_graph(event)?)
    };
    /// Gives a node of any kind other parameters.
    cuGraphNodeSetParams, cuGraphExecNodeSetParams(|driver, node| parameters: Out<CUgraphNodeParams>) => {
        driver.node(node)?;
        driver.task_of(driver.nodes[&node], parameters)?
    };
}

/// Gives a node of an executable graph another child of the same topology.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphExecChildGraphNodeSetParams(
    executable: CUgraphExec,
    node: CUgraphNode,
    child: CUgraph,
) -> CUresult {
    call("cuGraphExecChildGraphNodeSetParams", |driver| {
        driver.graph(child)?;
        driver.set_step(executable, node, &Task::Child(child))
    })
}

/// The kernel of a node and its parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphKernelNodeGetParams(
    node: CUgraphNode,
    parameters: Out<CUDA_KERNEL_NODE_PARAMS_v1>,
) -> CUresult {
    call("cuGraphKernelNodeGetParams", |driver| parameters.set(driver.kernel_parameters(node)?.earlier))
}

/// The kernel of a node and its parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphKernelNodeGetParams_v2(
    node: CUgraphNode,
    parameters: Out<CUDA_KERNEL_NODE_PARAMS>,
) -> CUresult {
    call("cuGraphKernelNodeGetParams_v2", |driver| parameters.set(driver.kernel_parameters(node)?))
}

/// The copy of a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphMemcpyNodeGetParams(node: CUgraphNode, copy: Out<CUDA_MEMCPY3D>) -> CUresult {
    call("cuGraphMemcpyNodeGetParams", |driver| match &*driver.work_of(node, 1)? {
        Work::Copy(transfer) => copy.set(CUDA_MEMCPY3D::of(transfer)),
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

/// The fill of a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphMemsetNodeGetParams(
    node: CUgraphNode,
    parameters: Out<CUDA_MEMSET_NODE_PARAMS>,
) -> CUresult {
    call("cuGraphMemsetNodeGetParams", |driver| match &*driver.work_of(node, 2)? {
        Work::Fill(fill) => parameters.set(CUDA_MEMSET_NODE_PARAMS {
            target: fill.target,
            pitch: fill.pitch as usize,
            value: fill.element.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)),
            element_bytes: fill.element.len() as u32,
            width: fill.width as usize,
            height: fill.height as usize,
        }),
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

/// The host function of a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphHostNodeGetParams(
    node: CUgraphNode,
    parameters: Out<CUDA_HOST_NODE_PARAMS>,
) -> CUresult {
    call("cuGraphHostNodeGetParams", |driver| match *driver.work_of(node, 3)? {
        Work::Host { function, data } => parameters.set(CUDA_HOST_NODE_PARAMS { function: Some(function), data }),
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

/// The graph inside a node, which belongs to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphChildGraphNodeGetGraph(node: CUgraphNode, graph: Out<CUgraph>) -> CUresult {
    call("cuGraphChildGraphNodeGetGraph", |driver| match driver.node(node)?.task {
        Task::Child(child) => graph.set(child),
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

/// The event that a node records.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphEventRecordNodeGetEvent(node: CUgraphNode, event: Out<CUevent>) -> CUresult {
    call("cuGraphEventRecordNodeGetEvent", |driver| match *driver.work_of(node, 7)? {
        Work::Record(recorded) => event.set(recorded),
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

/// The event that a node waits for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphEventWaitNodeGetEvent(node: CUgraphNode, event: Out<CUevent>) -> CUresult {
    call("cuGraphEventWaitNodeGetEvent", |driver| match driver.node(node)?.task {
        Task::Wait(awaited) => event.set(awaited),
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

/// The allocation of a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphMemAllocNodeGetParams(
    node: CUgraphNode,
    parameters: Out<CUDA_MEM_ALLOC_NODE_PARAMS>,
) -> CUresult {
    call("cuGraphMemAllocNodeGetParams", |driver| match *driver.work_of(node, 10)? {
        Work::Allocate(address) => {
            let bytes = driver.device_range(address, 0)?.bytes as usize;
            let pool = PoolProperties::of_device();
            parameters.set(CUDA_MEM_ALLOC_NODE_PARAMS { pool, access: 0, access_count: 0, bytes, address })
        }
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

/// The address that a node frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphMemFreeNodeGetParams(node: CUgraphNode, address: Out<CUdeviceptr>) -> CUresult {
    call("cuGraphMemFreeNodeGetParams", |driver| match *driver.work_of(node, 11)? {
        Work::Free(freed) => address.set(freed),
        _ => refused(CUresult::INVALID_VALUE, "the node is of another kind"),
    })
}

super::exports![
    cuGraphAddEmptyNode,
    cuGraphAddKernelNode,
    cuGraphAddKernelNode_v2,
    cuGraphAddMemcpyNode,
    cuGraphAddMemsetNode,
    cuGraphAddHostNode,
    cuGraphAddChildGraphNode,
    cuGraphAddEventRecordNode,
    cuGraphAddEventWaitNode,
    cuGraphAddMemAllocNode,
    cuGraphAddMemFreeNode,
    cuGraphAddNode,
    cuGraphAddNode_v2,
    cuGraphKernelNodeSetParams,
    cuGraphKernelNodeSetParams_v2,
    cuGraphExecKernelNodeSetParams,
    cuGraphExecKernelNodeSetParams_v2,
    cuGraphMemcpyNodeSetParams,
    cuGraphExecMemcpyNodeSetParams,
    cuGraphMemsetNodeSetParams,
    cuGraphExecMemsetNodeSetParams,
    cuGraphHostNodeSetParams,
    cuGraphExecHostNodeSetParams,
    cuGraphEventRecordNodeSetEvent,
    cuGraphExecEventRecordNodeSetEvent,
    cuGraphEventWaitNodeSetEvent,
    cuGraphExecEventWaitNodeSetEvent,
    cuGraphNodeSetParams,
    cuGraphExecNodeSetParams,
    cuGraphExecChildGraphNodeSetParams,
    cuGraphKernelNodeGetParams,
    cuGraphKernelNodeGetParams_v2,
    cuGraphMemcpyNodeGetParams,
    cuGraphMemsetNodeGetParams,
    cuGraphHostNodeGetParams,
    cuGraphChildGraphNodeGetGraph,
    cuGraphEventRecordNodeGetEvent,
    cuGraphEventWaitNodeGetEvent,
    cuGraphMemAllocNodeGetParams,
    cuGraphMemFreeNodeGetParams,
];
