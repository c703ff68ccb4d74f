//! What a program made and never released.

use super::driver::Driver;
use super::memory::Origin;
use super::types::CUcontext;

/// Something that the program should have released.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreleased {
    /// What it is: `stream`.
    pub kind: &'static str,
    /// Its handle, or the address of memory.
    pub handle: u64,
    /// Of memory.
    pub bytes: Option<u64>,
    /// The context that it ends with.
    pub context: Option<CUcontext>,
}

impl Unreleased {
    fn object(kind: &'static str, handle: usize, context: Option<CUcontext>) -> Self {
        Unreleased { kind, handle: handle as u64, bytes: None, context }
    }
}

impl Driver {
    /// Everything that lives behind the driver API and that the program should have released: contexts that were
    /// created, then memory, then handles. Objects of a context that was destroyed went with it.
    pub(crate) fn unreleased(&self) -> Vec<Unreleased> {
        let created = self.contexts.keys().filter(|&&context| self.primary != Some(context));
        let contexts = created.map(|context| Unreleased::object("context", context.0, None));
        let parts = [contexts.collect(), self.unreleased_memory(), self.unreleased_objects()];
        parts
            .into_iter()
            .flat_map(|mut part: Vec<Unreleased>| {
                part.sort_unstable_by_key(|found| found.handle);
                part
            })
            .collect()
    }

    fn unreleased_memory(&self) -> Vec<Unreleased> {
        let mut found = Vec::new();
        for (&start, block) in self.blocks.iter().filter(|(_, block)| !block.releasing) {
            let kind = match block.origin {
                Origin::Call => "device memory",
                Origin::Managed => "managed memory",
                Origin::Stream(_) => "stream-ordered memory",
                Origin::Graph if block.held => "memory of a graph",
                // They go with their graph and with their module.
                Origin::Graph | Origin::Module | Origin::ManagedVariable => continue,
            };
            let bytes = self.memory.find_device(start).map(|allocation| allocation.bytes);
            found.push(Unreleased { kind, handle: start, bytes: bytes.or(Some(0)), context: Some(block.context) });
        }
        for (&start, block) in &self.host_blocks {
            let bytes = self.memory.find_host(start).map(|allocation| allocation.bytes);
            let context = Some(block.context);
            found.push(Unreleased { kind: block.kind(), handle: start, bytes: bytes.or(Some(0)), context });
        }
        for (&start, range) in &self.ranges {
            found.push(Unreleased { kind: "address range", handle: start, bytes: Some(range.bytes()), context: None });
        }
        found
    }

    fn unreleased_objects(&self) -> Vec<Unreleased> {
        let of_a_thread = |handle| self.contexts.values().any(|context| context.has_default_stream(handle));
        let in_library = |module| self.libraries.values().any(|library| library.has_module(module));
        let mut found: Vec<Unreleased> = Vec::new();
        let streams = self.streams.iter().filter(|(handle, _)| !of_a_thread(**handle));
        found.extend(streams.map(|(handle, stream)| Unreleased::object("stream", handle.0, Some(stream.context))));
        found.extend(self.events.iter().map(|(h, event)| Unreleased::object("event", h.0, Some(event.context))));
        let modules = self.modules.iter().filter(|(handle, _)| !in_library(**handle));
        found.extend(modules.map(|(handle, module)| Unreleased::object("module", handle.0, Some(module.context))));
        let roots = self.graphs.iter().filter(|(_, graph)| graph.parent.is_none());
        found.extend(roots.map(|(handle, graph)| Unreleased::object("graph", handle.0, Some(graph.context))));
        let executables = self.executables.iter();
        found.extend(executables.map(|(h, graph)| Unreleased::object("executable graph", h.0, Some(graph.context))));
        let mut rest: Vec<(&'static str, usize)> = Vec::new();
        rest.extend(self.links.keys().map(|handle| ("link", handle.0)));
        rest.extend(self.user_objects.keys().map(|handle| ("user object", handle.0)));
        rest.extend(self.libraries.keys().map(|handle| ("library", handle.0)));
        let pools = self.pools.keys().filter(|&&handle| self.default_pool != Some(handle));
        rest.extend(pools.map(|handle| ("memory pool", handle.0)));
        rest.extend(self.memory_handles.keys().map(|&handle| ("handle of memory", handle as usize)));
        found.extend(rest.into_iter().map(|(kind, handle)| Unreleased::object(kind, handle, None)));
        found
    }
}
