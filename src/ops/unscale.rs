//! The VAE decoder's input from latents.

use super::launch::per_element;
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "unscale";

/// Records `latents / scaling_factor` of latents (batch, height, width, 4) fp32; gives (batch, height, width, 8) fp16,
/// whose channels from 4 on are zero.
pub fn unscale(plan: &mut Plan, latents: &Tensor, scaling_factor: f32) -> Result<Tensor> {
    let shape = latents.shape();
    ensure(OP, shape.len() == 4, || format!("latents are {shape:?}"))?;
    ensure_tensor(OP, "latents", latents, DType::F32, &[shape[0], shape[1], shape[2], 4])?;
    let output = plan.tensor(DType::F16, &[shape[0], shape[1], shape[2], 8]);
    let args = vec![
        Arg::Read(latents.clone()),
        Arg::Write(output.clone()),
        Arg::U32(count(OP, latents.rows())?),
        Arg::F32(1.0 / scaling_factor),
    ];
    plan.launch(per_element(OP, Unit { file: "unscale", defines: vec![] }, latents.rows(), 1, args)?);
    Ok(output)
}
