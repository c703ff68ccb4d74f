//! How many blocks of a kernel a multiprocessor holds at once.

use crate::device::{
    Description, REGISTER_ALLOCATION_UNIT, REGISTERS_PER_BLOCK, SHARED_BYTES_RESERVED_PER_BLOCK, WARP_THREADS,
};
use crate::exec::KernelInfo;

/// Shared memory is given to blocks in units of this many bytes.
pub const SHARED_ALLOCATION_UNIT: u32 = 128;
/// Every multiprocessor has four schedulers, each with a quarter of the registers.
const SCHEDULERS: u32 = 4;

/// What keeps further blocks off a multiprocessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Blocks,
    Threads,
    Registers,
    SharedMemory,
}

/// How many blocks of a kernel a multiprocessor holds at once, and why not more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    pub blocks: u32,
    pub limit: Limit,
}

/// The occupancy of `device` by blocks of `threads` threads with `dynamic_shared` bytes: the least of what its blocks,
/// warps, registers and shared memory allow (CUDA C++ programming guide, "occupancy").
pub fn occupancy(device: &Description, info: &KernelInfo, threads: u32, dynamic_shared: u64) -> Occupancy {
    let warps = threads.div_ceil(WARP_THREADS).max(1);
    let by_warps = device.threads_per_multiprocessor / WARP_THREADS / warps;
    let by_registers = match registers_per_warp(info) {
        0 => u32::MAX,
        registers => device.registers_per_multiprocessor / SCHEDULERS / registers * SCHEDULERS / warps,
    };
    let shared = u64::from(info.static_shared_bytes) + dynamic_shared + u64::from(SHARED_BYTES_RESERVED_PER_BLOCK);
    let shared = shared.next_multiple_of(SHARED_ALLOCATION_UNIT.into());
    let by_shared = (u64::from(device.shared_bytes_per_multiprocessor) / shared) as u32;
    let limits = [
        Occupancy { blocks: device.blocks_per_multiprocessor, limit: Limit::Blocks },
        Occupancy { blocks: by_warps, limit: Limit::Threads },
        Occupancy { blocks: by_registers, limit: Limit::Registers },
        Occupancy { blocks: by_shared, limit: Limit::SharedMemory },
    ];
    limits.into_iter().fold(limits[0], |least, other| if other.blocks < least.blocks { other } else { least })
}

/// The blocks of [`occupancy`].
pub fn active_blocks(device: &Description, info: &KernelInfo, threads: u32, dynamic_shared: u64) -> u32 {
    occupancy(device, info, threads, dynamic_shared).blocks
}

/// Registers of a block's warp as they are allocated; 0 when the count is not known.
pub fn registers_per_warp(info: &KernelInfo) -> u32 {
    let registers = info.registers_per_thread.unwrap_or(0);
    (registers * WARP_THREADS).next_multiple_of(REGISTER_ALLOCATION_UNIT)
}

/// The most threads of a block: by the kernel's own bound, and by its registers.
pub fn threads_limit(info: &KernelInfo) -> u32 {
    match registers_per_warp(info) {
        0 => info.max_threads_per_block,
        registers => info.max_threads_per_block.min(REGISTERS_PER_BLOCK / registers * WARP_THREADS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(registers: Option<u32>, static_shared: u32) -> KernelInfo {
        KernelInfo {
            name: "k".into(),
            parameters: Vec::new(),
            parameter_bytes: 0,
            static_shared_bytes: static_shared,
            local_bytes_per_thread: 0,
            registers_per_thread: registers,
            estimated_registers_per_thread: 32,
            max_threads_per_block: 1024,
        }
    }

    #[test]
    fn the_scarcest_resource_decides() {
        let a100 = Description::default();
        let blocks = |registers, shared, threads| active_blocks(&a100, &kernel(registers, 0), threads, shared);
        assert_eq!(blocks(Some(32), 0, 256), 8, "warps");
        assert_eq!(blocks(Some(32), 0, 32), 32, "blocks");
        assert_eq!(blocks(Some(128), 0, 256), 2, "registers");
        assert_eq!(blocks(Some(255), 0, 128), 2, "registers, rounded to units and shared by schedulers");
        assert_eq!(blocks(Some(32), 81 << 10, 128), 2, "shared memory with what the system keeps");
        assert_eq!(blocks(Some(32), 82 << 10, 128), 1, "shared memory");
        assert_eq!(blocks(None, 0, 1024), 2, "registers unknown");
        let limit = |registers, shared, threads| occupancy(&a100, &kernel(registers, 0), threads, shared).limit;
        assert_eq!(limit(Some(32), 0, 32), Limit::Blocks);
        assert_eq!(limit(Some(32), 0, 256), Limit::Threads);
        assert_eq!(limit(Some(128), 0, 256), Limit::Registers);
        assert_eq!(limit(Some(32), 81 << 10, 128), Limit::SharedMemory);
    }

    #[test]
    fn registers_bound_the_block() {
        assert_eq!(threads_limit(&kernel(Some(64), 0)), 1024);
        assert_eq!(threads_limit(&kernel(Some(128), 0)), 512);
        assert_eq!(threads_limit(&kernel(None, 0)), 1024);
    }
}
