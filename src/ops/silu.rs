//! SiLU of every element.

use super::launch::per_element;
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "silu_elements";

/// Records `x * sigmoid(x)` of an fp16 tensor; gives its shape. Fails unless its elements are a multiple of 8.
pub fn silu(plan: &mut Plan, input: &Tensor) -> Result<Tensor> {
    ensure_tensor(OP, "input", input, DType::F16, input.shape())?;
    ensure(OP, input.elements().is_multiple_of(8), || {
        format!("{} elements; a multiple of 8 is wanted", input.elements())
    })?;
    let vectors = input.elements() / 8;
    let output = plan.tensor(DType::F16, input.shape());
    let args = vec![Arg::Read(input.clone()), Arg::Write(output.clone()), Arg::U32(count(OP, vectors)?)];
    plan.launch(per_element(OP, Unit { file: "silu", defines: vec![] }, vectors, 1, args)?);
    Ok(output)
}
