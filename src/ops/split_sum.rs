//! The end of products whose k was split: `kernels/split_sum.cu`.

use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor, Unit};

use super::conv2d::TimeRow;
use super::launch::per_element;
use super::linear::Activation;
use super::{count, ensure};

const OP: &str = "split_sum";

/// What follows the sums of a product: `activation(sums + bias + time) + residual`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Epilogue<'a> {
    /// (n), fp16.
    pub bias: Option<&'a Tensor>,
    pub time: Option<TimeRow<'a>>,
    pub activation: Activation,
    /// Of the output's shape, fp16.
    pub residual: Option<&'a Tensor>,
}

impl Epilogue<'_> {
    /// Pointers to the time table and to its row's number.
    pub fn time_tensors(&self) -> [Arg; 2] {
        [Arg::optional(self.time.map(|time| time.table)), Arg::optional(self.time.and_then(|time| time.step))]
    }

    /// The time table's columns, the first one to be added, and whether it is fp32.
    pub fn time_sizes(&self) -> [usize; 3] {
        self.time
            .map_or([0; 3], |time| [time.table.columns(), time.column, usize::from(time.table.dtype() == DType::F32)])
    }

    /// Records the sum of `parts` (parts, m, n), fp32, into `output`, whose shape the caller has checked.
    pub fn record_sum(&self, plan: &mut Plan, parts: &Tensor, output: &Tensor) -> Result<()> {
        let [part_count, m, n] = *parts.shape() else { unreachable!("{parts:?}") };
        let octets = m * n / 8;
        ensure(OP, octets < 1 << 31, || format!("({m}, {n}) does not fit 31 bits of octets"))?;
        let mut args = vec![Arg::Read(parts.clone()), Arg::optional(self.bias)];
        args.extend(self.time_tensors());
        args.push(Arg::optional(self.residual));
        args.push(Arg::Write(output.clone()));
        let [time_columns, time_column, time_f32] = self.time_sizes();
        let output_f32 = usize::from(output.dtype() == DType::F32);
        for value in [part_count, m, n, time_columns, time_column, time_f32, output_f32] {
            args.push(Arg::U32(count(OP, value)?));
        }
        let unit = Unit { file: "split_sum", defines: vec![("ACTIVATION", self.activation.number())] };
        plan.launch(per_element(OP, unit, octets, 1, args)?);
        Ok(())
    }
}
