//! A warp's register file, and how results reach its active lanes.

use super::half::Lanes;
use crate::isa::{Pred, PredSource, Program, Reg};

/// A 64-bit register of a warp: two adjacent slots.
pub(super) type Lanes64 = [u64; 32];

/// The mask of a whole warp.
pub(super) const FULL: u32 = u32::MAX;

/// The bit of each lane.
pub(super) const BIT: Lanes = {
    let mut bits = [0; 32];
    let mut lane = 0;
    while lane < 32 {
        bits[lane] = 1 << lane;
        lane += 1;
    }
    bits
};

/// One slot of storage, aligned to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Slot(pub Lanes);

/// Halves and words of it are NaN in every format.
pub(super) const NAN_SLOT: Slot = Slot([u32::MAX; 32]);

/// Compiles a function twice: its loops over lanes vectorised for AVX2, and plain; the level, which becomes its first
/// argument, picks one. The body sees its register file as a [`Lanewise`]; what it calls has to be `inline(always)`.
macro_rules! per_level {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($file:ident: &mut File, $($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(level: $crate::exec::simd::SimdLevel, $file: &mut File, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn vectors($file: &mut File, $($arg: $ty),*) $(-> $ret)? {
                    #[allow(unused_mut)]
                    let mut $file = $crate::exec::lanes::Vector($file);
                    $body
                }
                if level.has_avx2() {
                    // SAFETY: the level says that the host has AVX2, FMA and F16C.
                    return unsafe { vectors($file, $($arg),*) };
                }
            }
            let _ = level;
            #[allow(unused_mut)]
            let mut $file = $crate::exec::lanes::Scalar($file);
            $body
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

    /// A register of the warp as a pointer, to be written by the operation that asks for it.
    #[inline(always)]
    pub(super) fn pointer(&mut self, reg: Reg) -> *mut Lanes {
        // SAFETY: by the promise of `new` the index is inside the file.
        unsafe { self.slots.add(reg.0 as usize) }
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
                target[lane] = if mask & BIT[lane] != 0 { value[lane] } else { target[lane] };
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
                target[lane] = if mask & BIT[lane] != 0 { value[lane] } else { target[lane] };
            }
        }
    }

    /// All registers of the program that the file was made for.
    pub(super) fn registers(&self, program: &Program) -> &[Lanes] {
        // SAFETY: by the promise of `new` the file holds the program's slots.
        unsafe { std::slice::from_raw_parts(self.slots, program.slots as usize) }
    }

    /// All predicates of the program that the file was made for.
    pub(super) fn predicates(&self, program: &Program) -> &[u32] {
        // SAFETY: by the promise of `new` the file holds the program's predicates.
        unsafe { std::slice::from_raw_parts(self.predicates, program.predicates as usize) }
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
}

/// The elementwise operations: a method's row says its name, the name of the compact form in [`File`], and how the
/// sources are read and the result is written.
macro_rules! elementwise {
    ($($(#[$meta:meta])* $map:ident $each:ident ($($arg:ident: $get:ident $ty:ty),*) -> $set:ident $ret:ty;)*) => {
        impl File {
            $(
                $(#[$meta])*
                ///
                /// One loop for all callers: for operations that are not worth a loop of their own.
                #[inline(never)]
                pub(super) fn $each(&mut self, mask: u32, d: Reg, [$($arg),*]: [Reg; elementwise!(@count $($arg)*)], f: &dyn Fn($($ty),*) -> $ret) {
                    self.$set(mask, d, {
                        $(let $arg = self.$get($arg);)*
                        std::array::from_fn(|lane| f($($arg[lane]),*))
                    });
                }
            )*
        }

        /// Elementwise operations on a register file.
        pub(super) trait Lanewise: std::ops::DerefMut<Target = File> {
            /// `d[lane] = a[from[lane]]`; the sources are below 32.
            fn permute(&mut self, mask: u32, d: Reg, a: Reg, from: &Lanes);

            /// The bytes of (`b`:`a`) that the four nibbles of `selector`, all below 8, name.
            fn permute_bytes(&mut self, mask: u32, d: Reg, sources: [Reg; 2], selector: u32);

            $(
                $(#[$meta])*
                fn $map(&mut self, mask: u32, d: Reg, sources: [Reg; elementwise!(@count $($arg)*)], f: impl Fn($($ty),*) -> $ret);
            )*
        }

        impl Lanewise for Scalar<'_> {
            fn permute(&mut self, mask: u32, d: Reg, a: Reg, from: &Lanes) {
                let a = self.get(a);
                let value = std::array::from_fn(|lane| a[from[lane] as usize & 31]);
                self.set(mask, d, value);
            }

            fn permute_bytes(&mut self, mask: u32, d: Reg, sources: [Reg; 2], selector: u32) {
                self.0.each2(mask, d, sources, &|a, b| {
                    let bytes = u64::from(a) | u64::from(b) << 32;
                    let chosen = |byte: u32| (bytes >> (8 * (selector >> (4 * byte) & 7))) as u32 & 0xff;
                    (0..4).fold(0, |word, byte| word | chosen(byte) << (8 * byte))
                });
            }

            $(
                fn $map(&mut self, mask: u32, d: Reg, sources: [Reg; elementwise!(@count $($arg)*)], f: impl Fn($($ty),*) -> $ret) {
                    self.0.$each(mask, d, sources, &f);
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        impl Lanewise for Vector<'_> {
            #[inline(always)]
            fn permute(&mut self, mask: u32, d: Reg, a: Reg, from: &Lanes) {
                // SAFETY: a `Vector` is made only in functions for AVX2.
                let value = unsafe { vectors::permute(self.get(a), from) };
                self.set(mask, d, value);
            }

            #[inline(always)]
            fn permute_bytes(&mut self, mask: u32, d: Reg, [a, b]: [Reg; 2], selector: u32) {
                // SAFETY: a `Vector` is made only in functions for AVX2.
                let value = unsafe { vectors::permute_bytes(self.get(a), self.get(b), selector) };
                self.set(mask, d, value);
            }

            $(
                #[inline(always)]
                fn $map(&mut self, mask: u32, d: Reg, [$($arg),*]: [Reg; elementwise!(@count $($arg)*)], f: impl Fn($($ty),*) -> $ret) {
                    let mut value = [0; 32];
                    $(let $arg = self.$get($arg);)*
                    for lane in 0..32 {
                        value[lane] = f($($arg[lane]),*);
                    }
                    self.$set(mask, d, value);
                }
            )*
        }
    };
    (@count $a:ident) => { 1 };
    (@count $a:ident $b:ident) => { 2 };
    (@count $a:ident $b:ident $c:ident) => { 3 };
}

/// A file whose elementwise operations are small calls; for hosts without the vector instructions.
pub(super) struct Scalar<'a>(pub &'a mut File);

/// A file whose elementwise operations are loops that LLVM vectorises for the function that they stand in. Only
/// functions compiled for AVX2 make one.
pub(super) struct Vector<'a>(pub &'a mut File);

impl std::ops::Deref for Scalar<'_> {
    type Target = File;
    fn deref(&self) -> &File {
        self.0
    }
}

impl std::ops::DerefMut for Scalar<'_> {
    fn deref_mut(&mut self) -> &mut File {
        self.0
    }
}

impl std::ops::Deref for Vector<'_> {
    type Target = File;
    #[inline(always)]
    fn deref(&self) -> &File {
        self.0
    }
}

impl std::ops::DerefMut for Vector<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut File {
        self.0
    }
}

elementwise! {
    /// `d = f(a)` on 32-bit registers.
    map1 each1 (a: get u32) -> set u32;
    /// `d = f(a, b)` on 32-bit registers.
    map2 each2 (a: get u32, b: get u32) -> set u32;
    /// `d = f(a, b, c)` on 32-bit registers.
    map3 each3 (a: get u32, b: get u32, c: get u32) -> set u32;
    /// `d = f(a)` on 64-bit registers.
    map1_64 each1_64 (a: get64 u64) -> set64 u64;
    /// `d = f(a, b)` on 64-bit registers.
    map2_64 each2_64 (a: get64 u64, b: get64 u64) -> set64 u64;
    /// `d = f(a, b, c)` on 64-bit registers.
    map3_64 each3_64 (a: get64 u64, b: get64 u64, c: get64 u64) -> set64 u64;
    /// `d = f(a, b)` with 64-bit `d` and `a`, 32-bit `b`.
    map_64_32 each_64_32 (a: get64 u64, b: get u32) -> set64 u64;
    /// 64-bit `d = f(a)` of a 32-bit register.
    widen1 each_widen1 (a: get u32) -> set64 u64;
    /// 64-bit `d = f(a, b)` of 32-bit registers.
    widen2 each_widen2 (a: get u32, b: get u32) -> set64 u64;
    /// 64-bit `d = f(a, b, c)` with 32-bit `a` and `b`, 64-bit `c`.
    widen3 each_widen3 (a: get u32, b: get u32, c: get64 u64) -> set64 u64;
    /// 32-bit `d = f(a)` of a 64-bit register.
    narrow1 each_narrow1 (a: get64 u64) -> set u32;
}
/// What LLVM does not make of loops.
#[cfg(target_arch = "x86_64")]
mod vectors {
    use super::Lanes;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(lanes: &Lanes, group: usize) -> __m256i {
        let eight: &[u32; 8] = &lanes.as_chunks().0[group];
        // SAFETY: `eight` is 32 readable bytes.
        unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(lanes: &mut Lanes, group: usize, value: __m256i) {
        let eight: &mut [u32; 8] = &mut lanes.as_chunks_mut().0[group];
        // SAFETY: `eight` is 32 writable bytes.
        unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), value) }
    }

    /// Every group of eight is permuted by the low three bits of the source; the next two choose the group.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn permute(a: &Lanes, from: &Lanes) -> Lanes {
        let groups: [__m256i; 4] = std::array::from_fn(|group| load(a, group));
        let mut value = [0; 32];
        for group in 0..4 {
            let from = load(from, group);
            let parts = groups.map(|group| _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(group, from)));
            let odd = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(from));
            let upper = _mm256_castsi256_ps(_mm256_slli_epi32::<27>(from));
            let first = _mm256_blendv_ps(parts[0], parts[1], odd);
            let second = _mm256_blendv_ps(parts[2], parts[3], odd);
            store(&mut value, group, _mm256_castps_si256(_mm256_blendv_ps(first, second, upper)));
        }
        value
    }

    /// A byte shuffle of each source, whose indices of the other's bytes give zero.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn permute_bytes(a: &Lanes, b: &Lanes, selector: u32) -> Lanes {
        let control = |other: u32| {
            let byte = |index: u32| {
                let chosen = selector >> (4 * index) & 7;
                if chosen & 4 == other { chosen & 3 } else { 0x80 }
            };
            let word = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
            // Within 16 bytes each word takes from itself.
            let keep = (0..4).fold(0, |mask, i| mask | u32::from(byte(i) != 0x80) << (8 * i));
            let words = |lane: u32| word.wrapping_add(keep * (4 * lane)) as i32;
            _mm256_setr_epi32(words(0), words(1), words(2), words(3), words(0), words(1), words(2), words(3))
        };
        let (from_a, from_b) = (control(0), control(4));
        let mut value = [0; 32];
        for group in 0..4 {
            let a = _mm256_shuffle_epi8(load(a, group), from_a);
            let b = _mm256_shuffle_epi8(load(b, group), from_b);
            store(&mut value, group, _mm256_or_si256(a, b));
        }
        value
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
