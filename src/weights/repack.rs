//! The layouts that kernels read, from the layouts that checkpoints hold. Pure functions on the host.

use half::f16;

/// Channels are read eight at a time: what is narrower is padded with zeros.
pub(super) const CHANNEL_MULTIPLE: usize = 8;

/// (outputs, inputs, size, size) to (padded outputs, size, size, padded inputs): what the implicit-GEMM convolution
/// reads as rows of K. Padding is zero.
pub(super) fn convolution(
    weight: &[f16],
    outputs: usize,
    inputs: usize,
    size: usize,
    padded_outputs: usize,
) -> Vec<f16> {
    let taps = size * size;
    let padded = inputs.next_multiple_of(CHANNEL_MULTIPLE);
    let mut packed = vec![f16::ZERO; padded_outputs * taps * padded];
    for output in 0..outputs {
        for input in 0..inputs {
            for tap in 0..taps {
                packed[(output * taps + tap) * padded + input] = weight[(output * inputs + input) * taps + tap];
            }
        }
    }
    packed
}

/// Rows `h_0 .. h_n, gate_0 .. gate_n` of `columns` elements to `h_0, gate_0, h_1, gate_1, ..`: a GEGLU finds each
/// pair in neighbouring columns of its product.
pub(super) fn interleave_halves(rows: &[f16], columns: usize) -> Vec<f16> {
    let (hidden, gate) = rows.split_at(rows.len() / 2);
    let pairs = hidden.chunks_exact(columns).zip(gate.chunks_exact(columns));
    pairs.flat_map(|(hidden, gate)| hidden.iter().chain(gate)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: usize) -> Vec<f16> {
        (0..count).map(|value| f16::from_f32(value as f32 + 1.0)).collect()
    }

    #[test]
    fn convolution_moves_channels_inside_and_pads() {
        let (outputs, inputs, size) = (2, 3, 3);
        let weight = counted(outputs * inputs * size * size);
        let packed = convolution(&weight, outputs, inputs, size, 4);
        assert_eq!(packed.len(), 4 * 9 * 8);
        for output in 0..4 {
            for tap in 0..9 {
                for channel in 0..8 {
                    let expected = if output < outputs && channel < inputs {
                        weight[(output * inputs + channel) * 9 + tap]
                    } else {
                        f16::ZERO
                    };
                    assert_eq!(packed[(output * 9 + tap) * 8 + channel], expected);
                }
            }
        }
    }

    #[test]
    fn geglu_rows_come_in_pairs() {
        let packed = interleave_halves(&counted(8), 2);
        let values: Vec<f32> = packed.iter().map(|value| value.to_f32()).collect();
        assert_eq!(values, [1., 2., 5., 6., 3., 4., 7., 8.]);
    }
}
