//! Lines and sectors of an access to global or local memory, and the trace of them that the caches are tried on.

use crate::exec::lanes::lanes_of;
use crate::exec::observe::{Access, AccessKind};
use crate::profile::cache::{Cache, LINE_BYTES, SECTOR_BYTES};
use crate::profile::counters::{CacheTraffic, Footprint};
use std::collections::HashMap;

/// Some sectors of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub line: u64,
    pub sectors: u8,
}

/// Shows each line of 128 bytes that an access to global memory touches, once.
pub(super) fn lines(access: &Access, mut see: impl FnMut(Touched)) {
    let mut found = [Touched::default(); 32];
    let mut count = 0;
    for lane in lanes_of(access.mask) {
        let address = access.addresses[lane];
        let line = address / LINE_BYTES;
        let first = address % LINE_BYTES / SECTOR_BYTES;
        let last = ((address % LINE_BYTES + u64::from(access.bytes) - 1) / SECTOR_BYTES).min(3);
        let sectors = (0xf << first & 0xf >> (3 - last)) as u8;
        // Neighbouring lanes mostly touch the same line.
        match found[..count].iter_mut().rev().find(|touched| touched.line == line) {
            Some(touched) => touched.sectors |= sectors,
            None => {
                found[count] = Touched { line, sectors };
                count += 1;
            }
        }
    }
    found[..count].iter().for_each(|&touched| see(touched));
}

/// Sectors of an access to local memory, where the words of a warp's lanes lie side by side.
pub(super) fn local_sectors(access: &Access) -> u64 {
    let mut found: Vec<(u64, usize)> = lanes_of(access.mask)
        .flat_map(|lane| {
            let first = access.addresses[lane] / 4;
            (first..first + u64::from(access.bytes.div_ceil(4))).map(move |word| (word, lane / 8))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.len() as u64
}

/// One line touched by one instruction of a warp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    pub line: u64,
    /// Instructions that the warp had executed before.
    pub time: u32,
    pub sectors: u8,
    pub kind: AccessKind,
    /// Does not look into L1.
    pub bypass: bool,
}

/// Puts the traces of warps or blocks that run side by side into one order.
fn merged(traces: impl Iterator<Item = Vec<Touch>>) -> Vec<Touch> {
    let mut all: Vec<Touch> = traces.flatten().collect();
    // The traces are sorted already, which a stable sort merges.
    all.sort_by_key(|touch| touch.time);
    all
}

/// What is left of the accesses of a block's warps behind an L1 of `bytes`. Stores go through it.
pub(super) fn behind_l1(warps: impl Iterator<Item = Vec<Touch>>, bytes: u64, counts: &mut CacheTraffic) -> Vec<Touch> {
    let mut l1 = Cache::new(bytes, 4);
    let mut trace = merged(warps);
    trace.retain_mut(|touch| {
        if touch.kind != AccessKind::Read || touch.bypass {
            return true;
        }
        let missing = l1.read(touch.line, touch.sectors).missing;
        counts.l1_read_sectors += u64::from(touch.sectors.count_ones());
        counts.l1_hits += u64::from((touch.sectors & !missing).count_ones());
        touch.sectors = missing;
        missing != 0
    });
    trace.shrink_to_fit();
    trace
}

/// L2 of the device, and the memory that was touched.
pub(super) struct SecondLevel {
    cache: Cache,
    /// Sectors that were read and that were written, by page of 2048 sectors.
    read: HashMap<u64, [u64; 32]>,
    written: HashMap<u64, [u64; 32]>,
}

impl SecondLevel {
    pub(super) fn new(bytes: u64) -> SecondLevel {
        SecondLevel { cache: Cache::new(bytes, 16), read: HashMap::new(), written: HashMap::new() }
    }

    /// Runs the traces of the blocks of one wave side by side. All that they write counts as written to memory.
    pub(super) fn run(&mut self, blocks: Vec<Vec<Touch>>) -> CacheTraffic {
        let mut counts = CacheTraffic::default();
        for touch in merged(blocks.into_iter()) {
            let sectors = u64::from(touch.sectors.count_ones());
            let outcome = match touch.kind {
                AccessKind::Read => self.cache.read(touch.line, touch.sectors),
                AccessKind::Write | AccessKind::Atomic => self.cache.write(touch.line, touch.sectors),
            };
            let missing = u64::from(outcome.missing.count_ones());
            counts.dram_written_sectors += u64::from(outcome.dirtied.count_ones());
            match touch.kind {
                AccessKind::Read => {
                    counts.l2_read_sectors += sectors;
                    counts.l2_read_hits += sectors - missing;
                    counts.dram_read_sectors += missing;
                }
                AccessKind::Write => counts.l2_written_sectors += sectors,
                AccessKind::Atomic => {
                    counts.l2_atomic_sectors += sectors;
                    counts.dram_read_sectors += missing;
                }
            }
            if touch.kind != AccessKind::Write {
                mark(&mut self.read, &touch);
            }
            if touch.kind != AccessKind::Read {
                mark(&mut self.written, &touch);
            }
        }
        counts
    }

    pub(super) fn footprint(&self) -> Footprint {
        let bytes = |pages: &HashMap<u64, [u64; 32]>| {
            let sectors = pages.values().flatten().map(|word| u64::from(word.count_ones()));
            sectors.sum::<u64>() * SECTOR_BYTES
        };
        Footprint { read_bytes: bytes(&self.read), written_bytes: bytes(&self.written) }
    }
}

/// Lines whose sectors fill a page of marks.
const LINES_A_PAGE: u64 = 512;

fn mark(pages: &mut HashMap<u64, [u64; 32]>, touch: &Touch) {
    let page = pages.entry(touch.line / LINES_A_PAGE).or_default();
    let bit = touch.line % LINES_A_PAGE * 4;
    page[(bit / 64) as usize] |= u64::from(touch.sectors) << (bit % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Space;

    fn touched(bytes: u32, address: impl Fn(u64) -> u64) -> (usize, u32) {
        let addresses = std::array::from_fn(|lane| address(lane as u64));
        let kind = AccessKind::Read;
        let access = Access { space: Space::Global, kind, strong: false, mask: u32::MAX, addresses, bytes };
        let mut found = Vec::new();
        lines(&access, |touched| found.push(touched));
        (found.len(), found.iter().map(|touched| touched.sectors.count_ones()).sum())
    }

    #[test]
    fn coalesced_and_scattered_lanes() {
        assert_eq!(touched(4, |lane| 4 * lane), (1, 4));
        assert_eq!(touched(4, |lane| 4 * lane + 64), (2, 4), "across a line");
        assert_eq!(touched(16, |lane| 16 * lane), (4, 16));
        assert_eq!(touched(4, |lane| 4096 * lane), (32, 32));
        assert_eq!(touched(4, |_| 12), (1, 1));
        assert_eq!(touched(2, |lane| 2 * lane), (1, 2));
    }

    #[test]
    fn local_words_of_a_warp_lie_side_by_side() {
        let access = |address: fn(u64) -> u64, bytes| Access {
            space: Space::Local,
            kind: AccessKind::Read,
            strong: false,
            mask: u32::MAX,
            addresses: std::array::from_fn(|lane| address(lane as u64)),
            bytes,
        };
        assert_eq!(local_sectors(&access(|_| 8, 4)), 4);
        assert_eq!(local_sectors(&access(|_| 8, 8)), 8);
        assert_eq!(local_sectors(&access(|lane| 4 * lane, 4)), 32, "each lane at another offset");
    }

    #[test]
    fn a_block_reads_each_line_once_through_l1() {
        let touch = |line| Touch { line, time: line as u32, sectors: 15, kind: AccessKind::Read, bypass: false };
        let warp = || (0..8).map(touch).collect::<Vec<_>>();
        let mut counts = CacheTraffic::default();
        let left = behind_l1([warp(), warp()].into_iter(), 16 << 10, &mut counts);
        assert_eq!((left.len(), counts.l1_read_sectors, counts.l1_hits), (8, 64, 32));
        let mut l2 = SecondLevel::new(1 << 20);
        let first = l2.run(vec![left.clone()]);
        let second = l2.run(vec![left]);
        assert_eq!((first.dram_read_sectors, second.dram_read_sectors, second.l2_read_hits), (32, 0, 32));
        assert_eq!(l2.footprint(), Footprint { read_bytes: 8 * 128, written_bytes: 0 });
    }
}
