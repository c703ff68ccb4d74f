//! How many blocks of a kernel a multiprocessor holds.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::function::{registers_per_warp, threads_limit};
use super::launch::CUlaunchConfig;
use super::types::{CUfunction, In, Out};
use crate::device::{Description, SHARED_BYTES_RESERVED_PER_BLOCK, THREADS_PER_BLOCK, WARP_THREADS};
use crate::exec::KernelInfo;

/// Shared memory is given to blocks in units of this many bytes.
const SHARED_ALLOCATION_UNIT: u32 = 128;
/// Every multiprocessor has four schedulers, each with a quarter of the registers.
const SCHEDULERS: u32 = 4;

/// Blocks of `threads` threads with `dynamic_shared` bytes that a multiprocessor of `device` holds at once: the least
/// of what its blocks, warps, registers and shared memory allow (CUDA C++ programming guide, "occupancy").
pub fn active_blocks(device: &Description, info: &KernelInfo, threads: u32, dynamic_shared: u64) -> u32 {
    let warps = threads.div_ceil(WARP_THREADS).max(1);
    let by_warps = device.threads_per_multiprocessor / WARP_THREADS / warps;
    let by_registers = match registers_per_warp(info) {
        0 => u32::MAX,
        registers => device.registers_per_multiprocessor / SCHEDULERS / registers * SCHEDULERS / warps,
    };
    let shared = u64::from(info.static_shared_bytes) + dynamic_shared + u64::from(SHARED_BYTES_RESERVED_PER_BLOCK);
    let shared = shared.next_multiple_of(SHARED_ALLOCATION_UNIT.into());
    let by_shared = (u64::from(device.shared_bytes_per_multiprocessor) / shared) as u32;
    device.blocks_per_multiprocessor.min(by_warps).min(by_registers).min(by_shared)
}

impl Driver {
    /// Blocks of a kernel per multiprocessor, 0 when not even one can be launched.
    fn occupancy(&mut self, function: CUfunction, threads: i32, dynamic_shared: usize, flags: u32) -> Result<u32> {
        let device = self.config()?.device;
        let function = self.function_of_handle(function)?;
        let function = self.function(function)?;
        if threads <= 0 || flags > 1 {
            return refused(CUresult::INVALID_VALUE, format!("{threads} threads, flags {flags:#x}"));
        }
        let threads = threads as u32;
        let info = &function.info;
        let too_large =
            threads > threads_limit(info) || dynamic_shared as u64 > u64::from(function.dynamic_shared_limit);
        Ok(if too_large { 0 } else { active_blocks(&device, info, threads, dynamic_shared as u64) })
    }
}

/// Blocks of a kernel that a multiprocessor holds at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<i32>,
    function: CUfunction,
    threads: i32,
    dynamic_shared: usize,
) -> CUresult {
    call("cuOccupancyMaxActiveBlocksPerMultiprocessor", |driver| {
        blocks.set(driver.occupancy(function, threads, dynamic_shared, 0)? as i32)
    })
}

/// Blocks of a kernel that a multiprocessor holds at once; the flag concerns caching, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: Out<i32>,
    function: CUfunction,
    threads: i32,
    dynamic_shared: usize,
    flags: u32,
) -> CUresult {
    call("cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", |driver| {
        blocks.set(driver.occupancy(function, threads, dynamic_shared, flags)? as i32)
    })
}

/// Dynamic shared memory that each of `blocks` blocks on one multiprocessor can have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyAvailableDynamicSMemPerBlock(
    dynamic_shared: Out<usize>,
    function: CUfunction,
    blocks: i32,
    threads: i32,
) -> CUresult {
    call("cuOccupancyAvailableDynamicSMemPerBlock", |driver| {
        let device = driver.config()?.device;
        let most = driver.occupancy(function, threads, 0, 0)?;
        if blocks <= 0 || blocks as u32 > most {
            return refused(CUresult::INVALID_VALUE, format!("{blocks} blocks where {most} fit without shared memory"));
        }
        let function = driver.function_of_handle(function)?;
        let function = driver.function(function)?;
        let share = device.shared_bytes_per_multiprocessor / blocks as u32;
        let share = share / SHARED_ALLOCATION_UNIT * SHARED_ALLOCATION_UNIT;
        let own = function.info.static_shared_bytes + SHARED_BYTES_RESERVED_PER_BLOCK;
        dynamic_shared.set(share.saturating_sub(own).min(function.dynamic_shared_limit) as usize)
    })
}

/// The program's answer to how much dynamic shared memory a block of so many threads needs.
type SharedBytesOfBlock = unsafe extern "C" fn(i32) -> usize;

struct BestBlock {
    grid: u32,
    threads: u32,
}

impl Driver {
    /// The block size that keeps most threads on a multiprocessor, the larger of equals.
    fn best_block(
        &mut self,
        function: CUfunction,
        shared_of: Option<SharedBytesOfBlock>,
        dynamic_shared: usize,
        limit: i32,
        flags: u32,
    ) -> Result<BestBlock> {
        let device = self.config()?.device;
        let function = self.function_of_handle(function)?;
        let most = threads_limit(&self.function(function)?.info);
        let most = if limit > 0 { most.min(limit as u32) } else { most }.min(THREADS_PER_BLOCK);
        let smaller = (1..=most / WARP_THREADS).map(|warps| warps * WARP_THREADS).chain([most]);
        let mut best = (0, BestBlock { grid: 0, threads: 0 });
        for threads in smaller {
            // SAFETY: the program gave the function for this call.
            let shared = shared_of.map_or(dynamic_shared, |shared_of| unsafe { shared_of(threads as i32) });
            let blocks = self.occupancy(function, threads as i32, shared, flags)?;
            if blocks * threads >= best.0 {
                best = (blocks * threads, BestBlock { grid: blocks * device.multiprocessors, threads });
            }
        }
        Ok(best.1)
    }
}

/// A block size that fills the device, and the smallest grid that does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: Out<i32>,
    threads: Out<i32>,
    function: CUfunction,
    shared_of: Option<SharedBytesOfBlock>,
    dynamic_shared: usize,
    limit: i32,
) -> CUresult {
    call("cuOccupancyMaxPotentialBlockSize", |driver| {
        let best = driver.best_block(function, shared_of, dynamic_shared, limit, 0)?;
        grid.set(best.grid as i32)?;
        threads.set(best.threads as i32)
    })
}

/// As [`cuOccupancyMaxPotentialBlockSize`]; the flag concerns caching, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxPotentialBlockSizeWithFlags(
    grid: Out<i32>,
    threads: Out<i32>,
    function: CUfunction,
    shared_of: Option<SharedBytesOfBlock>,
    dynamic_shared: usize,
    limit: i32,
    flags: u32,
) -> CUresult {
    call("cuOccupancyMaxPotentialBlockSizeWithFlags", |driver| {
        let best = driver.best_block(function, shared_of, dynamic_shared, limit, flags)?;
        grid.set(best.grid as i32)?;
        threads.set(best.threads as i32)
    })
}

/// Clusters of blocks, which the emulator does not run.
fn forbid_clusters(driver: &mut Driver, function: CUfunction) -> Result {
    let function = driver.function_of_handle(function)?;
    let name = &driver.function(function)?.info.name;
    refused(CUresult::NOT_SUPPORTED, format!("kernel {name} in clusters of blocks"))
}

/// Clusters of a kernel that the device holds at once: there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveClusters(
    _clusters: Out<i32>,
    function: CUfunction,
    _config: In<CUlaunchConfig>,
) -> CUresult {
    call("cuOccupancyMaxActiveClusters", |driver| forbid_clusters(driver, function))
}

/// The most blocks of a cluster: there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxPotentialClusterSize(
    _blocks: Out<i32>,
    function: CUfunction,
    _config: In<CUlaunchConfig>,
) -> CUresult {
    call("cuOccupancyMaxPotentialClusterSize", |driver| forbid_clusters(driver, function))
}

super::exports![
    cuOccupancyMaxActiveClusters,
    cuOccupancyMaxPotentialClusterSize,
    cuOccupancyMaxActiveBlocksPerMultiprocessor,
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
    cuOccupancyAvailableDynamicSMemPerBlock,
    cuOccupancyMaxPotentialBlockSize,
    cuOccupancyMaxPotentialBlockSizeWithFlags,
];

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
    }

    #[test]
    fn registers_bound_the_block() {
        assert_eq!(threads_limit(&kernel(Some(64), 0)), 1024);
        assert_eq!(threads_limit(&kernel(Some(128), 0)), 512);
        assert_eq!(threads_limit(&kernel(None, 0)), 1024);
    }
}
