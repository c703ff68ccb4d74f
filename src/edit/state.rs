//! What passes from stage to stage of an edit.

use super::settings::Settings;
use crate::device::Device;
use crate::error::Result;
use crate::mask::gaussian_kernel_fixed;
use crate::model::Model;
use crate::plan::{DType, Region, Tensor};
use crate::scheduler::Scheduler;

/// Order of the prompts on the device: neighbours share a batch, so that no stage copies embeddings.
pub const NEGATIVE: usize = 0;
pub const TARGET: usize = 1;
pub const SOURCE: usize = 2;
pub const PROMPTS: usize = 3;

/// What passes from stage to stage.
pub struct State {
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
    /// All of the above.
    region: Region,
    all: Vec<Tensor>,
    /// What some of them hold from the start.
    constants: Vec<(Tensor, Vec<u8>)>,
}

impl State {
    /// The tensors of such edits, without memory.
    pub fn describe(model: &Model, settings: &Settings, scheduler: &Scheduler) -> State {
        let &Settings { height, width, .. } = settings;
        let (steps, maps) = (settings.run_steps(), settings.map.as_ref().map_or(0, |map| map.maps));
        let scale = model.vae.config().scale();
        let text = model.text.config();
        let (mut region, mut constants) = (Region::default(), Vec::new());
        let mut all = Vec::new();
        let mut new = |dtype: DType, shape: &[usize]| -> Tensor {
            let tensor = region.tensor(dtype, shape);
            all.push(tensor.clone());
            tensor
        };
        let picture = [height * scale, width * scale, 3];
        let prompts = [PROMPTS, text.max_position_embeddings, text.hidden_size];
        let context = model.unet.context_shapes(&prompts).iter().map(|shape| new(DType::F16, shape)).collect();
        let time_columns = model.unet.time_columns();
        let predictions = settings.map.as_ref().is_some_and(|map| map.predictions);
        let map_step = settings.map.as_ref().map_or(0, |map| map.step);
        let timestep = |step: usize| scheduler.timesteps()[step] as f32;
        let timesteps: Vec<f32> = (settings.start_step..settings.steps).map(timestep).collect();
        let kernel: Vec<i32> = gaussian_kernel_fixed(settings.mask.blur).into_iter().map(i32::from).collect();
        let mut constant = |tensor: &Tensor, bytes: &[u8]| constants.push((tensor.clone(), bytes.to_vec()));

        let map_timestep = new(DType::F32, &[1]);
        constant(&map_timestep, bytemuck::bytes_of(&timestep(map_step)));
        let timesteps_tensor = new(DType::F32, &[steps]);
        constant(&timesteps_tensor, bytemuck::cast_slice(&timesteps));
        let blur_kernel = new(DType::I32, &[kernel.len()]);
        constant(&blur_kernel, bytemuck::cast_slice(&kernel));
        let coefficients_tensor = new(DType::F32, &[steps, 4]);
        constant(&coefficients_tensor, bytemuck::cast_slice(&coefficients(settings, scheduler)));
        let draws = |draws: usize| [draws, height, width, 4];
        State {
            picture: new(DType::U8, &picture),
            ids: new(DType::I32, &prompts[..2]),
            text: new(DType::F16, &prompts),
            context,
            original: new(DType::F32, &draws(1)),
            posterior_noise: settings.sample_posterior.then(|| new(DType::F16, &draws(1))),
            map_timestep,
            timesteps: timesteps_tensor,
            map_time: new(DType::F16, &[1, time_columns]),
            time: new(DType::F16, &[steps, time_columns]),
            map_noise: (maps > 0).then(|| new(DType::F16, &draws(maps))),
            difference: new(DType::F32, &[height, width, 4]),
            maps: (maps > 0).then(|| new(DType::F32, &[maps, height, width])),
            predictions: predictions.then(|| new(DType::F32, &draws(2))),
            map: new(DType::F32, &[height, width]),
            blur_kernel,
            thresholded: new(DType::U8, &[height, width]),
            mask: new(DType::U8, &[height, width]),
            start_noise: new(DType::F16, &draws(1)),
            step_noise: new(DType::F16, &draws(steps - 1)),
            coefficients: coefficients_tensor,
            counter: new(DType::I32, &[1]),
            latents: new(DType::F32, &draws(1)),
            input: new(DType::F16, &[2, height, width, 8]),
            history: settings.history.then(|| new(DType::F32, &draws(steps))),
            output: new(DType::U8, &picture),
            region,
            all,
            constants,
        }
    }

    /// Bytes of device memory that it takes.
    pub fn bytes(&self) -> usize {
        self.region.bytes()
    }

    /// Gives it memory: the constants, and NaN everywhere else. `separately`, every tensor has an allocation of its own.
    pub fn allocate(&self, device: &Device, separately: bool) -> Result<()> {
        if separately {
            self.region.allocate_separately(device)?;
        } else {
            self.region.allocate(device)?;
        }
        self.all.iter().try_for_each(|tensor| device.fill(tensor, 0xFF))?;
        self.constants.iter().try_for_each(|(tensor, bytes)| device.write(tensor, bytes))
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
