//! Fills of device memory.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::memory::Block;
use super::types::{CUdeviceptr, CUstream};
use super::work::{Fill, Work};

impl Driver {
    /// Refuses fills that are not aligned, overlap themselves or leave their allocation.
    pub fn check_fill(&self, fill: &Fill) -> Result {
        let element = fill.element.len() as u64;
        if fill.width == 0 || fill.height == 0 {
            return Ok(());
        }
        if !fill.target.is_multiple_of(element) || !fill.pitch.is_multiple_of(element) {
            let message = format!("{:#x} with pitch {} is not aligned to {element} bytes", fill.target, fill.pitch);
            return refused(CUresult::INVALID_VALUE, message);
        }
        let row = fill.width.checked_mul(element);
        if fill.height > 1 && row.is_none_or(|row| fill.pitch < row) {
            return refused(CUresult::INVALID_VALUE, "rows overlap: the pitch is less than the width");
        }
        let before_last = fill.pitch.checked_mul(fill.height - 1);
        let Some(total) = row.zip(before_last).and_then(|(row, before)| row.checked_add(before)) else {
            return refused(CUresult::INVALID_VALUE, "the size overflows");
        };
        self.device_range(fill.target, total).map(|_| ())
    }
}

/// Adds a fill to a stream.
fn fill(driver: &mut Driver, fill: Fill, stream: CUstream) -> Result {
    let stream = driver.stream(stream)?;
    driver.check_fill(&fill)?;
    if fill.width > 0 && fill.height > 0 {
        driver.enqueue(stream, Work::Fill(fill))?;
    }
    Ok(())
}

/// A fill by a call without a stream: the host waits only if it may see the memory, too.
fn fill_now(driver: &mut Driver, request: Fill) -> Result {
    driver.forbid_in_capture("filling memory")?;
    let target = request.target;
    fill(driver, request, CUstream(0))?;
    let managed = driver.memory.find_device(target).and_then(|allocation| driver.blocks.get(&allocation.start));
    if managed.is_some_and(Block::is_managed) || driver.memory.find_host(target).is_some() {
        let stream = driver.stream(CUstream(0))?;
        driver.wait_for_last(stream)?;
    }
    Ok(())
}

fn row(target: CUdeviceptr, element: &[u8], count: usize) -> Fill {
    Fill { target, pitch: 0, element: element.to_vec(), width: count as u64, height: 1 }
}

fn rows(target: CUdeviceptr, pitch: usize, element: &[u8], width: usize, height: usize) -> Fill {
    Fill { target, pitch: pitch as u64, element: element.to_vec(), width: width as u64, height: height as u64 }
}

macro_rules! fills {
    ($($element:ty: $now:ident, $async:ident, $now_2d:ident, $async_2d:ident;)*) => {
        $(
            /// Fills `count` elements.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $now(target: CUdeviceptr, value: $element, count: usize) -> CUresult {
                call(stringify!($now), |driver| fill_now(driver, row(target, &value.to_le_bytes(), count)))
            }

            /// Fills `count` elements in the order of a stream.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $async(
                target: CUdeviceptr, value: $element, count: usize, stream: CUstream,
            ) -> CUresult {
                call(stringify!($async), |driver| fill(driver, row(target, &value.to_le_bytes(), count), stream))
            }

            /// Fills `height` rows of `width` elements, `pitch` bytes apart.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $now_2d(
                target: CUdeviceptr, pitch: usize, value: $element, width: usize, height: usize,
            ) -> CUresult {
                call(stringify!($now_2d), |driver| {
                    fill_now(driver, rows(target, pitch, &value.to_le_bytes(), width, height))
                })
            }

            /// Fills `height` rows of `width` elements, `pitch` bytes apart, in the order of a stream.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $async_2d(
                target: CUdeviceptr, pitch: usize, value: $element, width: usize, height: usize, stream: CUstream,
            ) -> CUresult {
                call(stringify!($async_2d), |driver| {
                    fill(driver, rows(target, pitch, &value.to_le_bytes(), width, height), stream)
                })
            }
        )*
        super::exports![$($now, $async, $now_2d, $async_2d),*];
    };
}

fills! {
    u8: cuMemsetD8_v2, cuMemsetD8Async, cuMemsetD2D8_v2, cuMemsetD2D8Async;
    u16: cuMemsetD16_v2, cuMemsetD16Async, cuMemsetD2D16_v2, cuMemsetD2D16Async;
    u32: cuMemsetD32_v2, cuMemsetD32Async, cuMemsetD2D32_v2, cuMemsetD2D32Async;
}
