//! Calls of host functions: `vprintf`, `__assertfail`, `malloc` and `free`.

use super::interpret::Machine;
use super::lanes::lanes_of;
use super::memory::{Checked, Fault};
use super::printf;
use crate::isa::{Builtin, Space};
use crate::report::Fault as Kind;

pub(super) fn call(m: &mut Machine, mask: u32, builtin: Builtin) -> Checked<()> {
    match builtin {
        Builtin::Printf { d, format, arguments } => {
            let (formats, lists) = (*m.file.get64(format), *m.file.get64(arguments));
            let mut results = [0; 32];
            for lane in lanes_of(mask) {
                results[lane] = printf::print(m, lane, formats[lane], lists[lane])? as u32;
            }
            m.file.set(mask, d, results);
            Ok(())
        }
        Builtin::AssertFail { message, file, line, function } => {
            let lane = mask.trailing_zeros() as usize;
            let line = m.file.get(line)[lane];
            let [message, file, function] = [message, file, function].map(|reg| m.file.get64(reg)[lane]);
            let mut text =
                |address| -> Checked<String> { Ok(String::from_utf8_lossy(&string(m, lane, address)?).into_owned()) };
            let (message, file, function) = (text(message)?, text(file)?, text(function)?);
            Err(Fault::new(Some(lane), format!("assertion `{message}` failed in {function}, {file}:{line}"))
                .of(Kind::Assert))
        }
        Builtin::Malloc { d, bytes } => {
            let sizes = *m.file.get64(bytes);
            let mut addresses = [0; 32];
            for lane in lanes_of(mask) {
                let heap = m.grid.heap.ok_or_else(|| Fault::new(Some(lane), "malloc without a heap"))?;
                addresses[lane] = heap.allocate(sizes[lane]).unwrap_or(0);
                fill(m, lane, addresses[lane], sizes[lane])?;
            }
            m.file.set64(mask, d, addresses);
            Ok(())
        }
        Builtin::Free { pointer } => {
            let addresses = *m.file.get64(pointer);
            for lane in lanes_of(mask).filter(|lane| addresses[*lane] != 0) {
                let address = addresses[lane];
                let Some(bytes) = m.grid.heap.and_then(|heap| heap.free(address)) else {
                    let message = format!("free of {address:#x}, which malloc did not give or which was freed already");
                    return Err(Fault::new(Some(lane), message).of(Kind::IllegalAddress));
                };
                fill(m, lane, address, bytes)?;
            }
            Ok(())
        }
    }
}

/// Makes memory of the heap look unwritten.
fn fill(m: &mut Machine, lane: usize, address: u64, bytes: u64) -> Checked<()> {
    if address == 0 || bytes == 0 {
        return Ok(());
    }
    let mut pointers = [address; 32];
    m.view.resolve(Space::Global, &mut pointers, 1 << lane, 1)?;
    // SAFETY: the heap gave `bytes` at `address`, and it lies in one allocation, which was just found.
    unsafe { std::ptr::write_bytes(pointers[lane] as *mut u8, 0xff, bytes as usize) };
    Ok(())
}

/// Reads `bytes` (at most 8) at a generic address of one lane.
pub(super) fn read(m: &mut Machine, lane: usize, address: u64, bytes: u64) -> Checked<u64> {
    let mut pointers = [address; 32];
    m.view.resolve(Space::Generic, &mut pointers, 1 << lane, bytes)?;
    let mut value = [0; 8];
    // SAFETY: the access was just checked.
    unsafe {
        let source = pointers[lane] as *const u8;
        std::ptr::copy_nonoverlapping(source, value.as_mut_ptr(), bytes as usize);
    }
    Ok(u64::from_le_bytes(value))
}

/// The zero-terminated string at a generic address.
pub(super) fn string(m: &mut Machine, lane: usize, mut address: u64) -> Checked<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match read(m, lane, address, 1)? as u8 {
            0 => return Ok(bytes),
            byte => bytes.push(byte),
        }
        address += 1;
    }
}
