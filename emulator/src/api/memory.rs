//! Device memory: allocation, release, and questions about addresses.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::types::{CUcontext, CUdevice, CUdeviceptr, CUmemoryPool, CUstream, In, Out};
use super::work::Work;
use crate::memory::Allocation;
use crate::statistics::count;

/// What the driver knows of a device allocation.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub context: CUcontext,
    pub origin: Origin,
    /// Its release is in a stream and has not run.
    pub releasing: bool,
}

/// Which call made an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Call,
    /// Memory that the host may touch, too.
    Managed,
    Stream(CUmemoryPool),
    /// A variable of a module.
    Module,
}

/// Rows of pitched memory start at a multiple of this.
const PITCH_ALIGNMENT: usize = 512;

impl Driver {
    fn allocate(&mut self, bytes: usize, origin: Origin) -> Result<CUdeviceptr> {
        let context = self.current()?;
        self.forbid_in_capture("allocating memory")?;
        let start = self.reserve(context, bytes, origin)?;
        self.memory.activate(start);
        if origin == Origin::Managed {
            // What the host writes to it is not seen.
            self.memory.mark_written(start, bytes as u64);
        }
        Ok(start)
    }

    /// Finds room for `bytes`, if need be by letting all work run that may free some.
    fn reserve(&mut self, context: CUcontext, bytes: usize, origin: Origin) -> Result<CUdeviceptr> {
        if bytes == 0 {
            return refused(CUresult::INVALID_VALUE, "an allocation of no bytes");
        }
        if self.config()?.checks.initialised {
            self.memory.track_writes();
        }
        let mut start = self.memory.reserve(bytes as u64);
        if start.is_none() && self.blocks.values().any(|block| block.releasing) {
            self.wait_for_context(context)?;
            start = self.memory.reserve(bytes as u64);
        }
        let Some(start) = start else {
            let (free, total) = (self.memory.available(), self.memory.capacity());
            let message = format!("no room for {bytes} bytes: {free} of the device's {total} are free");
            return refused(CUresult::OUT_OF_MEMORY, message);
        };
        self.blocks.insert(start, Block { context, origin, releasing: false });
        count(|statistics| statistics.allocations += 1);
        Ok(start)
    }

    /// The allocation that starts at `start` and that the program may release.
    fn releasable(&self, start: CUdeviceptr) -> Result<Block> {
        match self.blocks.get(&start) {
            Some(block) if block.releasing => {
                refused(CUresult::INVALID_VALUE, format!("{start:#x} was released already, in a stream"))
            }
            Some(Block { origin: Origin::Module, .. }) => {
                refused(CUresult::INVALID_VALUE, format!("{start:#x} is a variable of a module"))
            }
            Some(block) => Ok(*block),
            None => refused(CUresult::INVALID_VALUE, format!("no allocation starts at {start:#x}")),
        }
    }

    fn free(&mut self, start: CUdeviceptr) -> Result {
        self.current()?;
        self.forbid_in_capture("releasing memory")?;
        let block = self.releasable(start)?;
        // Only memory of a stream-ordered allocation is released without a wait.
        if !matches!(block.origin, Origin::Stream(_)) {
            self.wait_for_context(block.context)?;
        }
        self.blocks.remove(&start);
        self.memory.free(start);
        count(|statistics| statistics.frees += 1);
        Ok(())
    }

    /// Allocates from `pool` in the order of `stream`.
    pub fn allocate_in_stream(&mut self, bytes: usize, pool: CUmemoryPool, stream: CUstream) -> Result<CUdeviceptr> {
        let stream = self.stream(stream)?;
        self.forbid_memory_nodes(stream)?;
        let context = self.streams[&stream].context;
        let start = self.reserve(context, bytes, Origin::Stream(pool))?;
        self.enqueue(stream, Work::Allocate(start))?;
        Ok(start)
    }

    fn free_in_stream(&mut self, start: CUdeviceptr, stream: CUstream) -> Result {
        let stream = self.stream(stream)?;
        self.forbid_memory_nodes(stream)?;
        self.releasable(start)?;
        self.enqueue(stream, Work::Free(start))?;
        if let Some(block) = self.blocks.get_mut(&start) {
            block.releasing = true;
        }
        count(|statistics| statistics.frees += 1);
        Ok(())
    }

    fn forbid_memory_nodes(&mut self, stream: CUstream) -> Result {
        if self.streams[&stream].capture.is_none() {
            return Ok(());
        }
        let _ = self.forbid_captured_stream(stream, "allocating in");
        refused(CUresult::NOT_SUPPORTED, "the emulator's graphs do not allocate or release memory")
    }

    /// The device memory, or page-locked host memory, that holds `bytes` from `address`.
    pub fn device_range(&self, address: CUdeviceptr, bytes: u64) -> Result<Allocation> {
        let found = self.memory.find_device(address).or_else(|| self.memory.find_host(address));
        let Some(allocation) = found else {
            return refused(CUresult::INVALID_VALUE, format!("{address:#x} is no device address"));
        };
        if !allocation.holds(address, bytes) {
            let Allocation { start, bytes: length } = allocation;
            let message = format!("{bytes} bytes at {address:#x} leave the allocation of {length} bytes at {start:#x}");
            return refused(CUresult::INVALID_VALUE, message);
        }
        Ok(allocation)
    }

    fn attribute(&self, data: Out<u8>, attribute: u32, address: CUdeviceptr) -> Result {
        let device = self.memory.find_device(address);
        let Some(range) = device.or_else(|| self.memory.find_host(address)) else {
            return refused(CUresult::INVALID_VALUE, format!("the driver knows nothing of {address:#x}"));
        };
        let context = self.blocks.get(&range.start).map(|block| block.context);
        let context = context.or_else(|| self.host_blocks.get(&range.start).map(|block| block.context));
        let origin = self.blocks.get(&range.start).map(|block| block.origin);
        let is_managed = origin == Some(Origin::Managed);
        match attribute {
            1 => data.cast().set(context.unwrap_or(CUcontext(0))),
            2 => data.cast().set(if device.is_some() { MEMORY_TYPE_DEVICE } else { MEMORY_TYPE_HOST }),
            3 => data.cast().set(address),
            4 if device.is_none() || is_managed => data.cast().set(address),
            4 => refused(CUresult::INVALID_VALUE, "device memory has no host address"),
            6 | 10 | 16 => data.cast().set(0u32),
            7 => data.cast().set(range.start),
            8 => data.cast().set(u32::from(is_managed)),
            9 => data.cast().set(0i32),
            11 | 19 => data.cast().set(range.start),
            12 | 18 => data.cast().set(range.bytes as usize),
            13 => data.cast().set(1u32),
            17 => match origin {
                Some(Origin::Stream(pool)) => data.cast().set(pool),
                _ => data.cast().set(CUmemoryPool(0)),
            },
            _ => refused(CUresult::INVALID_VALUE, format!("{attribute} is no attribute of an address")),
        }
    }
}

const MEMORY_TYPE_HOST: u32 = 1;
const MEMORY_TYPE_DEVICE: u32 = 2;

/// Allocates device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: Out<CUdeviceptr>, bytes: usize) -> CUresult {
    call("cuMemAlloc_v2", |driver| address.set(driver.allocate(bytes, Origin::Call)?))
}

/// Allocates rows of device memory that start at aligned addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocPitch_v2(
    address: Out<CUdeviceptr>,
    pitch: Out<usize>,
    width_bytes: usize,
    height: usize,
    element_bytes: u32,
) -> CUresult {
    call("cuMemAllocPitch_v2", |driver| {
        if !matches!(element_bytes, 4 | 8 | 16) {
            return refused(CUresult::INVALID_VALUE, format!("elements of {element_bytes} bytes"));
        }
        let row = width_bytes.checked_next_multiple_of(PITCH_ALIGNMENT);
        let Some((row, total)) = row.and_then(|row| Some((row, row.checked_mul(height)?))) else {
            return refused(CUresult::INVALID_VALUE, "the size overflows");
        };
        pitch.set(row)?;
        address.set(driver.allocate(total, Origin::Call)?)
    })
}

/// Allocates memory that host and device reach under one address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocManaged(address: Out<CUdeviceptr>, bytes: usize, flags: u32) -> CUresult {
    call("cuMemAllocManaged", |driver| {
        if !matches!(flags, 1 | 2) {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of managed memory"));
        }
        address.set(driver.allocate(bytes, Origin::Managed)?)
    })
}

/// Releases device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFree_v2(address: CUdeviceptr) -> CUresult {
    call("cuMemFree_v2", |driver| driver.free(address))
}

/// Allocates from the device's current pool in the order of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: Out<CUdeviceptr>, bytes: usize, stream: CUstream) -> CUresult {
    call("cuMemAllocAsync", |driver| {
        let pool = driver.current_pool();
        address.set(driver.allocate_in_stream(bytes, pool, stream)?)
    })
}

/// Releases device memory in the order of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeAsync(address: CUdeviceptr, stream: CUstream) -> CUresult {
    call("cuMemFreeAsync", |driver| driver.free_in_stream(address, stream))
}

/// Free bytes and all bytes of the device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> CUresult {
    call("cuMemGetInfo_v2", |driver| {
        driver.current()?;
        free.set(driver.memory.available() as usize)?;
        total.set(driver.memory.capacity() as usize)
    })
}

/// Start and size of the allocation that holds an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAddressRange_v2(
    start: Out<CUdeviceptr>,
    bytes: Out<usize>,
    address: CUdeviceptr,
) -> CUresult {
    call("cuMemGetAddressRange_v2", |driver| {
        driver.current()?;
        let Some(allocation) = driver.memory.find_device(address) else {
            return refused(CUresult::NOT_FOUND, format!("{address:#x} is no device address"));
        };
        start.set_if_wanted(allocation.start);
        bytes.set_if_wanted(allocation.bytes as usize);
        Ok(())
    })
}

/// Something about an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuPointerGetAttribute(data: Out<u8>, attribute: u32, address: CUdeviceptr) -> CUresult {
    call("cuPointerGetAttribute", |driver| driver.attribute(data, attribute, address))
}

/// Several things about an address; null or zero for what there is not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuPointerGetAttributes(
    attribute_count: u32,
    attributes: In<u32>,
    data: In<Out<u8>>,
    address: CUdeviceptr,
) -> CUresult {
    call("cuPointerGetAttributes", |driver| {
        for index in 0..attribute_count as usize {
            let (attribute, place) = (attributes.element(index)?, data.element(index)?);
            if driver.attribute(place, attribute, address).is_err() {
                match attribute {
                    2 | 6 | 8 | 10 | 13 | 16 => place.cast().set(0u32)?,
                    9 => place.cast().set(-2i32)?,
                    1 | 3 | 4 | 7 | 11 | 12 | 17 | 18 | 19 => place.cast().set(0u64)?,
                    _ => return refused(CUresult::INVALID_VALUE, format!("{attribute} is no attribute of an address")),
                }
            }
        }
        Ok(())
    })
}

/// Tells how managed memory will be used, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAdvise(address: CUdeviceptr, bytes: usize, advice: u32, _device: CUdevice) -> CUresult {
    call("cuMemAdvise", |driver| {
        driver.current()?;
        if !(1..=6).contains(&advice) {
            return refused(CUresult::INVALID_VALUE, format!("{advice} is no advice"));
        }
        driver.managed_range(address, bytes)
    })
}

/// Moves managed memory to where it will be used, which changes nothing but the order of the stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPrefetchAsync(
    address: CUdeviceptr,
    bytes: usize,
    _device: CUdevice,
    stream: CUstream,
) -> CUresult {
    call("cuMemPrefetchAsync", |driver| {
        let stream = driver.stream(stream)?;
        driver.managed_range(address, bytes)?;
        driver.enqueue(stream, Work::Nothing)?;
        Ok(())
    })
}

/// Ties managed memory to a stream, which changes nothing but the order of the stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamAttachMemAsync(
    stream: CUstream,
    address: CUdeviceptr,
    bytes: usize,
    flags: u32,
) -> CUresult {
    call("cuStreamAttachMemAsync", |driver| {
        let stream = driver.stream(stream)?;
        if !matches!(flags, 1 | 2 | 4) {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of an attachment"));
        }
        driver.managed_range(address, bytes)?;
        driver.enqueue(stream, Work::Nothing)?;
        Ok(())
    })
}

impl Driver {
    fn managed_range(&self, address: CUdeviceptr, bytes: usize) -> Result {
        let range = self.device_range(address, bytes as u64)?;
        match self.blocks.get(&range.start) {
            Some(Block { origin: Origin::Managed, .. }) => Ok(()),
            _ => refused(CUresult::INVALID_VALUE, format!("{address:#x} is not managed memory")),
        }
    }
}

super::exports![
    cuMemAlloc_v2,
    cuMemAllocPitch_v2,
    cuMemAllocManaged,
    cuMemFree_v2,
    cuMemAllocAsync,
    cuMemFreeAsync,
    cuMemGetInfo_v2,
    cuMemGetAddressRange_v2,
    cuPointerGetAttribute,
    cuPointerGetAttributes,
    cuMemAdvise,
    cuMemPrefetchAsync,
    cuStreamAttachMemAsync,
];
