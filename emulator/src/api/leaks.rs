//! What a program made and never released.

use super::driver::{Driver, with_driver};
use super::memory::Origin;

/// Everything that lives behind the driver API and that the program should have released, one line an object: contexts,
/// memory with its size in bytes and its address, then handles. Objects of a context that was destroyed went with it
/// and are not in the list.
pub fn unreleased() -> Vec<String> {
    with_driver(|driver| driver.unreleased()).unwrap_or_default()
}

impl Driver {
    fn unreleased(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.list_contexts(&mut lines);
        self.list_memory(&mut lines);
        self.list_handles(&mut lines);
        lines
    }

    fn list_contexts(&self, lines: &mut Vec<String>) {
        let mut created: Vec<usize> = self.contexts.keys().map(|context| context.0).collect();
        created.retain(|&handle| self.primary.is_none_or(|primary| primary.0 != handle));
        created.sort_unstable();
        lines.extend(created.iter().map(|handle| format!("context {handle:#x}")));
        if self.primary_references > 0 {
            lines.push(format!("primary context, retained {} times", self.primary_references));
        }
    }

    fn list_memory(&self, lines: &mut Vec<String>) {
        let mut blocks: Vec<(u64, &str)> = Vec::new();
        for (&start, block) in self.blocks.iter().filter(|(_, block)| !block.releasing) {
            match block.origin {
                Origin::Call => blocks.push((start, "device memory")),
                Origin::Managed => blocks.push((start, "managed memory")),
                Origin::Stream(_) => blocks.push((start, "stream-ordered memory")),
                Origin::Graph if block.held => blocks.push((start, "memory of a graph")),
                // They go with their graph and with their module.
                Origin::Graph | Origin::Module => {}
            }
        }
        blocks.sort_unstable();
        lines.extend(blocks.into_iter().map(|(start, kind)| {
            let bytes = self.memory.find_device(start).map_or(0, |allocation| allocation.bytes);
            format!("{kind}: {bytes} bytes at {start:#x}")
        }));
        let mut host: Vec<(u64, &str)> = self.host_blocks.iter().map(|(&start, block)| (start, block.kind())).collect();
        host.sort_unstable();
        lines.extend(host.into_iter().map(|(start, kind)| {
            let bytes = self.memory.find_host(start).map_or(0, |allocation| allocation.bytes);
            format!("{kind}: {bytes} bytes at {start:#x}")
        }));
        let ranges =
            self.ranges.iter().map(|(start, range)| format!("address range: {} bytes at {start:#x}", range.bytes()));
        lines.extend(ranges);
    }

    fn list_handles(&self, lines: &mut Vec<String>) {
        let of_a_thread = |handle| self.contexts.values().any(|context| context.has_default_stream(handle));
        let mut all: Vec<(&str, usize)> = Vec::new();
        all.extend(self.streams.keys().filter(|&&handle| !of_a_thread(handle)).map(|handle| ("stream", handle.0)));
        all.extend(self.events.keys().map(|handle| ("event", handle.0)));
        let in_library = |module| self.libraries.values().any(|library| library.has_module(module));
        all.extend(self.modules.keys().filter(|&&handle| !in_library(handle)).map(|handle| ("module", handle.0)));
        all.extend(self.links.keys().map(|handle| ("link", handle.0)));
        all.extend(self.user_objects.keys().map(|handle| ("user object", handle.0)));
        all.extend(self.libraries.keys().map(|handle| ("library", handle.0)));
        let roots = self.graphs.iter().filter(|(_, graph)| graph.parent.is_none());
        all.extend(roots.map(|(handle, _)| ("graph", handle.0)));
        all.extend(self.executables.keys().map(|handle| ("executable graph", handle.0)));
        let pools = self.pools.keys().filter(|&&handle| self.default_pool != Some(handle));
        all.extend(pools.map(|handle| ("memory pool", handle.0)));
        all.extend(self.memory_handles.keys().map(|&handle| ("handle of memory", handle as usize)));
        all.sort_unstable();
        lines.extend(all.into_iter().map(|(kind, handle)| format!("{kind} {handle:#x}")));
    }
}
