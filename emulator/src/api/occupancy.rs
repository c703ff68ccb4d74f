//! Questions of programs about how many blocks of a kernel a multiprocessor holds.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::launch::CUlaunchConfig;
use super::types::{CUfunction, In, Out};
use crate::device::{SHARED_BYTES_RESERVED_PER_BLOCK, THREADS_PER_BLOCK, WARP_THREADS};
use crate::occupancy::{SHARED_ALLOCATION_UNIT, active_blocks, threads_limit};

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
