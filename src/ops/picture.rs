//! Pictures to and from the networks' tensors.

use super::launch::{is_f32, per_element};
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

/// Records `x / 127.5 - 1` of a picture (height, width, 3) u8; gives (1, height, width, 8) fp16, whose channels from 3
/// on are zero.
pub fn to_tensor(plan: &mut Plan, picture: &Tensor) -> Result<Tensor> {
    const OP: &str = "to_tensor";
    let shape = picture.shape();
    ensure(OP, shape.len() == 3, || format!("picture is {shape:?}"))?;
    ensure_tensor(OP, "picture", picture, DType::U8, &[shape[0], shape[1], 3])?;
    let output = plan.tensor(DType::F16, &[1, shape[0], shape[1], 8]);
    let args = vec![Arg::Read(picture.clone()), Arg::Write(output.clone()), Arg::U32(count(OP, picture.rows())?)];
    plan.launch(per_element(OP, Unit { file: "picture", defines: vec![] }, picture.rows(), 1, args)?);
    Ok(output)
}

/// Records `round(255 * clamp(x / 2 + 0.5, 0, 1))`, ties to even, of the first three channels of a tensor (batch,
/// height, width, channels) fp16 or fp32; gives (batch, height, width, 3) u8.
pub fn to_picture(plan: &mut Plan, tensor: &Tensor) -> Result<Tensor> {
    const OP: &str = "to_picture";
    let shape = tensor.shape();
    ensure(OP, shape.len() == 4 && shape[3] >= 3, || format!("tensor is {shape:?}"))?;
    let unit = Unit { file: "picture", defines: vec![("TENSOR_F32", is_f32(OP, "tensor", tensor)?)] };
    let output = plan.tensor(DType::U8, &[shape[0], shape[1], shape[2], 3]);
    let args = vec![
        Arg::Read(tensor.clone()),
        Arg::Write(output.clone()),
        Arg::U32(count(OP, tensor.rows())?),
        Arg::U32(count(OP, shape[3])?),
    ];
    plan.launch(per_element(OP, unit, tensor.rows(), 1, args)?);
    Ok(output)
}
