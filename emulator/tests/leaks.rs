//! What a program never released is listed. A file of its own: the list is the process's.

#[macro_use]
mod common;

use common::{PTX, TestContext, device_memory, event, load, pinned_memory, stream};
use cuda_emulator::api::unreleased;

#[test]
fn everything_that_was_never_released_is_listed() {
    assert_eq!(unreleased(), Vec::<String>::new());
    let context = TestContext::new();
    let context_line = format!("context {:#x}", context.handle as usize);
    assert_eq!(unreleased(), std::slice::from_ref(&context_line));
    let device = device_memory(100);
    let (mut managed, mut pooled, mut graph) = (0, 0, std::ptr::null_mut());
    let pinned = pinned_memory(8).as_mut_ptr();
    let (stream, event, module) = (stream(1), event(), load(PTX));
    succeed!(
        cuMemAllocManaged(&mut managed, 16, 1);
        cuMemAllocAsync(&mut pooled, 32, stream);
        cuStreamSynchronize(stream);
        cuGraphCreate(&mut graph, 0)
    );
    let lines = unreleased();
    let expected = [
        context_line.clone(),
        format!("device memory: 100 bytes at {device:#x}"),
        format!("managed memory: 16 bytes at {managed:#x}"),
        format!("stream-ordered memory: 32 bytes at {pooled:#x}"),
        format!("page-locked memory: 8 bytes at {pinned:p}"),
        format!("event {event:p}"),
        format!("graph {graph:p}"),
        format!("module {module:p}"),
        format!("stream {stream:p}"),
    ];
    assert!(expected.iter().all(|line| lines.contains(line)) && lines.len() == expected.len(), "{lines:#?}");
    succeed!(
        cuMemFreeAsync(pooled, stream);
        cuMemFree_v2(device);
        cuMemFree_v2(managed);
        cuMemFreeHost(pinned.cast());
        cuGraphDestroy(graph);
        cuModuleUnload(module);
        cuEventDestroy_v2(event);
        cuStreamDestroy_v2(stream)
    );
    assert_eq!(unreleased(), [context_line]);
    drop(context);
    assert_eq!(unreleased(), Vec::<String>::new());
}
