//! One denoising or inversion step.

use super::launch::{is_f32, per_element};
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "step";

/// Classifier-free guidance, the deterministic DDIM update `x' = c_x x + c_eps eps` (arXiv 2010.02502, eq. 12), and
/// DiffEdit's blend with the noised original (arXiv 2210.11427, section 3.2), in one launch; a second one advances the
/// step counter, so that replaying the plan does the next step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The predicted noise, fp16 or fp32: (2, height, width, 4), unconditional and conditional, or (1, height, width,
    /// 4), used as it is.
    pub predictions: &'a Tensor,
    /// (1, height, width, 4) fp32, updated.
    pub latents: &'a Tensor,
    /// What shows outside the mask; without it all is edited.
    pub background: Option<Background<'a>>,
    /// (steps, 4) fp32: c_x, c_eps, and the background's signal and sigma after the step.
    pub coefficients: &'a Tensor,
    /// (1) i32: the number of the step, updated. The kernel traps once it is past the last.
    pub counter: &'a Tensor,
    /// Scale of the guidance; without effect on one prediction.
    pub guidance: f32,
    /// The UNet's next input (predictions, height, width, 8) fp16, written: the latents for each prediction, channels
    /// 4..8 zero.
    pub next: &'a Tensor,
    /// Where the latents after each step are kept too.
    pub history: Option<History<'a>>,
}

/// The picture's own latents, to be noised and shown where the mask is 0.
#[derive(Clone, Copy, Debug)]
pub struct Background<'a> {
    /// (1, height, width, 4) fp32.
    pub original: &'a Tensor,
    /// (height, width), fp32 in 0..1 or u8 0 and 1.
    pub mask: &'a Tensor,
    /// (steps - 1, height, width, 4) fp16 or fp32: row i for step i; the last step takes none. With a signal of 0 and
    /// a sigma of 1 in the coefficients these are the background itself, as inversion left it.
    pub noise: &'a Tensor,
}

/// The latents after every step.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// (steps, height, width, 4) fp32; a step writes its row.
    pub latents: &'a Tensor,
    /// Whether step i writes row steps - 1 - i, not row i: after an inversion row 0 is then where the edit starts, and
    /// the rows from 1 on are the backgrounds of its steps.
    pub reversed: bool,
}

impl Step<'_> {
    /// Records the step and the counter's advance.
    pub fn record(self, plan: &mut Plan) -> Result<()> {
        let (height, width) = self.check()?;
        let background =
            |pick: fn(&Background<'_>) -> Tensor| self.background.as_ref().map_or(Arg::Null, |b| Arg::Read(pick(b)));
        let args = vec![
            Arg::Read(self.predictions.clone()),
            Arg::Update(self.latents.clone()),
            background(|background| background.original.clone()),
            background(|background| background.mask.clone()),
            background(|background| background.noise.clone()),
            Arg::Read(self.coefficients.clone()),
            Arg::Read(self.counter.clone()),
            Arg::Write(self.next.clone()),
            self.history.map_or(Arg::Null, |history| Arg::Update(history.latents.clone())),
            Arg::U32(count(OP, height * width)?),
            Arg::U32(count(OP, self.coefficients.dim(0))?),
            Arg::U32(self.history.is_some_and(|history| history.reversed).into()),
            Arg::F32(self.guidance),
        ];
        let unit = Unit { file: "step", defines: self.defines()? };
        plan.launch(per_element(OP, unit.clone(), height * width, 1, args)?);
        plan.launch(Launch {
            unit,
            entry: "advance",
            grid: [1, 1, 1],
            block: 1,
            shared_bytes: 0,
            args: vec![Arg::Update(self.counter.clone())],
            macs: 0,
        });
        Ok(())
    }

    /// Height and width of the latents, if all fits.
    fn check(&self) -> Result<(usize, usize)> {
        let shape = self.predictions.shape();
        let fits = shape.len() == 4 && matches!(shape[0], 1 | 2) && shape[3] == 4;
        ensure(OP, fits, || format!("predictions are {shape:?}"))?;
        let (prompts, height, width) = (shape[0], shape[1], shape[2]);
        let steps = self.coefficients.dim(0);
        ensure(OP, steps > 0, || "no steps".into())?;
        ensure_tensor(OP, "latents", self.latents, DType::F32, &[1, height, width, 4])?;
        ensure_tensor(OP, "coefficients", self.coefficients, DType::F32, &[steps, 4])?;
        ensure_tensor(OP, "counter", self.counter, DType::I32, &[1])?;
        ensure_tensor(OP, "next", self.next, DType::F16, &[prompts, height, width, 8])?;
        if let Some(Background { original, mask, noise }) = self.background {
            ensure_tensor(OP, "original", original, DType::F32, &[1, height, width, 4])?;
            ensure(OP, mask.shape() == [height, width] && matches!(mask.dtype(), DType::F32 | DType::U8), || {
                format!("mask is {mask:?}")
            })?;
            ensure(OP, noise.shape() == [steps - 1, height, width, 4], || format!("noise is {noise:?}"))?;
        }
        if let Some(history) = self.history {
            ensure_tensor(OP, "history", history.latents, DType::F32, &[steps, height, width, 4])?;
        }
        Ok((height, width))
    }

    fn defines(&self) -> Result<Vec<(&'static str, i64)>> {
        let mut defines = vec![
            ("PROMPTS", self.predictions.dim(0) as i64),
            ("PREDICTIONS_F32", is_f32(OP, "predictions", self.predictions)?),
        ];
        if let Some(background) = self.background {
            defines.push(("MASK_F32", i64::from(background.mask.dtype() == DType::F32)));
            defines.push(("NOISE_F32", is_f32(OP, "noise", background.noise)?));
        }
        Ok(defines)
    }
}
