//! What an edit is asked for and what it gives.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use image::{DynamicImage, RgbImage};

use super::noise::Noise;
use crate::error::{Error, Result};
use crate::mask::{MAX_BLUR, MAX_DILATION, Map, Mask};
use crate::picture::{self, Placement, Resize};

/// Cells by which the mask of a removal grows: less leaves feet standing.
const REMOVAL_DILATION: usize = 2;

/// Where the picture may change.
#[derive(Clone, Debug)]
pub enum MaskSource {
    /// Found from the prompts: DiffEdit's first half.
    Prompts(MapSettings),
    /// From a map computed before.
    Map(Map),
    /// Given: one value a latent.
    Mask(Mask),
}

/// How the difference of the prompts' predictions is averaged.
#[derive(Clone, Debug, PartialEq)]
pub struct MapSettings {
    /// Number of noise draws; draw i is seeded with 3 i.
    pub maps: usize,
    /// Share of the schedule that the picture is noised by, in (0, 1].
    pub strength: f64,
    /// Draws that share a call of the UNet; without it as many as fill a GPU. More take more memory, and give the same
    /// bits.
    pub batch: Option<usize>,
}

impl Default for MapSettings {
    fn default() -> Self {
        MapSettings { maps: 10, strength: 0.5, batch: None }
    }
}

/// How a map becomes a mask: the steps are in the order of the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskSettings {
    /// Cells of the map over this are edited, in [0, 1].
    pub threshold: f32,
    /// Width of the Gaussian blur in cells, odd; 1 for none.
    pub blur: usize,
    /// Whether holes inside the mask are filled.
    pub fill_holes: bool,
    /// Cells by which the mask grows in every direction, up to [`MAX_DILATION`]: what is removed must go with its rim.
    pub dilate: usize,
}

impl Default for MaskSettings {
    fn default() -> Self {
        MaskSettings { threshold: 0.1, blur: 7, fill_holes: false, dilate: 0 }
    }
}

/// How the VAE's posterior becomes latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Posterior {
    /// Its mean.
    #[default]
    Mean,
    /// A sample, drawn from torch's generator under this seed.
    Sample { seed: u64 },
}

/// Whether the VAE computes a picture in parts: more work in less memory, and the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VaeTiling {
    /// Where the whole would not fit in the device's free memory.
    #[default]
    Auto,
    On,
    Off,
}

/// One edit. The defaults are the seed article's values.
#[derive(Clone, Debug)]
pub struct EditRequest {
    pub picture: RgbImage,
    /// Names what is in the picture.
    pub source: String,
    /// Names what should be there instead.
    pub target: String,
    /// What guidance leads away from.
    pub negative: String,
    /// Width and height to edit at in pixels, multiples of the VAE's scale; `None` for the picture's own aspect ratio
    /// and about as many pixels as the model was trained at ([`size_of_area`](crate::picture::size_of_area)).
    pub size: Option<(usize, usize)>,
    /// How the picture comes to that size.
    pub resize: Resize,
    /// Steps of the whole schedule, of which `strength` are run.
    pub steps: usize,
    pub guidance: f32,
    /// Share of the schedule that the picture is noised by before it is denoised, in (0, 1].
    pub strength: f64,
    /// Seed of the noise of the denoising, as torch's CPU generator takes it.
    pub seed: u64,
    pub posterior: Posterior,
    pub mask: MaskSource,
    pub mask_settings: MaskSettings,
    pub vae_tiling: VaeTiling,
    /// Noise drawn elsewhere, instead of the seeds'.
    pub noise: Option<Noise>,
    /// Whether to bring back every stage's tensors.
    pub dump: bool,
    /// Whether to compute what the contact sheet shows.
    pub figures: bool,
}

impl EditRequest {
    /// An edit of `picture` from `source` to `target` with the seed article's settings.
    pub fn new(picture: RgbImage, source: impl Into<String>, target: impl Into<String>) -> EditRequest {
        EditRequest {
            picture,
            source: source.into(),
            target: target.into(),
            negative: String::new(),
            size: None,
            resize: Resize::Stretch,
            steps: 50,
            guidance: 7.5,
            strength: 0.75,
            seed: 3,
            posterior: Posterior::Mean,
            mask: MaskSource::Prompts(MapSettings::default()),
            mask_settings: MaskSettings::default(),
            vae_tiling: VaeTiling::default(),
            noise: None,
            dump: false,
            figures: false,
        }
    }

    /// The removal of `what` from `picture`, which leaves `background`: an edit between the two, whose mask is grown so
    /// that little of the thing's rim is left. Without a background the edit is only led away from the thing.
    pub fn removal(picture: RgbImage, what: impl Into<String>, background: impl Into<String>) -> EditRequest {
        let mut request = EditRequest::new(picture, what, background);
        request.mask_settings.dilate = REMOVAL_DILATION;
        // Guidance has no direction unless there is something to lead to or away from.
        if request.target.is_empty() {
            request.negative.clone_from(&request.source);
        }
        request
    }

    /// Fails with the first setting that is out of range.
    pub(super) fn check(&self) -> Result<()> {
        let ranges = [
            ((1..=1000).contains(&self.steps), format!("steps {} is not in 1..=1000", self.steps)),
            (self.guidance.is_finite(), format!("guidance {} is not a number", self.guidance)),
            (in_unit(self.strength), format!("strength {} is not in (0, 1]", self.strength)),
            (self.mask_settings.is_valid(), self.mask_settings.complaint()),
            (self.map_settings_valid(), "maps and batch must be 1..=1000 and mask strength in (0, 1]".into()),
            (self.picture.width() > 0 && self.picture.height() > 0, "the picture is empty".into()),
        ];
        match ranges.into_iter().find(|(valid, _)| !valid) {
            Some((_, message)) => Err(Error::Request(message)),
            None => Ok(()),
        }
    }

    fn map_settings_valid(&self) -> bool {
        match &self.mask {
            MaskSource::Prompts(MapSettings { maps, strength, batch }) => {
                [Some(*maps), *batch].into_iter().flatten().all(|draws| (1..=1000).contains(&draws))
                    && in_unit(*strength)
            }
            _ => true,
        }
    }
}

/// As "threshold 0.1, blur 7, holes filled, dilated by 2".
impl Display for MaskSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "threshold {}, {}", self.threshold, self.blur_name())?;
        if self.fill_holes {
            write!(f, ", holes filled")?;
        }
        match self.dilate {
            0 => Ok(()),
            radius => write!(f, ", dilated by {radius}"),
        }
    }
}

impl MaskSettings {
    /// The mask that an edit makes of a map, on the host.
    ///
    /// # Errors
    /// [`Error::Request`] if the blur is even, or it or the dilation is too large.
    pub fn cut(&self, map: &Map) -> Result<Mask> {
        let blurred = map.threshold(self.threshold).blur(self.blur)?;
        let filled = if self.fill_holes { blurred.fill_holes() } else { blurred };
        filled.dilate(self.dilate)
    }

    /// "blur 7" or "no blur".
    pub(crate) fn blur_name(&self) -> String {
        if self.blur <= 1 { "no blur".into() } else { format!("blur {}", self.blur) }
    }

    fn is_valid(&self) -> bool {
        (0.0..=1.0).contains(&self.threshold)
            && self.blur % 2 == 1
            && self.blur <= MAX_BLUR
            && self.dilate <= MAX_DILATION
    }

    fn complaint(&self) -> String {
        let MaskSettings { threshold, blur, dilate, .. } = self;
        format!(
            "threshold {threshold} must be in 0..=1, blur {blur} odd and up to {MAX_BLUR}, and dilate {dilate} up to \
             {MAX_DILATION}"
        )
    }
}

fn in_unit(value: f64) -> bool {
    value > 0.0 && value <= 1.0
}

/// What an edit tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `done` of `total` kernels are compiled.
    Compiling { done: usize, total: usize },
    /// Memory is short, so the VAE computes the picture in parts.
    VaeTiled,
    /// The device has finished `done` of `total` noise maps.
    Map { done: usize, total: usize },
    /// The device has finished `done` of `total` denoising steps.
    Step { done: usize, total: usize },
}

/// A tensor brought back: its dump's name is the key it is kept under.
#[derive(Clone, Debug, PartialEq)]
pub struct DumpTensor {
    pub shape: Vec<usize>,
    pub data: DumpData,
}

#[derive(Clone, Debug, PartialEq)]
pub enum DumpData {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I32(Vec<i32>),
}

/// Every stage's tensors, channels first as torch has them.
pub type Dump = BTreeMap<String, DumpTensor>;

/// How long a stage took on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    pub stage: &'static str,
    pub duration: Duration,
}

/// Pictures and grids behind the contact sheet.
#[derive(Clone, Debug)]
pub struct EditFigures {
    /// The noised latents, decoded.
    pub noisy: RgbImage,
    /// Latents of the picture, four planes (h, w).
    pub latents: [Vec<f32>; 4],
    /// Noised latents, four planes.
    pub noisy_latents: [Vec<f32>; 4],
    /// The guided predictions averaged over the maps, decoded.
    pub predicted_source: RgbImage,
    pub predicted_target: RgbImage,
    /// Their mean absolute difference, decoded.
    pub difference: RgbImage,
    /// Number of steps done and the latents after them, decoded.
    pub steps: Vec<(usize, RgbImage)>,
}

/// What an edit gives.
#[derive(Clone, Debug)]
pub struct EditResult {
    /// What the model made, at the size that was edited; [`EditResult::paste_back`] lays it into the picture.
    pub picture: RgbImage,
    /// The picture as the model saw it: resized.
    pub original: RgbImage,
    /// Where the request's picture lies in both.
    pub placement: Placement,
    pub mask: Mask,
    /// The normalised map, where one was computed or given.
    pub map: Option<Map>,
    pub timings: Vec<Timing>,
    /// Multiply-accumulates of all the kernels that ran.
    pub macs: u64,
    /// Ends of prompts that did not fit into the text encoder.
    pub dropped: Vec<Dropped>,
    pub dump: Option<Dump>,
    pub figures: Option<EditFigures>,
}

/// The end of a prompt that was too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Which prompt: negative, target or source.
    pub prompt: &'static str,
    /// Its words from the first that the model does not read in whole.
    pub end: String,
}

impl EditResult {
    /// The edit laid back into `original`, the request's picture or the deeper or transparent one that it was made
    /// from: at its own size, with every pixel outside the mask as it was.
    ///
    /// # Errors
    /// [`Error::Request`] if `original` is not of the size of the request's picture.
    pub fn paste_back(&self, original: &DynamicImage) -> Result<DynamicImage> {
        picture::paste_back(original, &self.picture, &self.mask, &self.placement)
    }
}
