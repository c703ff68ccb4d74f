//! What shapes an edit's programs, out of what was asked for.

use super::noise::NoiseShape;
use super::request::{EditRequest, MaskSettings, MaskSource, Posterior, VaeTiling};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture::{self, SIDES};
use crate::scheduler::Scheduler;

/// Edits with equal settings share a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Latent height and width.
    pub height: usize,
    pub width: usize,
    pub steps: usize,
    /// The first step of the schedule that is run.
    pub start_step: usize,
    pub guidance: f32,
    pub sample_posterior: bool,
    /// How the map is computed, where it is.
    pub map: Option<MapStage>,
    pub mask: MaskSettings,
    /// Whether latents are kept after every step.
    pub history: bool,
    pub vae_tiling: VaeTiling,
    /// Whether everything has memory of its own.
    pub separate_memory: bool,
}

/// The map's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct MapStage {
    pub maps: usize,
    /// Maps that share a call of the UNet, if that is asked for.
    pub batch: Option<usize>,
    /// The step of the schedule whose noise is added.
    pub step: usize,
    /// Whether the guided predictions are averaged too, for which the unconditional ones are needed.
    pub predictions: bool,
}

impl Settings {
    /// What a request asks of a model. Everything is in one arena.
    ///
    /// # Errors
    /// [`Error::Request`] for settings out of range.
    pub fn new(model: &Model, request: &EditRequest) -> Result<Settings> {
        request.check()?;
        let scheduler = Scheduler::new(&model.scheduler, request.steps)?;
        let scale = model.vae.config().scale();
        let trained = model.unet.config().sample_size * scale;
        let (width, height) = request
            .size
            .unwrap_or_else(|| picture::size_of_area(request.picture.dimensions(), trained * trained, scale));
        check_size((width, height), scale)?;
        let map = match &request.mask {
            MaskSource::Prompts(map) => Some(MapStage {
                maps: map.maps,
                batch: map.batch,
                step: start_step(&scheduler, "mask strength", map.strength)?,
                predictions: request.figures,
            }),
            MaskSource::Map(_) | MaskSource::Mask(_) => None,
        };
        Ok(Settings {
            height: height / scale,
            width: width / scale,
            steps: request.steps,
            start_step: start_step(&scheduler, "strength", request.strength)?,
            guidance: request.guidance,
            sample_posterior: matches!(request.posterior, Posterior::Sample { .. }),
            map,
            mask: request.mask_settings.clone(),
            history: request.dump || request.figures,
            vae_tiling: request.vae_tiling,
            separate_memory: false,
        })
    }

    /// Denoising steps that run.
    pub fn run_steps(&self) -> usize {
        self.steps - self.start_step
    }

    pub fn noise_shape(&self) -> NoiseShape {
        NoiseShape {
            maps: self.map.as_ref().map_or(0, |map| map.maps),
            steps: self.run_steps(),
            height: self.height,
            width: self.width,
            posterior: self.sample_posterior,
        }
    }

    pub fn pixels(&self) -> usize {
        self.height * self.width
    }
}

/// Fails if a picture cannot be edited at a width and height: they are multiples of `unit`, pixels.
pub fn check_size((width, height): (usize, usize), unit: usize) -> Result<()> {
    if [width, height].iter().all(|side| SIDES.contains(side) && side % unit == 0) {
        return Ok(());
    }
    let (least, most) = SIDES.into_inner();
    Err(Error::Request(format!("size {width}x{height}: both must be multiples of {unit} from {least} to {most}")))
}

/// The step of the schedule that a strength starts from, as the seed article counts it.
fn start_step(scheduler: &Scheduler, name: &str, strength: f64) -> Result<usize> {
    scheduler.start_step(strength).map_err(|error| Error::Request(format!("{name}: {error}")))
}
