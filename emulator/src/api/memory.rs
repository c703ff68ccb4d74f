//! Device memory: allocation, release, and questions about addresses.

use std::collections::BTreeSet;

use super::driver::{Driver, State, call};
use super::error::{CUresult, Result, refused};
use super::graph::Task;
use super::stream::Stream;
use super::types::{CUcontext, CUdeviceptr, CUmemoryPool, CUstream, In, Out};
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
    /// Copies of the memory wait until they are done (`CU_POINTER_ATTRIBUTE_SYNC_MEMOPS`).
    pub waits_for_copies: bool,
    /// Of memory of a graph: a launch allocated it, and no call or launch has freed it since.
    pub held: bool,
}

impl Block {
    pub fn new(context: CUcontext, origin: Origin) -> Self {
        Block { context, origin, releasing: false, waits_for_copies: false, held: false }
    }

    /// Whether the host may touch it, too.
    pub fn is_managed(&self) -> bool {
        matches!(self.origin, Origin::Managed | Origin::ManagedVariable)
    }
}

/// Which call made an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Call,
    /// Memory that the host may touch, too.
    Managed,
    Stream(CUmemoryPool),
    /// A node of a graph, whose launches allocate and free it again and again at one address.
    Graph,
    /// A variable of a module.
    Module,
    /// A variable of a module that the host may touch, too.
    ManagedVariable,
}

/// Rows of pitched memory start at a multiple of this.
const PITCH_ALIGNMENT: usize = 512;

impl Driver {
    /// Allocates device memory in the current context.
    pub fn allocate(&mut self, bytes: usize, origin: Origin) -> Result<CUdeviceptr> {
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
    pub fn reserve(&mut self, context: CUcontext, bytes: usize, origin: Origin) -> Result<CUdeviceptr> {
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
        self.blocks.insert(start, Block::new(context, origin));
        count(|statistics| statistics.allocations += 1);
        Ok(start)
    }

    /// The allocation that starts at `start` and that the program may release.
    fn releasable(&self, start: CUdeviceptr) -> Result<Block> {
        match self.blocks.get(&start) {
            Some(block) if block.releasing => {
                refused(CUresult::INVALID_VALUE, format!("{start:#x} was released already, in a stream"))
            }
            Some(Block { origin: Origin::Graph, held: false, .. }) => {
                refused(CUresult::INVALID_VALUE, format!("{start:#x} is allocated by a graph, and not at present"))
            }
            Some(Block { origin: Origin::Module | Origin::ManagedVariable, .. }) => {
                refused(CUresult::INVALID_VALUE, format!("{start:#x} is a variable of a module"))
            }
            Some(block) => Ok(*block),
            None => refused(CUresult::INVALID_VALUE, format!("no allocation starts at {start:#x}")),
        }
    }

    /// Releases memory of whatever context, as the driver does: none need be current.
    fn free(&mut self, start: CUdeviceptr) -> Result {
        if start == 0 {
            return Ok(());
        }
        self.forbid_in_capture("releasing memory")?;
        let block = self.releasable(start)?;
        self.health(block.context)?;
        // Only memory of a stream-ordered allocation is released without a wait.
        if !matches!(block.origin, Origin::Stream(_)) {
            self.wait_for_context(block.context)?;
            // Another thread may have released it meanwhile.
            self.releasable(start)?;
        }
        self.give_up(start);
        self.release(start);
        count(|statistics| statistics.frees += 1);
        Ok(())
    }

    /// Notes that the program will not touch an allocation any more: its release is called for.
    pub fn give_up(&mut self, start: CUdeviceptr) {
        if let Some(block) = self.blocks.get_mut(&start) {
            (block.releasing, block.held) = (block.origin != Origin::Graph, false);
        }
    }

    /// Ends an allocation; that of a graph only until the next launch.
    pub fn release(&mut self, start: CUdeviceptr) {
        match self.blocks.get(&start) {
            Some(block) if block.origin == Origin::Graph => {
                self.memory.deactivate(start);
            }
            _ => {
                self.blocks.remove(&start);
                self.advice.remove(&start);
                self.memory.free(start);
            }
        }
    }

    /// Ends the allocations of graphs that are gone, unless a launch still holds them.
    pub fn release_graph_memory(&mut self) {
        let mut used = BTreeSet::new();
        let mut note = |work: &Work| {
            if let Work::Allocate(start) | Work::Free(start) = work {
                used.insert(*start);
            }
        };
        for node in self.graphs.values().flat_map(|graph| &graph.nodes) {
            if let Task::Work(work) = &node.task {
                note(work);
            }
        }
        self.executables.values().for_each(|executable| executable.visit_work(&mut note));
        self.queue.visit_work(&mut note);
        let is_over =
            |start: &u64, block: &mut Block| block.origin == Origin::Graph && !block.held && !used.contains(start);
        let State { blocks, memory, .. } = &mut **self;
        for (start, _) in blocks.extract_if(is_over) {
            memory.free(start);
        }
    }

    /// Allocates from `pool` in the order of `stream`.
    pub fn allocate_in_stream(&mut self, bytes: usize, pool: CUmemoryPool, stream: CUstream) -> Result<CUdeviceptr> {
        let stream = self.stream(stream)?;
        let Stream { context, capture, .. } = self.streams[&stream];
        let origin = if capture.is_some() { Origin::Graph } else { Origin::Stream(pool) };
        let start = self.reserve(context, bytes, origin)?;
        self.enqueue(stream, Work::Allocate(start))?;
        Ok(start)
    }

    fn free_in_stream(&mut self, start: CUdeviceptr, stream: CUstream) -> Result {
        let stream = self.stream(stream)?;
        if self.streams[&stream].capture.is_some() {
            return self.free_in_capture(start, stream);
        }
        self.releasable(start)?;
        self.enqueue(stream, Work::Free(start))?;
        self.give_up(start);
        count(|statistics| statistics.frees += 1);
        Ok(())
    }

    /// Adds a node that frees what another node of a graph, or a stream, allocated.
    fn free_in_capture(&mut self, start: CUdeviceptr, stream: CUstream) -> Result {
        match self.blocks.get(&start).map(|block| block.origin) {
            Some(Origin::Graph | Origin::Stream(_)) => self.enqueue(stream, Work::Free(start)).map(|_| ()),
            _ => refused(CUresult::INVALID_VALUE, format!("no stream-ordered allocation starts at {start:#x}")),
        }
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
        let is_managed = self.blocks.get(&range.start).is_some_and(Block::is_managed);
        match attribute {
            1 => data.cast().set(context.unwrap_or(CUcontext(0))),
            2 => data.cast().set(if device.is_some() { MEMORY_TYPE_DEVICE } else { MEMORY_TYPE_HOST }),
            3 => data.cast().set(address),
            4 if device.is_none() || is_managed => data.cast().set(address),
            4 => refused(CUresult::INVALID_VALUE, "device memory has no host address"),
            6 => {
                let waits = self.blocks.get(&range.start).is_some_and(|block| block.waits_for_copies);
                data.cast().set(u32::from(waits))
            }
            10 | 15 | 21 => data.cast().set(0u32),
            // Reads and writes are allowed.
            16 => data.cast().set(3u32),
            14 => data.cast().set(0u64),
            7 => data.cast().set(range.start),
            8 => data.cast().set(u32::from(is_managed)),
            9 => data.cast().set(0i32),
            11 | 19 | 20 => data.cast().set(range.start),
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

/// Start and size of the allocation, of the device or of page-locked host memory, that holds an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAddressRange_v2(
    start: Out<CUdeviceptr>,
    bytes: Out<usize>,
    address: CUdeviceptr,
) -> CUresult {
    call("cuMemGetAddressRange_v2", |driver| {
        driver.current()?;
        let found = driver.memory.find_device(address).or_else(|| driver.memory.find_host(address));
        let Some(allocation) = found else {
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
                    2 | 6 | 8 | 10 | 13 | 15 | 16 | 21 => place.cast().set(0u32)?,
                    9 => place.cast().set(-2i32)?,
                    1 | 3 | 4 | 7 | 11 | 12 | 14 | 17..=20 => place.cast().set(0u64)?,
                    _ => return refused(CUresult::INVALID_VALUE, format!("{attribute} is no attribute of an address")),
                }
            }
        }
        Ok(())
    })
}

/// Sets whether copies of an allocation wait until they are done; nothing else of an address can be set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuPointerSetAttribute(value: In<u32>, attribute: u32, address: CUdeviceptr) -> CUresult {
    const SYNC_MEMOPS: u32 = 6;
    call("cuPointerSetAttribute", |driver| {
        let start = driver.device_range(address, 0)?.start;
        if attribute != SYNC_MEMOPS {
            return refused(CUresult::INVALID_VALUE, format!("attribute {attribute} of an address cannot be set"));
        }
        let waits = value.get()? != 0;
        if let Some(block) = driver.blocks.get_mut(&start) {
            block.waits_for_copies = waits;
        }
        Ok(())
    })
}

super::exports![
    cuMemAlloc_v2,
    cuMemAllocPitch_v2,
    cuMemFree_v2,
    cuMemAllocAsync,
    cuMemFreeAsync,
    cuMemGetInfo_v2,
    cuMemGetAddressRange_v2,
    cuPointerGetAttribute,
    cuPointerGetAttributes,
    cuPointerSetAttribute,
];
