//! Linear layers on the matrix engine: `kernels/linear.cu`.

use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor};

use super::split_sum::Epilogue;
use super::tiles::Schedule;
use super::{count, ensure, ensure_tensor};

const OP: &str = "linear";

/// What is applied to a linear layer's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    #[default]
    None,
    /// x * sigmoid(x).
    Silu,
    /// x * Phi(x), with the normal distribution function itself.
    Gelu,
    /// x * sigmoid(1.702 x): CLIP's.
    QuickGelu,
    /// h * gelu(g) of each pair of columns (h, g), so that half as many come out; the weight's and the bias's rows
    /// alternate between the value's and its gate's. <https://arxiv.org/abs/2002.05202>
    Geglu,
}

impl Activation {
    /// Its number in `kernels/epilogue.cuh`.
    pub(super) fn number(self) -> i64 {
        match self {
            Activation::None => 0,
            Activation::Silu => 1,
            Activation::Gelu => 2,
            Activation::QuickGelu => 3,
            Activation::Geglu => 4,
        }
    }
}

/// `activation(input weight^T + bias) + residual`, summed in fp32 and rounded to fp16 once.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// (.., k), fp16; all dimensions but the last are rows. k is a multiple of 8.
    pub input: &'a Tensor,
    /// (n, k), fp16: as `torch.nn.Linear` keeps it, but see [`Activation::Geglu`].
    pub weight: &'a Tensor,
    /// (n), fp16.
    pub bias: Option<&'a Tensor>,
    /// Of the output's shape, fp16.
    pub residual: Option<&'a Tensor>,
    pub activation: Activation,
}

impl Linear<'_> {
    /// Records the layer and gives its output: the input's shape with n columns, or n / 2 with GEGLU.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit together, or k (with GEGLU also n) is no multiple of 8.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let (rows, k) = (self.input.rows(), self.input.columns());
        let n = self.weight.dim(0);
        let geglu = self.activation == Activation::Geglu;
        let columns = if geglu { n / 2 } else { n };
        let mut shape = self.input.shape().to_vec();
        *shape.last_mut().expect("a tensor has dimensions") = columns;
        self.check(n, k, &shape)?;

        let rows_of_sample = if shape.len() > 2 { rows / shape[0].max(1) } else { rows };
        let schedule = Schedule::choose(rows_of_sample, n, k, plan.capabilities().multiprocessors);
        let output = plan.tensor(DType::F16, &shape);
        let epilogue = Epilogue { bias: self.bias, time: None, activation: self.activation, residual: self.residual };
        if schedule.parts == 1 {
            self.launch(plan, &schedule, &epilogue, &output)?;
        } else {
            let parts = plan.tensor(DType::F32, &[schedule.parts, rows, n]);
            self.launch(plan, &schedule, &Epilogue::default(), &parts)?;
            epilogue.record_sum(plan, &parts, &output)?;
        }
        Ok(output)
    }

    /// Records the product itself, with what follows it in the same kernel.
    fn launch(&self, plan: &mut Plan, schedule: &Schedule, epilogue: &Epilogue<'_>, output: &Tensor) -> Result<()> {
        let (rows, k, n) = (self.input.rows(), self.input.columns(), self.weight.dim(0));
        plan.launch(Launch {
            unit: schedule.tile.unit("linear", epilogue.activation),
            entry: "linear",
            grid: schedule.grid(OP, rows, n)?,
            block: schedule.tile.threads(),
            shared_bytes: schedule.tile.shared_bytes(),
            args: vec![
                Arg::Read(self.input.clone()),
                Arg::Read(self.weight.clone()),
                Arg::optional(epilogue.bias),
                Arg::optional(epilogue.residual),
                Arg::Write(output.clone()),
                Arg::U32(count(OP, rows)?),
                Arg::U32(count(OP, n)?),
                Arg::U32(count(OP, k)?),
            ],
            macs: rows as u64 * n as u64 * k as u64,
        });
        Ok(())
    }

    fn check(&self, n: usize, k: usize, output: &[usize]) -> Result<()> {
        ensure(OP, self.input.dtype() == DType::F16 && self.input.elements() > 0, || {
            format!("input is {:?} {:?}, not fp16 with elements", self.input.dtype(), self.input.shape())
        })?;
        ensure(OP, k.is_multiple_of(8), || format!("{k} input columns are no multiple of 8"))?;
        ensure(OP, self.input.rows() < 1 << 31, || format!("{} rows do not fit 31 bits", self.input.rows()))?;
        ensure(OP, self.activation != Activation::Geglu || n.is_multiple_of(8), || {
            format!("{n} columns for GEGLU are no multiple of 8")
        })?;
        ensure(OP, n > 0, || "a weight without rows".into())?;
        ensure_tensor(OP, "weight", self.weight, DType::F16, &[n, k])?;
        if let Some(bias) = self.bias {
            ensure_tensor(OP, "bias", bias, DType::F16, &[n])?;
        }
        if let Some(residual) = self.residual {
            ensure_tensor(OP, "residual", residual, DType::F16, output)?;
        }
        Ok(())
    }
}
