//! Takes named tensors out of a checkpoint and uploads them as the kernels want them.

use std::cell::RefCell;
use std::collections::HashSet;

use half::f16;

use super::problems::Problem;
use super::repack::{self, CHANNEL_MULTIPLE};
use super::{Checkpoint, to_f16};
use crate::device::Device;
use crate::error::Result;
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
    /// Without one nothing is read: names, shapes and types alone are checked.
    device: Option<&'a Device>,
    checkpoint: &'a Checkpoint,
    problems: RefCell<Vec<Problem>>,
    taken: RefCell<HashSet<String>>,
}

impl<'a> Loader<'a> {
    /// Loads onto a device.
    pub fn new(device: &'a Device, checkpoint: &'a Checkpoint) -> Loader<'a> {
        Loader { device: Some(device), checkpoint, problems: RefCell::default(), taken: RefCell::default() }
    }

    /// Loads nothing: whoever is given it learns which tensors are not as wanted, from their names, shapes and types.
    /// The tensors it gives lie nowhere.
    pub fn without_device(checkpoint: &'a Checkpoint) -> Loader<'a> {
        Loader { device: None, checkpoint, problems: RefCell::default(), taken: RefCell::default() }
    }

    /// Every problem met, and every tensor that nothing took.
    pub fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        let taken = self.taken.into_inner();
        let unexpected = self.checkpoint.names().filter(|name| !taken.contains(*name)).map(|name| {
            let shape = self.checkpoint.view(name).map(|view| view.shape.to_vec()).unwrap_or_default();
            Problem::Unexpected { name: self.checkpoint.stored_name(name), found: shape }
        });
        problems.extend(unexpected);
        problems
    }

    /// A tensor's elements; zeros, and a problem noted, where they cannot be had. Nothing without a device.
    fn take(&self, name: &str, shape: &[usize]) -> Vec<f16> {
        self.taken.borrow_mut().insert(name.to_string());
        let value = |reason| Problem::Value { name: self.checkpoint.stored_name(name), reason };
        let problem = match self.checkpoint.find(name, shape) {
            Err(problem) => problem,
            Ok(_) if self.device.is_none() => return Vec::new(),
            Ok(view) => match to_f16(view.dtype, view.bytes) {
                Ok(halves) if halves.iter().any(|half| !half.is_finite()) => value("holds NaN or infinity".into()),
                Ok(halves) => return halves.into_owned(),
                Err(reason) => value(reason),
            },
        };
        self.problems.borrow_mut().push(problem);
        vec![f16::ZERO; if self.device.is_some() { shape.iter().product() } else { 0 }]
    }

    fn upload(&self, shape: &[usize], elements: &[f16]) -> Result<Tensor> {
        match self.device {
            Some(device) => device.upload(DType::F16, shape, elements),
            None => Ok(Tensor::nowhere(DType::F16, shape)),
        }
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
        let packed = match self.device {
            Some(_) => repack::convolution(&weight, outputs, inputs, size, padded),
            None => weight,
        };
        let mut bias = self.take(&format!("{name}.bias"), &[outputs]);
        bias.resize(padded, f16::ZERO);
        let columns = size * size * inputs.next_multiple_of(CHANNEL_MULTIPLE);
        Ok(Conv { weight: self.upload(&[padded, columns], &packed)?, bias: Some(self.upload(&[padded], &bias)?), size })
    }
}
