//! Managed memory, which host and device reach under one address, and what a program says of its use.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::memory::Origin;
use super::types::{CUdevice, CUdeviceptr, CUstream, In, Out};
use super::work::Work;

/// What a program said of an allocation. None of it changes anything; but programs ask for it.
#[derive(Clone, Debug)]
pub struct Advice {
    is_read_mostly: bool,
    preferred: Location,
    accessed_by: Vec<i32>,
    prefetched: Location,
}

/// A place of memory, as the driver's header lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Location {
    kind: u32,
    number: i32,
}

const LOCATION_NONE: u32 = 0;
const LOCATION_DEVICE: u32 = 1;
const LOCATION_HOST: u32 = 2;
const NUMBER_CPU: i32 = -1;
const NUMBER_INVALID: i32 = -2;
const NOWHERE: Location = Location { kind: LOCATION_NONE, number: NUMBER_INVALID };

impl Location {
    /// The place of a device number as in functions before CUDA 12.2, where -1 is the host.
    fn of_device(device: CUdevice) -> Self {
        Location { kind: if device == NUMBER_CPU { LOCATION_HOST } else { LOCATION_DEVICE }, number: device }
    }

    /// The host has no number of its own, and the only node of its memory is 0.
    fn checked(self) -> Result<Self> {
        match self.kind {
            LOCATION_DEVICE => super::context::check_device(self.number).map(|()| self),
            LOCATION_HOST..=4 => Ok(Location { kind: LOCATION_HOST, number: NUMBER_CPU }),
            kind => refused(CUresult::INVALID_VALUE, format!("{kind} is no kind of a place of memory")),
        }
    }
}

impl Default for Advice {
    fn default() -> Self {
        Advice { is_read_mostly: false, preferred: NOWHERE, accessed_by: Vec::new(), prefetched: NOWHERE }
    }
}

impl Driver {
    /// The start of the managed memory that holds `bytes` from `address`.
    fn managed_range(&self, address: CUdeviceptr, bytes: usize) -> Result<u64> {
        let range = self.device_range(address, bytes as u64)?;
        match self.blocks.get(&range.start) {
            Some(block) if block.is_managed() => Ok(range.start),
            _ => refused(CUresult::INVALID_VALUE, format!("{address:#x} is not managed memory")),
        }
    }

    fn advise(&mut self, address: CUdeviceptr, bytes: usize, advice: u32, place: Location) -> Result {
        self.current()?;
        let start = self.managed_range(address, bytes)?;
        // The first two say nothing of a place.
        let place = if matches!(advice, 1 | 2 | 4) { place } else { place.checked()? };
        let known = self.advice.entry(start).or_default();
        match advice {
            1 | 2 => known.is_read_mostly = advice == 1,
            3 => known.preferred = place,
            4 => known.preferred = NOWHERE,
            5 if !known.accessed_by.contains(&place.number) => known.accessed_by.push(place.number),
            5 => {}
            6 => known.accessed_by.retain(|&number| number != place.number),
            _ => return refused(CUresult::INVALID_VALUE, format!("{advice} is no advice")),
        }
        Ok(())
    }

    fn prefetch(&mut self, address: CUdeviceptr, bytes: usize, place: Location, stream: CUstream) -> Result {
        let stream = self.stream(stream)?;
        let start = self.managed_range(address, bytes)?;
        self.advice.entry(start).or_default().prefetched = place.checked()?;
        self.enqueue(stream, Work::Nothing)?;
        Ok(())
    }

    fn range_attribute(
        &self,
        (data, data_bytes): (Out<u8>, usize),
        attribute: u32,
        address: CUdeviceptr,
        bytes: usize,
    ) -> Result {
        let start = self.managed_range(address, bytes)?;
        let advice = self.advice.get(&start).cloned().unwrap_or_default();
        let numbers = match attribute {
            1 => vec![i32::from(advice.is_read_mostly)],
            2 | 6 => vec![advice.preferred.number],
            3 => advice.accessed_by,
            4 | 8 => vec![advice.prefetched.number],
            5 => vec![advice.preferred.kind as i32],
            7 => vec![advice.prefetched.kind as i32],
            _ => return refused(CUresult::INVALID_VALUE, format!("there is no attribute {attribute} of a range")),
        };
        if data_bytes == 0 || !data_bytes.is_multiple_of(4) || attribute != 3 && data_bytes != 4 {
            return refused(
                CUresult::INVALID_VALUE,
                format!("{data_bytes} bytes for attribute {attribute} of a range"),
            );
        }
        (0..data_bytes / 4)
            .try_for_each(|index| data.cast().element(index).set(numbers.get(index).copied().unwrap_or(NUMBER_INVALID)))
    }
}

/// Allocates memory that host and device reach under one address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocManaged(address: Out<CUdeviceptr>, bytes: usize, flags: u32) -> CUresult {
    call("cuMemAllocManaged", |driver| {
        if !matches!(flags, 1 | 2) {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of managed memory"));
        }
        let start = driver.allocate(bytes, Origin::Managed)?;
        driver.advice.remove(&start);
        address.set(start)
    })
}

/// Tells how managed memory will be used, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAdvise(address: CUdeviceptr, bytes: usize, advice: u32, device: CUdevice) -> CUresult {
    call("cuMemAdvise", |driver| driver.advise(address, bytes, advice, Location::of_device(device)))
}

/// As [`cuMemAdvise`], for places that are no device, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAdvise_v2(address: CUdeviceptr, bytes: usize, advice: u32, place: Location) -> CUresult {
    call("cuMemAdvise_v2", |driver| driver.advise(address, bytes, advice, place))
}

/// Moves managed memory to where it will be used, which changes nothing but the order of the stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPrefetchAsync(
    address: CUdeviceptr,
    bytes: usize,
    device: CUdevice,
    stream: CUstream,
) -> CUresult {
    call("cuMemPrefetchAsync", |driver| driver.prefetch(address, bytes, Location::of_device(device), stream))
}

/// As [`cuMemPrefetchAsync`], for places that are no device, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPrefetchAsync_v2(
    address: CUdeviceptr,
    bytes: usize,
    place: Location,
    flags: u32,
    stream: CUstream,
) -> CUresult {
    call("cuMemPrefetchAsync_v2", |driver| {
        if flags != 0 {
            return refused(CUresult::INVALID_VALUE, "a prefetch has no flags");
        }
        driver.prefetch(address, bytes, place, stream)
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

/// What a program said of a range of managed memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemRangeGetAttribute(
    data: Out<u8>,
    data_bytes: usize,
    attribute: u32,
    address: CUdeviceptr,
    bytes: usize,
) -> CUresult {
    call("cuMemRangeGetAttribute", |driver| driver.range_attribute((data, data_bytes), attribute, address, bytes))
}

/// Several things that a program said of a range of managed memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemRangeGetAttributes(
    data: In<Out<u8>>,
    data_bytes: In<usize>,
    attributes: In<u32>,
    attribute_count: usize,
    address: CUdeviceptr,
    bytes: usize,
) -> CUresult {
    call("cuMemRangeGetAttributes", |driver| {
        for index in 0..attribute_count {
            let place = (data.element(index)?, data_bytes.element(index)?);
            driver.range_attribute(place, attributes.element(index)?, address, bytes)?;
        }
        Ok(())
    })
}

super::exports![
    cuMemAllocManaged,
    cuMemAdvise,
    cuMemAdvise_v2,
    cuMemPrefetchAsync,
    cuMemPrefetchAsync_v2,
    cuStreamAttachMemAsync,
    cuMemRangeGetAttribute,
    cuMemRangeGetAttributes,
];
