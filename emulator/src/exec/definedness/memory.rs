//! Undefined bytes of memory: what loads bring in and stores take out.

use super::Definedness;
use super::propagate::lanes;
use super::shadow::{Bits, NONE, Origin, Shadow};
use crate::check::written::Written;
use crate::exec::fragment;
use crate::exec::lanes::{FULL, lanes_of};
use crate::exec::memory::addresses;
use crate::exec::observe::{Access, AccessKind, Seen};
use crate::exec::stack;
use crate::isa::*;
use crate::memory::{Hint, Memory};

/// A bit for each undefined byte that a lane accesses, lowest address first.
type Bytes = [u32; 32];

/// The memories of a block with what was written of them.
pub(super) struct Stores<'a> {
    pub global: &'a Memory,
    pub shared: &'a Written,
    /// Local memory of all threads of the block, `local_bytes` each.
    pub local: &'a Written,
    pub local_bytes: u64,
    /// First thread of the warp.
    pub first_thread: u64,
    /// Where the global accesses of the instruction were found last.
    pub hint: &'a mut Hint,
}

impl Stores<'_> {
    /// The account of the bytes that `lane` accesses, and their place in it. `None` where nobody keeps one, or where the
    /// access will be refused.
    fn find(&mut self, access: &Access, lane: usize) -> Option<(u64, &Written)> {
        let (address, bytes) = (access.addresses[lane], u64::from(access.bytes));
        let inside = |total: u64| address.checked_add(bytes).is_some_and(|end| end <= total);
        match access.space {
            Space::Global => self.global.written(self.hint, address, bytes),
            Space::Shared => inside(self.shared.len()).then_some((address, self.shared)),
            Space::Local => {
                let start = (self.first_thread + lane as u64) * self.local_bytes;
                (inside(self.local_bytes) && start + self.local_bytes <= self.local.len())
                    .then_some((start + address, self.local))
            }
            Space::Param | Space::Generic => None,
        }
    }

    /// One account for all the bytes between the lowest and the highest address, and where they lie in it.
    fn span(&mut self, access: &Access) -> Option<(u64, u64, &Written)> {
        let (mut low, mut high) = (u64::MAX, 0);
        for lane in 0..32 {
            let active = access.mask >> lane & 1 != 0;
            low = low.min(if active { access.addresses[lane] } else { u64::MAX });
            high = high.max(if active { access.addresses[lane] } else { 0 });
        }
        let bytes = (high - low).checked_add(access.bytes.into())?;
        match access.space {
            Space::Global => {
                let (offset, written) = self.global.written(self.hint, low, bytes)?;
                Some((offset, bytes, written))
            }
            Space::Shared if low + bytes <= self.shared.len() => Some((low, bytes, self.shared)),
            _ => None,
        }
    }

    /// The undefined bytes that the lanes of an access read; `None` where there are none.
    pub(super) fn undefined(&mut self, access: &Access) -> Option<Bytes> {
        /// Above it, looking at each lane is as fast.
        const SHORT: u64 = 2048;
        if access.space == Space::Param {
            return None;
        }
        if let Some((start, bytes, written)) = self.span(access)
            && (written.is_complete() || bytes <= SHORT && written.all(start, bytes))
        {
            return None;
        }
        let (mut undefined, mut any) = ([0; 32], 0);
        for lane in lanes_of(access.mask) {
            if let Some((start, written)) = self.find(access, lane) {
                undefined[lane] = !written.bits(start, access.bytes) & u32::MAX >> (32 - access.bytes);
                any |= undefined[lane];
            }
        }
        (any != 0).then_some(undefined)
    }

    /// Notes a write, after which the bytes of `undefined` are so.
    pub(super) fn write(&mut self, access: &Access, undefined: Option<&Bytes>) {
        if undefined.is_none()
            && let Some((start, bytes, written)) = self.span(access)
        {
            let low = access.addresses[access.mask.trailing_zeros() as usize & 31];
            let consecutive = || {
                access.mask == FULL
                    && (0..32).all(|lane| access.addresses[lane] == low + u64::from(access.bytes) * lane as u64)
            };
            if written.is_complete() {
                return;
            }
            if consecutive() {
                return written.fill(start, bytes);
            }
        }
        for lane in lanes_of(access.mask) {
            if let Some((start, written)) = self.find(access, lane) {
                written.set_bits(start, access.bytes, !undefined.map_or(0, |undefined| undefined[lane]));
            }
        }
    }
}

/// Each undefined byte as eight undefined bits.
fn bits_of(bytes: u32) -> u64 {
    (0..8).filter(|byte| bytes >> byte & 1 != 0).fold(0, |bits, byte| bits | 0xff << (8 * byte))
}

/// Each byte without a defined bit: memory has one account a byte, and the fields of a byte are written one by one.
fn bytes_of(bits: u64) -> u32 {
    (0..8).filter(|byte| bits >> (8 * byte) & 0xff == 0xff).fold(0, |bytes, byte| bytes | 1 << byte)
}

/// The origin of bytes that `seen` reads and that nobody wrote.
fn origin(seen: &Seen, access: &Access, undefined: &Bytes) -> Origin {
    let lane = undefined.iter().position(|bytes| *bytes != 0).unwrap_or(0);
    let address = access.addresses[lane] + u64::from(undefined[lane].trailing_zeros());
    Origin { load: seen.position, used: NONE, lane: lane as u8, inactive: None, space: access.space, address }
}

/// The first bytes of each row of a matrix operation, as [`Access`] shows them, and where in them half `half` of what
/// `lane` holds of matrix `matrix` lies: the lane whose row it is, and the byte (PTX ISA, `ldmatrix`).
fn place_in_rows(matrix: usize, lane: usize, half: usize, transpose: bool) -> (usize, usize) {
    if transpose {
        (8 * matrix + 2 * (lane % 4) + half, 2 * (lane / 4))
    } else {
        (8 * matrix + lane / 4, 4 * (lane % 4) + 2 * half)
    }
}

/// The accesses of a matrix in registers: those of each register, lowest part first.
fn parts_of(seen: &Seen, matrix: &FragmentAccess, kind: AccessKind) -> Vec<Vec<Access>> {
    let mut accesses = Vec::new();
    fragment::each_access(seen.file, matrix, |addresses, bytes| {
        accesses.push(Access { space: matrix.space, kind, strong: false, mask: seen.mask, addresses, bytes });
    });
    let registers = matrix.operand.fragment.registers().max(1);
    accesses.chunks((accesses.len() / registers).max(1)).map(<[Access]>::to_vec).collect()
}

impl Definedness<'_> {
    /// Follows undefined bytes through an instruction that accesses memory. Its addresses are defined, or reported.
    pub(super) fn access(&mut self, seen: &Seen) {
        match &seen.instruction.op {
            Op::Load { kind, count, d, .. } => self.load(seen, *kind, &d[..*count as usize]),
            Op::Store { kind, count, a, .. } => self.store(seen, *kind, &a[..*count as usize]),
            Op::LoadMatrix { count, transpose, d, .. } => {
                self.load_matrix(seen, *transpose, &d[..*count as usize]);
            }
            Op::StoreMatrix { count, transpose, a, .. } => self.store_matrix(seen, *transpose, &a[..*count as usize]),
            Op::LoadFragment(matrix) => self.load_fragment(seen, matrix),
            Op::StoreFragment(matrix) => self.store_fragment(seen, matrix),
            Op::CopyAsync { to, from, bytes, source_bytes } => {
                self.copy(seen, *to, *from, (*bytes).into(), *source_bytes);
            }
            // One that was never initialised is a fault.
            Op::Mbarrier(object) => self.each_access(seen, |stores, shadow, access| {
                stores.write(access, None);
                if let Some(d) = object.d.filter(|d| shadow.is_undefined(*d, true)) {
                    shadow.put(access.mask, d, true, &[0; 32], Origin::REGISTER);
                }
                object.p.iter().for_each(|p| shadow.put_predicate(access.mask, *p, 0, Origin::REGISTER));
            }),
            Op::StackAllocate { d, top, a, bytes, alignment } => {
                let (tops, sizes) = (seen.file.get64(*a), seen.file.get64(*bytes));
                let taken = |lane: usize| stack::extent(tops[lane], sizes[lane], *alignment);
                self.change_stack(seen, &[*d, *top], taken);
            }
            Op::StackRestore { top, a, b } => {
                let (tops, to) = (seen.file.get64(*a), seen.file.get64(*b));
                self.change_stack(seen, &[*top], |lane| Some((to[lane], tops[lane])));
            }
            Op::Atomic { op, ty, d, b, c, .. } => self.atomic(seen, *op, *ty, *d, [*b, *c]),
            _ => {}
        }
    }

    /// Calls `see` for each access of the instruction.
    fn each_access(&mut self, seen: &Seen, mut see: impl FnMut(&mut Stores, &mut Shadow, &Access)) {
        self.with_stores(seen, |stores, shadow| seen.accesses(|access| see(stores, shadow, access)));
    }

    /// Lets `act` at the memories that the instruction sees, and at the warp's registers.
    fn with_stores(&mut self, seen: &Seen, act: impl FnOnce(&mut Stores, &mut Shadow)) {
        self.fit_local(seen);
        let local_bytes = seen.local_bytes as u64;
        let mut stores = Stores {
            global: seen.grid.memory,
            shared: &self.shared,
            local: &self.local,
            local_bytes,
            first_thread: 32 * seen.number as u64,
            hint: &mut self.hints[seen.position as usize],
        };
        act(&mut stores, &mut self.warps[seen.number]);
    }

    /// Memory of the stack that is taken or given back, from the first byte to the second, is undefined again; the
    /// registers `d` hold addresses.
    fn change_stack(&mut self, seen: &Seen, d: &[Reg], part: impl Fn(usize) -> Option<(u64, u64)>) {
        self.with_stores(seen, |stores, shadow| {
            for lane in lanes_of(seen.mask) {
                if let Some((start, end)) = part(lane).filter(|(start, end)| start < end && *end <= stores.local_bytes)
                {
                    let first = (stores.first_thread + lane as u64) * stores.local_bytes;
                    stores.local.forget(first + start, end - start);
                }
            }
            for d in d.iter().filter(|d| shadow.is_undefined(**d, true)).copied().collect::<Vec<_>>() {
                shadow.put(seen.mask, d, true, &[0; 32], Origin::REGISTER);
            }
        });
    }

    fn load(&mut self, seen: &Seen, kind: MemoryKind, d: &[Reg]) {
        let wide = kind.width == Width::W64;
        self.each_access(seen, |stores, shadow, access| {
            let undefined = stores.undefined(access);
            if undefined.is_none() && !d.iter().any(|d| shadow.is_undefined(*d, wide)) {
                return;
            }
            let undefined = undefined.unwrap_or([0; 32]);
            let origin = origin(seen, access, &undefined);
            let unused = 64 - 8 * u32::from(kind.bytes);
            for (index, d) in d.iter().enumerate() {
                let first = kind.bytes as usize * index;
                let element = |lane: usize| {
                    let bytes = undefined[lane] >> first & u32::MAX >> (32 - kind.bytes);
                    let bits = bits_of(bytes) << unused;
                    if kind.signed { (bits as i64 >> unused) as u64 } else { bits >> unused }
                };
                let bits = std::array::from_fn(element);
                shadow.put(access.mask, *d, wide, &bits, origin);
            }
        });
    }

    fn store(&mut self, seen: &Seen, kind: MemoryKind, a: &[Reg]) {
        let wide = kind.width == Width::W64;
        let shadow = &self.warps[seen.number];
        let dirty: Vec<Reg> = a.iter().copied().filter(|a| shadow.is_undefined(*a, wide)).collect();
        if dirty.is_empty() {
            return self.each_access(seen, |stores, _, access| stores.write(access, None));
        }
        let values: Vec<Bits> = a.iter().map(|a| shadow.get(*a, wide)).collect();
        let origins: Vec<Origin> = a.iter().map(|a| shadow.origin(*a, wide)).collect();
        let mut undefined = [0; 32];
        for (index, bits) in values.iter().enumerate() {
            for lane in lanes_of(seen.mask) {
                let bytes = bytes_of(bits[lane]) & u32::MAX >> (32 - kind.bytes);
                undefined[lane] |= bytes << (kind.bytes as usize * index);
            }
        }
        let (mut visible, mut other) = (0, 0);
        seen.accesses(|access| {
            let mask = if access.space == Space::Local { &mut other } else { &mut visible };
            *mask |= access.mask;
        });
        // What a thread keeps for itself may still be thrown away.
        for (bits, origin) in values.iter().zip(&origins) {
            let keep = u64::MAX >> (64 - 8 * u32::from(kind.bytes));
            let wrong = lanes(|lane| bits[lane] & keep != 0) & visible;
            if wrong != 0 && origin.load != NONE && origin.used != NONE {
                self.undefined_value(seen, wrong, *origin, "is stored");
                lanes_of(wrong).for_each(|lane| undefined[lane] = 0);
            }
        }
        self.each_access(seen, |stores, _, access| stores.write(access, Some(&undefined)));
    }

    fn load_matrix(&mut self, seen: &Seen, transpose: bool, d: &[Reg]) {
        self.each_access(seen, |stores, shadow, access| {
            let undefined = stores.undefined(access);
            if undefined.is_none() && !d.iter().any(|d| shadow.is_undefined(*d, false)) {
                return;
            }
            let undefined = undefined.unwrap_or([0; 32]);
            let origin = origin(seen, access, &undefined);
            for (matrix, d) in d.iter().enumerate() {
                let bits = std::array::from_fn(|lane| {
                    (0..2).fold(0, |bits, half| {
                        let (row, byte) = place_in_rows(matrix, lane, half, transpose);
                        bits | bits_of(undefined[row] >> byte & 0b11) << (16 * half)
                    })
                });
                shadow.put(FULL, *d, false, &bits, origin);
            }
        });
    }

    fn store_matrix(&mut self, seen: &Seen, transpose: bool, a: &[Reg]) {
        let shadow = &self.warps[seen.number];
        let mut undefined = [0; 32];
        let mut used = None;
        for (matrix, a) in a.iter().enumerate().filter(|(_, a)| shadow.is_undefined(**a, false)) {
            let (bits, origin) = (shadow.get(*a, false), shadow.origin(*a, false));
            for (lane, half) in (0..32).flat_map(|lane| [(lane, 0), (lane, 1)]) {
                let (row, byte) = place_in_rows(matrix, lane, half, transpose);
                undefined[row] |= bytes_of(bits[lane] >> (16 * half) & 0xffff) << byte;
            }
            if origin.load != NONE && origin.used != NONE {
                used = Some((origin, lanes(|lane| bits[lane] != 0)));
            }
        }
        if let Some((origin, wrong)) = used {
            self.undefined_value(seen, wrong, origin, "is stored");
            undefined = [0; 32];
        }
        self.each_access(seen, |stores, _, access| stores.write(access, Some(&undefined)));
    }

    /// `wmma.load`: register by register, part by part.
    fn load_fragment(&mut self, seen: &Seen, matrix: &FragmentAccess) {
        let wide = matrix.operand.fragment.element == Element::F64;
        let parts = parts_of(seen, matrix, AccessKind::Read);
        self.with_stores(seen, |stores, shadow| {
            for (index, reg) in matrix.operand.registers.iter().enumerate() {
                let (mut bits, mut from) = ([0; 32], Origin::REGISTER);
                for (part, access) in parts[index % parts.len()].iter().enumerate() {
                    seen.by_space(access.clone(), &mut |access| {
                        let Some(undefined) = stores.undefined(access) else { return };
                        from = origin(seen, access, &undefined);
                        let shift = 8 * access.bytes as usize * part;
                        lanes_of(access.mask).for_each(|lane| bits[lane] |= bits_of(undefined[lane]) << shift);
                    });
                }
                if shadow.is_undefined(*reg, wide) || bits != [0; 32] {
                    shadow.put(FULL, *reg, wide, &bits, from);
                }
            }
        });
    }

    /// `wmma.store`
    fn store_fragment(&mut self, seen: &Seen, matrix: &FragmentAccess) {
        let wide = matrix.operand.fragment.element == Element::F64;
        let parts = parts_of(seen, matrix, AccessKind::Write);
        for (index, reg) in matrix.operand.registers.iter().enumerate() {
            let shadow = &self.warps[seen.number];
            let (mut bits, origin) = (shadow.get(*reg, wide), shadow.origin(*reg, wide));
            let wrong = lanes(|lane| bits[lane] != 0);
            if wrong != 0 && origin.load != NONE && origin.used != NONE {
                self.undefined_value(seen, wrong, origin, "is stored");
                bits = [0; 32];
            }
            self.with_stores(seen, |stores, _| {
                for (part, access) in parts[index % parts.len()].iter().enumerate() {
                    let shift = 8 * access.bytes as usize * part;
                    let undefined = bits.map(|bits| bytes_of(bits >> shift) & u32::MAX >> (32 - access.bytes));
                    seen.by_space(access.clone(), &mut |access| stores.write(access, Some(&undefined)));
                }
            });
        }
    }

    /// `cp.async`, as if it happened at once: undefined bytes are copied along.
    fn copy(&mut self, seen: &Seen, to: Address, from: Address, bytes: u32, source_bytes: Option<Reg>) {
        let sizes = source_bytes.map_or([bytes; 32], |reg| seen.file.get(reg).map(|size| size.min(bytes)));
        let access = |space, kind, address| {
            let addresses = addresses(seen.file, address);
            Access { space, kind, strong: false, mask: seen.mask, addresses, bytes }
        };
        let read = access(Space::Global, AccessKind::Read, from);
        let write = access(Space::Shared, AccessKind::Write, to);
        self.each_access(seen, |stores, _, shown| {
            if shown.kind != AccessKind::Write {
                return;
            }
            let undefined = if sizes.iter().all(|size| *size == bytes) {
                stores.undefined(&read)
            } else {
                let mut undefined = [0; 32];
                for lane in lanes_of(seen.mask).filter(|lane| sizes[*lane] > 0) {
                    let part = Access { mask: 1 << lane, bytes: sizes[lane], ..read.clone() };
                    undefined[lane] = stores.undefined(&part).map_or(0, |bytes| bytes[lane]);
                }
                undefined.iter().any(|bytes| *bytes != 0).then_some(undefined)
            };
            stores.write(&write, undefined.as_ref());
        });
    }

    fn atomic(&mut self, seen: &Seen, op: AtomicOp, ty: AtomicType, d: Option<[Reg; 2]>, operands: [[Reg; 2]; 2]) {
        let wide = ty.bytes() >= 8;
        let d = d.iter().flat_map(|d| &d[..ty.registers()]);
        let operands = &operands[..if op == AtomicOp::CompareExchange { 2 } else { 1 }];
        for reg in operands.iter().flat_map(|operand| &operand[..ty.registers()]) {
            let bits = self.warps[seen.number].get(*reg, wide);
            let wrong = lanes(|lane| bits[lane] != 0) & seen.mask;
            let origin = self.warps[seen.number].origin(*reg, wide);
            if wrong != 0 && origin.load != NONE {
                self.undefined_value(seen, wrong, origin, "is an operand of an atomic operation");
            }
        }
        let mut found = None;
        self.each_access(seen, |stores, shadow, access| {
            let undefined = stores.undefined(access);
            stores.write(access, None);
            // An exchange moves what was there; of any other operation the first lane's result is reported.
            let moved = undefined.filter(|_| op == AtomicOp::Exchange);
            for (half, d) in d.clone().enumerate() {
                if undefined.is_some() || shadow.is_undefined(*d, wide) {
                    let bits = moved.map_or([0; 32], |undefined| undefined.map(|bytes| bits_of(bytes >> (8 * half))));
                    shadow.put(access.mask, *d, wide, &bits, origin(seen, access, &undefined.unwrap_or([0; 32])));
                }
            }
            if let Some(undefined) = undefined.filter(|_| op != AtomicOp::Exchange) {
                found = Some((lanes(|lane| undefined[lane] != 0), origin(seen, access, &undefined)));
            }
        });
        if let Some((wrong, origin)) = found {
            self.undefined_value(seen, wrong, origin, "is changed by an atomic operation");
        }
    }
}
