//! What one cell remembers for a whole granule is what its parts would remember.

use super::clock::Time;
use super::shadow::{Granule, Judge, Kind, Stamp};
use std::collections::BTreeSet;

const UNIT: usize = 4;
const GRANULE: usize = 64;

/// Knows of everything before `bounds`, warp by warp, and notes what it does not know of.
struct Notes {
    bounds: [Time; 2],
    /// Warp, lane and kind of the earlier access, the byte.
    unordered: BTreeSet<(usize, usize, u8, usize)>,
}

impl Judge for Notes {
    fn floor(&self) -> Time {
        self.bounds[0].min(self.bounds[1])
    }

    fn ordered(&self, earlier: &Stamp, _new: &Stamp) -> bool {
        !earlier.is_pending() && earlier.time < self.bounds[earlier.warp()]
    }

    fn meet(&mut self, earlier: &Stamp, new: &Stamp, offset: usize) {
        if !self.ordered(earlier, new) {
            self.unordered.insert((earlier.warp(), earlier.lane(), earlier.kind() as u8, offset));
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn a_cell_for_a_granule_remembers_what_its_parts_would() {
    let mut met = 0;
    for seed in 0..300 {
        let mut random = Random(seed);
        let (mut whole, mut parts) = (Granule::<GRANULE>::default(), Granule::<GRANULE>::default());
        let mut bounds = [0; 2];
        for time in 1..60 {
            if random.below(6) == 0 {
                bounds[random.below(2) as usize] = time;
            }
            let kind = [Kind::Read, Kind::Read, Kind::Write, Kind::Update][random.below(4) as usize];
            let stamp = Stamp::new(time, 0, random.below(2) as usize, time, kind, false);
            let notes = || Notes { bounds, unordered: BTreeSet::new() };
            let (mut of_whole, mut of_parts) = (notes(), notes());
            // Rows of lanes over the granule, or one lane somewhere in it.
            let lane_bytes = [4, 8, 16, 64][random.below(4) as usize];
            let lanes = GRANULE / lane_bytes;
            let first = random.below(2) as usize * (32 - lanes);
            if random.below(3) > 0 {
                whole.touch(UNIT, 0, GRANULE, stamp.by_row(first, lane_bytes as u32), &mut of_whole);
                for lane in 0..lanes {
                    for part in (0..lane_bytes).step_by(UNIT) {
                        let place = lane * lane_bytes + part;
                        parts.touch(UNIT, place, UNIT, stamp.by(first + lane), &mut of_parts);
                    }
                }
            } else {
                let place = random.below(16) as usize * UNIT;
                whole.touch(UNIT, place, UNIT, stamp.by(first), &mut of_whole);
                parts.touch(UNIT, place, UNIT, stamp.by(first), &mut of_parts);
            }
            assert_eq!(of_whole.unordered, of_parts.unordered, "seed {seed}, time {time}");
            met += of_whole.unordered.len();
        }
    }
    assert!(met > 10_000, "only {met} accesses met");
}
