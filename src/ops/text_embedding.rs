//! The text encoder's first hidden states.

use super::launch::per_element;
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "text_embedding";

/// Token embeddings plus position embeddings.
#[derive(Clone, Copy, Debug)]
pub struct TextEmbedding<'a> {
    /// (batch, rows) i32, each below the vocabulary's size: the kernel traps on others.
    pub ids: &'a Tensor,
    /// (vocabulary, c) fp16.
    pub tokens: &'a Tensor,
    /// (positions, c) fp16, at least as many as rows.
    pub positions: &'a Tensor,
}

impl TextEmbedding<'_> {
    /// Records the operator; gives (batch, rows, c) fp16. Fails unless c is a multiple of 8.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let (ids, columns) = (self.ids.shape(), self.tokens.columns());
        ensure(OP, ids.len() == 2 && self.ids.dtype() == DType::I32, || format!("ids are {:?}", self.ids))?;
        ensure_tensor(OP, "tokens", self.tokens, DType::F16, &[self.tokens.dim(0), columns])?;
        ensure_tensor(OP, "positions", self.positions, DType::F16, &[self.positions.dim(0), columns])?;
        ensure(OP, columns % 8 == 0, || format!("{columns} channels; a multiple of 8 is wanted"))?;
        ensure(OP, self.positions.dim(0) >= ids[1], || {
            format!("{} rows, but {} positions", ids[1], self.positions.dim(0))
        })?;
        let output = plan.tensor(DType::F16, &[ids[0], ids[1], columns]);
        let mut args: Vec<Arg> = [self.ids, self.tokens, self.positions].map(|tensor| Arg::Read(tensor.clone())).into();
        args.push(Arg::Write(output.clone()));
        for size in [self.ids.elements(), ids[1], columns / 8, self.tokens.dim(0)] {
            args.push(Arg::U32(count(OP, size)?));
        }
        let unit = Unit { file: "text_embedding", defines: vec![] };
        plan.launch(per_element(OP, unit, output.elements() / 8, 1, args)?);
        Ok(output)
    }
}
