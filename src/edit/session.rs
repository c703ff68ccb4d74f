//! Everything one kind of edit needs on the device, made before its first kernel runs: buffers for what passes from
//! stage to stage, one arena for the rest, and each stage as a program.

use super::noise::NoiseShape;
use super::request::MaskSettings;
use super::stages;
use crate::device::{Device, Graph, Memory, Program};
use crate::error::{Error, Result};
use crate::mask::gaussian_kernel_fixed;
use crate::model::Model;
use crate::plan::{DType, Layout, Plan, Tensor};
use crate::scheduler::Scheduler;

/// What shapes an edit's programs. Edits with equal settings share a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
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
    /// Whether everything has memory of its own.
    pub separate_memory: bool,
}

/// The map's settings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MapStage {
    pub maps: usize,
    /// The step of the schedule whose noise is added.
    pub step: usize,
    /// Whether the guided predictions are averaged too, for which the unconditional ones are needed.
    pub predictions: bool,
}

impl Settings {
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

/// Order of the prompts on the device: neighbours share a batch, so that no stage copies embeddings.
pub(super) const NEGATIVE: usize = 0;
pub(super) const TARGET: usize = 1;
pub(super) const SOURCE: usize = 2;
pub(super) const PROMPTS: usize = 3;

/// What passes from stage to stage.
pub(super) struct State {
    /// u8 (H, W, 3)
    pub picture: Tensor,
    /// i32 (PROMPTS, tokens)
    pub ids: Tensor,
    /// fp16 (PROMPTS, tokens, width)
    pub text: Tensor,
    /// Keys and values of every cross-attention, fp16 (PROMPTS, tokens, 2 channels) each.
    pub context: Vec<Tensor>,
    /// fp32 (1, h, w, 4): the picture's.
    pub original: Tensor,
    /// fp16 (1, h, w, 4)
    pub posterior_noise: Option<Tensor>,
    /// fp32 (1): the map's timestep; fp32 (steps): the denoising's.
    pub map_timestep: Tensor,
    pub timesteps: Tensor,
    /// Time projections for both, (1, total) and (steps, total).
    pub map_time: Tensor,
    pub time: Tensor,
    /// fp16 (maps, h, w, 4)
    pub map_noise: Option<Tensor>,
    /// fp32 (h, w, 4): the sum of the maps.
    pub difference: Tensor,
    /// fp32 (maps, h, w): each map's mean over channels.
    pub maps: Option<Tensor>,
    /// fp32 (2, h, w, 4): the averaged guided predictions.
    pub predictions: Option<Tensor>,
    /// fp32 (h, w): normalised.
    pub map: Tensor,
    /// i32 (blur)
    pub blur_kernel: Tensor,
    /// u8 (h, w), before and after the blur.
    pub thresholded: Tensor,
    pub mask: Tensor,
    /// fp16 (1, h, w, 4) and (steps - 1, h, w, 4)
    pub start_noise: Tensor,
    pub step_noise: Tensor,
    /// fp32 (steps, 4): c_x, c_eps, signal, noise
    pub coefficients: Tensor,
    /// i32 (1): the step that runs.
    pub counter: Tensor,
    /// fp32 (1, h, w, 4): the latents being denoised.
    pub latents: Tensor,
    /// fp16 (2, h, w, 8): the UNet's next input.
    pub input: Tensor,
    /// fp32 (steps, h, w, 4): the latents after every step.
    pub history: Option<Tensor>,
    /// u8 (H, W, 3)
    pub output: Tensor,
}

/// An edit's programs over its state.
pub(super) struct Session {
    pub settings: Settings,
    pub scheduler: Scheduler,
    pub state: State,
    pub encode: Program,
    /// Noise, predictions and differences of the maps, and their normalisation.
    pub map: Vec<Program>,
    /// Map to mask.
    pub mask: Program,
    pub start: Program,
    /// One denoising step.
    pub step: Graph,
    pub decode: Program,
    /// Multiply-accumulates of one run of each: encode, map, step, decode.
    pub macs: [u64; 4],
}

impl Session {
    /// Plans, compiles and binds every stage.
    pub fn new(
        device: &Device,
        model: &Model,
        settings: Settings,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Session> {
        let scheduler = Scheduler::new(&model.scheduler, settings.steps)?;
        let state = State::new(device, model, &settings, &scheduler)?;
        let plans = stages::record(device.capabilities(), model, &settings, &scheduler, &state)?;
        let all: Vec<&Plan> = plans.all().collect();
        device.prepare(&all, progress)?;
        let memory = if settings.separate_memory {
            Memory::Separate
        } else {
            let bytes = all.iter().map(|plan| Layout::new(plan).bytes).max().unwrap_or(0);
            Memory::Arena(device.allocate(bytes)?)
        };
        let macs =
            [plans.encode.macs(), plans.map.iter().map(Plan::macs).sum(), plans.step.macs(), plans.decode.macs()];
        let bind = |plan: &Plan| device.bind(plan, &memory);
        Ok(Session {
            encode: bind(&plans.encode)?,
            map: plans.map.iter().map(bind).collect::<Result<_>>()?,
            mask: bind(&plans.mask)?,
            start: bind(&plans.start)?,
            step: bind(&plans.step)?.capture(device)?,
            decode: bind(&plans.decode)?,
            settings,
            scheduler,
            state,
            macs,
        })
    }
}

impl State {
    pub fn new(device: &Device, model: &Model, settings: &Settings, scheduler: &Scheduler) -> Result<State> {
        let &Settings { height, width, .. } = settings;
        let (steps, maps) = (settings.run_steps(), settings.map.as_ref().map_or(0, |map| map.maps));
        let scale = model.vae.config().scale();
        let text = model.text.config();
        let new = |dtype: DType, shape: &[usize]| -> Result<Tensor> {
            let bytes = shape.iter().product::<usize>() * dtype.bytes();
            let tensor = device.allocate(bytes)?.tensor(dtype, shape);
            device.fill(&tensor, 0xFF)?;
            Ok(tensor)
        };
        let latent = |dtype, draws: usize| new(dtype, &[draws, height, width, 4]);
        let picture = [height * scale, width * scale, 3];
        let prompts = [PROMPTS, text.max_position_embeddings, text.hidden_size];
        let context =
            model.unet.context_shapes(&prompts).iter().map(|shape| new(DType::F16, shape)).collect::<Result<_>>()?;
        let time_columns = model.unet.time_columns();
        let history = if settings.history { Some(latent(DType::F32, steps)?) } else { None };
        let predictions = settings.map.as_ref().is_some_and(|map| map.predictions);
        let map_step = settings.map.as_ref().map_or(0, |map| map.step);
        let timestep = |step: usize| scheduler.timesteps()[step] as f32;
        let timesteps: Vec<f32> = (settings.start_step..settings.steps).map(timestep).collect();
        let kernel: Vec<i32> = gaussian_kernel_fixed(settings.mask.blur).into_iter().map(i32::from).collect();
        Ok(State {
            picture: new(DType::U8, &picture)?,
            ids: new(DType::I32, &prompts[..2])?,
            text: new(DType::F16, &prompts)?,
            context,
            original: latent(DType::F32, 1)?,
            posterior_noise: if settings.sample_posterior { Some(latent(DType::F16, 1)?) } else { None },
            map_timestep: device.upload(DType::F32, &[1], &[timestep(map_step)])?,
            timesteps: device.upload(DType::F32, &[steps], &timesteps)?,
            map_time: new(DType::F16, &[1, time_columns])?,
            time: new(DType::F16, &[steps, time_columns])?,
            map_noise: if maps > 0 { Some(latent(DType::F16, maps)?) } else { None },
            difference: new(DType::F32, &[height, width, 4])?,
            maps: if maps > 0 { Some(new(DType::F32, &[maps, height, width])?) } else { None },
            predictions: if predictions { Some(latent(DType::F32, 2)?) } else { None },
            map: new(DType::F32, &[height, width])?,
            blur_kernel: device.upload(DType::I32, &[kernel.len()], &kernel)?,
            thresholded: new(DType::U8, &[height, width])?,
            mask: new(DType::U8, &[height, width])?,
            start_noise: latent(DType::F16, 1)?,
            step_noise: latent(DType::F16, steps - 1)?,
            coefficients: device.upload(DType::F32, &[steps, 4], &coefficients(settings, scheduler))?,
            counter: new(DType::I32, &[1])?,
            latents: latent(DType::F32, 1)?,
            input: new(DType::F16, &[2, height, width, 8])?,
            history,
            output: new(DType::U8, &picture)?,
        })
    }
}

/// For every step that runs: the DDIM step's factors of latents and prediction, and the factors of picture and noise
/// that make the background of the next one. The last background is the picture itself.
fn coefficients(settings: &Settings, scheduler: &Scheduler) -> Vec<f32> {
    let timesteps = scheduler.timesteps();
    (settings.start_step..settings.steps)
        .flat_map(|step| {
            let update = scheduler.step_coefficients(timesteps[step]);
            let (signal, noise) =
                timesteps.get(step + 1).map_or((1.0, 0.0), |&next| scheduler.noise_coefficients(next));
            [update.latents, update.epsilon, signal, noise]
        })
        .collect()
}

/// The step of the schedule that a strength starts from, as the seed article counts it.
pub(super) fn start_step(scheduler: &Scheduler, name: &str, strength: f64) -> Result<usize> {
    scheduler.start_step(strength).map_err(|error| Error::Request(format!("{name}: {error}")))
}
