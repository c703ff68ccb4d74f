//! A warp's register file, and how results reach its active lanes.

use super::half::Lanes;
use crate::isa::{Pred, PredSource, Program, Reg};

/// A 64-bit register of a warp: two adjacent slots.
pub(super) type Lanes64 = [u64; 32];

/// The mask of a whole warp.
pub(super) const FULL: u32 = u32::MAX;

/// One slot of storage, aligned to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Slot(pub Lanes);

/// Halves and words of it are NaN in every format.
pub(super) const NAN_SLOT: Slot = Slot([u32::MAX; 32]);

/// Compiles a function twice, for AVX2 and for the target's baseline, and picks by the level that is its first
/// argument. The body must be written so that LLVM vectorises it; everything it calls has to be `inline(always)`.
macro_rules! per_level {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(level: $crate::exec::simd::SimdLevel, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) $(-> $ret)? $body
                if level.has_avx2() {
                    // SAFETY: the level says that the host has AVX2, FMA and F16C.
                    return unsafe { avx2($($arg),*) };
                }
            }
            #[inline(never)]
            fn portable($($arg: $ty),*) $(-> $ret)? $body
            let _ = level;
            portable($($arg),*)
        }
    };
}
pub(super) use per_level;

/// The registers and predicates of one warp, with the bank of its launch.
///
/// Operands are trusted: lowering allocated every slot inside the sizes that [`File::new`] was promised.
pub(super) struct File {
    slots: *mut Lanes,
    bank: *const Lanes,
    predicates: *mut u32,
}

impl File {
    /// Views storage as a register file.
    ///
    /// # Safety
    /// The storage must outlive the file, belong to it alone (the bank may be shared), and hold the slots, predicates
    /// and bank entries of the program whose operands are used.
    pub(super) unsafe fn new(program: &Program, slots: &mut [Slot], bank: &[Slot], predicates: &mut [u32]) -> File {
        assert!(slots.len() >= program.slots as usize && bank.len() >= program.bank_slots as usize);
        assert!(predicates.len() >= program.predicates as usize);
        File { slots: slots.as_mut_ptr().cast(), bank: bank.as_ptr().cast(), predicates: predicates.as_mut_ptr() }
    }

    #[inline(always)]
    fn source(&self, reg: Reg) -> *const Lanes {
        match reg.bank_index() {
            // SAFETY: by the promise of `new` the index is inside the bank.
            Some(index) => unsafe { self.bank.add(index as usize) },
            // SAFETY: by the promise of `new` the index is inside the file.
            None => unsafe { self.slots.add(reg.0 as usize) },
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, reg: Reg) -> &Lanes {
        // SAFETY: the slot exists, and writing needs `&mut self`.
        unsafe { &*self.source(reg) }
    }

    #[inline(always)]
    pub(super) fn get64(&self, reg: Reg) -> &Lanes64 {
        // SAFETY: as `get`; a 64-bit register has two adjacent slots.
        unsafe { &*self.source(reg).cast() }
    }

    /// Writes the lanes of `mask`.
    #[inline(always)]
    pub(super) fn set(&mut self, mask: u32, reg: Reg, value: Lanes) {
        // SAFETY: by the promise of `new` the slot exists and is this file's.
        let target = unsafe { &mut *self.slots.add(reg.0 as usize) };
        if mask == FULL {
            *target = value;
        } else {
            for lane in 0..32 {
                target[lane] = if mask >> lane & 1 != 0 { value[lane] } else { target[lane] };
            }
        }
    }

    /// Writes the lanes of `mask` of a 64-bit register.
    #[inline(always)]
    pub(super) fn set64(&mut self, mask: u32, reg: Reg, value: Lanes64) {
        // SAFETY: as `set`; a 64-bit register has two adjacent slots.
        let target = unsafe { &mut *self.slots.add(reg.0 as usize).cast::<Lanes64>() };
        if mask == FULL {
            *target = value;
        } else {
            for lane in 0..32 {
                target[lane] = if mask >> lane & 1 != 0 { value[lane] } else { target[lane] };
            }
        }
    }

    #[inline(always)]
    pub(super) fn pred(&self, source: PredSource) -> u32 {
        // SAFETY: by the promise of `new` the predicate exists.
        let bits = unsafe { *self.predicates.add(source.pred.0 as usize) };
        if source.negate { !bits } else { bits }
    }

    /// Writes the lanes of `mask`.
    #[inline(always)]
    pub(super) fn set_pred(&mut self, mask: u32, pred: Pred, bits: u32) {
        // SAFETY: by the promise of `new` the predicate exists and is this file's.
        let target = unsafe { &mut *self.predicates.add(pred.0 as usize) };
        *target = *target & !mask | bits & mask;
    }

    #[inline(always)]
    pub(super) fn map1(&mut self, mask: u32, d: Reg, a: Reg, f: impl Fn(u32) -> u32) {
        let mut value = [0; 32];
        let a = self.get(a);
        for lane in 0..32 {
            value[lane] = f(a[lane]);
        }
        self.set(mask, d, value);
    }

    #[inline(always)]
    pub(super) fn map2(&mut self, mask: u32, d: Reg, a: Reg, b: Reg, f: impl Fn(u32, u32) -> u32) {
        let mut value = [0; 32];
        let (a, b) = (self.get(a), self.get(b));
        for lane in 0..32 {
            value[lane] = f(a[lane], b[lane]);
        }
        self.set(mask, d, value);
    }

    #[inline(always)]
    pub(super) fn map3(&mut self, mask: u32, d: Reg, [a, b, c]: [Reg; 3], f: impl Fn(u32, u32, u32) -> u32) {
        let mut value = [0; 32];
        let (a, b, c) = (self.get(a), self.get(b), self.get(c));
        for lane in 0..32 {
            value[lane] = f(a[lane], b[lane], c[lane]);
        }
        self.set(mask, d, value);
    }

    #[inline(always)]
    pub(super) fn map1_64(&mut self, mask: u32, d: Reg, a: Reg, f: impl Fn(u64) -> u64) {
        let mut value = [0; 32];
        let a = self.get64(a);
        for lane in 0..32 {
            value[lane] = f(a[lane]);
        }
        self.set64(mask, d, value);
    }

    #[inline(always)]
    pub(super) fn map2_64(&mut self, mask: u32, d: Reg, a: Reg, b: Reg, f: impl Fn(u64, u64) -> u64) {
        let mut value = [0; 32];
        let (a, b) = (self.get64(a), self.get64(b));
        for lane in 0..32 {
            value[lane] = f(a[lane], b[lane]);
        }
        self.set64(mask, d, value);
    }

    #[inline(always)]
    pub(super) fn map3_64(&mut self, mask: u32, d: Reg, [a, b, c]: [Reg; 3], f: impl Fn(u64, u64, u64) -> u64) {
        let mut value = [0; 32];
        let (a, b, c) = (self.get64(a), self.get64(b), self.get64(c));
        for lane in 0..32 {
            value[lane] = f(a[lane], b[lane], c[lane]);
        }
        self.set64(mask, d, value);
    }

    /// 64-bit source and 32-bit second source.
    #[inline(always)]
    pub(super) fn map_64_32(&mut self, mask: u32, d: Reg, a: Reg, b: Reg, f: impl Fn(u64, u32) -> u64) {
        let mut value = [0; 32];
        let (a, b) = (self.get64(a), self.get(b));
        for lane in 0..32 {
            value[lane] = f(a[lane], b[lane]);
        }
        self.set64(mask, d, value);
    }

    /// 32-bit sources, 64-bit result.
    #[inline(always)]
    pub(super) fn widen2(&mut self, mask: u32, d: Reg, a: Reg, b: Reg, f: impl Fn(u32, u32) -> u64) {
        let mut value = [0; 32];
        let (a, b) = (self.get(a), self.get(b));
        for lane in 0..32 {
            value[lane] = f(a[lane], b[lane]);
        }
        self.set64(mask, d, value);
    }

    /// 32-bit factors, 64-bit addend and result.
    #[inline(always)]
    pub(super) fn widen3(&mut self, mask: u32, d: Reg, [a, b, c]: [Reg; 3], f: impl Fn(u32, u32, u64) -> u64) {
        let mut value = [0; 32];
        let (a, b, c) = (self.get(a), self.get(b), self.get64(c));
        for lane in 0..32 {
            value[lane] = f(a[lane], b[lane], c[lane]);
        }
        self.set64(mask, d, value);
    }

    /// 64-bit source, 32-bit result.
    #[inline(always)]
    pub(super) fn narrow1(&mut self, mask: u32, d: Reg, a: Reg, f: impl Fn(u64) -> u32) {
        let mut value = [0; 32];
        let a = self.get64(a);
        for lane in 0..32 {
            value[lane] = f(a[lane]);
        }
        self.set(mask, d, value);
    }

    /// 32-bit source, 64-bit result.
    #[inline(always)]
    pub(super) fn widen1(&mut self, mask: u32, d: Reg, a: Reg, f: impl Fn(u32) -> u64) {
        let mut value = [0; 32];
        let a = self.get(a);
        for lane in 0..32 {
            value[lane] = f(a[lane]);
        }
        self.set64(mask, d, value);
    }

    /// The lanes where `f` holds.
    #[inline(always)]
    pub(super) fn test2(&self, a: Reg, b: Reg, f: impl Fn(u32, u32) -> bool) -> u32 {
        let (a, b) = (self.get(a), self.get(b));
        bits(|lane| f(a[lane], b[lane]))
    }

    /// The lanes of 64-bit registers where `f` holds.
    #[inline(always)]
    pub(super) fn test2_64(&self, a: Reg, b: Reg, f: impl Fn(u64, u64) -> bool) -> u32 {
        let (a, b) = (self.get64(a), self.get64(b));
        bits(|lane| f(a[lane], b[lane]))
    }
}

/// A bit a lane.
#[inline(always)]
pub(super) fn bits(f: impl Fn(usize) -> bool) -> u32 {
    let mut bits = 0;
    for lane in 0..32 {
        bits |= u32::from(f(lane)) << lane;
    }
    bits
}

/// The numbers of the lanes in `mask`, ascending.
#[inline(always)]
pub(super) fn lanes_of(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < 32).then_some(lane)
    })
}
