//! Virtual memory management: ranges of addresses, memory without an address, and the mapping of one into the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::check_device;
use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::pool::{ACCESS_ALL, CUmemAccessDesc};
use super::types::{CUdeviceptr, In, Out};
use crate::memory::{Allocation, Physical};

/// What a program says of memory that it makes, as the driver's header lays it out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUmemAllocationProp {
    kind: u32,
    handle_types: u32,
    location_type: u32,
    location: i32,
    security: usize,
    compression: u8,
    remote_access: u8,
    usage: u16,
    reserved: [u8; 4],
}

/// A range of reserved addresses.
#[derive(Debug)]
pub struct Range {
    bytes: u64,
    /// By start.
    mappings: BTreeMap<u64, Mapping>,
}

#[derive(Debug)]
struct Mapping {
    bytes: u64,
    memory: Arc<Physical>,
    properties: CUmemAllocationProp,
    access: u32,
}

impl Range {
    /// Bytes of addresses.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A handle of memory without an address.
#[derive(Debug)]
pub struct MemoryHandle {
    memory: Arc<Physical>,
    properties: CUmemAllocationProp,
    /// How often the program was given the handle.
    references: usize,
}

/// The unit of sizes and addresses, as on devices with pages of 2 MiB.
const GRANULARITY: u64 = 2 << 20;
const PINNED: u32 = 1;
const LOCATION_DEVICE: u32 = 1;

impl CUmemAllocationProp {
    fn check(&self) -> Result {
        if self.kind != PINNED || self.location_type != LOCATION_DEVICE {
            return refused(CUresult::INVALID_VALUE, "memory of other than a device");
        }
        check_device(self.location)?;
        if self.handle_types != 0 || self.compression != 0 {
            return refused(CUresult::NOT_SUPPORTED, "memory that other processes share, or that is compressed");
        }
        Ok(())
    }
}

/// Refuses sizes that are no multiple of the granularity.
fn check_size(bytes: usize) -> Result<u64> {
    match bytes as u64 {
        bytes if bytes > 0 && bytes.is_multiple_of(GRANULARITY) => Ok(bytes),
        bytes => refused(CUresult::INVALID_VALUE, format!("{bytes} is no multiple of {GRANULARITY}")),
    }
}

impl Driver {
    /// The reserved range that holds `bytes` from `address`.
    fn range_of(&mut self, address: u64, bytes: u64) -> Result<(u64, &mut Range)> {
        let found = self.ranges.range_mut(..=address).next_back();
        match found.filter(|(start, range)| Allocation { start: **start, bytes: range.bytes }.holds(address, bytes)) {
            Some((&start, range)) => Ok((start, range)),
            None => refused(CUresult::INVALID_VALUE, format!("{bytes} bytes at {address:#x} were not reserved")),
        }
    }

    /// Lets the device's memory know what of a range may be touched.
    fn publish(&mut self, start: u64) {
        let Some(range) = self.ranges.get(&start) else { return };
        let mut runs: Vec<Allocation> = Vec::new();
        for (&start, mapping) in range.mappings.iter().filter(|(_, mapping)| mapping.access != 0) {
            match runs.last_mut() {
                Some(last) if last.start + last.bytes == start => last.bytes += mapping.bytes,
                _ => runs.push(Allocation { start, bytes: mapping.bytes }),
            }
        }
        let bytes = range.bytes;
        self.memory.set_accessible(start, bytes, &runs);
    }

    /// Gives memory back that has neither handle nor mapping any more.
    fn release_if_last(&mut self, memory: Arc<Physical>) {
        if let Some(memory) = Arc::into_inner(memory) {
            self.memory.release_physical(&memory);
        }
    }

    fn map(&mut self, address: u64, bytes: u64, handle: u64) -> Result {
        let Some(MemoryHandle { memory, properties, .. }) = self.memory_handles.get(&handle) else {
            return refused(CUresult::INVALID_VALUE, "no such memory, or it was released");
        };
        let (memory, properties) = (Arc::clone(memory), *properties);
        if bytes > memory.bytes || !address.is_multiple_of(GRANULARITY) {
            return refused(CUresult::INVALID_VALUE, "more than the memory has, or an address that is not aligned");
        }
        let (_, range) = self.range_of(address, bytes)?;
        let wanted = Allocation { start: address, bytes };
        let overlaps = range.mappings.iter().any(|(&start, mapping)| {
            wanted.holds(start, 1) || Allocation { start, bytes: mapping.bytes }.holds(address, 1)
        });
        if overlaps {
            return refused(CUresult::INVALID_VALUE, "memory is mapped there already");
        }
        if let Err(error) = self.memory.map_physical(address, &memory, bytes) {
            return refused(CUresult::OUT_OF_MEMORY, error.to_string());
        }
        let (_, range) = self.range_of(address, bytes)?;
        range.mappings.insert(address, Mapping { bytes, memory, properties, access: 0 });
        Ok(())
    }

    /// The mappings that `[address, address + bytes)` consists of. None may be cut.
    fn whole_mappings(&mut self, address: u64, bytes: u64) -> Result<Vec<u64>> {
        let wanted = Allocation { start: address, bytes };
        let (_, range) = self.range_of(address, bytes)?;
        let touched: Vec<(u64, u64)> = range
            .mappings
            .iter()
            .map(|(&start, mapping)| (start, mapping.bytes))
            .filter(|&(start, length)| wanted.holds(start, 1) || Allocation { start, bytes: length }.holds(address, 1))
            .collect();
        let mapped: u64 = touched.iter().map(|&(_, length)| length).sum();
        if mapped != bytes || touched.iter().any(|&(start, length)| !wanted.holds(start, length)) {
            return refused(CUresult::INVALID_VALUE, "the range is not mapped, or not all of a mapping");
        }
        Ok(touched.into_iter().map(|(start, _)| start).collect())
    }

    fn unmap(&mut self, address: u64, bytes: u64) -> Result {
        let starts = self.whole_mappings(address, bytes)?;
        self.wait_for_all();
        let (range_start, range) = self.range_of(address, bytes)?;
        let ended: Vec<(u64, Mapping)> =
            starts.into_iter().filter_map(|start| Some((start, range.mappings.remove(&start)?))).collect();
        self.publish(range_start);
        for (start, mapping) in ended {
            self.memory.unmap_physical(start, mapping.bytes);
            self.release_if_last(mapping.memory);
        }
        Ok(())
    }
}

/// Reserves addresses. A wish for certain ones is not heard.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAddressReserve(
    address: Out<CUdeviceptr>,
    bytes: usize,
    alignment: usize,
    _wish: CUdeviceptr,
    flags: u64,
) -> CUresult {
    call("cuMemAddressReserve", |driver| {
        let length = check_size(bytes)?;
        let alignment = (alignment as u64).max(GRANULARITY);
        if !alignment.is_power_of_two() || flags != 0 {
            return refused(CUresult::INVALID_VALUE, format!("alignment to {alignment} bytes, flags {flags:#x}"));
        }
        let Some(start) = driver.memory.reserve_range(length, alignment) else {
            return refused(CUresult::OUT_OF_MEMORY, format!("no room for {bytes} bytes of addresses"));
        };
        driver.ranges.insert(start, Range { bytes: length, mappings: BTreeMap::new() });
        address.set(start)
    })
}

/// Gives reserved addresses back, into which nothing is mapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAddressFree(address: CUdeviceptr, bytes: usize) -> CUresult {
    call("cuMemAddressFree", |driver| match driver.ranges.get(&address) {
        Some(range) if range.bytes == bytes as u64 && range.mappings.is_empty() => {
            driver.ranges.remove(&address);
            Ok(())
        }
        _ => refused(CUresult::INVALID_VALUE, format!("{address:#x} starts no reserved range, or one that is in use")),
    })
}

/// The unit of sizes and addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAllocationGranularity(
    granularity: Out<usize>,
    properties: In<CUmemAllocationProp>,
    option: u32,
) -> CUresult {
    call("cuMemGetAllocationGranularity", |_| {
        properties.get()?.check()?;
        if option > 1 {
            return refused(CUresult::INVALID_VALUE, format!("there is no granularity {option}"));
        }
        granularity.set(GRANULARITY as usize)
    })
}

/// Makes memory without an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemCreate(
    handle: Out<u64>,
    bytes: usize,
    properties: In<CUmemAllocationProp>,
    flags: u64,
) -> CUresult {
    call("cuMemCreate", |driver| {
        let properties = properties.get()?;
        properties.check()?;
        let length = check_size(bytes)?;
        if flags != 0 {
            return refused(CUresult::INVALID_VALUE, "memory has no flags");
        }
        let Some(memory) = driver.memory.create_physical(length) else {
            return refused(CUresult::OUT_OF_MEMORY, format!("no room for {bytes} bytes"));
        };
        let number = driver.new_handle() as u64;
        driver.memory_handles.insert(number, MemoryHandle { memory: Arc::new(memory), properties, references: 1 });
        handle.set(number)
    })
}

/// Gives a handle of memory back; the memory lasts as long as it is mapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemRelease(handle: u64) -> CUresult {
    call("cuMemRelease", |driver| {
        let Some(known) = driver.memory_handles.get_mut(&handle) else {
            return refused(CUresult::INVALID_VALUE, "no such memory, or it was released");
        };
        known.references -= 1;
        if known.references == 0
            && let Some(ended) = driver.memory_handles.remove(&handle)
        {
            driver.release_if_last(ended.memory);
        }
        Ok(())
    })
}

/// Maps memory into reserved addresses. Nobody may touch it before [`cuMemSetAccess`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemMap(
    address: CUdeviceptr,
    bytes: usize,
    offset: usize,
    handle: u64,
    flags: u64,
) -> CUresult {
    call("cuMemMap", |driver| {
        if offset != 0 || flags != 0 {
            return refused(CUresult::INVALID_VALUE, "an offset or flags, of which there are none");
        }
        driver.map(address, check_size(bytes)?, handle)
    })
}

/// Ends mappings, once all work is done that may touch them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemUnmap(address: CUdeviceptr, bytes: usize) -> CUresult {
    call("cuMemUnmap", |driver| driver.unmap(address, check_size(bytes)?))
}

/// Lets the device touch mapped memory, or no longer. Leave to read only is leave to write, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemSetAccess(
    address: CUdeviceptr,
    bytes: usize,
    access: In<CUmemAccessDesc>,
    count: usize,
) -> CUresult {
    call("cuMemSetAccess", |driver| {
        let length = check_size(bytes)?;
        let starts = driver.whole_mappings(address, length)?;
        driver.wait_for_all();
        for access in access.to_vec(count)? {
            if access.location_type != LOCATION_DEVICE || !matches!(access.flags, 0 | 1 | ACCESS_ALL) {
                return refused(CUresult::INVALID_VALUE, "access for other than a device, or none that there is");
            }
            check_device(access.location)?;
            let (_, range) = driver.range_of(address, length)?;
            for start in &starts {
                if let Some(mapping) = range.mappings.get_mut(start) {
                    mapping.access = access.flags;
                }
            }
        }
        let (start, _) = driver.range_of(address, length)?;
        driver.publish(start);
        Ok(())
    })
}

/// What the device may do with mapped memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAccess(flags: Out<u64>, location: In<[i32; 2]>, address: CUdeviceptr) -> CUresult {
    call("cuMemGetAccess", |driver| {
        let [kind, number] = location.get()?;
        if kind as u32 != LOCATION_DEVICE {
            return refused(CUresult::INVALID_VALUE, "access for other than a device");
        }
        check_device(number)?;
        flags.set(driver.mapping_at(address)?.1.access.into())
    })
}

impl Driver {
    /// The mapping that holds `address`.
    fn mapping_at(&mut self, address: u64) -> Result<(u64, &Mapping)> {
        let (_, range) = self.range_of(address, 1)?;
        let found = range.mappings.range(..=address).next_back();
        match found.filter(|(start, mapping)| address - **start < mapping.bytes) {
            Some((&start, mapping)) => Ok((start, mapping)),
            None => refused(CUresult::INVALID_VALUE, format!("nothing is mapped at {address:#x}")),
        }
    }
}

/// Another handle of the memory that is mapped at an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemRetainAllocationHandle(handle: Out<u64>, address: CUdeviceptr) -> CUresult {
    call("cuMemRetainAllocationHandle", |driver| {
        let (_, mapping) = driver.mapping_at(address)?;
        let (memory, properties) = (Arc::clone(&mapping.memory), mapping.properties);
        let known = driver.memory_handles.iter_mut().find(|(_, known)| Arc::ptr_eq(&known.memory, &memory));
        if let Some((&number, known)) = known {
            known.references += 1;
            return handle.set(number);
        }
        let number = driver.new_handle() as u64;
        driver.memory_handles.insert(number, MemoryHandle { memory, properties, references: 1 });
        handle.set(number)
    })
}

/// What a program said of memory when it made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAllocationPropertiesFromHandle(
    properties: Out<CUmemAllocationProp>,
    handle: u64,
) -> CUresult {
    call("cuMemGetAllocationPropertiesFromHandle", |driver| match driver.memory_handles.get(&handle) {
        Some(known) => properties.set(known.properties),
        None => refused(CUresult::INVALID_VALUE, "no such memory, or it was released"),
    })
}

super::exports![
    cuMemAddressReserve,
    cuMemAddressFree,
    cuMemGetAllocationGranularity,
    cuMemCreate,
    cuMemRelease,
    cuMemMap,
    cuMemUnmap,
    cuMemSetAccess,
    cuMemGetAccess,
    cuMemRetainAllocationHandle,
    cuMemGetAllocationPropertiesFromHandle,
];
