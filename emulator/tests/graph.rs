//! Graphs that are built and changed node by node.

#[macro_use]
mod common;

use std::ffi::c_void;

use common::{
    AddParameters, PTX, TestContext, box_copy, device_memory, event, function, load, read, read_integers, stream,
};
use cudarc::driver::sys::{self, CUgraphNodeType as Kind, CUresult};

const INVALID_VALUE: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;
const COUNT: u32 = 40;

fn graph() -> sys::CUgraph {
    let mut graph = std::ptr::null_mut();
    succeed!(cuGraphCreate(&mut graph, 0));
    graph
}

fn instantiate(graph: sys::CUgraph) -> sys::CUgraphExec {
    let mut executable = std::ptr::null_mut();
    succeed!(cuGraphInstantiateWithFlags(&mut executable, graph, 0));
    executable
}

/// Launches and gives the integers at `address`.
fn launch(executable: sys::CUgraphExec, address: u64) -> Vec<u32> {
    succeed!(cuGraphLaunch(executable, std::ptr::null_mut()); cuCtxSynchronize());
    read_integers(address, COUNT as usize)
}

fn fill(address: u64, value: u32) -> sys::CUDA_MEMSET_NODE_PARAMS {
    sys::CUDA_MEMSET_NODE_PARAMS { dst: address, pitch: 0, value, elementSize: 4, width: COUNT as usize, height: 1 }
}

fn add_fill(
    context: &TestContext,
    graph: sys::CUgraph,
    needs: &[sys::CUgraphNode],
    address: u64,
    value: u32,
) -> sys::CUgraphNode {
    let mut node = std::ptr::null_mut();
    succeed!(cuGraphAddMemsetNode(
        &mut node,
        graph,
        needs.as_ptr(),
        needs.len(),
        &fill(address, value),
        context.handle
    ));
    node
}

fn kernel(function: sys::CUfunction, parameters: &mut AddParameters) -> sys::CUDA_KERNEL_NODE_PARAMS {
    sys::CUDA_KERNEL_NODE_PARAMS {
        func: function,
        gridDimX: 2,
        gridDimY: 1,
        gridDimZ: 1,
        blockDimX: 32,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: 0,
        kernelParams: parameters.pointers.as_mut_ptr(),
        extra: std::ptr::null_mut(),
        kern: std::ptr::null_mut(),
        ctx: std::ptr::null_mut(),
    }
}

fn add_kernel(
    graph: sys::CUgraph,
    needs: &[sys::CUgraphNode],
    node: &sys::CUDA_KERNEL_NODE_PARAMS,
) -> sys::CUgraphNode {
    let mut handle = std::ptr::null_mut();
    succeed!(cuGraphAddKernelNode_v2(&mut handle, graph, needs.as_ptr(), needs.len(), node));
    handle
}

fn kind(node: sys::CUgraphNode) -> Kind {
    let mut kind = Kind::CU_GRAPH_NODE_TYPE_EMPTY;
    succeed!(cuGraphNodeGetType(node, &mut kind));
    kind
}

#[test]
fn nodes_run_in_the_order_of_their_edges_whatever_order_they_were_added_in() {
    let context = TestContext::new();
    let address = device_memory(4 * COUNT as usize);
    let add = function(load(PTX), "add");
    let graph = graph();
    // The kernel comes first in the graph and last in its order.
    let mut parameters = AddParameters::new(address, COUNT, 3);
    let kernel = add_kernel(graph, &[], &kernel(add, &mut parameters));
    let fill = add_fill(&context, graph, &[], address, 10);
    succeed!(cuGraphAddDependencies(graph, &fill, &kernel, 1));
    assert_eq!(result!(cuGraphAddDependencies(graph, &fill, &kernel, 1)), INVALID_VALUE, "twice");
    assert_eq!((kind(kernel), kind(fill)), (Kind::CU_GRAPH_NODE_TYPE_KERNEL, Kind::CU_GRAPH_NODE_TYPE_MEMSET));
    let (mut from, mut to, mut edges) = (std::ptr::null_mut(), std::ptr::null_mut(), 1);
    succeed!(cuGraphGetEdges(graph, &mut from, &mut to, &mut edges));
    assert_eq!((from, to, edges), (fill, kernel, 1));
    let (mut root, mut roots, mut dependent, mut dependents) = (std::ptr::null_mut(), 1, std::ptr::null_mut(), 1);
    succeed!(
        cuGraphGetRootNodes(graph, &mut root, &mut roots);
        cuGraphNodeGetDependentNodes(fill, &mut dependent, &mut dependents)
    );
    assert_eq!((root, roots, dependent, dependents), (fill, 1, kernel, 1));
    assert_eq!(launch(instantiate(graph), address), [13; COUNT as usize]);
    succeed!(cuGraphAddDependencies(graph, &kernel, &fill, 1));
    let mut executable = std::ptr::null_mut();
    assert_eq!(result!(cuGraphInstantiateWithFlags(&mut executable, graph, 0)), INVALID_VALUE, "a circle");
    succeed!(cuGraphRemoveDependencies(graph, &kernel, &fill, 1); cuGraphDestroyNode(fill));
    assert_eq!(result!(cuGraphNodeGetType(fill, &mut Kind::CU_GRAPH_NODE_TYPE_EMPTY)), INVALID_VALUE);
    assert_eq!(launch(instantiate(graph), address), [16; COUNT as usize], "only the kernel is left");
}

#[test]
fn parameters_are_told_and_changed_in_graphs_and_in_executables() {
    let context = TestContext::new();
    let address = device_memory(4 * COUNT as usize);
    let add = function(load(PTX), "add");
    let graph = graph();
    let fill_node = add_fill(&context, graph, &[], address, 1);
    let mut parameters = AddParameters::new(address, COUNT, 5);
    let node = add_kernel(graph, &[fill_node], &kernel(add, &mut parameters));
    let executable = instantiate(graph);
    // SAFETY: plain data, to be overwritten.
    let mut told: sys::CUDA_KERNEL_NODE_PARAMS = unsafe { std::mem::zeroed() };
    succeed!(cuGraphKernelNodeGetParams_v2(node, &mut told));
    assert_eq!((told.func, told.gridDimX, told.blockDimX), (add, 2, 32));
    // SAFETY: the pointers are good until the node changes; the third parameter is an integer.
    assert_eq!(unsafe { **told.kernelParams.add(2).cast::<*const u32>() }, 5);
    let mut more = AddParameters::new(address, COUNT, 7);
    succeed!(cuGraphExecKernelNodeSetParams_v2(executable, node, &kernel(add, &mut more)));
    assert_eq!(launch(executable, address), [8; COUNT as usize]);
    succeed!(cuGraphExecMemsetNodeSetParams(executable, fill_node, &fill(address, 100), context.handle));
    assert_eq!(launch(executable, address), [107; COUNT as usize]);
    assert_eq!(launch(instantiate(graph), address), [6; COUNT as usize], "the graph is as it was");
    succeed!(cuGraphMemsetNodeSetParams(fill_node, &fill(address, 200)));
    let mut told = fill(0, 0);
    succeed!(cuGraphMemsetNodeGetParams(fill_node, &mut told));
    assert_eq!((told.dst, told.value, told.elementSize, told.width), (address, 200, 4, COUNT as usize));
    // SAFETY: plain data, to be overwritten.
    let mut outcome: sys::CUgraphExecUpdateResultInfo = unsafe { std::mem::zeroed() };
    succeed!(cuGraphExecUpdate_v2(executable, graph, &mut outcome));
    assert_eq!(launch(executable, address), [205; COUNT as usize], "updated");
    succeed!(cuGraphNodeSetEnabled(executable, node, 0));
    assert_eq!(launch(executable, address), [200; COUNT as usize], "without the kernel");
    let mut enabled = 9;
    succeed!(cuGraphNodeGetEnabled(executable, node, &mut enabled));
    assert_eq!(enabled, 0);
    assert_eq!(
        result!(cuGraphExecMemsetNodeSetParams(executable, node, &fill(address, 1), context.handle)),
        INVALID_VALUE
    );
    let _third = add_fill(&context, graph, &[], address, 0);
    let changed = result!(cuGraphExecUpdate_v2(executable, graph, &mut outcome));
    assert_eq!(changed, CUresult::CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    assert_eq!(outcome.result, sys::CUgraphExecUpdateResult::CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
}

unsafe extern "C" fn count_call(counter: *mut c_void) {
    // SAFETY: the test gave a counter that lives.
    unsafe { *counter.cast::<u32>() += 1 };
}

#[test]
fn copies_host_functions_children_and_clones() {
    let context = TestContext::new();
    let (source, target) = (device_memory(64), device_memory(64));
    let (graph, child) = (graph(), graph());
    let mut calls = 0u32;
    let host = sys::CUDA_HOST_NODE_PARAMS { fn_: Some(count_call), userData: (&raw mut calls).cast() };
    let mut copy = box_copy();
    copy.srcDevice = source;
    copy.srcPitch = 4;
    copy.dstDevice = target;
    copy.dstPitch = 8;
    (copy.WidthInBytes, copy.Height, copy.Depth) = (4, 2, 1);
    let (mut copy_node, mut host_node, mut child_node) =
        (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(
        cuMemsetD8_v2(source, 7, 64);
        cuMemsetD8_v2(target, 0, 64);
        cuGraphAddHostNode(&mut host_node, child, std::ptr::null(), 0, &host);
        cuGraphAddChildGraphNode(&mut child_node, graph, std::ptr::null(), 0, child);
        cuGraphDestroy(child);
        cuGraphAddMemcpyNode(&mut copy_node, graph, &child_node, 1, &copy, context.handle)
    );
    let mut inner = std::ptr::null_mut();
    succeed!(cuGraphChildGraphNodeGetGraph(child_node, &mut inner));
    assert_eq!(result!(cuGraphDestroy(inner)), INVALID_VALUE, "it belongs to the node");
    let mut clone = std::ptr::null_mut();
    let mut cloned_node = std::ptr::null_mut();
    succeed!(
        cuGraphClone(&mut clone, graph);
        cuGraphNodeFindInClone(&mut cloned_node, copy_node, clone);
        cuGraphDestroy(graph)
    );
    let mut told = box_copy();
    succeed!(cuGraphMemcpyNodeGetParams(cloned_node, &mut told));
    assert_eq!((told.srcDevice, told.dstDevice, told.dstPitch, told.Height), (source, target, 8, 2));
    let executable = instantiate(clone);
    succeed!(cuGraphLaunch(executable, std::ptr::null_mut()); cuCtxSynchronize());
    assert_eq!(read(target, 13), [7, 7, 7, 7, 0, 0, 0, 0, 7, 7, 7, 7, 0]);
    succeed!(cuGraphLaunch(executable, std::ptr::null_mut()); cuCtxSynchronize());
    assert_eq!(calls, 2);
}

#[test]
fn event_nodes_order_a_graph_with_streams() {
    let context = TestContext::new();
    let (before, after) = (event(), event());
    let (first, second) = (stream(1), stream(1));
    let address = device_memory(4 * COUNT as usize);
    let graph = graph();
    let (mut wait, mut record) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(cuGraphAddEventWaitNode(&mut wait, graph, std::ptr::null(), 0, before));
    let fill = add_fill(&context, graph, &[wait], address, 2);
    succeed!(cuGraphAddEventRecordNode(&mut record, graph, &fill, 1, after));
    let mut told = std::ptr::null_mut();
    succeed!(cuGraphEventRecordNodeGetEvent(record, &mut told));
    assert_eq!(told, after);
    let executable = instantiate(graph);
    succeed!(
        cuMemsetD32Async(address, 1, COUNT as usize, first);
        cuEventRecord(before, first);
        cuGraphLaunch(executable, second);
        cuEventSynchronize(after)
    );
    assert_eq!(read_integers(address, COUNT as usize), [2; COUNT as usize]);
}

#[test]
fn allocation_nodes_give_their_address_at_once() {
    let context = TestContext::new();
    let graph = graph();
    // SAFETY: plain data; zeros mean nothing.
    let mut asked: sys::CUDA_MEM_ALLOC_NODE_PARAMS = unsafe { std::mem::zeroed() };
    asked.poolProps.allocType = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
    asked.poolProps.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    asked.bytesize = 4 * COUNT as usize;
    let (mut allocate, mut free) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(cuGraphAddMemAllocNode(&mut allocate, graph, std::ptr::null(), 0, &mut asked));
    let fill = add_fill(&context, graph, &[allocate], asked.dptr, 3);
    let result = device_memory(4);
    let mut copy = box_copy();
    copy.srcDevice = asked.dptr;
    copy.dstDevice = result;
    (copy.WidthInBytes, copy.Height, copy.Depth) = (4, 1, 1);
    let mut copy_node = std::ptr::null_mut();
    succeed!(
        cuGraphAddMemcpyNode(&mut copy_node, graph, &fill, 1, &copy, context.handle);
        cuGraphAddMemFreeNode(&mut free, graph, &copy_node, 1, asked.dptr)
    );
    let executable = instantiate(graph);
    succeed!(cuGraphLaunch(executable, std::ptr::null_mut()); cuCtxSynchronize());
    assert_eq!(read_integers(result, 1), [3]);
}

#[test]
fn objects_live_as_long_as_their_graph() {
    let _context = TestContext::new();
    let mut destroyed = 0u32;
    let mut object = std::ptr::null_mut();
    let graph = graph();
    succeed!(
        cuUserObjectCreate(&mut object, (&raw mut destroyed).cast(), Some(count_call), 1, 1);
        cuGraphRetainUserObject(graph, object, 1, 1)
    );
    assert_eq!(result!(cuUserObjectRelease(object, 1)), INVALID_VALUE, "the graph took the reference over");
    assert_eq!(destroyed, 0);
    succeed!(cuGraphDestroy(graph));
    assert_eq!(destroyed, 1);
}

#[test]
fn a_graph_is_printed_for_graphviz() {
    let context = TestContext::new();
    let graph = graph();
    let address = device_memory(4 * COUNT as usize);
    let mut parameters = AddParameters::new(address, COUNT, 3);
    let fill = add_fill(&context, graph, &[], address, 10);
    add_kernel(graph, &[fill], &kernel(function(load(PTX), "add"), &mut parameters));
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("graph.dot");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    succeed!(cuGraphDebugDotPrint(graph, name.as_ptr(), 0));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("digraph") && text.contains("KERNEL\\nadd") && text.contains("MEMSET"), "{text}");
    assert!(text.contains("\"graph_1_node_0\" -> \"graph_1_node_1\""), "{text}");
}

#[test]
fn kernels_of_graphs_become_cooperative() {
    let _context = TestContext::new();
    let address = device_memory(4 * COUNT as usize);
    let mut parameters = AddParameters::new(address, COUNT, 3);
    let graph = graph();
    let mut described = kernel(function(load(PTX), "add"), &mut parameters);
    let (plain, cooperative) = (add_kernel(graph, &[], &described), add_kernel(graph, &[], &described));
    let attribute = sys::CUkernelNodeAttrID::CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    let mut value = sys::CUkernelNodeAttrValue { cooperative: 1 };
    succeed!(cuGraphKernelNodeSetAttribute(cooperative, attribute, &value));
    for (node, expected) in [(plain, 0), (cooperative, 1)] {
        succeed!(cuGraphKernelNodeGetAttribute(node, attribute, &mut value));
        // SAFETY: the attribute that was asked for.
        assert_eq!(unsafe { value.cooperative }, expected);
    }
    succeed!(cuGraphKernelNodeCopyAttributes(plain, cooperative));
    succeed!(cuGraphKernelNodeGetAttribute(plain, attribute, &mut value));
    // SAFETY: as above.
    assert_eq!(unsafe { value.cooperative }, 1);
    described.blockDimX = 2000;
    assert_eq!(result!(cuGraphKernelNodeSetParams_v2(plain, &described)), INVALID_VALUE, "too large a block");
}
