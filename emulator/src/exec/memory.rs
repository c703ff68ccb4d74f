//! Loads, stores and atomics: addresses are checked for a whole warp, then the data move.

use super::half::Lanes;
use super::lanes::{FULL, File, Lanes64, lanes_of, per_level};
use super::{LOCAL_WINDOW, PARAMETER_WINDOW, SHARED_WINDOW, WINDOW_BYTES};
use crate::isa::{Address, MemoryKind, Reg, Space, Width};
use crate::memory::{Allocation, Memory};
use crate::report::Fault as Kind;
use std::ops::Range;

/// Something a kernel did that hardware refuses or leaves undefined.
#[derive(Debug)]
pub(super) struct Fault {
    pub message: String,
    /// The lane that did it, where one can be named.
    pub lane: Option<usize>,
    /// What the host is told.
    pub kind: Kind,
    /// Space and address of the access that was refused.
    pub access: Option<(Space, u64)>,
}

impl Fault {
    pub(super) fn new(lane: Option<usize>, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { message: message.into(), lane, kind: Kind::LaunchFailed, access: None })
    }

    /// The same, told to the host as `kind`.
    pub(super) fn of(mut self: Box<Self>, kind: Kind) -> Box<Fault> {
        self.kind = kind;
        self
    }

    /// The same, of an access to `address` of `space`.
    pub(super) fn accessing(mut self: Box<Self>, space: Space, address: u64) -> Box<Fault> {
        self.access = Some((space, address));
        self
    }
}

pub(super) type Checked<T> = Result<T, Box<Fault>>;

/// What an instruction's last access to global memory was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// The allocation that it hit.
    allocation: Allocation,
    /// The address of a row that it loaded.
    row: u64,
}

impl Hit {
    pub(super) const NONE: Hit = Hit { allocation: Allocation { start: 0, bytes: 0 }, row: 0 };
}

/// The memories that a warp sees.
pub(super) struct View<'a> {
    pub global: &'a Memory,
    pub shared: &'a mut [u8],
    /// The part of shared memory that the system reserves, and its offset. Empty where the kernel does not ask for it.
    pub reserved: &'a mut [u8],
    pub reserved_start: u64,
    /// Local memory of the warp's lanes, `local_bytes` each, as [`local_place`] lays it out.
    pub local: &'a mut [u8],
    pub local_bytes: usize,
    /// Where each lane's local memory ends now: what of the stack is free is nobody's.
    pub local_ends: &'a mut Lanes64,
    pub parameters: &'a [u8],
    /// For each instruction its last access.
    pub hits: &'a mut [Hit],
    /// The instruction that accesses memory.
    pub position: usize,
}

/// The addresses of a register operand, widened, with the offset added.
#[inline(always)]
pub(super) fn addresses(file: &File, address: Address) -> Lanes64 {
    let offset = i64::from(address.offset);
    let mut result = [0; 32];
    if address.wide {
        let base = file.get64(address.base);
        for lane in 0..32 {
            result[lane] = base[lane].wrapping_add_signed(offset);
        }
    } else {
        let base = file.get(address.base);
        for lane in 0..32 {
            result[lane] = u64::from(base[lane].wrapping_add(offset as u32));
        }
    }
    result
}

/// How the lanes of a whole warp address memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    /// Each right behind the one before, from this address on.
    Consecutive(u64),
    /// All at this address.
    Uniform(u64),
    Other,
}

/// The pattern of accesses of `bytes`; only whole warps are looked at.
#[inline(always)]
fn pattern(file: &File, address: Address, mask: u32, bytes: u64) -> Pattern {
    if mask != FULL {
        return Pattern::Other;
    }
    let (first, stride, steady) = if address.wide {
        let base = file.get64(address.base);
        let stride = base[1].wrapping_sub(base[0]);
        let mut different = 0;
        for lane in 0..32 {
            different |= base[lane] ^ base[0].wrapping_add(stride.wrapping_mul(lane as u64));
        }
        (base[0].wrapping_add_signed(address.offset.into()), stride, different == 0)
    } else {
        let base = file.get(address.base);
        let stride = base[1].wrapping_sub(base[0]);
        let mut different = 0;
        for lane in 0..32 {
            different |= base[lane] ^ base[0].wrapping_add(stride.wrapping_mul(lane as u32));
        }
        (base[0].wrapping_add(address.offset as u32).into(), stride.into(), different == 0)
    };
    match stride {
        0 if steady => Pattern::Uniform(first),
        _ if steady && stride == bytes => Pattern::Consecutive(first),
        _ => Pattern::Other,
    }
}

/// The addresses with those of inactive lanes replaced by an active lane's, so that checks need no mask.
#[inline(always)]
fn of_active(addresses: &mut Lanes64, mask: u32) {
    if mask != FULL {
        let first = addresses[mask.trailing_zeros() as usize & 31];
        for lane in 0..32 {
            addresses[lane] = if mask >> lane & 1 != 0 { addresses[lane] } else { first };
        }
    }
}

/// Whether any of the values is at least `limit`.
#[inline(always)]
fn any_beyond(values: &Lanes64, limit: u64) -> bool {
    let mut beyond = 0u64;
    for lane in 0..32 {
        beyond |= u64::from(values[lane] >= limit);
    }
    beyond != 0
}

impl View<'_> {
    #[inline(always)]
    fn hit(&self) -> Allocation {
        self.hits[self.position].allocation
    }

    /// Asks the host's cache for the row that the instruction is likely to load the time after next: warps go on in
    /// strides of the whole grid, which no prefetcher of the host foresees.
    #[inline(always)]
    fn prefetch(&mut self, row: u64, bytes: u64) {
        let hit = &mut self.hits[self.position];
        let stride = row.wrapping_sub(hit.row);
        hit.row = row;
        #[cfg(target_arch = "x86_64")]
        for line in (0..bytes).step_by(64) {
            let next = row.wrapping_add(stride.wrapping_mul(2)).wrapping_add(line);
            // SAFETY: a prefetch touches no memory; any address will do.
            unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(next as *const i8) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (stride, bytes);
    }

    /// Checks accesses of `bytes` at `addresses` by the lanes of `mask` and turns them into host pointers. Inactive
    /// lanes get the pointer of an active one.
    #[inline(always)]
    pub(super) fn resolve(&mut self, space: Space, addresses: &mut Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        of_active(addresses, mask);
        let mut misaligned = 0;
        for lane in 0..32 {
            misaligned |= addresses[lane];
        }
        if misaligned & (bytes - 1) != 0 {
            return Err(misaligned_access(space, addresses, mask, bytes));
        }
        match space {
            Space::Shared => self.in_shared(addresses, mask, bytes),
            Space::Global => self.in_global(addresses, mask, bytes),
            Space::Local => self.in_local(addresses, mask, bytes),
            Space::Param => self.in_parameters(addresses, mask, bytes),
            // Windows lie above every address of the host.
            Space::Generic if any_beyond(addresses, SHARED_WINDOW) => self.in_windows(addresses, mask, bytes),
            Space::Generic => self.in_global(addresses, mask, bytes),
        }
    }

    /// Checks one access of `bytes` that all lanes share in common, aligned to `alignment`, and gives its host pointer.
    /// `None` where the access is wrong or needs a closer look: [`View::resolve`] then says which.
    #[inline(always)]
    fn resolve_run(&mut self, space: Space, address: u64, bytes: u64, alignment: u64) -> Option<u64> {
        if address & (alignment - 1) != 0 {
            return None;
        }
        match space {
            Space::Shared => {
                let inside = address <= self.shared.len() as u64 && bytes <= self.shared.len() as u64 - address;
                inside.then(|| self.shared.as_mut_ptr() as u64 + address)
            }
            Space::Global | Space::Generic => self.hit().holds(address, bytes).then_some(address),
            Space::Local | Space::Param => None,
        }
    }

    #[inline(always)]
    fn in_shared(&mut self, addresses: &mut Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        if any_beyond(addresses, (self.shared.len() as u64).saturating_sub(bytes - 1)) {
            return self.in_reserved(addresses, mask, bytes);
        }
        let base = self.shared.as_mut_ptr() as u64;
        for lane in 0..32 {
            addresses[lane] += base;
        }
        Ok(())
    }

    /// The slow way: lanes may access what the system reserves.
    #[cold]
    #[inline(never)]
    fn in_reserved(&mut self, addresses: &mut Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        let (own, reserved) = (self.shared.len() as u64, self.reserved.len() as u64);
        let fits = |offset: u64, total: u64| offset < total.saturating_sub(bytes - 1);
        let start = self.reserved_start;
        let is_reserved = |address: u64| address >= start && fits(address - start, reserved);
        if let Some(lane) = lanes_of(mask).find(|lane| !fits(addresses[*lane], own) && !is_reserved(addresses[*lane])) {
            return Err(self.outside_shared(lane, addresses[lane], bytes));
        }
        let bases = [self.shared.as_mut_ptr() as u64, self.reserved.as_mut_ptr() as u64];
        for address in addresses {
            *address = if fits(*address, own) { bases[0] + *address } else { bases[1] + (*address - start) };
        }
        Ok(())
    }

    fn outside_shared(&self, lane: usize, address: u64, bytes: u64) -> Box<Fault> {
        let total = self.shared.len();
        let message =
            format!("access of {bytes} bytes at shared address {address:#x}, but the block has {total} bytes");
        Fault::new(Some(lane), message).of(Kind::IllegalAddress).accessing(Space::Shared, address)
    }

    #[inline(always)]
    fn in_global(&mut self, addresses: &Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        let hit = self.hit();
        let (start, end) = (hit.start, hit.bytes.saturating_sub(bytes - 1));
        let mut beyond = 0u64;
        for lane in 0..32 {
            beyond |= u64::from(addresses[lane].wrapping_sub(start) >= end);
        }
        if beyond != 0 { self.find_each(addresses, mask, bytes) } else { Ok(()) }
    }

    /// The slow way: asks for the allocation of every lane that the last one does not hold.
    #[cold]
    #[inline(never)]
    fn find_each(&mut self, addresses: &Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        for lane in lanes_of(mask) {
            let address = addresses[lane];
            if self.hit().holds(address, bytes) {
                continue;
            }
            match self.global.find(address) {
                Some(found) if found.holds(address, bytes) => self.hits[self.position].allocation = found,
                found => {
                    let at = if address == 0 { "the null address".into() } else { format!("{address:#x}") };
                    let how =
                        if found.is_some() { "across the end of its allocation" } else { "outside every allocation" };
                    let fault = Fault::new(Some(lane), format!("access of {bytes} bytes at {at}, {how}"));
                    return Err(fault.of(Kind::IllegalAddress).accessing(Space::Global, address));
                }
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn in_local(&mut self, addresses: &mut Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        let limit = |lane: usize| self.local_ends[lane].saturating_sub(bytes - 1);
        let base = self.local.as_mut_ptr() as u64;
        if let Some(lane) = lanes_of(mask).find(|lane| addresses[*lane] >= limit(*lane)) {
            let message = format!(
                "access of {bytes} bytes at local address {:#x}, but a thread has {} bytes",
                addresses[lane], self.local_ends[lane]
            );
            let fault = Fault::new(Some(lane), message).of(Kind::IllegalAddress);
            return Err(fault.accessing(Space::Local, addresses[lane]));
        }
        for (lane, address) in addresses.iter_mut().enumerate() {
            *address = base + local_place(lane, *address);
        }
        Ok(())
    }

    /// Fills local memory of a lane, which must be inside, with the pattern of what was never written.
    pub(super) fn spoil_local(&mut self, lane: usize, Range { mut start, end }: Range<u64>) {
        while start < end {
            let piece = (start / LOCAL_PIECE + 1) * LOCAL_PIECE;
            let place = local_place(lane, start) as usize;
            self.local[place..][..(piece.min(end) - start) as usize].fill(0xff);
            start = piece;
        }
    }

    #[inline(never)]
    fn in_parameters(&mut self, addresses: &mut Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        let limit = (self.parameters.len() as u64).saturating_sub(bytes - 1);
        if let Some(lane) = lanes_of(mask).find(|lane| addresses[*lane] >= limit) {
            return Err(Fault::new(Some(lane), format!("access of {bytes} bytes past the kernel's parameters"))
                .of(Kind::IllegalAddress));
        }
        let base = self.parameters.as_ptr() as u64;
        addresses.iter_mut().for_each(|address| *address += base);
        Ok(())
    }

    /// Generic addresses: every lane into the window that its address names.
    #[inline(never)]
    fn in_windows(&mut self, addresses: &mut Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        let mut left = mask;
        let mut pointers = *addresses;
        for (space, window) in
            [(Space::Shared, SHARED_WINDOW), (Space::Local, LOCAL_WINDOW), (Space::Param, PARAMETER_WINDOW)]
        {
            let inside = lanes_in_window(addresses, window) & mask;
            if inside != 0 {
                let mut offsets = addresses.map(|address| address.wrapping_sub(window));
                of_active(&mut offsets, inside);
                match space {
                    Space::Shared => self.in_shared(&mut offsets, inside, bytes)?,
                    Space::Local => self.in_local(&mut offsets, inside, bytes)?,
                    _ => self.in_parameters(&mut offsets, inside, bytes)?,
                }
                lanes_of(inside).for_each(|lane| pointers[lane] = offsets[lane]);
                left &= !inside;
            }
        }
        if left != 0 {
            of_active(addresses, left);
            self.in_global(addresses, left, bytes)?;
        }
        *addresses = pointers;
        Ok(())
    }
}

/// Bytes of a thread's local memory that lie together; those of the warp's other lanes lie beside them, so that frames
/// of the same depth share pages. No access is larger.
const LOCAL_PIECE: u64 = 64;

/// Bytes that the local memory of a warp takes when each thread has `bytes`.
pub(super) fn local_storage(bytes: usize) -> usize {
    bytes.next_multiple_of(LOCAL_PIECE as usize) * 32
}

/// Where local address `address` of a lane lies in its warp's storage.
#[inline(always)]
pub(super) fn local_place(lane: usize, address: u64) -> u64 {
    (address / LOCAL_PIECE * 32 + lane as u64) * LOCAL_PIECE + address % LOCAL_PIECE
}

#[cold]
#[inline(never)]
fn misaligned_access(space: Space, addresses: &Lanes64, mask: u32, bytes: u64) -> Box<Fault> {
    let lane = lanes_of(mask).find(|lane| addresses[*lane] & (bytes - 1) != 0);
    let address = lane.map_or(0, |lane| addresses[lane]);
    let name = match space {
        Space::Global => "global",
        Space::Shared => "shared",
        Space::Local => "local",
        Space::Param => "parameter",
        Space::Generic => "generic",
    };
    Fault::new(lane, format!("misaligned access of {bytes} bytes at {name} address {address:#x}"))
        .of(Kind::MisalignedAddress)
        .accessing(space, address)
}

/// The lanes whose generic address lies in the window that begins at `window`.
pub(super) fn lanes_in_window(addresses: &Lanes64, window: u64) -> u32 {
    let mut inside = 0;
    for lane in 0..32 {
        inside |= u32::from(addresses[lane].wrapping_sub(window) < WINDOW_BYTES) << lane;
    }
    inside
}

/// Reads `N` bytes that a check found accessible.
#[inline(always)]
pub(super) fn read<const N: usize>(pointer: u64) -> [u8; N] {
    // SAFETY: `View::resolve` gave the pointer for an access of at least `N` bytes.
    unsafe { (pointer as *const [u8; N]).read_unaligned() }
}

#[inline(always)]
pub(super) fn write<const N: usize>(pointer: u64, bytes: [u8; N]) {
    // SAFETY: `View::resolve` gave the pointer for an access of at least `N` bytes.
    unsafe { (pointer as *mut [u8; N]).write_unaligned(bytes) }
}

/// A loaded element, extended to 64 bits.
#[inline(always)]
fn read_element(pointer: u64, kind: MemoryKind) -> u64 {
    match (kind.bytes, kind.signed) {
        (1, false) => u64::from(read::<1>(pointer)[0]),
        (1, true) => read::<1>(pointer)[0] as i8 as u64,
        (2, false) => u64::from(u16::from_le_bytes(read(pointer))),
        (2, true) => i16::from_le_bytes(read(pointer)) as u64,
        (4, false) => u64::from(u32::from_le_bytes(read(pointer))),
        (4, true) => i32::from_le_bytes(read(pointer)) as u64,
        _ => u64::from_le_bytes(read(pointer)),
    }
}

per_level! {
    /// Loads `d.len()` elements a lane.
    pub(super) fn load(
        file: &mut File,
        view: &mut View,
        mask: u32,
        space: Space,
        kind: MemoryKind,
        d: &[Reg],
        address: Address,
    ) -> Checked<()> {
        let bytes = u64::from(kind.bytes) * d.len() as u64;
        let run = match pattern(&file, address, mask, bytes) {
            Pattern::Consecutive(first) => view.resolve_run(space, first, 32 * bytes, bytes).map(|p| (p, bytes)),
            Pattern::Uniform(first) => view.resolve_run(space, first, bytes, bytes).map(|p| (p, 0)),
            Pattern::Other => None,
        };
        let mut pointers = [0; 32];
        if let Some((first, stride)) = run {
            if space == Space::Global && stride > 0 {
                view.prefetch(first, 32 * bytes);
            }
            if let (4, Width::W32, [d], 4) = (kind.bytes, kind.width, d, stride) {
                file.set(mask, *d, read_row(first));
                return Ok(());
            }
            for lane in 0..32 {
                pointers[lane] = first + stride * lane as u64;
            }
        } else {
            pointers = addresses(&file, address);
            view.resolve(space, &mut pointers, mask, bytes)?;
        }
        for (index, d) in d.iter().enumerate() {
            load_elements(&mut file, &pointers, mask, kind, *d, u64::from(kind.bytes) * index as u64);
        }
        Ok(())
    }
}

/// Does something for every lane of `mask`; whole warps get a loop without bits.
#[inline(always)]
fn each_lane(mask: u32, mut f: impl FnMut(usize)) {
    if mask == FULL {
        for lane in 0..32 {
            f(lane);
        }
    } else {
        lanes_of(mask).for_each(f);
    }
}

/// Loads one element a lane.
#[inline(always)]
fn load_elements(file: &mut File, pointers: &Lanes64, mask: u32, kind: MemoryKind, d: Reg, offset: u64) {
    if kind.width != Width::W64 && !kind.signed {
        let mut value = [0u32; 32];
        match kind.bytes {
            4 => each_lane(mask, |lane| value[lane] = u32::from_le_bytes(read(pointers[lane] + offset))),
            2 => each_lane(mask, |lane| value[lane] = u16::from_le_bytes(read(pointers[lane] + offset)).into()),
            _ => each_lane(mask, |lane| value[lane] = read::<1>(pointers[lane] + offset)[0].into()),
        }
        file.set(mask, d, value);
        return;
    }
    let mut value = [0; 32];
    if kind.bytes == 8 {
        each_lane(mask, |lane| value[lane] = u64::from_le_bytes(read(pointers[lane] + offset)));
    } else {
        lanes_of(mask).for_each(|lane| value[lane] = read_element(pointers[lane] + offset, kind));
    }
    set_any(file, mask, kind.width, d, value);
}

/// 32 consecutive words.
#[inline(always)]
fn read_row(pointer: u64) -> Lanes {
    // SAFETY: the access was checked for 32 lanes without gaps, so that 128 bytes are accessible.
    unsafe { (pointer as *const Lanes).read_unaligned() }
}

/// Writes extended values to a register of `width`.
#[inline(always)]
pub(super) fn set_any(file: &mut File, mask: u32, width: Width, d: Reg, value: Lanes64) {
    match width {
        Width::W64 => file.set64(mask, d, value),
        Width::W32 => file.set(mask, d, value.map(|v| v as u32)),
        Width::W16 => file.set(mask, d, value.map(|v| v as u32 & 0xffff)),
    }
}

per_level! {
    /// Stores `a.len()` elements a lane; where lanes overlap the highest wins.
    pub(super) fn store(
        file: &mut File,
        view: &mut View,
        mask: u32,
        space: Space,
        kind: MemoryKind,
        a: &[Reg],
        address: Address,
    ) -> Checked<()> {
        let bytes = u64::from(kind.bytes) * a.len() as u64;
        let run = match pattern(&file, address, mask, bytes) {
            Pattern::Consecutive(first) => view.resolve_run(space, first, 32 * bytes, bytes),
            Pattern::Uniform(_) | Pattern::Other => None,
        };
        let mut pointers = [0; 32];
        if let Some(first) = run {
            if let (4, Width::W32, [a]) = (kind.bytes, kind.width, a) {
                // SAFETY: the access was checked for 32 lanes without gaps, so that 128 bytes are accessible.
                unsafe { (first as *mut Lanes).write_unaligned(*file.get(*a)) };
                return Ok(());
            }
            for lane in 0..32 {
                pointers[lane] = first + bytes * lane as u64;
            }
        } else {
            pointers = addresses(&file, address);
            view.resolve(space, &mut pointers, mask, bytes)?;
        }
        for (index, a) in a.iter().enumerate() {
            store_elements(&file, &pointers, mask, kind, *a, u64::from(kind.bytes) * index as u64);
        }
        Ok(())
    }
}

/// Stores one element a lane.
#[inline(always)]
fn store_elements(file: &File, pointers: &Lanes64, mask: u32, kind: MemoryKind, a: Reg, offset: u64) {
    if kind.width == Width::W64 {
        let value = file.get64(a);
        match kind.bytes {
            8 => each_lane(mask, |lane| write(pointers[lane] + offset, value[lane].to_le_bytes())),
            _ => lanes_of(mask).for_each(|lane| write_element(pointers[lane] + offset, value[lane], kind.bytes)),
        }
        return;
    }
    let value = file.get(a);
    match kind.bytes {
        4 => each_lane(mask, |lane| write(pointers[lane] + offset, value[lane].to_le_bytes())),
        2 => each_lane(mask, |lane| write(pointers[lane] + offset, (value[lane] as u16).to_le_bytes())),
        _ => each_lane(mask, |lane| write(pointers[lane] + offset, [value[lane] as u8])),
    }
}

/// Stores the low bytes of a 64-bit register.
#[inline(always)]
fn write_element(pointer: u64, value: u64, bytes: u8) {
    match bytes {
        1 => write(pointer, [value as u8]),
        2 => write(pointer, (value as u16).to_le_bytes()),
        _ => write(pointer, (value as u32).to_le_bytes()),
    }
}
