//! Every stage's tensors under documented names, channels first as torch has them: how anyone checks an edit against
//! another implementation. `tools/README.md` lists the names.

use half::f16;
use image::RgbImage;

use super::noise::channels_first;
use super::request::{Dump, DumpData, DumpTensor, MaskSource};
use super::state::{NEGATIVE, PROMPTS, SOURCE, TARGET};
use super::{Run, noise::Noise};
use crate::device::Device;
use crate::error::Result;
use crate::plan::Tensor;

/// The prompts' names in a dump, by their place on the device.
const PROMPT_NAMES: [(usize, &str); PROMPTS] = [(NEGATIVE, "uncond"), (TARGET, "target"), (SOURCE, "source")];

impl Run<'_> {
    /// Reads back what the stages left behind. `decoded` says whether denoising and decoding ran.
    pub(super) fn dump(&self, decoded: bool, picture: &RgbImage) -> Result<Dump> {
        let (settings, state) = (&self.session.settings, &self.session.state);
        let grid = [settings.height, settings.width];
        let latents = Latents { device: self.device, height: settings.height, width: settings.width };
        let mut dump = Dump::new();
        let mut put = |name: &str, shape: &[usize], data: DumpData| {
            dump.insert(name.to_string(), DumpTensor { shape: shape.to_vec(), data });
        };
        put("picture", &picture_shape(&self.original), DumpData::U8(self.original.as_raw().clone()));
        let text: Vec<f16> = self.device.read(&state.text)?;
        let (tokens, width) = (state.text.dim(1), state.text.dim(2));
        for (index, name) in PROMPT_NAMES {
            let ids = self.ids[index * tokens..][..tokens].to_vec();
            put(&format!("tokens.{name}"), &[tokens], DumpData::I32(ids));
            let rows = text[index * tokens * width..][..tokens * width].iter().map(|value| value.to_f32()).collect();
            put(&format!("text.{name}"), &[tokens, width], DumpData::F32(rows));
        }
        let (shape, data) = latents.read(&state.original)?;
        put("latents", &shape, data);
        for (name, planes) in noise_parts(&self.noise) {
            if !planes.is_empty() {
                let draws = planes.len() / (4 * settings.pixels());
                let values = planes.iter().map(|value| value.to_f32()).collect();
                put(name, &[draws, 4, grid[0], grid[1]], DumpData::F32(values));
            }
        }
        if let Some(maps) = &state.maps {
            put("maps", maps.shape(), DumpData::F32(self.device.read(maps)?));
        }
        if !matches!(self.mask_source, MaskSource::Mask(_)) {
            put("map", &grid, DumpData::F32(self.device.read(&state.map)?));
            put("mask.threshold", &grid, DumpData::U8(self.device.read(&state.thresholded)?));
        }
        put("mask", &grid, DumpData::U8(self.device.read(&state.mask)?));
        if decoded {
            let history = state.history.as_ref().expect("a dump keeps the history");
            let (shape, data) = latents.read(history)?;
            put("latents.steps", &shape, data);
            let (shape, data) = latents.read(&state.latents)?;
            put("latents.final", &shape, data);
            put("decoded", &picture_shape(picture), DumpData::U8(picture.as_raw().clone()));
        }
        Ok(dump)
    }
}

fn picture_shape(picture: &RgbImage) -> [usize; 3] {
    [picture.height() as usize, picture.width() as usize, 3]
}

fn noise_parts(noise: &Noise) -> [(&'static str, &[f16]); 4] {
    [
        ("noise.maps", &noise.maps),
        ("noise.start", &noise.start),
        ("noise.steps", &noise.steps),
        ("noise.posterior", &noise.posterior),
    ]
}

/// Reads fp32 latents (n, h, w, 4) back as (n, 4, h, w).
struct Latents<'a> {
    device: &'a Device,
    height: usize,
    width: usize,
}

impl Latents<'_> {
    fn read(&self, tensor: &Tensor) -> Result<(Vec<usize>, DumpData)> {
        let rows: Vec<f32> = self.device.read(tensor)?;
        let planes = channels_first(&rows, self.height * self.width, 4);
        Ok((vec![tensor.dim(0), 4, self.height, self.width], DumpData::F32(planes)))
    }
}
