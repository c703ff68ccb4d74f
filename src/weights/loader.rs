//! Takes named tensors out of a checkpoint, and uploads them as the kernels want them when all are there.

use std::cell::RefCell;
use std::collections::HashSet;

use safetensors::SafeTensors;

use super::Checkpoint;
use super::convert::Stored;
use super::repack::{CHANNEL_MULTIPLE, Part, Recipe};
use super::upload::{Job, upload};
use crate::device::Device;
use crate::error::{Error, Result};
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
pub struct Loader<'a> {
    /// Where tensors come from and go to; without it they are only described.
    source: Option<Source<'a>>,
    region: RefCell<Region>,
    jobs: RefCell<Vec<Job<'a>>>,
    problems: RefCell<Vec<String>>,
    /// Names and shapes in the order in which they were asked for.
    wanted: RefCell<Vec<(String, Vec<usize>)>>,
}

struct Source<'a> {
    device: &'a Device,
    checkpoint: &'a Checkpoint,
    tensors: SafeTensors<'a>,
}

impl<'a> Loader<'a> {
    pub fn new(device: &'a Device, checkpoint: &'a Checkpoint) -> Result<Loader<'a>> {
        let source = Source { device, checkpoint, tensors: checkpoint.tensors()? };
        Ok(Loader { source: Some(source), ..Loader::describing() })
    }

    /// Reads nothing: gives tensors of the right shapes that never have memory, over which plans can be recorded.
    pub fn describing() -> Loader<'a> {
        Loader {
            source: None,
            region: RefCell::default(),
            jobs: RefCell::default(),
            problems: RefCell::default(),
            wanted: RefCell::default(),
        }
    }

    /// Whether the checkpoint has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.source.as_ref().is_some_and(|source| source.tensors.tensor(name).is_ok())
    }

    /// Fails with every problem met, and with every tensor that nothing took. If there is none, uploads what was taken,
    /// and gives the bytes of device memory that it takes.
    pub fn finish(self, ignored: &[&str]) -> Result<usize> {
        let region = self.region.into_inner();
        let Some(source) = self.source else { return Ok(region.bytes()) };
        let mut problems = self.problems.into_inner();
        let wanted = self.wanted.into_inner();
        let taken: HashSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let mut unexpected: Vec<&str> = source
            .tensors
            .names()
            .into_iter()
            .filter(|name| !taken.contains(*name) && !ignored.iter().any(|end| name.ends_with(end)))
            .collect();
        unexpected.sort_unstable();
        problems.extend(unexpected.iter().map(|name| format!("{name} is unexpected")));
        source.complain(problems)?;
        region.allocate(source.device)?;
        let bad = upload(source.device, &self.jobs.into_inner())?;
        source.complain(bad.into_iter().map(|(name, reason)| format!("{name}: {reason}")).collect())?;
        Ok(region.bytes())
    }

    /// Names and shapes of all that was asked for.
    pub fn wanted(self) -> Vec<(String, Vec<usize>)> {
        self.wanted.into_inner()
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
        self.wanted.borrow_mut().push((name.to_string(), shape.to_vec()));
        let source = self.source.as_ref()?;
        let problem = match source.tensors.tensor(name) {
            Err(_) => format!("{name} {shape:?} is missing"),
            Ok(view) if view.shape() != shape => format!("{name} is {:?}, wanted {shape:?}", view.shape()),
            Ok(view) => match Stored::new(view.dtype(), view.data()) {
                Ok(stored) => return Some(Part { name: name.to_string(), stored }),
                Err(reason) => format!("{name}: {reason}"),
            },
        };
        self.problems.borrow_mut().push(problem);
        None
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

    /// A linear layer that may be stored as a 1x1 convolution: with bias.
    pub fn pointwise(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = format!("{name}.weight");
        let stored = self.source.as_ref().and_then(|source| source.tensors.tensor(&weight).ok());
        let stored_as_convolution = stored.is_some_and(|view| view.shape().len() == 4);
        let stored_shape = if stored_as_convolution { vec![outputs, inputs, 1, 1] } else { vec![outputs, inputs] };
        let weight = self.stack(&[outputs, inputs], [(weight, stored_shape)]);
        Ok(Linear { weight, bias: Some(self.tensor(&format!("{name}.bias"), &[outputs])?) })
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

impl Source<'_> {
    /// Fails with the problems, if there are any.
    fn complain(&self, mut problems: Vec<String>) -> Result<()> {
        const SHOWN: usize = 20;
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
}
