//! Tile sizes of the matrix engine (`kernels/matrix.cuh`), and how a product is cut up for a device.

use crate::error::Result;
use crate::plan::Unit;

use super::count;
use super::linear::Activation;

/// Elements of a block's tile and how its warps share it: the constants of one compilation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Rows and columns of the output.
    m: usize,
    n: usize,
    /// Elements of the sums that lie in shared memory at once, a stage.
    k: usize,
    stages: usize,
    warps_m: usize,
    warps_n: usize,
    /// Speed with all multiprocessors busy, in percent of the largest tile's: small tiles read more for a product.
    percent: usize,
}

/// The tiles, preferred ones first.
pub(crate) const TILES: [Tile; 5] = [
    Tile { m: 128, n: 128, k: 32, stages: 4, warps_m: 2, warps_n: 4, percent: 100 },
    Tile { m: 128, n: 64, k: 32, stages: 4, warps_m: 2, warps_n: 2, percent: 85 },
    Tile { m: 64, n: 64, k: 32, stages: 4, warps_m: 2, warps_n: 2, percent: 70 },
    Tile { m: 128, n: 32, k: 32, stages: 4, warps_m: 4, warps_n: 1, percent: 55 },
    Tile { m: 32, n: 32, k: 32, stages: 4, warps_m: 2, warps_n: 1, percent: 40 },
];

/// Steps along k that a block's start and end take the time of, in elements.
const BLOCK_OVERHEAD: usize = 128;

/// Time of the launch that adds the parts of a split product, in multiply-accumulates of one multiprocessor (an A100's
/// does 1.4 a picosecond).
const SUM_OVERHEAD: usize = 5_000_000;

/// The same for an element of a part, written and read again by all multiprocessors together.
const SUM_ELEMENT: usize = 8;

/// The most parts that k is split into, and the least elements of a part.
const MAX_PARTS: usize = 16;
const MIN_PART: usize = 512;

/// How a product (rows, columns) over k is cut up: into tiles, and into parts of k.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub tile: &'static Tile,
    /// Where there are several, their sums are stored apart and added by [`super::split_sum`].
    pub parts: usize,
}

impl Schedule {
    /// The schedule with which `multiprocessors` compute the product soonest, by a simple model. `rows` are one
    /// sample's: the bits of the result depend on the parts, and must not depend on the batch.
    pub fn choose(rows: usize, columns: usize, k: usize, multiprocessors: u32) -> Schedule {
        let most = if columns.is_multiple_of(8) { (k / MIN_PART).clamp(1, MAX_PARTS) } else { 1 };
        let time = |&(parts, tile): &(usize, &Tile)| {
            let waves = (tile.blocks(rows, columns) * parts).div_ceil(multiprocessors.max(1) as usize);
            let products = waves * tile.m * tile.n * (k.div_ceil(parts) + BLOCK_OVERHEAD) * 100 / tile.percent;
            let sum = if parts > 1 { SUM_OVERHEAD + SUM_ELEMENT * rows * columns * parts } else { 0 };
            products + sum
        };
        let all = (1..=most).flat_map(|parts| TILES.iter().map(move |tile| (parts, tile)));
        let (parts, tile) = all.min_by_key(time).expect("the table is not empty");
        // Parts are whole steps of the tile, all of one length but the last, and none is empty.
        let steps = k.div_ceil(tile.k);
        Schedule { tile, parts: steps.div_ceil(steps.div_ceil(parts)) }
    }

    /// The grid that covers (rows, columns) of all samples.
    pub fn grid(&self, op: &'static str, rows: usize, columns: usize) -> Result<[u32; 3]> {
        Ok([count(op, self.tile.blocks(rows, columns))?, self.parts as u32, 1])
    }
}

impl Tile {
    /// Blocks that cover (rows, columns).
    fn blocks(&self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.m) * columns.div_ceil(self.n)
    }

    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        (32 * self.warps_m * self.warps_n) as u32
    }

    /// Dynamic shared memory of a block: the ring of fp16 stages, or the fp32 tile that takes its place.
    pub fn shared_bytes(&self) -> u32 {
        let ring = self.stages * (self.m + self.n) * self.k * 2;
        ring.max(self.m * self.n * 4) as u32
    }

    /// The compilation of `file` for this tile and this activation.
    pub fn unit(&self, file: &'static str, activation: Activation) -> Unit {
        let defines = vec![
            ("TILE_M", self.m as i64),
            ("TILE_N", self.n as i64),
            ("TILE_K", self.k as i64),
            ("STAGES", self.stages as i64),
            ("WARPS_M", self.warps_m as i64),
            ("WARPS_N", self.warps_n as i64),
            ("ACTIVATION", activation.number()),
        ];
        Unit { file, defines }
    }
}

#[cfg(test)]
mod tests {
    use super::{Schedule, TILES};

    #[test]
    fn large_products_get_large_tiles_and_small_ones_small() {
        let whole = |tile| Schedule { tile: &TILES[tile], parts: 1 };
        assert_eq!(Schedule::choose(4096, 320, 320, 108), whole(0));
        assert_eq!(Schedule::choose(262_144, 3, 1152, 108), whole(3));
        assert_eq!(Schedule::choose(64, 40, 360, 108), whole(4));
    }

    #[test]
    fn deep_products_of_few_tiles_are_split() {
        let schedule = Schedule::choose(64, 1280, 11_520, 108);
        let blocks = schedule.tile.blocks(64, 1280) * schedule.parts;
        assert!(schedule.parts > 1 && blocks > 72 && blocks <= 108, "{schedule:?}");
        assert_eq!(Schedule::choose(64, 1284, 11_520, 108).parts, 1, "rows that are not aligned");
        assert_eq!(Schedule::choose(64, 1280, 11_520, 1).parts, 1, "one multiprocessor is never idle");
    }

    #[test]
    fn no_part_is_empty() {
        for k in (8..20_000).step_by(1000) {
            let Schedule { tile, parts } = Schedule::choose(64, 64, k, 10_000);
            let steps = k.div_ceil(tile.k);
            assert!((parts - 1) * steps.div_ceil(parts) < steps, "{parts} parts of {k}");
        }
    }

    #[test]
    fn two_blocks_of_every_tile_fit_an_a100() {
        for tile in &TILES {
            assert!(2 * (tile.shared_bytes() + 1024) <= 164 * 1024, "{tile:?}");
        }
    }
}
