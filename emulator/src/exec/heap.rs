//! The heap of `malloc` and `free` in device code.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a heap unless the program asks for others: the driver's default for `CU_LIMIT_MALLOC_HEAP_SIZE`.
pub const DEFAULT_HEAP_BYTES: u64 = 8 << 20;
/// Alignment of what `malloc` gives (CUDA C++ programming guide, "dynamic global memory allocation").
const ALIGNMENT: u64 = 16;

/// A range of device memory, divided on demand. Blocks keep apart by at least one unit of alignment.
#[derive(Debug)]
pub(super) struct Heap {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the heap lies.
    start: u64,
    /// Whether a kernel that may allocate was launched: from then on the heap stays as it is.
    launched: bool,
    /// Bytes of each live block, by its start.
    live: BTreeMap<u64, u64>,
    /// Bytes of each free range, by its start; neighbours are joined.
    free: BTreeMap<u64, u64>,
}

impl Heap {
    /// The heap in the `bytes` at `start`.
    pub(super) fn new(start: u64, bytes: u64) -> Self {
        let state = State { start, free: BTreeMap::from([(start, bytes)]), ..State::default() };
        Heap { state: Mutex::new(state) }
    }

    /// Where the heap lies, while it may still be moved.
    pub(super) fn movable(&self) -> Option<u64> {
        let state = self.state();
        (!state.launched).then_some(state.start)
    }

    /// Lets the heap be the `bytes` at `start`.
    pub(super) fn move_to(&self, start: u64, bytes: u64) {
        *self.state() = State { start, free: BTreeMap::from([(start, bytes)]), ..State::default() };
    }

    /// Notes a launch that may allocate.
    pub(super) fn launch(&self) {
        self.state().launched = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first place with room for `bytes`; `None` where there is none.
    pub(super) fn allocate(&self, bytes: u64) -> Option<u64> {
        let size = bytes.checked_add(2 * ALIGNMENT - 1)? / ALIGNMENT * ALIGNMENT;
        let mut state = self.state();
        let (start, room) = state.free.iter().find(|(_, room)| **room >= size).map(|(start, room)| (*start, *room))?;
        state.free.remove(&start);
        if room > size {
            state.free.insert(start + size, room - size);
        }
        state.live.insert(start, size);
        Some(start)
    }

    /// Frees the block at `start`: its bytes; `None` where none begins there.
    pub(super) fn free(&self, start: u64) -> Option<u64> {
        let mut state = self.state();
        let bytes = state.live.remove(&start)?;
        let (mut first, mut size) = (start, bytes);
        if let Some((&before, &room)) = state.free.range(..start).next_back()
            && before + room == start
        {
            (first, size) = (before, size + room);
        }
        if let Some(room) = state.free.remove(&(start + bytes)) {
            size += room;
        }
        state.free.insert(first, size);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_apart_and_are_used_again() {
        let heap = Heap::new(4096, DEFAULT_HEAP_BYTES);
        let blocks: Vec<u64> = (1..=100).map(|bytes| heap.allocate(bytes).unwrap()).collect();
        for (pair, bytes) in blocks.windows(2).zip(1..) {
            assert!(pair[0] % ALIGNMENT == 0 && pair[1] >= pair[0] + bytes + ALIGNMENT);
        }
        assert_eq!(heap.allocate(DEFAULT_HEAP_BYTES), None);
        assert_eq!(heap.allocate(u64::MAX), None);
        assert_eq!(heap.free(blocks[5] + 1), None);
        blocks.iter().rev().for_each(|block| assert!(heap.free(*block).is_some()));
        assert_eq!(heap.free(blocks[0]), None);
        assert_eq!(heap.allocate(DEFAULT_HEAP_BYTES - 2 * ALIGNMENT), Some(4096));
    }
}
