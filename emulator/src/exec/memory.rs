//! Loads, stores and atomics: addresses are checked for a whole warp, then the data move.

use super::half::Lanes;
use super::lanes::{FULL, File, Lanes64, lanes_of, per_level};
use super::{LOCAL_WINDOW, PARAMETER_WINDOW, SHARED_WINDOW, WINDOW_BYTES};
use crate::isa::{Address, MemoryKind, Reg, Space, Width};
use crate::memory::{Allocation, Memory};

/// Something a kernel did that hardware refuses or leaves undefined.
#[derive(Debug)]
pub(super) struct Fault {
    pub message: String,
    /// The lane that did it, where one can be named.
    pub lane: Option<usize>,
}

impl Fault {
    pub(super) fn new(lane: Option<usize>, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { message: message.into(), lane })
    }
}

pub(super) type Checked<T> = Result<T, Box<Fault>>;

/// The memories that a warp sees.
pub(super) struct View<'a> {
    pub global: &'a Memory,
    pub shared: &'a mut [u8],
    /// Local memory of the warp's lanes, `local_bytes` each.
    pub local: &'a mut [u8],
    pub local_bytes: usize,
    pub parameters: &'a [u8],
    /// The allocation that the last access of this instruction hit.
    pub hit: &'a mut Allocation,
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

/// Whether lane `i` accesses the `bytes` right behind lane `i - 1`'s, for all 32.
#[inline(always)]
fn consecutive(addresses: &Lanes64, bytes: u64) -> bool {
    let mut different = 0;
    for lane in 0..32 {
        different |= addresses[lane] ^ (addresses[0].wrapping_add(lane as u64 * bytes));
    }
    different == 0
}

/// Host pointers of the active lanes' accesses.
pub(super) struct Resolved {
    pub pointers: Lanes64,
    /// All 32 lanes are active and access memory without gaps.
    pub consecutive: bool,
}

/// The addresses with those of inactive lanes replaced by an active lane's, so that checks need no mask.
#[inline(always)]
fn of_active(mut addresses: Lanes64, mask: u32) -> Lanes64 {
    if mask != FULL {
        let first = addresses[mask.trailing_zeros() as usize & 31];
        for lane in 0..32 {
            addresses[lane] = if mask >> lane & 1 != 0 { addresses[lane] } else { first };
        }
    }
    addresses
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
    /// Checks accesses of `bytes` at `addresses` by the lanes of `mask` and gives their host pointers. Inactive lanes
    /// get the pointer of an active one.
    #[inline(always)]
    pub(super) fn resolve(&mut self, space: Space, addresses: Lanes64, mask: u32, bytes: u64) -> Checked<Resolved> {
        let addresses = of_active(addresses, mask);
        let mut misaligned = 0;
        for lane in 0..32 {
            misaligned |= addresses[lane];
        }
        if misaligned & (bytes - 1) != 0 {
            return Err(self.misaligned(space, &addresses, mask, bytes));
        }
        let consecutive = mask == FULL && consecutive(&addresses, bytes);
        let pointers = match space {
            Space::Shared => self.in_shared(addresses, mask, bytes)?,
            Space::Global => {
                self.in_global(&addresses, mask, bytes, consecutive)?;
                addresses
            }
            Space::Local => {
                return Ok(Resolved { pointers: self.in_local(addresses, mask, bytes)?, consecutive: false });
            }
            Space::Param => self.in_parameters(addresses, mask, bytes)?,
            Space::Generic => return self.in_any(addresses, mask, bytes, consecutive),
        };
        Ok(Resolved { pointers, consecutive })
    }

    #[inline(always)]
    fn in_shared(&mut self, mut addresses: Lanes64, mask: u32, bytes: u64) -> Checked<Lanes64> {
        if any_beyond(&addresses, (self.shared.len() as u64).saturating_sub(bytes - 1)) {
            return Err(self.outside_shared(&addresses, mask, bytes));
        }
        let base = self.shared.as_mut_ptr() as u64;
        for lane in 0..32 {
            addresses[lane] += base;
        }
        Ok(addresses)
    }

    #[cold]
    #[inline(never)]
    fn outside_shared(&self, addresses: &Lanes64, mask: u32, bytes: u64) -> Box<Fault> {
        let total = self.shared.len() as u64;
        let lane = lanes_of(mask).find(|lane| addresses[*lane] >= total.saturating_sub(bytes - 1)).unwrap_or(0);
        let address = addresses[lane];
        let message =
            format!("access of {bytes} bytes at shared address {address:#x}, but the block has {total} bytes");
        Fault::new(Some(lane), message)
    }

    #[inline(always)]
    fn in_global(&mut self, addresses: &Lanes64, mask: u32, bytes: u64, consecutive: bool) -> Checked<()> {
        if consecutive && self.hit.holds(addresses[0], 32 * bytes) {
            return Ok(());
        }
        let (start, end) = (self.hit.start, self.hit.bytes.saturating_sub(bytes - 1));
        let mut offsets = *addresses;
        for offset in &mut offsets {
            *offset = offset.wrapping_sub(start);
        }
        if any_beyond(&offsets, end) { self.find_each(addresses, mask, bytes) } else { Ok(()) }
    }

    /// The slow way: asks for the allocation of every lane that the last one does not hold.
    #[cold]
    #[inline(never)]
    fn find_each(&mut self, addresses: &Lanes64, mask: u32, bytes: u64) -> Checked<()> {
        for lane in lanes_of(mask) {
            let address = addresses[lane];
            if self.hit.holds(address, bytes) {
                continue;
            }
            match self.global.find(address) {
                Some(found) if found.holds(address, bytes) => *self.hit = found,
                Some(found) => {
                    let message = format!(
                        "access of {bytes} bytes at {address:#x} runs past the end of the allocation of {} bytes at {:#x}",
                        found.bytes, found.start
                    );
                    return Err(Fault::new(Some(lane), message));
                }
                None => {
                    let what = if address == 0 { "the null address".into() } else { format!("{address:#x}") };
                    let message = format!("access of {bytes} bytes at {what}, outside every allocation");
                    return Err(Fault::new(Some(lane), message));
                }
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn in_local(&mut self, addresses: Lanes64, mask: u32, bytes: u64) -> Checked<Lanes64> {
        let limit = (self.local_bytes as u64).saturating_sub(bytes - 1);
        let base = self.local.as_mut_ptr() as u64;
        let mut pointers = [0; 32];
        for lane in lanes_of(mask) {
            if addresses[lane] >= limit {
                let message = format!(
                    "access of {bytes} bytes at local address {:#x}, but a thread has {} bytes",
                    addresses[lane], self.local_bytes
                );
                return Err(Fault::new(Some(lane), message));
            }
            pointers[lane] = base + (lane * self.local_bytes) as u64 + addresses[lane];
        }
        Ok(pointers)
    }

    #[inline(never)]
    fn in_parameters(&self, addresses: Lanes64, mask: u32, bytes: u64) -> Checked<Lanes64> {
        let limit = (self.parameters.len() as u64).saturating_sub(bytes - 1);
        if let Some(lane) = lanes_of(mask).find(|lane| addresses[*lane] >= limit) {
            return Err(Fault::new(Some(lane), format!("access of {bytes} bytes past the kernel's parameters")));
        }
        let base = self.parameters.as_ptr() as u64;
        Ok(addresses.map(|address| base.wrapping_add(address)))
    }

    /// Generic addresses: every lane into the window that its address names.
    #[inline(always)]
    fn in_any(&mut self, addresses: Lanes64, mask: u32, bytes: u64, consecutive: bool) -> Checked<Resolved> {
        // Windows lie above every address of the host.
        if any_beyond(&addresses, SHARED_WINDOW) {
            return self.in_windows(addresses, mask, bytes, consecutive);
        }
        self.in_global(&addresses, mask, bytes, consecutive)?;
        Ok(Resolved { pointers: addresses, consecutive })
    }

    #[inline(never)]
    fn in_windows(&mut self, addresses: Lanes64, mask: u32, bytes: u64, consecutive: bool) -> Checked<Resolved> {
        let mut pointers = addresses;
        let mut left = mask;
        for (space, window) in
            [(Space::Shared, SHARED_WINDOW), (Space::Local, LOCAL_WINDOW), (Space::Param, PARAMETER_WINDOW)]
        {
            let inside = lanes_in_window(&addresses, window) & mask;
            if inside != 0 {
                let offsets = addresses.map(|address| address.wrapping_sub(window));
                let resolved = self.resolve(space, offsets, inside, bytes)?;
                lanes_of(inside).for_each(|lane| pointers[lane] = resolved.pointers[lane]);
                left &= !inside;
            }
        }
        if left != 0 {
            self.in_global(&addresses, left, bytes, consecutive && left == mask)?;
        }
        Ok(Resolved { pointers, consecutive: consecutive && left == mask })
    }

    #[cold]
    #[inline(never)]
    fn misaligned(&self, space: Space, addresses: &Lanes64, mask: u32, bytes: u64) -> Box<Fault> {
        let lane = lanes_of(mask).find(|lane| addresses[*lane] & (bytes - 1) != 0);
        let address = lane.map_or(0, |lane| addresses[lane]);
        let space = match space {
            Space::Global => "global",
            Space::Shared => "shared",
            Space::Local => "local",
            Space::Param => "parameter",
            Space::Generic => "generic",
        };
        Fault::new(lane, format!("misaligned access of {bytes} bytes at {space} address {address:#x}"))
    }
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
fn read<const N: usize>(pointer: u64) -> [u8; N] {
    // SAFETY: `View::resolve` gave the pointer for an access of at least `N` bytes.
    unsafe { (pointer as *const [u8; N]).read_unaligned() }
}

#[inline(always)]
fn write<const N: usize>(pointer: u64, bytes: [u8; N]) {
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
        let resolved = view.resolve(space, addresses(&file, address), mask, bytes)?;
        let pointers = &resolved.pointers;
        if kind.bytes == 4 && kind.width == Width::W32 {
            if let ([d], true) = (d, resolved.consecutive) {
                file.set(mask, *d, read_row(pointers[0]));
                return Ok(());
            }
            for (index, d) in d.iter().enumerate() {
                let value = gather(pointers, mask, 4 * index as u64);
                file.set(mask, *d, value);
            }
            return Ok(());
        }
        for (index, d) in d.iter().enumerate() {
            load_elements(&mut file, pointers, mask, kind, *d, u64::from(kind.bytes) * index as u64);
        }
        Ok(())
    }
}

/// Loads elements other than words.
#[inline(never)]
fn load_elements(file: &mut File, pointers: &Lanes64, mask: u32, kind: MemoryKind, d: Reg, offset: u64) {
    let mut value = [0; 32];
    match (kind.bytes, kind.signed) {
        (2, false) => {
            lanes_of(mask).for_each(|lane| value[lane] = u16::from_le_bytes(read(pointers[lane] + offset)).into())
        }
        (8, _) => lanes_of(mask).for_each(|lane| value[lane] = u64::from_le_bytes(read(pointers[lane] + offset))),
        _ => lanes_of(mask).for_each(|lane| value[lane] = read_element(pointers[lane] + offset, kind)),
    }
    set_any(file, mask, kind.width, d, value);
}

/// 32 consecutive words.
#[inline(always)]
fn read_row(pointer: u64) -> Lanes {
    // SAFETY: the access was found consecutive, so that 128 bytes are accessible.
    unsafe { (pointer as *const Lanes).read_unaligned() }
}

#[inline(always)]
fn gather(pointers: &Lanes64, mask: u32, offset: u64) -> Lanes {
    let mut value = [0; 32];
    if mask == FULL {
        for lane in 0..32 {
            value[lane] = u32::from_le_bytes(read(pointers[lane] + offset));
        }
    } else {
        for lane in lanes_of(mask) {
            value[lane] = u32::from_le_bytes(read(pointers[lane] + offset));
        }
    }
    value
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
        let resolved = view.resolve(space, addresses(&file, address), mask, bytes)?;
        let pointers = &resolved.pointers;
        if let ([a], true, 4, true) = (a, resolved.consecutive, kind.bytes, kind.width == Width::W32) {
            // SAFETY: the access was found consecutive, so that 128 bytes are accessible.
            unsafe { (pointers[0] as *mut Lanes).write_unaligned(*file.get(*a)) };
            return Ok(());
        }
        for (index, a) in a.iter().enumerate() {
            store_elements(&file, pointers, mask, kind, *a, u64::from(kind.bytes) * index as u64);
        }
        Ok(())
    }
}

#[inline(never)]
fn store_elements(file: &File, pointers: &Lanes64, mask: u32, kind: MemoryKind, a: Reg, offset: u64) {
    if kind.width == Width::W64 {
        let value = file.get64(a);
        lanes_of(mask).for_each(|lane| write_element(pointers[lane] + offset, value[lane], kind.bytes));
        return;
    }
    let value = file.get(a);
    match kind.bytes {
        4 => lanes_of(mask).for_each(|lane| write(pointers[lane] + offset, value[lane].to_le_bytes())),
        2 => lanes_of(mask).for_each(|lane| write(pointers[lane] + offset, (value[lane] as u16).to_le_bytes())),
        _ => lanes_of(mask).for_each(|lane| write_element(pointers[lane] + offset, value[lane].into(), kind.bytes)),
    }
}

#[inline(always)]
fn write_element(pointer: u64, value: u64, bytes: u8) {
    match bytes {
        1 => write(pointer, [value as u8]),
        2 => write(pointer, (value as u16).to_le_bytes()),
        4 => write(pointer, (value as u32).to_le_bytes()),
        _ => write(pointer, value.to_le_bytes()),
    }
}
