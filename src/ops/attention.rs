//! Attention of every kind in the models: self, cross and causal, over heads that lie side by side in one matrix.

use super::{count, ensure};
use crate::device::Capabilities;
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "attention";

/// The widest head the kernels take.
const MAX_HEAD_DIM: usize = 512;

/// Columns `column .. column + heads * head_dim` of each row of a (batch, rows, columns) fp16 tensor, the heads side
/// by side.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    pub tensor: &'a Tensor,
    pub column: usize,
}

/// Scaled dot-product attention: `softmax(q k^T / sqrt(head_dim)) v` for each sample and head.
///
/// Query and output have (batch, query rows); key and value (key batch, key rows). Sample `s` attends to keys
/// `s % key batch`, so that several samples can share one prompt's keys. Packed projections are told apart by column:
/// queries, keys and values in one (batch, rows, 3 C) tensor start at 0, C and 2 C.
///
/// Dao et al., FlashAttention, 2022; Rabe and Staats, 2021.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    pub query: Heads<'a>,
    pub key: Heads<'a>,
    pub value: Heads<'a>,
    pub heads: usize,
    /// A multiple of 8, at most 512.
    pub head_dim: usize,
    /// Row `i` attends to keys `0 ..= i` only; there must be as many keys as queries.
    pub causal: bool,
}

impl Attention<'_> {
    /// Records the attention; returns its (batch, query rows, heads * head_dim) fp16 output.
    ///
    /// # Errors
    /// Where a tensor is not (batch, rows, columns) in fp16, a column range is not in its tensor, a width or offset is
    /// no multiple of 8, the query's batch is no multiple of the keys', keys and values differ in batch or rows, there
    /// are no rows, or a causal attention has other than as many keys as queries.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        self.check()?;
        let (batch, query_rows) = (self.query.tensor.dim(0), self.query.tensor.dim(1));
        let (key_batch, key_rows) = (self.key.tensor.dim(0), self.key.tensor.dim(1));
        let tiling = Tiling::choose(&self, plan.capabilities());
        let output = plan.tensor(DType::F16, &[batch, query_rows, self.heads * self.head_dim]);
        let scale = std::f64::consts::LOG2_E / (self.head_dim as f64).sqrt();
        let row_blocks = query_rows.div_ceil(tiling.block_rows());
        plan.launch(Launch {
            unit: tiling.unit(self.head_dim, self.causal),
            entry: "attention",
            grid: [count(OP, row_blocks)?, count(OP, self.heads)?, count(OP, batch)?],
            block: 32 * tiling.warps as u32,
            shared_bytes: count(OP, tiling.shared_bytes(self.head_dim, key_rows))?,
            args: vec![
                Arg::Read(self.query.tensor.clone()),
                Arg::Read(self.key.tensor.clone()),
                Arg::Read(self.value.tensor.clone()),
                Arg::Write(output.clone()),
                Arg::U32(count(OP, query_rows)?),
                Arg::U32(count(OP, key_rows)?),
                Arg::U32(count(OP, key_batch)?),
                Arg::U32(count(OP, self.query.tensor.columns())?),
                Arg::U32(count(OP, self.query.column)?),
                Arg::U32(count(OP, self.key.tensor.columns())?),
                Arg::U32(count(OP, self.key.column)?),
                Arg::U32(count(OP, self.value.tensor.columns())?),
                Arg::U32(count(OP, self.value.column)?),
                Arg::F32(scale as f32),
            ],
            macs: self.macs(),
        });
        Ok(output)
    }

    fn check(&self) -> Result<()> {
        ensure(OP, self.head_dim.is_multiple_of(8) && (8..=MAX_HEAD_DIM).contains(&self.head_dim), || {
            format!("head dim {} is not a multiple of 8 up to {MAX_HEAD_DIM}", self.head_dim)
        })?;
        ensure(OP, (1..=65535).contains(&self.heads), || format!("{} heads", self.heads))?;
        for (name, heads) in [("query", &self.query), ("key", &self.key), ("value", &self.value)] {
            heads.check(name, self.heads * self.head_dim)?;
        }
        let (query, key, value) = (self.query.tensor, self.key.tensor, self.value.tensor);
        ensure(OP, key.shape()[..2] == value.shape()[..2], || {
            format!("keys {:?} and values {:?} differ in batch or rows", key.shape(), value.shape())
        })?;
        ensure(OP, query.dim(0) <= 65535 && query.dim(0).is_multiple_of(key.dim(0)), || {
            format!("{} samples over {} of keys", query.dim(0), key.dim(0))
        })?;
        ensure(OP, !self.causal || query.dim(1) == key.dim(1), || {
            format!("causal with {} queries and {} keys", query.dim(1), key.dim(1))
        })
    }

    /// Multiply-accumulates of both products, over the keys that a row attends to.
    fn macs(&self) -> u64 {
        let (batch, rows, keys) = (self.query.tensor.dim(0), self.query.tensor.dim(1), self.key.tensor.dim(1));
        let pairs = if self.causal { rows * (rows + 1) / 2 } else { rows * keys };
        2 * (batch * self.heads * pairs * self.head_dim) as u64
    }
}

impl Heads<'_> {
    fn check(&self, name: &str, width: usize) -> Result<()> {
        let Heads { tensor, column } = *self;
        ensure(OP, tensor.dtype() == DType::F16 && tensor.shape().len() == 3 && tensor.elements() > 0, || {
            format!("{name} {tensor:?} is not (batch, rows, columns) in F16")
        })?;
        ensure(OP, column + width <= tensor.columns(), || {
            format!("{name} has {} columns, not {column} + {width}", tensor.columns())
        })?;
        ensure(OP, column.is_multiple_of(8) && tensor.columns().is_multiple_of(8), || {
            format!("{name}: column {column} of {} is not in units of 8", tensor.columns())
        })?;
        ensure(OP, u32::try_from(tensor.dim(1) * tensor.columns()).is_ok(), || {
            format!("a sample of {name} has {} elements, more than 32 bits count", tensor.dim(1) * tensor.columns())
        })
    }
}

/// How a block of the kernel divides its work; the names are the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tiling {
    /// Warps share rows and head dim, instead of each owning its rows whole.
    wide: bool,
    warps: usize,
    /// Tiles of 16 rows a warp works on.
    row_tiles: usize,
    /// Keys of a tile.
    block_n: usize,
    stages: usize,
}

impl Tiling {
    /// By the shape of a sample and the device, never by the batch.
    fn choose(attention: &Attention, capabilities: &Capabilities) -> Tiling {
        let (rows, keys) = (attention.query.tensor.dim(1), attention.key.tensor.dim(1));
        let blocks_of = |block_rows: usize| attention.heads * rows.div_ceil(block_rows);
        let multiprocessors = capabilities.multiprocessors as usize;
        if attention.head_dim > 192 {
            // 64 rows halve the reads of K and V; 32 fill twice the multiprocessors.
            let row_tiles = if blocks_of(64) >= multiprocessors { 2 } else { 1 };
            return Tiling { wide: true, warps: 8, row_tiles, block_n: 64, stages: 3 };
        }
        let (warps, row_tiles) = match rows {
            ..=16 => (1, 1),
            17..=32 => (2, 1),
            // Two tiles of rows halve the loads from shared memory. The models' batches are of two and more.
            _ if attention.head_dim <= 48 && 2 * blocks_of(128) >= multiprocessors => (4, 2),
            _ => (4, 1),
        };
        let block_n = match (attention.head_dim, keys) {
            (_, ..=32) => keys.next_multiple_of(16),
            (..=80, ..=80) => keys.next_multiple_of(16),
            (..=80, _) => 64,
            _ => 32,
        };
        let stages = if attention.head_dim <= 64 && keys > block_n { 3 } else { 2 };
        Tiling { wide: false, warps, row_tiles, block_n, stages }
    }

    /// Query rows of a block.
    fn block_rows(&self) -> usize {
        16 * self.row_tiles * if self.wide { 2 } else { self.warps }
    }

    /// Dynamic shared memory: the formulas of the kernel's header.
    fn shared_bytes(&self, head_dim: usize, keys: usize) -> usize {
        if self.wide {
            return self.stages * 8192 + self.block_rows() * (128 * (head_dim.div_ceil(64) + 1) + 16);
        }
        let pitch = 16 * ((head_dim / 8) | 1);
        let stage = 2 * self.block_n * pitch;
        let queries = self.block_rows() * pitch;
        let last = if keys <= self.block_n { queries } else { queries.max(stage) };
        (self.stages - 1) * stage + last
    }

    fn unit(&self, head_dim: usize, causal: bool) -> Unit {
        Unit {
            file: "attention",
            defines: vec![
                ("HEAD_DIM", head_dim as i64),
                ("CAUSAL", causal.into()),
                ("WIDE", self.wide.into()),
                ("WARPS", self.warps as i64),
                ("ROW_TILES", self.row_tiles as i64),
                ("BLOCK_N", self.block_n as i64),
                ("STAGES", self.stages as i64),
            ],
        }
    }
}
