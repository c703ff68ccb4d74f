//! Noised copies of one picture's latents.

use super::launch::per_element;
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "add_noise";

/// `signal * latents + sigma * noise` for each of several noises: the forward process of DDPM (arXiv 2006.11239, eq.
/// 4) with `signal = sqrt(alpha)` and `sigma = sqrt(1 - alpha)` of the cumulated alpha.
#[derive(Clone, Copy, Debug)]
pub struct AddNoise<'a> {
    /// (1, height, width, 4) fp32.
    pub latents: &'a Tensor,
    /// (n, height, width, 4) fp16.
    pub noise: &'a Tensor,
    pub signal: f32,
    pub sigma: f32,
    /// Prompts that look at each noised copy.
    pub repeat: usize,
    /// Whether the noised latents themselves are wanted.
    pub keep_latents: bool,
}

/// What [`AddNoise`] gives.
#[derive(Clone, Debug)]
pub struct Noised {
    /// The UNet's input (n * repeat, height, width, 8) fp16: copy s has noise s / repeat; channels 4..8 are zero.
    pub input: Tensor,
    /// (n, height, width, 4) fp32, if they were wanted.
    pub latents: Option<Tensor>,
}

impl AddNoise<'_> {
    /// Records the operator.
    pub fn record(self, plan: &mut Plan) -> Result<Noised> {
        let shape = self.noise.shape();
        ensure(OP, shape.len() == 4, || format!("noise is {shape:?}"))?;
        let (copies, height, width) = (shape[0], shape[1], shape[2]);
        ensure_tensor(OP, "noise", self.noise, DType::F16, &[copies, height, width, 4])?;
        ensure_tensor(OP, "latents", self.latents, DType::F32, &[1, height, width, 4])?;
        ensure(OP, self.repeat > 0, || "no prompts".into())?;
        let input = plan.tensor(DType::F16, &[copies * self.repeat, height, width, 8]);
        let latents = self.keep_latents.then(|| plan.tensor(DType::F32, shape));
        let args = vec![
            Arg::Read(self.latents.clone()),
            Arg::Read(self.noise.clone()),
            Arg::Write(input.clone()),
            latents.clone().map_or(Arg::Null, Arg::Write),
            Arg::U32(count(OP, height * width)?),
            Arg::U32(count(OP, self.repeat)?),
            Arg::F32(self.signal),
            Arg::F32(self.sigma),
        ];
        let unit = Unit { file: "add_noise", defines: vec![] };
        plan.launch(per_element(OP, unit, height * width, copies, args)?);
        Ok(Noised { input, latents })
    }
}
