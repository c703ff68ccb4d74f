//! Tile sizes of the matrix engine (`kernels/matrix.cuh`), and which of them a product gets.

use crate::error::Result;
use crate::plan::Unit;

use super::count;

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

impl Tile {
    /// The tile with which `multiprocessors` compute (rows, columns) soonest. `rows` are one sample's, so that the
    /// choice does not depend on the batch.
    pub fn choose(rows: usize, columns: usize, multiprocessors: u32) -> &'static Tile {
        let time = |tile: &Tile| {
            let waves = tile.blocks(rows, columns).div_ceil(multiprocessors.max(1) as usize);
            waves * tile.m * tile.n * 100 / tile.percent
        };
        TILES.iter().min_by_key(|&tile| time(tile)).expect("the table is not empty")
    }

    /// Blocks that cover (rows, columns).
    fn blocks(&self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.m) * columns.div_ceil(self.n)
    }

    /// The one-dimensional grid that covers (rows, columns).
    pub fn grid(&self, op: &'static str, rows: usize, columns: usize) -> Result<[u32; 3]> {
        Ok([count(op, self.blocks(rows, columns))?, 1, 1])
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

    /// The compilation of `file` for this tile and for `activation`, a number of `kernels/matrix.cuh`'s.
    pub fn unit(&self, file: &'static str, activation: i64) -> Unit {
        let defines = vec![
            ("TILE_M", self.m as i64),
            ("TILE_N", self.n as i64),
            ("TILE_K", self.k as i64),
            ("STAGES", self.stages as i64),
            ("WARPS_M", self.warps_m as i64),
            ("WARPS_N", self.warps_n as i64),
            ("ACTIVATION", activation),
        ];
        Unit { file, defines }
    }
}

#[cfg(test)]
mod tests {
    use super::{TILES, Tile};

    #[test]
    fn large_products_get_large_tiles_and_small_ones_small() {
        assert_eq!(Tile::choose(4096, 320, 108), &TILES[0]);
        assert_eq!(Tile::choose(262_144, 3, 108), &TILES[3]);
        assert_eq!(Tile::choose(64, 40, 108), &TILES[4]);
    }

    #[test]
    fn two_blocks_of_every_tile_fit_an_a100() {
        for tile in &TILES {
            assert!(2 * (tile.shared_bytes() + 1024) <= 164 * 1024, "{tile:?}");
        }
    }
}
