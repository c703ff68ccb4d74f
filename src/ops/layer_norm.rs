//! LayerNorm.

use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "layer_norm";

/// Rows of a block, one a warp; the kernel's `WARPS`.
const WARPS: u32 = 4;

/// Columns that a warp holds in each of its lanes' vectors.
const COLUMNS_PER_VECTOR: usize = 32 * 8;

/// The most vectors a lane holds without spilling.
const MAX_VECTORS: usize = 8;

/// `(x - mean) / sqrt(var + eps) * weight + bias`, mean and biased variance over a row (Ba et al., arXiv 1607.06450).
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// (.., c) fp16.
    pub input: &'a Tensor,
    /// (c) fp16.
    pub weight: &'a Tensor,
    /// (c) fp16.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNorm<'_> {
    /// Records the operator; gives the input's shape. Fails unless c is a multiple of 8 and at most 2048.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let columns = self.input.columns();
        ensure_tensor(OP, "input", self.input, DType::F16, self.input.shape())?;
        ensure_tensor(OP, "weight", self.weight, DType::F16, &[columns])?;
        ensure_tensor(OP, "bias", self.bias, DType::F16, &[columns])?;
        ensure(OP, self.input.elements() > 0, || "an empty tensor".into())?;
        ensure(OP, columns.is_multiple_of(8) && columns <= MAX_VECTORS * COLUMNS_PER_VECTOR, || {
            format!("{columns} columns; a multiple of 8 up to {} is wanted", MAX_VECTORS * COLUMNS_PER_VECTOR)
        })?;
        let rows = count(OP, self.input.rows())?;
        let vectors = columns.div_ceil(COLUMNS_PER_VECTOR);
        let output = plan.tensor(DType::F16, self.input.shape());
        let mut args: Vec<Arg> = [self.input, self.weight, self.bias].map(|tensor| Arg::Read(tensor.clone())).into();
        args.push(Arg::Write(output.clone()));
        args.extend([Arg::U32(rows), Arg::U32(columns as u32 / 8), Arg::F32(self.eps)]);
        plan.launch(Launch {
            unit: Unit { file: "layer_norm", defines: vec![("VECTORS", vectors as i64), ("WARPS", i64::from(WARPS))] },
            entry: "layer_norm",
            grid: [rows.div_ceil(WARPS), 1, 1],
            block: WARPS * 32,
            shared_bytes: 0,
            args,
            macs: 0,
        });
        Ok(output)
    }
}
