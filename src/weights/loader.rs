//! Takes named tensors out of a checkpoint, and uploads them as the kernels want them when all are there.

use std::cell::RefCell;
use std::collections::HashSet;

use super::Checkpoint;
use super::problems::Problem;
use super::repack::{CHANNEL_MULTIPLE, Part, Recipe};
use super::upload::{Job, upload};
use crate::device::Device;
use crate::error::Result;
use crate::plan::{DType, Region, Tensor};

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

/// Reads one checkpoint. Tensors are described first, all of one in the same region: what is missing or misshapen is
/// noted, so that [`Loader::finish`] can name all of it at once, and nothing is read before all of it is known to fit.
#[derive(Default)]
pub struct Loader<'a> {
    /// Where tensors go to; without it none is read.
    device: Option<&'a Device>,
    /// Where tensors come from; without it they are only described.
    checkpoint: Option<&'a Checkpoint>,
    region: RefCell<Region>,
    jobs: RefCell<Vec<Job<'a>>>,
    problems: RefCell<Vec<Problem>>,
    taken: RefCell<HashSet<String>>,
}

impl<'a> Loader<'a> {
    /// Loads a checkpoint onto a device.
    pub fn new(device: &'a Device, checkpoint: &'a Checkpoint) -> Loader<'a> {
        Loader { device: Some(device), ..Loader::checking(checkpoint) }
    }

    /// Reads no elements: only learns what in the checkpoint is not as wanted, from names, shapes and types.
    pub fn checking(checkpoint: &'a Checkpoint) -> Loader<'a> {
        Loader { checkpoint: Some(checkpoint), ..Loader::describing() }
    }

    /// Reads nothing: gives tensors of the right shapes that never have memory, over which plans can be recorded.
    pub fn describing() -> Loader<'a> {
        Loader::default()
    }

    /// The bytes of device memory that the tensors described so far take.
    pub fn bytes(&self) -> usize {
        self.region.borrow().bytes()
    }

    /// Every problem met, and every tensor that nothing took. If there is none, and a device, uploads what was taken,
    /// and gives what is wrong with its elements.
    pub fn finish(self) -> Result<Vec<Problem>> {
        let Some(checkpoint) = self.checkpoint else { return Ok(Vec::new()) };
        let mut problems = self.problems.into_inner();
        let taken = self.taken.into_inner();
        let unexpected = checkpoint.names().filter(|name| !taken.contains(*name)).map(|name| {
            let shape = checkpoint.view(name).map(|view| view.shape.to_vec()).unwrap_or_default();
            Problem::Unexpected { name: checkpoint.stored_name(name), found: shape }
        });
        problems.extend(unexpected);
        let Some(device) = self.device.filter(|_| problems.is_empty()) else { return Ok(problems) };
        self.region.into_inner().allocate(device)?;
        let bad = upload(device, &self.jobs.into_inner())?;
        Ok(bad.into_iter().map(|(name, reason)| Problem::Value { name, reason }).collect())
    }

    /// Describes a device tensor that a recipe makes of the checkpoint's, unless something is wrong with those.
    fn make(&self, shape: &[usize], recipe: Option<Recipe<'a>>) -> Tensor {
        let target = self.region.borrow_mut().tensor(DType::F16, shape);
        if let Some(recipe) = recipe {
            self.jobs.borrow_mut().push(Job { target: target.clone(), recipe });
        }
        target
    }

    /// A tensor of the checkpoint; where it cannot be had, nothing, and a problem noted.
    fn take(&self, name: &str, shape: &[usize]) -> Option<Part<'a>> {
        let checkpoint = self.checkpoint?;
        self.taken.borrow_mut().insert(name.to_string());
        match checkpoint.find(name, shape) {
            Ok(stored) => Some(Part { name: checkpoint.stored_name(name), stored }),
            Err(problem) => {
                self.problems.borrow_mut().push(problem);
                None
            }
        }
    }

    /// Describes a device tensor of the elements of several of the checkpoint, zeros behind them.
    fn stack(&self, shape: &[usize], parts: impl IntoIterator<Item = (String, Vec<usize>)>) -> Tensor {
        // Each is looked for, so that all that are missing are noted.
        let parts: Vec<Option<Part>> = parts.into_iter().map(|(name, shape)| self.take(&name, &shape)).collect();
        let parts: Option<Vec<Part>> = parts.into_iter().collect();
        self.make(shape, parts.map(Recipe::Stacked))
    }

    /// A tensor as it is.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.stack(shape, [(name.to_string(), shape.to_vec())]))
    }

    /// `{name}.weight` and `.bias` of `channels`.
    pub fn norm(&self, name: &str, channels: usize) -> Result<Norm> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.tensor(&format!("{name}.{part}"), &[channels]));
        Ok(Norm { weight: weight?, bias: bias? })
    }

    /// Several linear layers over the same input as one: their outputs side by side.
    pub fn linears(&self, names: &[String], inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
        let rows = names.len() * outputs;
        let parts = |part: &'static str, shape: Vec<usize>| {
            names.iter().map(move |name| (format!("{name}.{part}"), shape.clone()))
        };
        let weight = self.stack(&[rows, inputs], parts("weight", vec![outputs, inputs]));
        let bias = bias.then(|| self.stack(&[rows], parts("bias", vec![outputs])));
        Ok(Linear { weight, bias })
    }

    /// `{name}.weight` (outputs, inputs) and, if wanted, `.bias`.
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
        self.linears(&[name.to_string()], inputs, outputs, bias)
    }

    /// Several linear layers that each differ in outputs, over the same input, with biases: one layer.
    pub fn stacked(&self, layers: &[(String, usize)], inputs: usize) -> Result<Linear> {
        let rows = layers.iter().map(|(_, outputs)| outputs).sum();
        let weights = layers.iter().map(|(name, outputs)| (format!("{name}.weight"), vec![*outputs, inputs]));
        let biases = layers.iter().map(|(name, outputs)| (format!("{name}.bias"), vec![*outputs]));
        Ok(Linear { weight: self.stack(&[rows, inputs], weights), bias: Some(self.stack(&[rows], biases)) })
    }

    /// A GEGLU's projection to twice `outputs`, hidden and gate rows in turn.
    pub fn geglu(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let interleaved = |part: &str, shape: &[usize]| {
            let stored = self.take(&format!("{name}.{part}"), shape);
            self.make(shape, stored.map(Recipe::Interleaved))
        };
        let weight = interleaved("weight", &[2 * outputs, inputs]);
        Ok(Linear { weight, bias: Some(interleaved("bias", &[2 * outputs])) })
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
        let taps = size * size;
        let weight = self.take(&format!("{name}.weight"), &[outputs, inputs, size, size]);
        let recipe = weight.map(|weight| Recipe::Convolution { weight, inputs, taps });
        let weight = self.make(&[padded, taps * inputs.next_multiple_of(CHANNEL_MULTIPLE)], recipe);
        let bias = self.stack(&[padded], [(format!("{name}.bias"), vec![outputs])]);
        Ok(Conv { weight, bias: Some(bias), size })
    }
}
