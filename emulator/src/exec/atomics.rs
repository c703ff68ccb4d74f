//! `atom` and `red`: one lane after the other, each with one atomic operation of the host, or under a lock where the host
//! has none that wide.

use super::half::{CANONICAL_NAN_F32, bf16_to_f32, f16_to_f32, round_to_half};
use super::lanes::{File, Lanes64, lanes_of};
use super::memory::{Checked, View, addresses, read, set_any, write};
use crate::isa::{
    Address, AtomicOp, AtomicType, FloatBinary, FloatMode, HalfFormat, MemoryKind, Reg, Rounding, Space, Width,
};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Operands of an atomic operation.
pub(super) struct Atomic {
    pub space: Space,
    pub op: AtomicOp,
    pub ty: AtomicType,
    pub d: Option<[Reg; 2]>,
    pub address: Address,
    pub b: [Reg; 2],
    pub c: [Reg; 2],
}

fn width(ty: AtomicType) -> Width {
    match ty.bytes() {
        2 => Width::W16,
        4 => Width::W32,
        _ => Width::W64,
    }
}

pub(super) fn atomic(view: &mut View, file: &mut File, mask: u32, atomic: &Atomic) -> Checked<()> {
    let bytes = u64::from(atomic.ty.bytes());
    let mut pointers = addresses(file, atomic.address);
    view.resolve(atomic.space, &mut pointers, mask, bytes)?;
    if atomic.ty == AtomicType::B128 {
        exchange_wide(file, mask, atomic, &pointers);
        return Ok(());
    }
    let width = width(atomic.ty);
    let operands = |reg| if width == Width::W64 { *file.get64(reg) } else { file.get(reg).map(u64::from) };
    let (b, c) = (operands(atomic.b[0]), operands(atomic.c[0]));
    let mut old = [0; 32];
    for lane in lanes_of(mask) {
        old[lane] = update(pointers[lane], atomic.op, atomic.ty, b[lane], c[lane]);
    }
    if let Some([d, _]) = atomic.d {
        set_any(file, mask, width, d, old);
    }
    Ok(())
}

/// Held while 128 bits are read and written as one.
fn wide_cells() -> MutexGuard<'static, ()> {
    static WIDE_CELLS: Mutex<()> = Mutex::new(());
    WIDE_CELLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock under which a strong load or store of 128 bits goes, so that it meets those atomics whole; `None` for any
/// other access.
pub(super) fn whole(strong: bool, kind: MemoryKind, count: u8) -> Option<MutexGuard<'static, ()>> {
    (strong && kind.bytes == 8 && count == 2).then(wide_cells)
}

/// `exch` and `cas` of 128 bits at addresses that were checked and are aligned.
fn exchange_wide(file: &mut File, mask: u32, atomic: &Atomic, pointers: &Lanes64) {
    let operand = |[low, high]: [Reg; 2]| {
        let (low, high) = (file.get64(low), file.get64(high));
        std::array::from_fn::<u128, 32, _>(|lane| u128::from(high[lane]) << 64 | u128::from(low[lane]))
    };
    let (b, c) = (operand(atomic.b), operand(atomic.c));
    let mut old = [0; 32];
    let guard = wide_cells();
    for lane in lanes_of(mask) {
        old[lane] = u128::from_le_bytes(read(pointers[lane]));
        match atomic.op {
            AtomicOp::CompareExchange if old[lane] != b[lane] => {}
            AtomicOp::CompareExchange => write(pointers[lane], c[lane].to_le_bytes()),
            _ => write(pointers[lane], b[lane].to_le_bytes()),
        }
    }
    drop(guard);
    if let Some([low, high]) = atomic.d {
        file.set64(mask, low, old.map(|bits| bits as u64));
        file.set64(mask, high, old.map(|bits| (bits >> 64) as u64));
    }
}

/// One atomic read-modify-write at an address that was checked and is aligned; the old value.
fn update(pointer: u64, op: AtomicOp, ty: AtomicType, b: u64, c: u64) -> u64 {
    let new = |old: u64| combine(op, ty, old, b, c);
    // The closures never refuse, so that both outcomes of `fetch_update` hold the old value.
    match ty.bytes() {
        2 => {
            // SAFETY: the access was checked; the emulated device's memory outlives the launch.
            let cell = unsafe { AtomicU16::from_ptr(pointer as *mut u16) };
            cell.fetch_update(SeqCst, SeqCst, |old| Some(new(old.into()) as u16)).unwrap_or_else(|old| old).into()
        }
        4 => {
            // SAFETY: as above.
            let cell = unsafe { AtomicU32::from_ptr(pointer as *mut u32) };
            cell.fetch_update(SeqCst, SeqCst, |old| Some(new(old.into()) as u32)).unwrap_or_else(|old| old).into()
        }
        _ => {
            // SAFETY: as above.
            let cell = unsafe { AtomicU64::from_ptr(pointer as *mut u64) };
            cell.fetch_update(SeqCst, SeqCst, |old| Some(new(old))).unwrap_or_else(|old| old)
        }
    }
}

fn combine(op: AtomicOp, ty: AtomicType, old: u64, b: u64, c: u64) -> u64 {
    match op {
        AtomicOp::Add => add(ty, old, b),
        AtomicOp::Min => pick(ty, old, b, true),
        AtomicOp::Max => pick(ty, old, b, false),
        AtomicOp::And => old & b,
        AtomicOp::Or => old | b,
        AtomicOp::Xor => old ^ b,
        AtomicOp::Exchange => b,
        AtomicOp::CompareExchange => {
            if old == b {
                c
            } else {
                old
            }
        }
        AtomicOp::Inc => {
            if old >= b {
                0
            } else {
                old + 1
            }
        }
        AtomicOp::Dec => {
            if old == 0 || old > b {
                b
            } else {
                old - 1
            }
        }
    }
}

fn add(ty: AtomicType, old: u64, b: u64) -> u64 {
    let halves = |format: HalfFormat| {
        let low = add_half(format, old as u16, b as u16);
        let high = add_half(format, (old >> 16) as u16, (b >> 16) as u16);
        u64::from(low) | u64::from(high) << 16
    };
    match ty {
        AtomicType::F32 => {
            let sum = f32::from_bits(old as u32) + f32::from_bits(b as u32);
            if sum.is_nan() { CANONICAL_NAN_F32.into() } else { sum.to_bits().into() }
        }
        AtomicType::F64 => (f64::from_bits(old) + f64::from_bits(b)).to_bits(),
        AtomicType::F16 => add_half(HalfFormat::F16, old as u16, b as u16).into(),
        AtomicType::Bf16 => add_half(HalfFormat::Bf16, old as u16, b as u16).into(),
        AtomicType::F16x2 => halves(HalfFormat::F16),
        AtomicType::Bf16x2 => halves(HalfFormat::Bf16),
        _ => old.wrapping_add(b),
    }
}

fn add_half(format: HalfFormat, a: u16, b: u16) -> u16 {
    let widen = if format == HalfFormat::F16 { f16_to_f32 } else { bf16_to_f32 };
    let sum = super::float::add_to_odd(f32::from_bits(widen(a)).into(), f32::from_bits(widen(b)).into());
    round_to_half(format, Rounding::Nearest, sum)
}

/// The lesser or the greater of two numbers; a NaN gives way.
fn pick_half(format: HalfFormat, a: u16, b: u16, least: bool) -> u16 {
    let widen = if format == HalfFormat::F16 { f16_to_f32 } else { bf16_to_f32 };
    let (x, y) = (f32::from_bits(widen(a)), f32::from_bits(widen(b)));
    let op = if least { FloatBinary::Min } else { FloatBinary::Max };
    round_to_half(format, Rounding::Nearest, super::float::apply(op, x, y, FloatMode::PLAIN).into())
}

fn pick(ty: AtomicType, a: u64, b: u64, least: bool) -> u64 {
    let halves = |format| {
        let low = pick_half(format, a as u16, b as u16, least);
        u64::from(low) | u64::from(pick_half(format, (a >> 16) as u16, (b >> 16) as u16, least)) << 16
    };
    match ty {
        AtomicType::F16 | AtomicType::F16x2 => return halves(HalfFormat::F16),
        AtomicType::Bf16 | AtomicType::Bf16x2 => return halves(HalfFormat::Bf16),
        _ => {}
    }
    let b_is_less = match ty {
        AtomicType::S32 => (b as i32) < a as i32,
        AtomicType::S64 => (b as i64) < a as i64,
        _ => b < a,
    };
    if b_is_less == least { b } else { a }
}
