//! Page-locked host memory.

use std::alloc::{Layout, alloc};

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::types::{CUcontext, CUdeviceptr, Out};

/// A piece of page-locked host memory.
#[derive(Debug)]
pub struct HostBlock {
    pub context: CUcontext,
    flags: u32,
    /// Of memory that the driver allocated; absent for memory that the program registered.
    layout: Option<Layout>,
}

impl HostBlock {
    /// What the memory is called in reports.
    pub fn kind(&self) -> &'static str {
        if self.layout.is_some() { "page-locked memory" } else { "registered memory" }
    }
}

const PAGE_BYTES: usize = 4096;
/// Portable, mapped, write-combined.
const ALLOCATION_FLAGS: u32 = 7;
/// Portable, mapped, device memory of another kind, read-only.
const REGISTRATION_FLAGS: u32 = 15;

impl Driver {
    fn allocate_host(&mut self, bytes: usize, flags: u32) -> Result<u64> {
        let context = self.current()?;
        self.forbid_in_capture("allocating memory")?;
        let layout = Layout::from_size_align(bytes, PAGE_BYTES).ok().filter(|layout| layout.size() > 0);
        let Some(layout) = layout else {
            return refused(CUresult::INVALID_VALUE, format!("an allocation of {bytes} bytes"));
        };
        if flags & !ALLOCATION_FLAGS != 0 {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of page-locked memory"));
        }
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            return refused(CUresult::OUT_OF_MEMORY, format!("the system has no {bytes} bytes"));
        }
        // SAFETY: all of the layout was just allocated. NaN patterns, as in device memory: nobody cleared it.
        unsafe { start.write_bytes(0xFF, bytes) };
        let start = start as u64;
        self.memory.map_host(start, bytes as u64);
        self.host_blocks.insert(start, HostBlock { context, flags, layout: Some(layout) });
        Ok(start)
    }

    /// Takes out the block at `start`, of the kind that the caller releases.
    fn take_host(&mut self, start: u64, allocated: bool, code: CUresult) -> Result {
        self.forbid_in_capture("releasing memory")?;
        let known = self.host_blocks.get(&start).filter(|block| block.layout.is_some() == allocated);
        let Some(context) = known.map(|block| block.context) else {
            return refused(code, format!("no such memory starts at {start:#x}"));
        };
        self.health(context)?;
        if let Some(block) = self.host_blocks.remove(&start) {
            self.release_host(start, &block);
        }
        Ok(())
    }

    /// Ends `block`, which was taken out of the table, and gives its memory back if the driver allocated it.
    pub fn release_host(&mut self, start: u64, block: &HostBlock) {
        self.memory.unmap_host(start);
        if let Some(layout) = block.layout {
            // SAFETY: `start` came from `alloc` with this layout, and the block was taken out of the table.
            unsafe { self.memory.retire_host(start, layout) };
        }
    }
}

/// Allocates page-locked host memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(pointer: Out<u64>, bytes: usize, flags: u32) -> CUresult {
    call("cuMemHostAlloc", |driver| pointer.set(driver.allocate_host(bytes, flags)?))
}

/// Allocates page-locked host memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(pointer: Out<u64>, bytes: usize) -> CUresult {
    call("cuMemAllocHost_v2", |driver| pointer.set(driver.allocate_host(bytes, 0)?))
}

/// Releases page-locked host memory. Nothing waits: work that still uses it is the program's mistake. A kernel that runs
/// keeps the pages until it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeHost(pointer: u64) -> CUresult {
    call("cuMemFreeHost", |driver| match pointer {
        0 => Ok(()),
        _ => driver.take_host(pointer, true, CUresult::INVALID_VALUE),
    })
}

/// Page-locks memory of the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostRegister_v2(pointer: u64, bytes: usize, flags: u32) -> CUresult {
    call("cuMemHostRegister_v2", |driver| {
        let context = driver.current()?;
        driver.forbid_in_capture("registering memory")?;
        if pointer == 0 || bytes == 0 || flags & !REGISTRATION_FLAGS != 0 {
            return refused(CUresult::INVALID_VALUE, "an empty range, or flags that are none of registered memory");
        }
        if !driver.memory.map_host(pointer, bytes as u64) {
            let message = format!("{bytes} bytes at {pointer:#x} overlap registered memory");
            return refused(CUresult::HOST_MEMORY_ALREADY_REGISTERED, message);
        }
        driver.host_blocks.insert(pointer, HostBlock { context, flags, layout: None });
        Ok(())
    })
}

/// Ends the page-lock of memory of the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostUnregister(pointer: u64) -> CUresult {
    call("cuMemHostUnregister", |driver| match pointer {
        0 => refused(CUresult::INVALID_VALUE, "a null pointer for host memory"),
        _ => driver.take_host(pointer, false, CUresult::HOST_MEMORY_NOT_REGISTERED),
    })
}

/// The address of page-locked memory for device code: its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostGetDevicePointer_v2(address: Out<CUdeviceptr>, pointer: u64, flags: u32) -> CUresult {
    call("cuMemHostGetDevicePointer_v2", |driver| {
        driver.current()?;
        if flags != 0 || driver.memory.find_host(pointer).is_none() {
            return refused(CUresult::INVALID_VALUE, format!("{pointer:#x} is not page-locked"));
        }
        address.set(pointer)
    })
}

/// The flags that page-locked memory was allocated with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostGetFlags(flags: Out<u32>, pointer: u64) -> CUresult {
    call("cuMemHostGetFlags", |driver| {
        driver.current()?;
        let start = driver.memory.find_host(pointer).map(|allocation| allocation.start);
        match start.and_then(|start| driver.host_blocks.get(&start)) {
            // Under unified addressing all page-locked memory is portable and mapped.
            Some(block) => flags.set(block.flags | 3),
            None => refused(CUresult::INVALID_VALUE, format!("{pointer:#x} is not page-locked")),
        }
    })
}

super::exports![
    cuMemHostAlloc,
    cuMemAllocHost_v2,
    cuMemFreeHost,
    cuMemHostRegister_v2,
    cuMemHostUnregister,
    cuMemHostGetDevicePointer_v2,
    cuMemHostGetFlags,
];
