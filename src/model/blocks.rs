//! The pieces that the networks share: convolutions, ResNet blocks, layers over their weights.

use crate::error::Result;
use crate::ops::conv2d::{Conv2d, Geometry, TimeRow};
use crate::ops::group_norm::GroupNorm;
use crate::ops::layer_norm::LayerNorm;
use crate::ops::linear::{Activation, Linear as LinearOp};
use crate::plan::{DType, Plan, Tensor};
use crate::weights::{Conv, Linear, Loader, Norm};

impl Linear {
    /// `activation(input weight^T + bias) + residual`.
    pub(super) fn record(
        &self,
        plan: &mut Plan,
        input: &Tensor,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        LinearOp { input, weight: &self.weight, bias: self.bias.as_ref(), residual, activation }.record(plan)
    }
}

impl Conv {
    /// The convolution alone, in fp16.
    pub(super) fn record(&self, plan: &mut Plan, input: &Tensor, geometry: Geometry) -> Result<Tensor> {
        self.with(input, geometry).record(plan)
    }

    /// The convolution, to be given what else it does.
    pub(super) fn with<'a>(&'a self, input: &'a Tensor, geometry: Geometry) -> Conv2d<'a> {
        Conv2d {
            input,
            skip: None,
            weight: &self.weight,
            bias: self.bias.as_ref(),
            kernel_size: self.size,
            geometry,
            time: None,
            residual: None,
            output: DType::F16,
        }
    }
}

/// A GroupNorm with its settings.
#[derive(Clone, Debug)]
pub(super) struct Normalisation {
    pub norm: Norm,
    pub groups: usize,
    pub eps: f32,
}

impl Normalisation {
    /// Normalises the concatenation of input and skip; `silu` follows if wanted.
    pub fn record(&self, plan: &mut Plan, input: &Tensor, skip: Option<&Tensor>, silu: bool) -> Result<Tensor> {
        GroupNorm { skip, ..self.with(input, silu) }.record(plan)
    }

    /// The operator over one input.
    pub fn with<'a>(&'a self, input: &'a Tensor, silu: bool) -> GroupNorm<'a> {
        let Normalisation { norm, groups, eps } = self;
        GroupNorm { input, skip: None, weight: &norm.weight, bias: &norm.bias, groups: *groups, eps: *eps, silu }
    }
}

impl Norm {
    pub(super) fn layer_norm(&self, plan: &mut Plan, input: &Tensor, eps: f32) -> Result<Tensor> {
        LayerNorm { input, weight: &self.weight, bias: &self.bias, eps }.record(plan)
    }
}

/// norm, SiLU, convolution (+ time), norm, SiLU, convolution, plus the input or its 1x1 projection.
#[derive(Clone, Debug)]
pub(super) struct ResnetBlock {
    pub norm1: Normalisation,
    pub conv1: Conv,
    pub norm2: Normalisation,
    pub conv2: Conv,
    pub shortcut: Option<Conv>,
}

/// What a ResNet block is loaded with.
#[derive(Clone, Copy)]
pub(super) struct ResnetShape {
    /// Channels in, a skip's included.
    pub inputs: usize,
    pub outputs: usize,
    pub groups: usize,
    pub eps: f32,
}

impl ResnetBlock {
    pub fn load(loader: &Loader, name: &str, shape: ResnetShape) -> Result<ResnetBlock> {
        let ResnetShape { inputs, outputs, groups, eps } = shape;
        let norm = |part: &str, channels| -> Result<Normalisation> {
            Ok(Normalisation { norm: loader.norm(&format!("{name}.{part}"), channels)?, groups, eps })
        };
        let shortcut = if inputs == outputs {
            None
        } else {
            Some(loader.conv(&format!("{name}.conv_shortcut"), inputs, outputs, 1)?)
        };
        Ok(ResnetBlock {
            norm1: norm("norm1", inputs)?,
            conv1: loader.conv(&format!("{name}.conv1"), inputs, outputs, 3)?,
            norm2: norm("norm2", outputs)?,
            conv2: loader.conv(&format!("{name}.conv2"), outputs, outputs, 3)?,
            shortcut,
        })
    }

    /// Over the concatenation of `input` and `skip`, with the row of the time table, where the network has one.
    pub fn record(
        &self,
        plan: &mut Plan,
        input: &Tensor,
        skip: Option<&Tensor>,
        time: Option<TimeRow<'_>>,
    ) -> Result<Tensor> {
        let hidden = self.norm1.record(plan, input, skip, true)?;
        let hidden = Conv2d { time, ..self.conv1.with(&hidden, Geometry::Same) }.record(plan)?;
        let hidden = self.norm2.record(plan, &hidden, None, true)?;
        let residual = match &self.shortcut {
            Some(shortcut) => Conv2d { skip, ..shortcut.with(input, Geometry::Same) }.record(plan)?,
            None => input.clone(),
        };
        Conv2d { residual: Some(&residual), ..self.conv2.with(&hidden, Geometry::Same) }.record(plan)
    }
}
