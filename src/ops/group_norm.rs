//! GroupNorm, optionally with SiLU, optionally over the concatenation of two tensors.

use std::ops::Range;

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

/// The statistics of an input, whole or as far as it has been recorded.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// fp32 (batch, groups, chunks, 2): mean and sum of squared deviations of every chunk.
    partials: Tensor,
    /// Pixels of a sample.
    pixels: usize,
    chunks: Chunks,
}

impl Statistics {
    /// Of samples of `pixels` pixels, with nothing recorded yet. Fails on channels as [`GroupNorm::record`].
    pub fn new(plan: &mut Plan, batch: usize, pixels: usize, channels: usize, groups: usize) -> Result<Statistics> {
        check_channels(channels, groups)?;
        let chunks = Chunks::new(pixels, channels / 8);
        let partials = plan.tensor(DType::F32, &[batch, groups, chunks.count, 2]);
        Ok(Statistics { partials, pixels, chunks })
    }

    /// The pixels of a sample in ranges of about `pixels` each, whose statistics can be recorded apart.
    pub fn ranges(&self, pixels: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, step) = (self.pixels, self.chunks.pixels * (pixels / self.chunks.pixels).max(1));
        (0..all).step_by(step).map(move |first| first..all.min(first + step))
    }
}

impl GroupNorm<'_> {
    /// Records the operator; gives (batch, height, width, c1 + c2) fp16. Fails on other shapes, on channels that are
    /// no multiple of 8 or of `groups`, and over 4096 channels.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let statistics = self.record_statistics(plan)?;
        self.record_apply(plan, &statistics)
    }

    /// Records the statistics of the input alone, for one or more of [`GroupNorm::record_apply`].
    pub fn record_statistics(&self, plan: &mut Plan) -> Result<Statistics> {
        let channels = self.check()?;
        let [batch, height, width, _] = *self.input.shape() else { unreachable!("checked") };
        let statistics = Statistics::new(plan, batch, height * width, channels, self.groups)?;
        self.launch_statistics(plan, &statistics, 0)?;
        Ok(statistics)
    }

    /// Records the statistics of one of [`Statistics::ranges`], whose pixels `self.input` holds: (1, 1, pixels, c1).
    /// Together they are, to the bit, those of an input that need not exist whole.
    pub fn record_statistics_of(&self, plan: &mut Plan, statistics: &Statistics, range: Range<usize>) -> Result<()> {
        let channels = self.check()?;
        ensure_tensor(OP, "pixels", self.input, DType::F16, &[1, 1, range.len(), channels])?;
        let Statistics { partials, pixels, chunks } = statistics;
        let fits = partials.dim(0) == 1 && partials.dim(1) == self.groups && range.end <= *pixels;
        let whole_chunks = range.start.is_multiple_of(chunks.pixels)
            && (range.end == *pixels || range.end.is_multiple_of(chunks.pixels));
        ensure(OP, fits && whole_chunks, || format!("pixels {range:?} of {pixels} in {:?}", partials.shape()))?;
        self.launch_statistics(plan, statistics, range.start / chunks.pixels)
    }

    /// Records the normalisation by statistics of the whole that the input is all or some pixels of; gives
    /// (batch, height, width, c1 + c2) fp16.
    pub fn record_apply(&self, plan: &mut Plan, statistics: &Statistics) -> Result<Tensor> {
        let channels = self.check()?;
        let [batch, height, width, _] = *self.input.shape() else { unreachable!("checked") };
        let Statistics { partials, pixels, chunks } = statistics;
        let fits = partials.dim(0) == batch && partials.dim(1) == self.groups && height * width <= *pixels;
        ensure(OP, fits, || format!("{:?} normalised by statistics {:?}", self.input, partials))?;
        let output = plan.tensor(DType::F16, &[batch, height, width, channels]);
        let mut args = vec![Arg::Read(self.input.clone()), Arg::optional(self.skip)];
        args.extend([partials, self.weight, self.bias].map(|tensor| Arg::Read(tensor.clone())));
        args.push(Arg::Write(output.clone()));
        args.extend(self.sizes(chunks)?);
        args.extend([Arg::U32(count(OP, chunks.count)?), Arg::U32(count(OP, *pixels)?), Arg::F32(self.eps)]);
        let shared_bytes = self.groups * 2 * size_of::<f32>();
        plan.launch(self.launch("group_norm_apply", chunks, shared_bytes, args));
        Ok(output)
    }

    /// Records the statistics of the chunks from `first_chunk` on, whose pixels the input holds.
    fn launch_statistics(&self, plan: &mut Plan, statistics: &Statistics, first_chunk: usize) -> Result<()> {
        let Statistics { partials, chunks, .. } = statistics;
        let mut args = vec![Arg::Read(self.input.clone()), Arg::optional(self.skip)];
        args.push(Arg::Update(partials.clone()));
        args.extend(self.sizes(chunks)?);
        args.extend([Arg::U32(count(OP, chunks.count)?), Arg::U32(count(OP, first_chunk)?)]);
        let channels = self.weight.elements();
        let shared_bytes = 2 * chunks.rows * channels * size_of::<f32>();
        plan.launch(self.launch("group_norm_statistics", chunks, shared_bytes, args));
        Ok(())
    }

    /// What both kernels are told of the input's sizes.
    fn sizes(&self, chunks: &Chunks) -> Result<Vec<Arg>> {
        let input = self.input;
        let (first, vectors) = (input.columns() / 8, self.weight.elements() / 8);
        let sizes = [first, vectors, input.dim(1) * input.dim(2), chunks.pixels, chunks.rows, self.groups];
        sizes.into_iter().map(|size| Ok(Arg::U32(count(OP, size)?))).collect()
    }

    /// A launch over the chunks of the input.
    fn launch(&self, entry: &'static str, chunks: &Chunks, shared_bytes: usize, args: Vec<Arg>) -> Launch {
        let input = self.input;
        let (pixels, vectors) = (input.dim(1) * input.dim(2), self.weight.elements() / 8);
        Launch {
            unit: Unit {
                file: "group_norm",
                defines: vec![("MAX_THREADS", MAX_THREADS as i64), ("SILU", self.silu.into())],
            },
            entry,
            grid: [pixels.div_ceil(chunks.pixels) as u32, input.dim(0) as u32, 1],
            block: (chunks.rows * vectors).next_multiple_of(32) as u32,
            shared_bytes: shared_bytes as u32,
            args,
            macs: 0,
        }
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
        ensure(OP, shape[3].is_multiple_of(8), || {
            format!("{} of {channels} channels; both must be multiples of 8", shape[3])
        })?;
        check_channels(channels, self.groups)?;
        ensure(OP, shape[0] <= 65_535, || format!("{} samples; a grid has at most 65535", shape[0]))?;
        Ok(channels)
    }
}

/// Fails on numbers of channels that the kernels do not take.
fn check_channels(channels: usize, groups: usize) -> Result<()> {
    ensure(OP, channels > 0 && channels.is_multiple_of(8), || format!("{channels} channels; no multiple of 8"))?;
    ensure(OP, groups > 0 && channels.is_multiple_of(groups), || format!("{channels} channels in {groups} groups"))?;
    ensure(OP, channels <= 8 * MAX_THREADS, || format!("{channels} channels; at most {}", 8 * MAX_THREADS))
}
