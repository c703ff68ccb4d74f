//! The layouts that kernels read, made a few rows at a time from the layouts that checkpoints hold.

use half::f16;

use super::convert::Stored;

/// Channels are read eight at a time: what is narrower is padded with zeros.
pub(super) const CHANNEL_MULTIPLE: usize = 8;

/// A tensor of a checkpoint, whose shape has been checked.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub name: String,
    pub stored: Stored<'a>,
}

/// How a matrix on the device is made of a checkpoint's tensors.
#[derive(Clone, Debug)]
pub(super) enum Recipe<'a> {
    /// Their elements one tensor after another, then zeros.
    Stacked(Vec<Part<'a>>),
    /// Rows `h_0 .. h_n, gate_0 .. gate_n` as `h_0, gate_0, h_1, gate_1, ..`: a GEGLU finds each pair in neighbouring
    /// columns of its product.
    Interleaved(Part<'a>),
    /// (outputs, inputs, taps) as (outputs, taps, inputs), inputs padded with zeros to a multiple of 8, then rows of
    /// zeros: what the implicit-GEMM convolution reads as rows of K.
    Convolution { weight: Part<'a>, inputs: usize, taps: usize },
}

impl<'a> Recipe<'a> {
    /// The tensor whose place in the checkpoint stands for the whole's.
    pub fn first(&self) -> Option<&Part<'a>> {
        match self {
            Recipe::Stacked(parts) => parts.first(),
            Recipe::Interleaved(part) | Recipe::Convolution { weight: part, .. } => Some(part),
        }
    }

    /// Makes rows `first_row ..` of `columns` elements, as many as `out` takes.
    ///
    /// # Errors
    /// A tensor's name and the reason, where its elements cannot be had.
    pub fn fill(&self, first_row: usize, columns: usize, out: &mut [f16]) -> Result<(), (String, String)> {
        match self {
            Recipe::Stacked(parts) => stack(parts, first_row * columns, out),
            Recipe::Interleaved(part) => {
                let half = part.stored.len() / columns / 2;
                out.chunks_exact_mut(columns).zip(first_row..).try_for_each(|(out, row)| {
                    let stored_row = row / 2 + if row % 2 == 0 { 0 } else { half };
                    part.read(stored_row * columns, out)
                })
            }
            Recipe::Convolution { weight, inputs, taps } => {
                let mut row = vec![f16::ZERO; inputs * taps];
                let outputs = weight.stored.len() / row.len();
                out.chunks_exact_mut(columns).zip(first_row..).try_for_each(|(out, output)| {
                    if output >= outputs {
                        out.fill(f16::ZERO);
                        return Ok(());
                    }
                    weight.read(output * row.len(), &mut row)?;
                    channels_inside(&row, *inputs, *taps, out);
                    Ok(())
                })
            }
        }
    }
}

impl Part<'_> {
    fn read(&self, first: usize, out: &mut [f16]) -> Result<(), (String, String)> {
        self.stored.read(first, out).map_err(|reason| (self.name.clone(), reason))
    }
}

/// Elements `first ..` of the parts one after another, zeros behind them.
fn stack(parts: &[Part], mut first: usize, mut out: &mut [f16]) -> Result<(), (String, String)> {
    for part in parts {
        let count = part.stored.len().saturating_sub(first).min(out.len());
        if count > 0 {
            let (now, later) = out.split_at_mut(count);
            part.read(first, now)?;
            out = later;
        }
        first = first.saturating_sub(part.stored.len());
    }
    out.fill(f16::ZERO);
    Ok(())
}

/// One output's (inputs, taps) to (taps, padded inputs).
fn channels_inside(row: &[f16], inputs: usize, taps: usize, out: &mut [f16]) {
    const WHOLE: usize = CHANNEL_MULTIPLE;
    let padded = inputs.next_multiple_of(WHOLE);
    for (index, group) in row.chunks(WHOLE * taps).enumerate() {
        let channels = group.len() / taps;
        for (tap, out) in out.chunks_exact_mut(padded).enumerate() {
            let out = &mut out[index * WHOLE..][..WHOLE];
            if channels < WHOLE {
                out.fill(f16::ZERO);
            }
            for (channel, out) in out[..channels].iter_mut().enumerate() {
                *out = group[channel * taps + tap];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;

    fn counted(count: usize) -> Vec<f16> {
        (0..count).map(|value| f16::from_f32(value as f32 + 1.0)).collect()
    }

    fn part(halves: &[f16]) -> Part<'_> {
        let stored = Stored::new(Dtype::F16, bytemuck::cast_slice(halves)).expect("a float");
        Part { name: "weight".into(), stored }
    }

    /// All rows, whatever the number of rows made at a time.
    fn fill(recipe: &Recipe, rows: usize, columns: usize) -> Vec<f16> {
        let at_a_time = |step: usize| -> Vec<f16> {
            let starts = (0..rows).step_by(step);
            let filled = starts.flat_map(|first| {
                let mut out = vec![f16::NAN; step.min(rows - first) * columns];
                recipe.fill(first, columns, &mut out).expect("finite");
                out
            });
            filled.collect()
        };
        let whole = at_a_time(rows);
        for step in 1..rows {
            assert_eq!(at_a_time(step), whole, "{step} rows at a time");
        }
        whole
    }

    #[test]
    fn convolution_moves_channels_inside_and_pads() {
        for (outputs, inputs, taps) in [(2, 3_usize, 9), (3, 16, 9), (2, 11, 1)] {
            let (rows, padded) = (outputs + 2, inputs.next_multiple_of(8));
            let weight = counted(outputs * inputs * taps);
            let packed = fill(&Recipe::Convolution { weight: part(&weight), inputs, taps }, rows, taps * padded);
            assert_eq!(packed.len(), rows * taps * padded);
            for (index, &value) in packed.iter().enumerate() {
                let (output, tap, channel) = (index / padded / taps, index / padded % taps, index % padded);
                let there = output < outputs && channel < inputs;
                let expected = if there { weight[(output * inputs + channel) * taps + tap] } else { f16::ZERO };
                assert_eq!(value, expected, "output {output}, tap {tap}, channel {channel}");
            }
        }
    }

    #[test]
    fn geglu_rows_come_in_pairs() {
        let weight = counted(8);
        let packed = fill(&Recipe::Interleaved(part(&weight)), 4, 2);
        let values: Vec<f32> = packed.iter().map(|value| value.to_f32()).collect();
        assert_eq!(values, [1., 2., 5., 6., 3., 4., 7., 8.]);
    }

    #[test]
    fn tensors_follow_each_other_and_zeros_follow_them() {
        let (first, second) = (counted(6), counted(2));
        let packed = fill(&Recipe::Stacked(vec![part(&first), part(&second)]), 5, 2);
        let values: Vec<f32> = packed.iter().map(|value| value.to_f32()).collect();
        assert_eq!(values, [1., 2., 3., 4., 5., 6., 1., 2., 0., 0.]);
    }

    #[test]
    fn a_bad_tensor_is_named() {
        let (good, bad) = (counted(4), [f16::ONE, f16::NAN]);
        let recipe = Recipe::Stacked(vec![part(&good), Part { name: "bad".into(), ..part(&bad) }]);
        let (name, reason) = recipe.fill(0, 2, &mut [f16::ZERO; 6]).expect_err("NaN");
        assert_eq!((name.as_str(), reason.as_str()), ("bad", "holds NaN or infinity"));
        recipe.fill(0, 2, &mut [f16::ZERO; 4]).expect("the bad one is not read");
    }
}
