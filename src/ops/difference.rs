//! How much the predictions for two prompts differ, summed over noise maps.

use super::launch::{is_f32, per_element};
use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

const OP: &str = "difference";

/// Adds `|first - second|` of the predictions for two prompts, of each noise map, to a sum (DiffEdit, arXiv 2210.11427,
/// section 3.2). Guidance would only scale it: the unconditional prediction cancels, and
/// [`normalise`](super::normalise) takes the scale away.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The predicted noise, (n * prompts, height, width, 4) fp16 or fp32, a map's predictions side by side: for the
    /// first and the second prompt, after the unconditional one where `guided` is asked for.
    pub predictions: &'a Tensor,
    /// (height, width, 4) fp32, updated.
    pub sum: &'a Tensor,
    /// Whether the sums start here, from zero. Cutting the maps into several launches does not change a bit.
    pub first: bool,
    /// Where each map's own difference goes, its channels' mean: (n, height, width) fp32.
    pub maps: Option<&'a Tensor>,
    /// Averages the guided predictions too, for figures.
    pub guided: Option<Guided<'a>>,
}

/// The average over maps of the predictions under classifier-free guidance.
#[derive(Clone, Copy, Debug)]
pub struct Guided<'a> {
    /// Of the first and of the second prompt: (2, height, width, 4) fp32, updated.
    pub mean: &'a Tensor,
    pub guidance: f32,
    /// Of each map: one over the number of all maps.
    pub weight: f32,
}

impl Difference<'_> {
    /// Records the operator.
    pub fn record(self, plan: &mut Plan) -> Result<()> {
        let shape = self.predictions.shape();
        let prompts = if self.guided.is_some() { 3 } else { 2 };
        let fits = shape.len() == 4 && shape[3] == 4 && shape[0] > 0 && shape[0].is_multiple_of(prompts);
        ensure(OP, fits, || format!("predictions are {shape:?} for {prompts} prompts"))?;
        let (maps, height, width) = (shape[0] / prompts, shape[1], shape[2]);
        ensure_tensor(OP, "sum", self.sum, DType::F32, &[height, width, 4])?;
        if let Some(means) = self.maps {
            ensure_tensor(OP, "maps", means, DType::F32, &[maps, height, width])?;
        }
        if let Some(guided) = self.guided {
            ensure_tensor(OP, "guided mean", guided.mean, DType::F32, &[2, height, width, 4])?;
        }

        let accumulator =
            |tensor: &Tensor| if self.first { Arg::Write(tensor.clone()) } else { Arg::Update(tensor.clone()) };
        let args = vec![
            Arg::Read(self.predictions.clone()),
            accumulator(self.sum),
            self.maps.map_or(Arg::Null, |means| Arg::Write(means.clone())),
            self.guided.map_or(Arg::Null, |guided| accumulator(guided.mean)),
            Arg::U32(count(OP, height * width)?),
            Arg::U32(count(OP, maps)?),
            Arg::U32(self.first.into()),
            Arg::F32(self.guided.map_or(1.0, |guided| guided.guidance)),
            Arg::F32(self.guided.map_or(1.0, |guided| guided.weight)),
        ];
        let defines =
            vec![("PREDICTIONS_F32", is_f32(OP, "predictions", self.predictions)?), ("PROMPTS", prompts as i64)];
        plan.launch(per_element(OP, Unit { file: "difference", defines }, height * width, 1, args)?);
        Ok(())
    }
}
