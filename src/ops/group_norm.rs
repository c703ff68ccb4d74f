//! GroupNorm, optionally with SiLU, optionally over the concatenation of two tensors.

use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "group_norm";

/// The most threads of a block; the kernel's `MAX_THREADS`.
const MAX_THREADS: usize = 512;

/// The most chunks that a sample's pixels are cut into: every block of the second kernel reads all their statistics.
const MAX_CHUNKS: usize = 256;

/// Pixels a thread handles at least, so that its loads overlap.
const MIN_PIXELS_PER_THREAD: usize = 4;

/// `act((x - mean) / sqrt(var + eps) * weight + bias)`, mean and biased variance over all pixels and the channels of a
/// group of one sample (Wu and He, arXiv 1803.08494); `x` is `input`, or `input` and `skip` side by side along the
/// channels.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a> {
    /// (batch, height, width, c1) fp16.
    pub input: &'a Tensor,
    /// The second half of the channels: (batch, height, width, c2) fp16.
    pub skip: Option<&'a Tensor>,
    /// (c1 + c2) fp16.
    pub weight: &'a Tensor,
    /// (c1 + c2) fp16.
    pub bias: &'a Tensor,
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// How a sample's pixels are shared out. Depends on the sample's shape alone, so that its sums do too.
#[derive(Clone, Copy, Debug)]
struct Chunks {
    /// Pixels a block handles at a time, one for each row of threads.
    rows: usize,
    pixels: usize,
    count: usize,
}

impl Chunks {
    fn new(pixels: usize, vectors: usize) -> Chunks {
        let rows = (MAX_THREADS / vectors).min(pixels);
        let chunk = pixels.div_ceil(MAX_CHUNKS).max(rows * MIN_PIXELS_PER_THREAD).next_multiple_of(rows);
        Chunks { rows, pixels: chunk, count: pixels.div_ceil(chunk) }
    }
}

impl GroupNorm<'_> {
    /// Records the operator; gives (batch, height, width, c1 + c2) fp16. Fails on other shapes, on channels that are
    /// no multiple of 8 or of `groups`, and over 4096 channels.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let channels = self.check()?;
        let (batch, pixels) = (self.input.dim(0), self.input.dim(1) * self.input.dim(2));
        let (first, vectors) = (self.input.columns() / 8, channels / 8);
        let chunks = Chunks::new(pixels, vectors);
        let partials = plan.tensor(DType::F32, &[batch, self.groups, chunks.count, 2]);
        let output = plan.tensor(DType::F16, &[batch, self.input.dim(1), self.input.dim(2), channels]);

        let sizes = [first, vectors, pixels, chunks.pixels, chunks.rows, self.groups];
        let sizes = sizes.into_iter().map(|size| Ok(Arg::U32(count(OP, size)?))).collect::<Result<Vec<_>>>()?;
        let inputs = [Arg::Read(self.input.clone()), Arg::optional(self.skip)];
        let launch = |entry, shared_bytes: usize, args| Launch {
            unit: Unit {
                file: "group_norm",
                defines: vec![("MAX_THREADS", MAX_THREADS as i64), ("SILU", self.silu.into())],
            },
            entry,
            grid: [chunks.count as u32, batch as u32, 1],
            block: (chunks.rows * vectors).next_multiple_of(32) as u32,
            shared_bytes: shared_bytes as u32,
            args,
            macs: 0,
        };

        let mut args = inputs.to_vec();
        args.push(Arg::Write(partials.clone()));
        args.extend_from_slice(&sizes);
        plan.launch(launch("group_norm_statistics", 2 * chunks.rows * channels * size_of::<f32>(), args));

        let mut args = inputs.to_vec();
        args.extend([partials, self.weight.clone(), self.bias.clone()].map(Arg::Read));
        args.push(Arg::Write(output.clone()));
        args.extend(sizes);
        args.push(Arg::F32(self.eps));
        plan.launch(launch("group_norm_apply", self.groups * 2 * size_of::<f32>(), args));
        Ok(output)
    }

    /// The number of channels, if all fits.
    fn check(&self) -> Result<usize> {
        let shape = self.input.shape();
        ensure(OP, shape.len() == 4 && self.input.elements() > 0, || format!("input is {shape:?}"))?;
        ensure_tensor(OP, "input", self.input, DType::F16, shape)?;
        let mut channels = shape[3];
        if let Some(skip) = self.skip {
            ensure_tensor(OP, "skip", skip, DType::F16, &[shape[0], shape[1], shape[2], skip.columns()])?;
            channels += skip.columns();
        }
        ensure_tensor(OP, "weight", self.weight, DType::F16, &[channels])?;
        ensure_tensor(OP, "bias", self.bias, DType::F16, &[channels])?;
        ensure(OP, shape[3].is_multiple_of(8) && channels.is_multiple_of(8), || {
            format!("{} of {channels} channels; both must be multiples of 8", shape[3])
        })?;
        ensure(OP, self.groups > 0 && channels.is_multiple_of(self.groups), || {
            format!("{channels} channels in {} groups", self.groups)
        })?;
        ensure(OP, channels <= 8 * MAX_THREADS, || format!("{channels} channels; at most {}", 8 * MAX_THREADS))?;
        ensure(OP, shape[0] <= 65_535, || format!("{} samples; a grid has at most 65535", shape[0]))?;
        Ok(channels)
    }
}
