//! Where each planned tensor lies in the arena.

use super::Plan;

/// Alignment of every tensor that shares an allocation, bytes: what `cudaMalloc` gives.
pub(super) const ALIGNMENT: usize = 256;

/// Offsets of a plan's tensors in one arena, so that no two that live at the same time overlap.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Bytes from the start of the arena, for each planned tensor that lies in it.
    pub(crate) offsets: Vec<Option<usize>>,
    /// Bytes of the arena.
    pub bytes: usize,
}

impl Layout {
    /// Places large tensors first, each at the lowest offset that is free during its life.
    pub fn new(plan: &Plan) -> Layout {
        let lifetimes = plan.lifetimes();
        let mut order: Vec<usize> = (0..lifetimes.len()).filter(|&index| lifetimes[index].is_some()).collect();
        order.sort_by_key(|&index| (std::cmp::Reverse(plan.tensors[index].bytes), index));

        let mut layout = Layout { offsets: vec![None; lifetimes.len()], bytes: 0 };
        let mut placed: Vec<Block> = Vec::with_capacity(order.len());
        for index in order {
            let (first, last) = lifetimes[index].expect("filtered above");
            let bytes = plan.tensors[index].bytes.next_multiple_of(ALIGNMENT);
            let mut start = 0;
            for block in &placed {
                if block.first <= last && first <= block.last && block.start < start + bytes && start < block.end {
                    start = block.end;
                }
            }
            let position = placed.partition_point(|block| block.start <= start);
            placed.insert(position, Block { first, last, start, end: start + bytes });
            layout.offsets[index] = Some(start);
            layout.bytes = layout.bytes.max(start + bytes);
        }
        layout
    }
}

/// A placed tensor: launches `first..=last`, bytes `start..end`. Kept in the order of `start`.
struct Block {
    first: usize,
    last: usize,
    start: usize,
    end: usize,
}
