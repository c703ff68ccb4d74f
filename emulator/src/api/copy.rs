//! Copies between host and device memory.
//!
//! When a copy reads and writes, and whether the caller waits, follows the driver's chapter "API synchronization
//! behavior": pageable sources are read during the call, page-locked ones when the copy runs; pageable targets are
//! complete when the call returns.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::memory::Block;
use super::types::{CUcontext, CUdeviceptr, CUstream, In, Out};
use super::work::{Place, Source, Steps, Transfer, Work};

/// One end of a copy, as the caller describes it.
#[derive(Clone, Copy, Debug)]
enum End {
    Device(u64),
    Host(u64),
    /// Whatever lies at the address.
    Unified(u64),
}

/// A copy as the caller describes it: `depth` slices of `height` rows of `width` bytes.
#[derive(Clone, Copy, Debug)]
struct Request {
    source: End,
    source_steps: Steps,
    target: End,
    target_steps: Steps,
    width: u64,
    height: u64,
    depth: u64,
}

impl Request {
    /// A range of `bytes`.
    fn range(target: End, source: End, bytes: usize) -> Self {
        let (source_steps, target_steps) = (Steps::default(), Steps::default());
        Request { source, source_steps, target, target_steps, width: bytes as u64, height: 1, depth: 1 }
    }

    fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0 || self.depth == 0
    }

    /// Bytes from the first to the last of the box with `steps`.
    fn span(&self, steps: Steps) -> Result<u64> {
        if self.height > 1 && steps.row < self.width {
            return refused(CUresult::INVALID_VALUE, "rows overlap: the pitch is less than the width");
        }
        let rows = steps.row.checked_mul(self.height - 1).and_then(|bytes| bytes.checked_add(self.width));
        if self.depth > 1 && rows.is_none_or(|rows| steps.slice < rows) {
            return refused(CUresult::INVALID_VALUE, "slices overlap: their height is less than that of the copy");
        }
        match rows.zip(steps.slice.checked_mul(self.depth - 1)).and_then(|(rows, before)| rows.checked_add(before)) {
            Some(bytes) => Ok(bytes),
            None => refused(CUresult::INVALID_VALUE, "the size overflows"),
        }
    }

    /// The bytes of a pageable source, row after row.
    fn capture(&self, source: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.width * self.height * self.depth) as usize);
        for slice in 0..self.depth {
            for row in 0..self.height {
                let start = (source + self.source_steps.offset(slice, row)) as *const u8;
                // SAFETY: the caller of the driver function vouched for the source.
                bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(start, self.width as usize) });
            }
        }
        bytes
    }

    /// How [`Request::capture`] laid the bytes out.
    fn captured_steps(&self) -> Steps {
        Steps { row: self.width, slice: self.width * self.height }
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
        if request.is_empty() {
            return Ok(());
        }
        let (source, source_kind) = self.place(request.source, request.span(request.source_steps)?)?;
        let (target, target_kind) = self.place(request.target, request.span(request.target_steps)?)?;
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
            source_steps: if captured { request.captured_steps() } else { request.source_steps },
            target,
            target_kind,
            target_steps: request.target_steps,
            width: request.width,
            height: request.height,
            depth: request.depth,
        };
        let waits = match (source_kind, target_kind, call) {
            (_, Place::Pageable, _) => true,
            (Place::Pageable, Place::Device, Call::Now) => !self.dawdles()?,
            (Place::Pageable, _, _) => !captured,
            (Place::Device, Place::Device, _) => false,
            (_, _, Call::Now) => true,
            (_, _, Call::Stream(_)) => false,
        } || [source, target].iter().any(|&address| self.waits_for_copies(address));
        self.enqueue(stream, Work::Copy(copy))?;
        if waits { self.wait_for_last(stream) } else { Ok(()) }
    }

    /// Whether a copy from pageable memory may still be on its way when the call returns, as the driver's documentation
    /// allows: only where a seed asks for everything that is allowed, because programs get away without it elsewhere.
    fn dawdles(&self) -> Result<bool> {
        Ok(self.config()?.seed != 0)
    }

    fn waits_for_copies(&self, address: u64) -> bool {
        let block = self.memory.find_device(address).and_then(|range| self.blocks.get(&range.start));
        block.is_some_and(|block| block.waits_for_copies)
    }

    /// The copy of a node of a graph, which reads and writes when it runs, whatever the memory is.
    pub fn copy_for_graph(&self, copy: &CUDA_MEMCPY3D) -> Result<Transfer> {
        let request = copy.request()?;
        if request.is_empty() {
            return refused(CUresult::INVALID_VALUE, "a copy of nothing");
        }
        let (source, source_kind) = self.place(request.source, request.span(request.source_steps)?)?;
        let (target, target_kind) = self.place(request.target, request.span(request.target_steps)?)?;
        let Request { source_steps, target_steps, width, height, depth, .. } = request;
        let source = Source::Memory(source, source_kind);
        Ok(Transfer { source, source_steps, target, target_kind, target_steps, width, height, depth })
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
            let managed = self.blocks.get(&range.start).is_some_and(Block::is_managed);
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
            cuMemcpy3D_v2, cuMemcpy3DAsync_v2, cuMemcpy3DPeer, cuMemcpy3DPeerAsync,
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
    /// Refuses contexts that do not live.
    pub fn check_contexts(&self, contexts: [CUcontext; 2]) -> Result {
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
    fn start(&self) -> Result<End> {
        let offset = self.y.checked_mul(self.pitch).and_then(|rows| rows.checked_add(self.x_bytes));
        end(self.memory_type, self.host, self.device, offset)
    }
}

/// The place `offset` bytes behind the start of memory of a type; arrays are not to be had.
fn end(memory_type: u32, host: u64, device: CUdeviceptr, offset: Option<usize>) -> Result<End> {
    let Some(offset) = offset else {
        return refused(CUresult::INVALID_VALUE, "the size overflows");
    };
    let offset = offset as u64;
    match memory_type {
        1 => Ok(End::Host(host.wrapping_add(offset))),
        2 => Ok(End::Device(device.wrapping_add(offset))),
        3 => refused(CUresult::NOT_SUPPORTED, "copies of arrays"),
        4 => Ok(End::Unified(device.wrapping_add(offset))),
        other => refused(CUresult::INVALID_VALUE, format!("{other} is no type of memory")),
    }
}

fn rectangle(copy: In<CUDA_MEMCPY2D>) -> Result<Request> {
    let copy = copy.get()?;
    let steps = |end: &RectangleEnd| Steps { row: end.pitch as u64, slice: 0 };
    Ok(Request {
        source: copy.source.start()?,
        source_steps: steps(&copy.source),
        target: copy.target.start()?,
        target_steps: steps(&copy.target),
        width: copy.width_bytes as u64,
        height: copy.height as u64,
        depth: 1,
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

/// A box to copy, as the driver's header lays it out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUDA_MEMCPY3D {
    source: BoxEnd,
    target: BoxEnd,
    width_bytes: usize,
    height: usize,
    depth: usize,
}

/// One end of a box.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct BoxEnd {
    x_bytes: usize,
    y: usize,
    z: usize,
    mipmap_level: usize,
    memory_type: u32,
    host: u64,
    device: CUdeviceptr,
    array: usize,
    /// The context that the memory is of, in copies between contexts; else reserved.
    context: CUcontext,
    pitch: usize,
    /// Rows from one slice to the next.
    height: usize,
}

impl BoxEnd {
    fn start(&self) -> Result<End> {
        let rows = self.z.checked_mul(self.height).and_then(|rows| rows.checked_add(self.y));
        let offset = rows.and_then(|rows| rows.checked_mul(self.pitch)).and_then(|rows| rows.checked_add(self.x_bytes));
        end(self.memory_type, self.host, self.device, offset)
    }

    fn steps(&self) -> Result<Steps> {
        match self.pitch.checked_mul(self.height) {
            Some(slice) => Ok(Steps { row: self.pitch as u64, slice: slice as u64 }),
            None => refused(CUresult::INVALID_VALUE, "the size overflows"),
        }
    }

    /// The end of a copy that begins at `address`.
    fn at(address: u64, kind: Place, steps: Steps) -> Self {
        let is_device = kind == Place::Device;
        BoxEnd {
            x_bytes: 0,
            y: 0,
            z: 0,
            mipmap_level: 0,
            memory_type: if is_device { 2 } else { 1 },
            host: if is_device { 0 } else { address },
            device: if is_device { address } else { 0 },
            array: 0,
            context: CUcontext(0),
            pitch: steps.row as usize,
            height: steps.slice.checked_div(steps.row).unwrap_or(0) as usize,
        }
    }
}

impl CUDA_MEMCPY3D {
    fn request(&self) -> Result<Request> {
        Ok(Request {
            source: self.source.start()?,
            source_steps: self.source.steps()?,
            target: self.target.start()?,
            target_steps: self.target.steps()?,
            width: self.width_bytes as u64,
            height: self.height as u64,
            depth: self.depth as u64,
        })
    }

    /// The description of a copy.
    pub fn of(transfer: &Transfer) -> Self {
        let (source, kind) = match &transfer.source {
            Source::Captured(bytes) => (bytes.as_ptr() as u64, Place::Pageable),
            Source::Memory(address, kind) => (*address, *kind),
        };
        CUDA_MEMCPY3D {
            source: BoxEnd::at(source, kind, transfer.source_steps),
            target: BoxEnd::at(transfer.target, transfer.target_kind, transfer.target_steps),
            width_bytes: transfer.width as usize,
            height: transfer.height as usize,
            depth: transfer.depth as usize,
        }
    }
}

/// Copies a box.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy3D_v2(copy: In<CUDA_MEMCPY3D>) -> CUresult {
    call("cuMemcpy3D_v2", |driver| driver.copy(copy.get()?.request()?, Call::Now))
}

/// Copies a box in the order of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy3DAsync_v2(copy: In<CUDA_MEMCPY3D>, stream: CUstream) -> CUresult {
    call("cuMemcpy3DAsync_v2", |driver| driver.copy(copy.get()?.request()?, Call::Stream(stream)))
}

/// Copies a box between the memory of two contexts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy3DPeer(copy: In<CUDA_MEMCPY3D>) -> CUresult {
    call("cuMemcpy3DPeer", |driver| {
        let copy = copy.get()?;
        driver.check_contexts([copy.target.context, copy.source.context])?;
        driver.copy(copy.request()?, Call::Now)
    })
}

/// Copies a box between the memory of two contexts in the order of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy3DPeerAsync(copy: In<CUDA_MEMCPY3D>, stream: CUstream) -> CUresult {
    call("cuMemcpy3DPeerAsync", |driver| {
        let copy = copy.get()?;
        driver.check_contexts([copy.target.context, copy.source.context])?;
        driver.copy(copy.request()?, Call::Stream(stream))
    })
}
