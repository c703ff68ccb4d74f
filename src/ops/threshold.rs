//! A mask from a map.

use super::launch::per_element;
use super::{count, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "threshold";

/// Records `map > level` of an fp32 tensor; gives its shape in u8, 0 or 1.
pub fn threshold(plan: &mut Plan, map: &Tensor, level: f32) -> Result<Tensor> {
    ensure_tensor(OP, "map", map, DType::F32, map.shape())?;
    let mask = plan.tensor(DType::U8, map.shape());
    let pixels = Arg::U32(count(OP, map.elements())?);
    let args = vec![Arg::Read(map.clone()), Arg::Write(mask.clone()), pixels, Arg::F32(level)];
    plan.launch(per_element(OP, Unit { file: "threshold", defines: vec![] }, map.elements(), 1, args)?);
    Ok(mask)
}
