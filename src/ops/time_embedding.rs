//! Sinusoidal embedding of timesteps.

use super::launch::per_element;
use super::{count, ensure};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "time_embedding";

/// diffusers' `get_timestep_embedding`: sines and cosines of `t * exp(-ln(10000) * i / (dim / 2 - freq_shift))`.
#[derive(Clone, Copy, Debug)]
pub struct TimeEmbedding<'a> {
    /// (steps) i32 or fp32, at most 10^4.
    pub timesteps: &'a Tensor,
    /// Channels of the embedding; even.
    pub dim: usize,
    /// Whether the cosines come first, as in Stable Diffusion.
    pub flip_sin_to_cos: bool,
    /// 0 in Stable Diffusion.
    pub freq_shift: f32,
}

impl TimeEmbedding<'_> {
    /// Records the operator; gives (steps, dim) fp16.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let timesteps = self.timesteps;
        let fits = timesteps.shape().len() == 1 && matches!(timesteps.dtype(), DType::I32 | DType::F32);
        ensure(OP, fits, || format!("timesteps are {timesteps:?}"))?;
        ensure(OP, self.dim.is_multiple_of(2), || format!("{} channels; an even number is wanted", self.dim))?;
        ensure(OP, self.freq_shift < (self.dim / 2) as f32, || {
            format!("a shift of {} in {} frequencies", self.freq_shift, self.dim / 2)
        })?;
        let output = plan.tensor(DType::F16, &[timesteps.dim(0), self.dim]);
        let args = vec![
            Arg::Read(timesteps.clone()),
            Arg::Write(output.clone()),
            Arg::U32(count(OP, timesteps.dim(0))?),
            Arg::U32(count(OP, self.dim / 2)?),
            Arg::F32(self.freq_shift),
        ];
        let defines = vec![
            ("TIMESTEPS_F32", i64::from(timesteps.dtype() == DType::F32)),
            ("COSINES_FIRST", i64::from(self.flip_sin_to_cos)),
        ];
        let unit = Unit { file: "time_embedding", defines };
        plan.launch(per_element(OP, unit, output.elements() / 2, 1, args)?);
        Ok(output)
    }
}
