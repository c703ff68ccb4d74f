//! The noise of an edit: drawn on the host as torch's CPU generator would, or given.

use half::f16;

use crate::error::{Error, Result};
use crate::rng::TorchRng;

/// The seed of map `index`.
pub fn map_seed(index: usize) -> u64 {
    3 * index as u64
}

/// All noise of an edit as torch lays it out, (draws, 4, h, w), rounded to fp16 as the seed article rounds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    /// One draw a map: (maps, 4, h, w).
    pub maps: Vec<f16>,
    /// What the picture is noised by before denoising: (1, 4, h, w).
    pub start: Vec<f16>,
    /// What the background is noised by after each step but the last: (steps - 1, 4, h, w).
    pub steps: Vec<f16>,
    /// What the VAE's posterior is sampled with: (1, 4, h, w); empty for its mean.
    pub posterior: Vec<f16>,
}

/// How much noise an edit takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoiseShape {
    pub maps: usize,
    /// Denoising steps that run.
    pub steps: usize,
    pub height: usize,
    pub width: usize,
    pub posterior: bool,
}

impl NoiseShape {
    fn latent(&self) -> usize {
        4 * self.height * self.width
    }

    /// Elements of maps, start, steps, posterior.
    fn elements(&self) -> [usize; 4] {
        let latent = self.latent();
        [self.maps * latent, latent, (self.steps - 1) * latent, if self.posterior { latent } else { 0 }]
    }
}

impl Noise {
    /// Draws an edit's noise: map i under seed 3 i; then, under `seed`, the start's and each step's in turn.
    pub(super) fn draw(shape: NoiseShape, seed: u64, posterior_seed: u64) -> Noise {
        let latent = shape.latent();
        let draw = |rng: &mut TorchRng| rng.randn(latent).into_iter().map(f16::from_f32);
        let maps = (0..shape.maps).flat_map(|index| draw(&mut TorchRng::new(map_seed(index)))).collect();
        let mut rng = TorchRng::new(seed);
        let start = draw(&mut rng).collect();
        let steps = (1..shape.steps).flat_map(|_| draw(&mut rng).collect::<Vec<_>>()).collect();
        let posterior = if shape.posterior { draw(&mut TorchRng::new(posterior_seed)).collect() } else { Vec::new() };
        Noise { maps, start, steps, posterior }
    }

    /// Fails unless it is the noise of such an edit. Noise that the edit does not take may be there.
    pub(super) fn check(&self, shape: NoiseShape) -> Result<()> {
        let given = [&self.maps, &self.start, &self.steps, &self.posterior];
        let names = ["maps", "start", "steps", "posterior"];
        for ((name, given), wanted) in names.into_iter().zip(given).zip(shape.elements()) {
            if wanted > 0 && given.len() != wanted {
                let latent = shape.latent();
                return Err(Error::Request(format!(
                    "noise.{name} holds {} values, wanted {} draws of 4x{}x{}",
                    given.len(),
                    wanted / latent,
                    shape.height,
                    shape.width
                )));
            }
        }
        Ok(())
    }
}

/// (draws, 4, pixels) to (draws, pixels, 4): torch's layout to ours.
pub(super) fn channels_last<T: Copy>(planes: &[T], pixels: usize) -> Vec<T> {
    let draw = |draw: &[T]| -> Vec<T> {
        (0..pixels)
            .flat_map(|pixel| (0..4).map(move |channel| channel * pixels + pixel))
            .map(|index| draw[index])
            .collect()
    };
    planes.chunks_exact(4 * pixels).flat_map(draw).collect()
}

/// (draws, pixels, channels) to (draws, channels, pixels): ours to torch's.
pub(super) fn channels_first<T: Copy>(rows: &[T], pixels: usize, channels: usize) -> Vec<T> {
    let draw = |draw: &[T]| -> Vec<T> {
        (0..channels)
            .flat_map(|channel| (0..pixels).map(move |pixel| pixel * channels + channel))
            .map(|index| draw[index])
            .collect()
    };
    rows.chunks_exact(pixels * channels).flat_map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_inverse() {
        let planes: Vec<u32> = (0..2 * 4 * 6).collect();
        let rows = channels_last(&planes, 6);
        assert_eq!(rows[..4], [0, 6, 12, 18]);
        assert_eq!(channels_first(&rows, 6, 4), planes);
    }

    #[test]
    fn the_seeds_are_independent_of_what_else_is_drawn() {
        let shape = NoiseShape { maps: 2, steps: 3, height: 2, width: 4, posterior: false };
        let all = Noise::draw(shape, 3, 0);
        let fewer = Noise::draw(NoiseShape { maps: 0, ..shape }, 3, 0);
        assert_eq!(all.start, fewer.start);
        assert_eq!(all.steps, fewer.steps);
        assert!(all.check(shape).is_ok());
        assert!(fewer.check(shape).is_err());
    }
}
