//! Bicubic resizing of 8-bit pictures, equal to Pillow's in every bit.
//!
//! Pillow (`Image.resize` with its default `BICUBIC`) resamples rows, then columns, and rounds to 8 bits in between.
//! The filter is the cubic convolution of Keys, "Cubic convolution interpolation for digital image processing" (1981),
//! with a = -0.5, stretched by the scale when it shrinks. Weights are in fixed point with 22 bits of fraction.

use image::RgbImage;

/// Bits of fraction of the weights: 32 less 8 of the levels and 2 for sign and overshoot.
const FRACTION_BITS: u32 = 32 - 8 - 2;

const CHANNELS: usize = 3;

/// Reach of the unstretched filter, source pixels.
const REACH: f64 = 2.0;

/// The picture stretched to `width` x `height`; the picture itself if it has that size.
///
/// # Panics
/// If either size is empty.
pub fn resize(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    assert!(width.min(height) > 0 && picture.width().min(picture.height()) > 0, "an empty size");
    let mut size = [picture.width() as usize, picture.height() as usize];
    let mut levels = picture.as_raw().clone();
    if size[0] != width as usize {
        levels = resample_rows(&levels, size[0], width as usize);
        size[0] = width as usize;
    }
    if size[1] != height as usize {
        levels = resample_columns(&levels, size, height as usize);
    }
    RgbImage::from_raw(width, height, levels).expect("the size asked for")
}

/// The weights of the source pixels that one target pixel is made of.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Taps {
    /// The weighted sum of `level(i)` over the source pixels i, rounded and clamped to 8 bits.
    fn sum(&self, level: impl Fn(usize) -> u8) -> u8 {
        let half = 1 << (FRACTION_BITS - 1);
        let products = self.weights.iter().enumerate().map(|(i, &weight)| i32::from(level(self.first + i)) * weight);
        ((half + products.sum::<i32>()) >> FRACTION_BITS).clamp(0, 255) as u8
    }
}

/// Resamples rows of `from` pixels to `to`.
fn resample_rows(levels: &[u8], from: usize, to: usize) -> Vec<u8> {
    let taps = taps(from, to);
    let row = |row: &[u8]| -> Vec<u8> {
        let pixel = |taps: &Taps| -> [u8; CHANNELS] {
            std::array::from_fn(|channel| taps.sum(|x| row[x * CHANNELS + channel]))
        };
        taps.iter().flat_map(pixel).collect()
    };
    levels.chunks_exact(from * CHANNELS).flat_map(row).collect()
}

/// Resamples columns of `height` pixels to `to`.
fn resample_columns(levels: &[u8], [width, height]: [usize; 2], to: usize) -> Vec<u8> {
    let stride = width * CHANNELS;
    let row = |taps: &Taps| -> Vec<u8> { (0..stride).map(|x| taps.sum(|y| levels[y * stride + x])).collect() };
    taps(height, to).iter().flat_map(row).collect()
}

/// The weights for each of `to` pixels from `from`.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = REACH * stretch;
    let taps = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let end = ((center + reach + 0.5) as usize).min(from);
        let weights: Vec<f64> =
            (first..end).map(|pixel| cubic((pixel as f64 - center + 0.5) * (1.0 / stretch))).collect();
        let total: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / total * f64::from(1 << FRACTION_BITS)).round() as i32;
        Taps { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(taps).collect()
}

/// Keys' cubic convolution with a = -0.5.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    match x {
        _ if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of noise that any language can make: a linear congruential generator.
    fn noise(width: u32, height: u32) -> RgbImage {
        let mut state = 1_u32;
        let levels = (0..width * height * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        RgbImage::from_raw(width, height, levels.collect()).expect("the size")
    }

    /// FNV-1a of the levels.
    fn hash(picture: &RgbImage) -> u64 {
        picture
            .as_raw()
            .iter()
            .fold(0xCBF2_9CE4_8422_2325, |hash, &level| (hash ^ u64::from(level)).wrapping_mul(0x0000_0100_0000_01B3))
    }

    /// The hashes are those of Pillow 13.0's `Image.fromarray(noise).resize((width, height))`.
    #[test]
    fn equals_pillow_in_every_bit() {
        let cases = [
            ((16, 16), (64, 64), 0xC28A_2097_300D_6A92),
            ((7, 5), (16, 24), 0x705F_0F87_9BA7_949D),
            ((61, 37), (16, 16), 0x947B_53C1_C012_BF82),
            ((100, 30), (30, 100), 0xEAF9_4761_DEA4_8A4F),
            ((40, 40), (40, 13), 0x81DE_E89B_3337_E08D),
            ((33, 20), (64, 20), 0x1CB7_B76A_EA0C_2EFE),
        ];
        for (from, to, expected) in cases {
            let resized = resize(&noise(from.0, from.1), to.0, to.1);
            assert_eq!(hash(&resized), expected, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn a_plain_colour_stays() {
        let plain = RgbImage::from_pixel(33, 57, image::Rgb([200, 3, 255]));
        let resized = resize(&plain, 128, 16);
        assert!(resized.pixels().all(|pixel| pixel.0 == [200, 3, 255]));
    }
}
