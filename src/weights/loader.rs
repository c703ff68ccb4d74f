//! Takes named tensors out of a checkpoint and uploads them as the kernels want them.

use std::cell::RefCell;
use std::collections::HashSet;

use half::f16;
use safetensors::SafeTensors;

use super::repack::{self, CHANNEL_MULTIPLE};
use super::{Checkpoint, to_f16};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::plan::{DType, Tensor};

/// Weight (n, k) and bias (n) of a linear layer.
#[derive(Clone, Debug)]
pub struct Linear {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
}

/// Weight (outputs, size * size * inputs) and bias (outputs) of a convolution; channels padded to multiples of 8.
#[derive(Clone, Debug)]
pub struct Conv {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub size: usize,
}

/// Weight and bias (channels) of a GroupNorm or LayerNorm.
#[derive(Clone, Debug)]
pub struct Norm {
    pub weight: Tensor,
    pub bias: Tensor,
}

/// Reads one checkpoint. What is missing or misshapen is noted and stands in as zeros, so that [`Loader::finish`] can
/// name all of it at once.
pub struct Loader<'a> {
    device: &'a Device,
    checkpoint: &'a Checkpoint,
    tensors: SafeTensors<'a>,
    problems: RefCell<Vec<String>>,
    taken: RefCell<HashSet<String>>,
}

impl<'a> Loader<'a> {
    pub fn new(device: &'a Device, checkpoint: &'a Checkpoint) -> Result<Loader<'a>> {
        let tensors = checkpoint.tensors()?;
        Ok(Loader { device, checkpoint, tensors, problems: RefCell::default(), taken: RefCell::default() })
    }

    /// Whether the checkpoint has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    /// Fails with every problem met, and with every tensor that nothing took.
    pub fn finish(self, ignored: &[&str]) -> Result<()> {
        const SHOWN: usize = 20;
        let mut problems = self.problems.into_inner();
        let taken = self.taken.into_inner();
        let mut unexpected: Vec<&str> = self
            .tensors
            .names()
            .into_iter()
            .filter(|name| !taken.contains(*name) && !ignored.iter().any(|end| name.ends_with(end)))
            .collect();
        unexpected.sort_unstable();
        problems.extend(unexpected.iter().map(|name| format!("{name} is unexpected")));
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        let mut message = format!("does not fit its config:\n  {}", problems.join("\n  "));
        if more > 0 {
            message.push_str(&format!("\n  and {more} more"));
        }
        Err(Error::Model { path: self.checkpoint.path.clone(), message })
    }

    /// A tensor's elements; zeros, and a problem noted, where they cannot be had.
    fn take(&self, name: &str, shape: &[usize]) -> Vec<f16> {
        self.taken.borrow_mut().insert(name.to_string());
        let elements = shape.iter().product();
        let problem = match self.tensors.tensor(name) {
            Err(_) => format!("{name} {shape:?} is missing"),
            Ok(view) if view.shape() != shape => format!("{name} is {:?}, wanted {shape:?}", view.shape()),
            Ok(view) => match to_f16(view.dtype(), view.data()) {
                Ok(halves) if halves.iter().any(|half| !half.is_finite()) => format!("{name} holds NaN or infinity"),
                Ok(halves) => return halves.into_owned(),
                Err(reason) => format!("{name}: {reason}"),
            },
        };
        self.problems.borrow_mut().push(problem);
        vec![f16::ZERO; elements]
    }

    fn upload(&self, shape: &[usize], elements: &[f16]) -> Result<Tensor> {
        self.device.upload(DType::F16, shape, elements)
    }

    /// A tensor as it is.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.upload(shape, &self.take(name, shape))
    }

    /// `{name}.weight` and `.bias` of `channels`.
    pub fn norm(&self, name: &str, channels: usize) -> Result<Norm> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.tensor(&format!("{name}.{part}"), &[channels]));
        Ok(Norm { weight: weight?, bias: bias? })
    }

    /// Several linear layers over the same input as one: their outputs side by side.
    pub fn linears(&self, names: &[String], inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
        let gather = |part: &str, shape: &[usize]| -> Vec<f16> {
            names.iter().flat_map(|name| self.take(&format!("{name}.{part}"), shape)).collect()
        };
        let rows = names.len() * outputs;
        let weight = self.upload(&[rows, inputs], &gather("weight", &[outputs, inputs]))?;
        let bias = if bias { Some(self.upload(&[rows], &gather("bias", &[outputs]))?) } else { None };
        Ok(Linear { weight, bias })
    }

    /// `{name}.weight` (outputs, inputs) and, if wanted, `.bias`.
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
        self.linears(&[name.to_string()], inputs, outputs, bias)
    }

    /// A linear layer that may be stored as a 1x1 convolution: with bias.
    pub fn pointwise(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = format!("{name}.weight");
        let stored_as_convolution = self.tensors.tensor(&weight).is_ok_and(|view| view.shape().len() == 4);
        let elements = if stored_as_convolution {
            self.take(&weight, &[outputs, inputs, 1, 1])
        } else {
            self.take(&weight, &[outputs, inputs])
        };
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear { weight: self.upload(&[outputs, inputs], &elements)?, bias: Some(bias) })
    }

    /// Several linear layers that each differ in outputs, over the same input, with biases: one layer.
    pub fn stacked(&self, layers: &[(String, usize)], inputs: usize) -> Result<Linear> {
        let rows = layers.iter().map(|(_, outputs)| outputs).sum();
        let weights: Vec<f16> = layers
            .iter()
            .flat_map(|(name, outputs)| self.take(&format!("{name}.weight"), &[*outputs, inputs]))
            .collect();
        let biases: Vec<f16> =
            layers.iter().flat_map(|(name, outputs)| self.take(&format!("{name}.bias"), &[*outputs])).collect();
        Ok(Linear { weight: self.upload(&[rows, inputs], &weights)?, bias: Some(self.upload(&[rows], &biases)?) })
    }

    /// A GEGLU's projection to twice `outputs`, hidden and gate rows in turn.
    pub fn geglu(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = self.take(&format!("{name}.weight"), &[2 * outputs, inputs]);
        let bias = self.take(&format!("{name}.bias"), &[2 * outputs]);
        Ok(Linear {
            weight: self.upload(&[2 * outputs, inputs], &repack::interleave_halves(&weight, inputs))?,
            bias: Some(self.upload(&[2 * outputs], &repack::interleave_halves(&bias, 1))?),
        })
    }

    /// `{name}.weight` (outputs, inputs, size, size) and `.bias`.
    pub fn conv(&self, name: &str, inputs: usize, outputs: usize, size: usize) -> Result<Conv> {
        self.conv_padded(name, inputs, outputs, size, outputs)
    }

    /// A convolution whose outputs are padded to a multiple of 8 channels of zeros, for one that reads them.
    pub fn conv_padded_outputs(&self, name: &str, inputs: usize, outputs: usize, size: usize) -> Result<Conv> {
        self.conv_padded(name, inputs, outputs, size, outputs.next_multiple_of(CHANNEL_MULTIPLE))
    }

    fn conv_padded(&self, name: &str, inputs: usize, outputs: usize, size: usize, padded: usize) -> Result<Conv> {
        let weight = self.take(&format!("{name}.weight"), &[outputs, inputs, size, size]);
        let packed = repack::convolution(&weight, outputs, inputs, size, padded);
        let mut bias = self.take(&format!("{name}.bias"), &[outputs]);
        bias.resize(padded, f16::ZERO);
        let columns = size * size * inputs.next_multiple_of(CHANNEL_MULTIPLE);
        Ok(Conv { weight: self.upload(&[padded, columns], &packed)?, bias: Some(self.upload(&[padded], &bias)?), size })
    }
}
