//! The latents of an encoded picture.

use super::launch::{is_f32, per_element};
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "posterior";

/// `scaling_factor * (mean + exp(clamp(logvar, -30, 20) / 2) * noise)`: a sample of the VAE's posterior (Kingma and
/// Welling, arXiv 1312.6114), or its mode without noise.
#[derive(Clone, Copy, Debug)]
pub struct Posterior<'a> {
    /// The encoder's output, (batch, height, width, 8) fp16 or fp32: four means, then four logarithms of variances.
    pub moments: &'a Tensor,
    /// Standard normal, (batch, height, width, 4) fp16.
    pub noise: Option<&'a Tensor>,
    pub scaling_factor: f32,
}

impl Posterior<'_> {
    /// Records the operator; gives latents (batch, height, width, 4) fp32.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let shape = self.moments.shape();
        ensure(OP, shape.len() == 4 && shape[3] == 8, || format!("moments are {shape:?}"))?;
        let latents = plan.tensor(DType::F32, &[shape[0], shape[1], shape[2], 4]);
        if let Some(noise) = self.noise {
            ensure_tensor(OP, "noise", noise, DType::F16, latents.shape())?;
        }
        let unit = Unit { file: "posterior", defines: vec![("MOMENTS_F32", is_f32(OP, "moments", self.moments)?)] };
        let args = vec![
            Arg::Read(self.moments.clone()),
            Arg::optional(self.noise),
            Arg::Write(latents.clone()),
            Arg::U32(count(OP, latents.rows())?),
            Arg::F32(self.scaling_factor),
        ];
        plan.launch(per_element(OP, unit, latents.rows(), 1, args)?);
        Ok(latents)
    }
}
