//! What the contact sheet shows beyond the edit itself: latents and predictions, decoded.

use half::f16;
use image::RgbImage;

use super::Run;
use super::noise::{channels_first, channels_last};
use super::request::EditFigures;
use crate::error::Result;

/// Decoded steps on the sheet, the first and the last among them.
const SHOWN_STEPS: usize = 8;

impl Run<'_> {
    /// The figures of an edit whose map was computed with predictions; `None` of any other.
    pub(super) fn figures(&self) -> Result<Option<EditFigures>> {
        let (device, settings, state) = (self.device, &self.session.settings, &self.session.state);
        let (Some(predictions), Some(history), Some(map)) = (&state.predictions, &state.history, &settings.map) else {
            return Ok(None);
        };
        let decode = |latents: &[f32]| self.decode_latents(latents);
        let pixels = settings.pixels();
        let original: Vec<f32> = device.read(&state.original)?;
        let (signal, sigma) = self.session.scheduler.start_coefficients(map.step);
        let first_draw = channels_last(&self.noise.maps[..4 * pixels], pixels);
        let noisy: Vec<f32> =
            original.iter().zip(first_draw).map(|(&x, z): (&f32, f16)| signal * x + sigma * z.to_f32()).collect();

        // The device keeps the target's first, as it keeps the prompts.
        let predicted: Vec<f32> = device.read(predictions)?;
        let (target, source) = predicted.split_at(4 * pixels);
        let difference: Vec<f32> = device.read(&state.difference)?;
        let scale = settings.guidance / map.maps as f32;
        let difference: Vec<f32> = difference.iter().map(|sum| sum * scale).collect();

        let history: Vec<f32> = device.read(history)?;
        let total = settings.run_steps();
        let shown = SHOWN_STEPS.min(total);
        let steps = (0..shown)
            .map(|index| if shown == 1 { total } else { 1 + index * (total - 1) / (shown - 1) })
            .map(|done| Ok((done, decode(&history[(done - 1) * 4 * pixels..][..4 * pixels])?)))
            .collect::<Result<_>>()?;
        Ok(Some(EditFigures {
            noisy: decode(&noisy)?,
            latents: planes(&original, pixels),
            noisy_latents: planes(&noisy, pixels),
            predicted_source: decode(source)?,
            predicted_target: decode(target)?,
            difference: decode(&difference)?,
            steps,
        }))
    }

    /// The picture of latents (h, w, 4). The stage is the edit's own: its latents and picture are overwritten, so they
    /// must have been read.
    fn decode_latents(&self, latents: &[f32]) -> Result<RgbImage> {
        let state = &self.session.state;
        self.device.write(&state.latents, latents)?;
        self.session.decode.run(self.device)?;
        let (height, width) = (state.output.dim(0), state.output.dim(1));
        let pixels = self.device.read(&state.output)?;
        Ok(RgbImage::from_raw(width as u32, height as u32, pixels).expect("the tensor's shape"))
    }
}

/// The four channels of latents (pixels, 4) as planes.
fn planes(latents: &[f32], pixels: usize) -> [Vec<f32>; 4] {
    let planes = channels_first(latents, pixels, 4);
    std::array::from_fn(|channel| planes[channel * pixels..][..pixels].to_vec())
}
