//! ResNet blocks a band of rows at a time, for pictures whose activations are too large to exist whole.
//!
//! Of a block's tensors only its input and its output exist whole, and its input need not, if it is a convolution of
//! something smaller. What lies between them is computed in bands of rows, with the rows that the 3x3 windows reach on
//! either side, and computed again where it is needed again: once for the statistics of the second GroupNorm, which are
//! the whole picture's, and once for the output. The bits are those of [`ResnetBlock::record`].

use std::ops::Range;

use super::blocks::{Normalisation, ResnetBlock};
use crate::error::Result;
use crate::ops::conv2d::{Conv2d, Geometry, Rows};
use crate::ops::group_norm::Statistics;
use crate::plan::{DType, Plan, Tensor};
use crate::weights::Conv;

/// How large the tensors of a band may be, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bands {
    pub bytes: usize,
}

impl Default for Bands {
    /// Bands of which each fills a GPU, and which are small beside a picture that has to be cut.
    fn default() -> Bands {
        Bands { bytes: 32 << 20 }
    }
}

/// What a block works on: one picture (1, height, width, channels).
pub(super) enum Source<'a> {
    Whole(Tensor),
    /// This convolution of a picture enlarged x2.
    Upsampled {
        conv: &'a Conv,
        input: Tensor,
    },
}

impl Source<'_> {
    /// (height, width, channels)
    fn shape(&self) -> [usize; 3] {
        match self {
            Source::Whole(tensor) => [tensor.dim(1), tensor.dim(2), tensor.dim(3)],
            Source::Upsampled { conv, input } => [2 * input.dim(1), 2 * input.dim(2), conv.weight.dim(0)],
        }
    }

    /// All of it; here there may be several pictures.
    pub fn whole(&self, plan: &mut Plan) -> Result<Tensor> {
        match self {
            Source::Whole(tensor) => Ok(tensor.clone()),
            Source::Upsampled { conv, input } => {
                let [height, width, _] = self.shape();
                conv.record(plan, input, Geometry::Upsample { height, width })
            }
        }
    }

    /// Some rows of it, recorded or where they lie.
    fn rows(&self, plan: &mut Plan, rows: Range<usize>) -> Result<Tensor> {
        match self {
            Source::Whole(tensor) => Ok(rows_of(tensor, rows)),
            Source::Upsampled { conv, input } => {
                let [height, width, _] = self.shape();
                let reached = reach(&rows, conv.size, height);
                let taken = reached.start / 2..reached.end.div_ceil(2);
                let input = rows_of(input, taken.clone());
                let geometry = Geometry::Upsample { height: 2 * taken.len(), width };
                let first = rows.start - 2 * taken.start;
                record_rows(plan, conv.with(&input, geometry), Rows { first, count: rows.len(), of: height }, width)
            }
        }
    }
}

impl ResnetBlock {
    /// [`ResnetBlock::record`], in bands unless all of it is no larger than one.
    pub fn record_in_bands(&self, plan: &mut Plan, source: &Source, bands: Bands) -> Result<Tensor> {
        let [height, width, channels] = source.shape();
        let outputs = self.conv2.weight.dim(0);
        let band = (bands.bytes / (width * channels.max(outputs) * DType::F16.bytes())).max(1);
        if band >= height {
            let input = source.whole(plan)?;
            return self.record(plan, &input, None, None);
        }
        let first = match source {
            Source::Whole(input) => self.norm1.with(input, true).record_statistics(plan)?,
            Source::Upsampled { .. } => {
                statistics(plan, &self.norm1, source.shape(), band, |plan, rows| source.rows(plan, rows))?
            }
        };
        let inner = [height, width, outputs];
        let second = statistics(plan, &self.norm2, inner, band, |plan, rows| {
            let reached = reach(&rows, self.conv1.size, height);
            let input = source.rows(plan, reached.clone())?;
            self.first_half(plan, &input, &first, rows, height, reached.start)
        })?;
        let output = plan.tensor(DType::F16, &[1, height, width, outputs]);
        for start in (0..height).step_by(band) {
            let rows = start..height.min(start + band);
            let hidden_rows = reach(&rows, self.conv2.size, height);
            let reached = reach(&hidden_rows, self.conv1.size, height);
            let input = source.rows(plan, reached.clone())?;
            let hidden = self.first_half(plan, &input, &first, hidden_rows.clone(), height, reached.start)?;
            let hidden = self.norm2.with(&hidden, true).record_apply(plan, &second)?;
            let residual = rows_of(&input, rows.start - reached.start..rows.end - reached.start);
            let residual = match &self.shortcut {
                Some(shortcut) => {
                    let place = Rows { first: 0, count: rows.len(), of: height };
                    record_rows(plan, shortcut.with(&residual, Geometry::Same), place, width)?
                }
                None => residual,
            };
            let conv = Conv2d { residual: Some(&residual), ..self.conv2.with(&hidden, Geometry::Same) };
            let place = Rows { first: rows.start - hidden_rows.start, count: rows.len(), of: height };
            conv.record_rows(plan, place, &rows_of(&output, rows))?;
        }
        Ok(output)
    }

    /// `rows` of what the second GroupNorm normalises, of a picture of `height`, from an input that starts at row
    /// `from` and reaches as far as the window does.
    fn first_half(
        &self,
        plan: &mut Plan,
        input: &Tensor,
        statistics: &Statistics,
        rows: Range<usize>,
        height: usize,
        from: usize,
    ) -> Result<Tensor> {
        let normed = self.norm1.with(input, true).record_apply(plan, statistics)?;
        let place = Rows { first: rows.start - from, count: rows.len(), of: height };
        record_rows(plan, self.conv1.with(&normed, Geometry::Same), place, input.dim(2))
    }
}

/// The statistics of a picture (height, width, channels) of which `rows_of` gives any rows, about `band` at a time.
fn statistics(
    plan: &mut Plan,
    norm: &Normalisation,
    [height, width, channels]: [usize; 3],
    band: usize,
    mut rows_of: impl FnMut(&mut Plan, Range<usize>) -> Result<Tensor>,
) -> Result<Statistics> {
    let statistics = Statistics::new(plan, 1, height * width, channels, norm.groups)?;
    for pixels in statistics.ranges(band * width) {
        let rows = pixels.start / width..pixels.end.div_ceil(width);
        let input = rows_of(plan, rows.clone())?.reshape(&[rows.len() * width, channels]);
        let input = input.slice(pixels.start - rows.start * width, pixels.len());
        let input = input.reshape(&[1, 1, pixels.len(), channels]);
        norm.with(&input, true).record_statistics_of(plan, &statistics, pixels)?;
    }
    Ok(statistics)
}

/// The rows that windows of this size around `rows` reach, of `height`.
fn reach(rows: &Range<usize>, size: usize, height: usize) -> Range<usize> {
    let beyond = size / 2;
    rows.start.saturating_sub(beyond)..height.min(rows.end + beyond)
}

/// Some rows of a picture (1, height, width, channels), where they lie.
fn rows_of(picture: &Tensor, rows: Range<usize>) -> Tensor {
    let &[1, height, width, channels] = picture.shape() else { panic!("{picture:?} is not one picture") };
    let slice = picture.reshape(&[height, width, channels]).slice(rows.start, rows.len());
    slice.reshape(&[1, rows.len(), width, channels])
}

/// Records some rows of a convolution into a tensor of their own, of this width.
fn record_rows(plan: &mut Plan, conv: Conv2d, rows: Rows, width: usize) -> Result<Tensor> {
    let output = plan.tensor(DType::F16, &[1, rows.count, width, conv.weight.dim(0)]);
    conv.record_rows(plan, rows, &output)?;
    Ok(output)
}
