//! Copies between host and device memory.
//!
//! When a copy reads and writes, and whether the caller waits, follows the driver's chapter "API synchronization
//! behavior": pageable sources are read during the call, page-locked ones when the copy runs; pageable targets are
//! complete when the call returns.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::memory::Origin;
use super::types::{CUcontext, CUdeviceptr, CUstream, In, Out};
use super::work::{Place, Source, Transfer, Work};

/// One end of a copy, as the caller describes it.
#[derive(Clone, Copy, Debug)]
enum End {
    Device(u64),
    Host(u64),
    /// Whatever lies at the address.
    Unified(u64),
}

/// A copy as the caller describes it: `height` rows of `width` bytes.
#[derive(Clone, Copy, Debug)]
struct Request {
    source: End,
    source_pitch: u64,
    target: End,
    target_pitch: u64,
    width: u64,
    height: u64,
}

impl Request {
    /// A range of `bytes`.
    fn range(target: End, source: End, bytes: usize) -> Self {
        Request { source, source_pitch: 0, target, target_pitch: 0, width: bytes as u64, height: 1 }
    }

    /// Bytes from the first to the last of a rectangle with `pitch`.
    fn span(&self, pitch: u64) -> Result<u64> {
        if self.height > 1 && pitch < self.width {
            return refused(CUresult::INVALID_VALUE, "rows overlap: the pitch is less than the width");
        }
        match pitch.checked_mul(self.height - 1).and_then(|bytes| bytes.checked_add(self.width)) {
            Some(bytes) => Ok(bytes),
            None => refused(CUresult::INVALID_VALUE, "the size overflows"),
        }
    }

    /// The bytes of a pageable source, row after row.
    fn capture(&self, source: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.width * self.height) as usize);
        for row in 0..self.height {
            let start = (source + row * self.source_pitch) as *const u8;
            // SAFETY: the caller of the driver function vouched for the source.
            bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(start, self.width as usize) });
        }
        bytes
    }
}

/// How a function of the driver API copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Stream(CUstream),
    /// Without a stream: in the legacy default stream, and mostly waited for.
    Now,
}

impl Driver {
    fn copy(&mut self, request: Request, call: Call) -> Result {
        let stream = match call {
            Call::Stream(stream) => self.stream(stream)?,
            Call::Now => self.stream(CUstream(0))?,
        };
        if request.width == 0 || request.height == 0 {
            return Ok(());
        }
        let (source, source_kind) = self.place(request.source, request.span(request.source_pitch)?)?;
        let (target, target_kind) = self.place(request.target, request.span(request.target_pitch)?)?;
        match call {
            Call::Now => self.forbid_in_capture("copying")?,
            Call::Stream(_) if source_kind == Place::Pageable || target_kind == Place::Pageable => {
                self.forbid_captured_stream(stream, "copying pageable memory in")?;
            }
            Call::Stream(_) => {}
        }
        let captured = source_kind == Place::Pageable && target_kind == Place::Device;
        if captured && call == Call::Now {
            self.wait_for_stream(stream)?;
        }
        let copy = Transfer {
            source: if captured {
                Source::Captured(request.capture(source))
            } else {
                Source::Memory(source, source_kind)
            },
            source_pitch: if captured { request.width } else { request.source_pitch },
            target,
            target_kind,
            target_pitch: request.target_pitch,
            width: request.width,
            height: request.height,
        };
        let waits = match (source_kind, target_kind, call) {
            (_, Place::Pageable, _) => true,
            (Place::Pageable, _, _) => !captured,
            (Place::Device, Place::Device, _) => false,
            (_, _, Call::Now) => true,
            (_, _, Call::Stream(_)) => false,
        };
        self.enqueue(stream, Work::Copy(copy))?;
        if waits { self.wait_for_last(stream) } else { Ok(()) }
    }

    /// Address and kind of the memory at one end.
    fn place(&self, end: End, bytes: u64) -> Result<(u64, Place)> {
        match end {
            End::Device(address) => {
                let range = self.device_range(address, bytes)?;
                let is_host = self.memory.find_host(range.start).is_some();
                Ok((address, if is_host { Place::Pinned } else { Place::Device }))
            }
            End::Unified(address) if self.memory.find_device(address).is_some() => {
                self.device_range(address, bytes)?;
                Ok((address, Place::Device))
            }
            End::Host(address) | End::Unified(address) => self.host_place(address, bytes),
        }
    }

    fn host_place(&self, address: u64, bytes: u64) -> Result<(u64, Place)> {
        if address == 0 {
            return refused(CUresult::INVALID_VALUE, "a null pointer for host memory");
        }
        if let Some(range) = self.memory.find_device(address) {
            let managed = self.blocks.get(&range.start).is_some_and(|block| block.origin == Origin::Managed);
            if !managed || !range.holds(address, bytes) {
                let message = format!("{bytes} bytes at {address:#x} are device memory, not host memory");
                return refused(CUresult::INVALID_VALUE, message);
            }
            return Ok((address, Place::Pinned));
        }
        let pinned = self.memory.find_host(address).is_some_and(|range| range.holds(address, bytes));
        Ok((address, if pinned { Place::Pinned } else { Place::Pageable }))
    }
}

macro_rules! copies {
    ($($(#[$doc:meta])* $now:ident, $async:ident:
        $target:ident: $target_type:ty => $target_end:expr, $source:ident: $source_type:ty => $source_end:expr;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $now($target: $target_type, $source: $source_type, bytes: usize) -> CUresult {
                call(stringify!($now), |driver| {
                    driver.copy(Request::range($target_end, $source_end, bytes), Call::Now)
                })
            }

            $(#[$doc])*
            /// In the order of a stream.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $async(
                $target: $target_type, $source: $source_type, bytes: usize, stream: CUstream,
            ) -> CUresult {
                call(stringify!($async), |driver| {
                    driver.copy(Request::range($target_end, $source_end, bytes), Call::Stream(stream))
                })
            }
        )*

        super::exports![
            $($now, $async,)*
            cuMemcpyPeer, cuMemcpyPeerAsync, cuMemcpy2D_v2, cuMemcpy2DUnaligned_v2, cuMemcpy2DAsync_v2,
        ];
    };
}

copies! {
    /// Copies from the host to the device.
    cuMemcpyHtoD_v2, cuMemcpyHtoDAsync_v2:
        target: CUdeviceptr => End::Device(target), source: In<u8> => End::Host(source.address());
    /// Copies from the device to the host.
    cuMemcpyDtoH_v2, cuMemcpyDtoHAsync_v2:
        target: Out<u8> => End::Host(target.address() as u64), source: CUdeviceptr => End::Device(source);
    /// Copies inside the device.
    cuMemcpyDtoD_v2, cuMemcpyDtoDAsync_v2:
        target: CUdeviceptr => End::Device(target), source: CUdeviceptr => End::Device(source);
    /// Copies between any two places.
    cuMemcpy, cuMemcpyAsync:
        target: CUdeviceptr => End::Unified(target), source: CUdeviceptr => End::Unified(source);
}

impl Driver {
    fn check_contexts(&self, contexts: [CUcontext; 2]) -> Result {
        match contexts.iter().find(|context| !self.contexts.contains_key(context)) {
            Some(_) => refused(CUresult::INVALID_CONTEXT, "no such context, or it was destroyed"),
            None => Ok(()),
        }
    }
}

/// Copies between the memory of two contexts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyPeer(
    target: CUdeviceptr,
    target_context: CUcontext,
    source: CUdeviceptr,
    source_context: CUcontext,
    bytes: usize,
) -> CUresult {
    call("cuMemcpyPeer", |driver| {
        driver.check_contexts([target_context, source_context])?;
        driver.copy(Request::range(End::Device(target), End::Device(source), bytes), Call::Now)
    })
}

/// Copies between the memory of two contexts in the order of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyPeerAsync(
    target: CUdeviceptr,
    target_context: CUcontext,
    source: CUdeviceptr,
    source_context: CUcontext,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    call("cuMemcpyPeerAsync", |driver| {
        driver.check_contexts([target_context, source_context])?;
        driver.copy(Request::range(End::Device(target), End::Device(source), bytes), Call::Stream(stream))
    })
}

/// A rectangle to copy, as the driver's header lays it out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_MEMCPY2D {
    source: RectangleEnd,
    target: RectangleEnd,
    width_bytes: usize,
    height: usize,
}

/// One end of a rectangle.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct RectangleEnd {
    x_bytes: usize,
    y: usize,
    memory_type: u32,
    host: u64,
    device: CUdeviceptr,
    array: usize,
    pitch: usize,
}

impl RectangleEnd {
    /// The first byte; arrays are not to be had.
    fn start(&self) -> Result<End> {
        let offset = self.y.checked_mul(self.pitch).and_then(|rows| rows.checked_add(self.x_bytes));
        let Some(offset) = offset else {
            return refused(CUresult::INVALID_VALUE, "the size overflows");
        };
        let offset = offset as u64;
        match self.memory_type {
            1 => Ok(End::Host(self.host.wrapping_add(offset))),
            2 => Ok(End::Device(self.device.wrapping_add(offset))),
            3 => refused(CUresult::NOT_SUPPORTED, "copies of arrays"),
            4 => Ok(End::Unified(self.device.wrapping_add(offset))),
            other => refused(CUresult::INVALID_VALUE, format!("{other} is no type of memory")),
        }
    }
}

fn rectangle(copy: In<CUDA_MEMCPY2D>) -> Result<Request> {
    let copy = copy.get()?;
    Ok(Request {
        source: copy.source.start()?,
        source_pitch: copy.source.pitch as u64,
        target: copy.target.start()?,
        target_pitch: copy.target.pitch as u64,
        width: copy.width_bytes as u64,
        height: copy.height as u64,
    })
}

/// Copies a rectangle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2D_v2(copy: In<CUDA_MEMCPY2D>) -> CUresult {
    call("cuMemcpy2D_v2", |driver| driver.copy(rectangle(copy)?, Call::Now))
}

/// Copies a rectangle of any pitch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2DUnaligned_v2(copy: In<CUDA_MEMCPY2D>) -> CUresult {
    call("cuMemcpy2DUnaligned_v2", |driver| driver.copy(rectangle(copy)?, Call::Now))
}

/// Copies a rectangle in the order of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2DAsync_v2(copy: In<CUDA_MEMCPY2D>, stream: CUstream) -> CUresult {
    call("cuMemcpy2DAsync_v2", |driver| driver.copy(rectangle(copy)?, Call::Stream(stream)))
}
