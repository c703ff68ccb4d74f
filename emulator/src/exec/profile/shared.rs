//! Wavefronts of an access to shared memory.

use crate::exec::lanes::lanes_of;
use crate::exec::observe::{Access, AccessKind};

/// Words that the 32 banks give in one wavefront.
const BANKS: usize = 32;

/// Wavefronts that an access takes, and how many it would without conflicts.
///
/// Lanes whose bytes together exceed what the banks give go in turns: halves of the warp with 8 bytes a lane, quarters
/// with 16, which is also how `ldmatrix` reads its rows. In a turn each bank gives one word to all lanes that want it;
/// atomics on one word wait for each other.
pub(super) fn wavefronts(access: &Access) -> (u64, u64) {
    let lanes_a_turn = 128 / access.bytes.clamp(4, 128);
    let turn_mask = u32::MAX >> (32 - lanes_a_turn.min(32));
    let (mut needed, mut best) = (0, 0);
    for turn in 0..32 / lanes_a_turn {
        let mask = access.mask & (turn_mask << (turn * lanes_a_turn));
        if mask != 0 {
            needed += turn_wavefronts(access, mask);
            best += 1;
        }
    }
    (needed, best)
}

fn turn_wavefronts(access: &Access, mask: u32) -> u64 {
    // Aligned pieces as wide as a lane's access never share a bank in part: it is enough to look at whole ones.
    let piece = u64::from(access.bytes.max(4));
    if access.kind != AccessKind::Atomic && within(access, mask, 128 / piece * piece) {
        return 1;
    }
    let banks = (BANKS * 4) as u64 / piece;
    let mut pieces = [0; BANKS];
    let mut count = 0;
    let mut in_bank = [0u8; BANKS];
    for lane in lanes_of(mask) {
        let number = access.addresses[lane] / piece;
        let bank = (number % banks) as usize;
        if access.kind != AccessKind::Atomic && in_bank[bank] > 0 && pieces[..count].contains(&number) {
            continue;
        }
        in_bank[bank] += 1;
        pieces[count] = number;
        count += 1;
    }
    in_bank.into_iter().max().unwrap_or(0).into()
}

/// Whether all lanes of `mask` touch the same `bytes` in a row, where no two words share a bank.
fn within(access: &Access, mask: u32, bytes: u64) -> bool {
    let (mut least, mut most) = (u64::MAX, 0);
    for lane in 0..32 {
        let (address, takes_part) = (access.addresses[lane], mask >> lane & 1 != 0);
        least = least.min(if takes_part { address } else { u64::MAX });
        most = most.max(if takes_part { address } else { 0 });
    }
    // Of accesses to parts of a word the words count.
    most / 4 * 4 + u64::from(access.bytes.max(4)) <= least / 4 * 4 + bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Space;

    fn access(kind: AccessKind, bytes: u32, address: impl Fn(u64) -> u64) -> Access {
        let addresses = std::array::from_fn(|lane| address(lane as u64));
        Access { space: Space::Shared, kind, strong: false, mask: u32::MAX, addresses, bytes }
    }

    #[test]
    fn strides_conflict_as_the_programming_guide_says() {
        let read = |bytes, address: fn(u64) -> u64| wavefronts(&access(AccessKind::Read, bytes, address));
        assert_eq!(read(4, |lane| 4 * lane), (1, 1));
        assert_eq!(read(4, |lane| 8 * lane), (2, 1), "stride of two words");
        assert_eq!(read(4, |lane| 12 * lane), (1, 1), "odd stride");
        assert_eq!(read(4, |lane| 128 * lane), (32, 1), "a column of a tile 32 wide");
        assert_eq!(read(4, |lane| 132 * lane), (1, 1), "with padding");
        assert_eq!(read(4, |_| 64), (1, 1), "broadcast");
        assert_eq!(read(2, |lane| 2 * lane), (1, 1), "two halves of a word");
        assert_eq!(read(8, |lane| 8 * lane), (2, 2));
        assert_eq!(read(16, |lane| 16 * lane), (4, 4));
        assert_eq!(read(16, |lane| 128 * lane), (32, 4), "ldmatrix without a swizzle: eight rows in the same banks");
        assert_eq!(read(16, |lane| 128 * lane + 16 * (lane % 8)), (4, 4), "with one");
    }

    #[test]
    fn atomics_on_one_word_wait_for_each_other() {
        let atomic = |address: fn(u64) -> u64| wavefronts(&access(AccessKind::Atomic, 4, address));
        assert_eq!(atomic(|lane| 4 * lane), (1, 1));
        assert_eq!(atomic(|_| 0), (32, 1));
    }

    #[test]
    fn lanes_that_take_no_part_cost_nothing() {
        let mut half = access(AccessKind::Read, 16, |lane| 16 * lane);
        half.mask = 0xff;
        assert_eq!(wavefronts(&half), (1, 1));
    }
}
