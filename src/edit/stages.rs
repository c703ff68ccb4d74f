//! The pipeline's stages, each recorded as a plan.

use std::ops::Range;

use super::request::{EditRequest, VaeTiling};
use super::settings::{MapStage, Settings};
use super::state::{PROMPTS, SOURCE, State, TARGET};
use crate::device::{Capabilities, Device};
use crate::error::Result;
use crate::model::{Bands, Model, Time};
use crate::ops;
use crate::plan::{Layout, Plan, Tensor, Unit};
use crate::scheduler::Scheduler;

/// All stages of an edit, as recorded: what would be compiled, computed and held for it.
pub struct Plans {
    /// Prompts to keys and values, timesteps to time projections, picture to latents.
    pub encode: Plan,
    /// One a UNet call; the last one normalises.
    pub map: Vec<Plan>,
    /// Map to mask.
    pub mask: Plan,
    /// The noised latents that denoising starts from.
    pub start: Plan,
    /// One denoising step.
    pub step: Plan,
    pub decode: Plan,
    /// What they pass on, which has no memory yet.
    pub(super) state: State,
    /// Denoising steps that run.
    pub(super) steps: usize,
    /// Whether the VAE works in parts.
    pub(super) vae_tiled: bool,
    /// Of the networks, by name.
    pub(super) weight_bytes: [(&'static str, usize); 3],
}

impl Plans {
    /// Records the stages of a request as a device of these capabilities would run them. A model that is only described
    /// will do.
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) for settings out of range.
    pub fn record(model: &Model, request: &EditRequest, capabilities: &Capabilities) -> Result<Plans> {
        Plans::of(model, &Settings::new(model, request)?, capabilities)
    }

    /// Gives memory to what the stages pass on, so that they can be bound and run.
    ///
    /// # Panics
    /// If it has memory already.
    pub fn allocate(&self, device: &Device) -> Result<()> {
        self.state.allocate(device, false)
    }

    /// Makes the first step the next one.
    pub fn rewind(&self, device: &Device) -> Result<()> {
        device.fill(&self.state.counter, 0)
    }

    /// Bytes of the arena that all stages share.
    pub fn arena_bytes(&self) -> usize {
        self.all().map(|plan| Layout::new(plan).bytes).max().unwrap_or(0)
    }

    pub fn all(&self) -> impl Iterator<Item = &Plan> {
        [&self.encode, &self.mask, &self.start, &self.step, &self.decode].into_iter().chain(&self.map)
    }

    /// What has to be compiled for them, each once.
    pub fn units(&self) -> Vec<Unit> {
        let launches = self.all().flat_map(Plan::launches);
        let mut units: Vec<Unit> = launches.map(|launch| launch.unit.clone()).collect();
        units.sort();
        units.dedup();
        units
    }

    /// Multiply-accumulates of an edit of `steps` denoising steps.
    pub fn macs(&self, steps: usize) -> u64 {
        self.sum(steps, Plan::macs)
    }

    /// Kernels that an edit of `steps` denoising steps launches.
    pub fn launches(&self, steps: usize) -> u64 {
        self.sum(steps, |plan| plan.launches().len() as u64)
    }

    /// Records every stage for these settings. Of the device's memory as much is taken to be free as the capabilities
    /// say that there is, but for the weights.
    pub(super) fn of(model: &Model, settings: &Settings, capabilities: &Capabilities) -> Result<Plans> {
        /// What the driver takes for itself, and a little more, bytes.
        const MARGIN: u64 = 256 << 20;
        let bands = match settings.vae_tiling {
            VaeTiling::Off => None,
            VaeTiling::On => Some(Bands::default()),
            VaeTiling::Auto => {
                let plans = Plans::with_bands(model, settings, capabilities, None)?;
                if plans.memory().total() as u64 + MARGIN <= capabilities.memory_bytes {
                    return Ok(plans);
                }
                Some(Bands::default())
            }
        };
        Plans::with_bands(model, settings, capabilities, bands)
    }

    fn with_bands(
        model: &Model,
        settings: &Settings,
        capabilities: &Capabilities,
        bands: Option<Bands>,
    ) -> Result<Plans> {
        let scheduler = Scheduler::new(&model.scheduler, settings.steps)?;
        let state = State::describe(model, settings, &scheduler);
        let stage = |record: &dyn Fn(&mut Plan) -> Result<()>| -> Result<Plan> {
            let mut plan = Plan::new(capabilities);
            record(&mut plan)?;
            Ok(plan)
        };
        let map = match &settings.map {
            Some(map) => map_chunks(settings, map)
                .map(|maps| stage(&|plan| record_map(plan, model, settings, map, maps.clone(), &scheduler, &state)))
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        Ok(Plans {
            encode: stage(&|plan| record_encode(plan, model, &state, bands))?,
            map,
            mask: stage(&|plan| record_mask(plan, settings, &state))?,
            start: stage(&|plan| record_start(plan, settings, &scheduler, &state))?,
            step: stage(&|plan| record_step(plan, model, settings, &state))?,
            decode: stage(&|plan| record_decode(plan, model, &state, bands))?,
            state,
            steps: settings.run_steps(),
            vae_tiled: bands.is_some(),
            weight_bytes: model.weight_bytes(),
        })
    }

    fn sum(&self, steps: usize, of: impl Fn(&Plan) -> u64) -> u64 {
        let once = [&self.encode, &self.mask, &self.start, &self.decode].into_iter().chain(&self.map);
        once.map(&of).sum::<u64>() + of(&self.step) * steps as u64
    }
}

/// Prompts to keys and values, timesteps to time projections, picture to latents.
fn record_encode(plan: &mut Plan, model: &Model, state: &State, bands: Option<Bands>) -> Result<()> {
    let text = model.text.record(plan, &state.ids)?;
    for (context, kept) in model.unet.record_context(plan, &text)?.iter().zip(&state.context) {
        plan.place(context, kept);
    }
    plan.place(&text, &state.text);
    for (timesteps, kept) in [(&state.map_timestep, &state.map_time), (&state.timesteps, &state.time)] {
        let table = model.unet.record_time(plan, timesteps)?;
        plan.place(&table, kept);
    }
    let picture = ops::picture::to_tensor(plan, &state.picture)?;
    let moments = model.vae.record_encode_in(plan, &picture, bands)?;
    let scaling_factor = model.vae.config().scaling_factor;
    let latents =
        ops::posterior::Posterior { moments: &moments, noise: state.posterior_noise.as_ref(), scaling_factor }
            .record(plan)?;
    plan.place(&latents, &state.original);
    Ok(())
}

/// The maps that share a UNet call, where the request does not say: as many as fill a GPU, and no more, since their
/// activations are what takes most of the arena. At 64x64 latents and two prompts that is five maps, whose activations
/// take what decoding takes.
pub(super) fn map_chunks(settings: &Settings, map: &MapStage) -> impl Iterator<Item = Range<usize>> {
    const LATENTS_PER_CALL: usize = 10 * 64 * 64;
    let maps = map.maps;
    let samples = if map.predictions { PROMPTS } else { PROMPTS - TARGET };
    let per_call = map.batch.unwrap_or(LATENTS_PER_CALL / (samples * settings.pixels())).clamp(1, maps);
    (0..maps).step_by(per_call).map(move |first| first..maps.min(first + per_call))
}

/// Some of the maps: noise each draw into the picture, predict for both prompts, accumulate the difference; after the
/// last, normalise.
fn record_map(
    plan: &mut Plan,
    model: &Model,
    settings: &Settings,
    map: &MapStage,
    maps: Range<usize>,
    scheduler: &Scheduler,
    state: &State,
) -> Result<()> {
    let (signal, sigma) = scheduler.start_coefficients(map.step);
    let noise = state.map_noise.as_ref().expect("a map has noise");
    let means = state.maps.as_ref().expect("a map has maps");
    // The unconditional prediction cancels in the difference: it is needed only to show the guided ones.
    let first_prompt = if map.predictions { 0 } else { TARGET };
    let prompts = PROMPTS - first_prompt;
    const { assert!(TARGET < SOURCE && SOURCE == PROMPTS - 1) };
    let context: Vec<Tensor> = state.context.iter().map(|context| context.slice(first_prompt, prompts)).collect();
    let input = ops::add_noise::AddNoise {
        latents: &state.original,
        noise: &noise.slice(maps.start, maps.len()),
        signal,
        sigma,
        repeat: prompts,
        keep_latents: false,
    }
    .record(plan)?
    .input;
    let time = Time { table: &state.map_time, step: None };
    let predictions = model.unet.record(plan, &input, time, &context)?;
    ops::difference::Difference {
        predictions: &predictions,
        sum: &state.difference,
        first: maps.start == 0,
        maps: Some(&means.slice(maps.start, maps.len())),
        guided: state.predictions.as_ref().map(|mean| ops::difference::Guided {
            mean,
            guidance: settings.guidance,
            weight: 1.0 / map.maps as f32,
        }),
    }
    .record(plan)?;
    if maps.end < map.maps {
        return Ok(());
    }
    let map = ops::normalise::normalise(plan, &state.difference)?;
    plan.place(&map, &state.map);
    Ok(())
}

/// Map to mask, as [`MaskSettings::cut`](super::MaskSettings::cut) does it on the host.
fn record_mask(plan: &mut Plan, settings: &Settings, state: &State) -> Result<()> {
    let thresholded = ops::threshold::threshold(plan, &state.map, settings.mask.threshold)?;
    plan.place(&thresholded, &state.thresholded);
    let blurred = ops::gaussian_blur::gaussian_blur(plan, &thresholded, &state.blur_kernel)?;
    let filled = if settings.mask.fill_holes { ops::fill_holes::fill_holes(plan, &blurred)? } else { blurred };
    let mask = match settings.mask.dilate {
        0 => filled,
        radius => ops::dilate::dilate(plan, &filled, radius)?,
    };
    plan.place(&mask, &state.mask);
    Ok(())
}

/// The noised latents that denoising starts from, and the UNet's first input.
fn record_start(plan: &mut Plan, settings: &Settings, scheduler: &Scheduler, state: &State) -> Result<()> {
    let (signal, sigma) = scheduler.start_coefficients(settings.start_step);
    let noised = ops::add_noise::AddNoise {
        latents: &state.original,
        noise: &state.start_noise,
        signal,
        sigma,
        repeat: 2,
        keep_latents: true,
    }
    .record(plan)?;
    plan.place(&noised.input, &state.input);
    plan.place(&noised.latents.expect("asked for"), &state.latents);
    Ok(())
}

/// One denoising step, whichever the counter says, and on to the next.
fn record_step(plan: &mut Plan, model: &Model, settings: &Settings, state: &State) -> Result<()> {
    let time = Time { table: &state.time, step: Some(&state.counter) };
    let context: Vec<Tensor> = state.context.iter().map(|context| context.slice(0, 2)).collect();
    let predictions = model.unet.record(plan, &state.input, time, &context)?;
    ops::step::Step {
        predictions: &predictions,
        latents: &state.latents,
        background: Some(ops::step::Background {
            original: &state.original,
            mask: &state.mask,
            noise: &state.step_noise,
        }),
        coefficients: &state.coefficients,
        counter: &state.counter,
        guidance: settings.guidance,
        next: &state.input,
        history: state.history.as_ref().map(|latents| ops::step::History { latents, reversed: false }),
    }
    .record(plan)
}

/// Latents fp32 (1, h, w, 4) to a picture u8 (H, W, 3).
fn record_decode(plan: &mut Plan, model: &Model, state: &State, bands: Option<Bands>) -> Result<()> {
    let unscaled = ops::unscale::unscale(plan, &state.latents, model.vae.config().scaling_factor)?;
    let decoded = model.vae.record_decode_in(plan, &unscaled, bands)?;
    let picture = ops::picture::to_picture(plan, &decoded)?;
    plan.place(&picture, &state.output.reshape(picture.shape()));
    Ok(())
}
