//! DDIM: which timesteps are visited, and the coefficients of every step.
//!
//! Formulas: Song, Meng and Ermon, "Denoising Diffusion Implicit Models" (arXiv 2010.02502), equation 12 with sigma 0;
//! conventions (spacings, offsets, the last step) as in diffusers' `DDIMScheduler`. Throughout, alpha is the cumulative
//! product of 1 - beta that the paper and diffusers' `alphas_cumprod` mean.

mod config;

pub use config::{BetaSchedule, Config, TimestepSpacing};

use crate::error::{Error, Result};

/// The factors of a deterministic DDIM step: x' = latents * x + epsilon * eps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCoefficients {
    /// Factor of the latents at this timestep.
    pub latents: f32,
    /// Factor of the predicted noise.
    pub epsilon: f32,
}

/// A DDIM schedule of a given number of steps.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// Cumulative products of 1 - beta, for each training timestep.
    alphas: Vec<f32>,
    /// The alpha that the step below timestep 0 arrives at.
    final_alpha: f32,
    /// The visited timesteps, noisiest first.
    timesteps: Vec<u32>,
}

impl Scheduler {
    /// A schedule of `steps` steps.
    ///
    /// # Errors
    /// [`Error::Request`] if the model's schedule has no room for so many steps, or if there are none.
    pub fn new(config: &Config, steps: usize) -> Result<Scheduler> {
        if steps == 0 {
            return Err(Error::Request("steps: at least 1 is needed".to_owned()));
        }
        let alphas = alphas(config);
        let room = alphas.len();
        let timesteps = if steps <= room { config.timesteps(steps) } else { Vec::new() };
        // The offset of the leading spacing can push the first step beyond the table.
        if timesteps.first().is_none_or(|&noisiest| noisiest as usize >= room) {
            return Err(Error::Request(format!("steps: {steps} do not fit the model's {room} training timesteps")));
        }
        let final_alpha = if config.set_alpha_to_one { 1.0 } else { alphas[0] };
        Ok(Scheduler { alphas, final_alpha, timesteps })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// The visited timesteps, noisiest first.
    pub fn timesteps(&self) -> &[u32] {
        &self.timesteps
    }

    /// The share of signal in the variance at a training timestep: `alphas_cumprod[timestep]`.
    ///
    /// # Panics
    /// If there is no such training timestep.
    pub fn alpha(&self, timestep: u32) -> f32 {
        self.alphas[timestep as usize]
    }

    /// The timestep that a step from `timestep` arrives at, negative beyond the last: `timestep` less the training
    /// timesteps a step, whatever the spacing, as diffusers has it.
    pub fn previous(&self, timestep: u32) -> i64 {
        i64::from(timestep) - (self.alphas.len() / self.steps()) as i64
    }

    /// The coefficients of the step from `timestep` to [`previous`](Self::previous).
    ///
    /// With a and a' the alphas before and after, x0 = (x - sqrt(1 - a) eps) / sqrt(a) and
    /// x' = sqrt(a') x0 + sqrt(1 - a') eps; computed in double precision and rounded once.
    ///
    /// # Panics
    /// If there is no such training timestep.
    pub fn step_coefficients(&self, timestep: u32) -> StepCoefficients {
        let before = f64::from(self.alpha(timestep));
        let after = match u32::try_from(self.previous(timestep)) {
            Ok(previous) => self.alpha(previous),
            Err(_) => self.final_alpha,
        };
        let after = f64::from(after);
        StepCoefficients {
            latents: (after / before).sqrt() as f32,
            epsilon: ((1.0 - after).sqrt() - (after * (1.0 - before) / before).sqrt()) as f32,
        }
    }

    /// The factors (sqrt(a), sqrt(1 - a)) of clean latents and of noise that make noisy latents of a timestep:
    /// diffusers' `add_noise`.
    ///
    /// # Panics
    /// If there is no such training timestep.
    pub fn noise_coefficients(&self, timestep: u32) -> (f32, f32) {
        let alpha = f64::from(self.alpha(timestep));
        (alpha.sqrt() as f32, (1.0 - alpha).sqrt() as f32)
    }

    /// The factors of clean latents and of noise that start denoising at a step: those of its timestep, but pure
    /// noise at step 0.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn start_coefficients(&self, step: usize) -> (f32, f32) {
        if step == 0 { (0.0, 1.0) } else { self.noise_coefficients(self.timesteps[step]) }
    }

    /// The first step that is run for a share of noise in (0, 1]: the whole part of steps - steps * strength, so that
    /// 1 starts from pure noise at step 0.
    ///
    /// # Errors
    /// [`Error::Request`] if the strength is out of range, or so small that no step is left.
    pub fn start_step(&self, strength: f64) -> Result<usize> {
        if !(strength > 0.0 && strength <= 1.0) {
            return Err(Error::Request(format!("strength: {strength} is not above 0 and at most 1")));
        }
        let steps = self.steps() as f64;
        let start = (steps - steps * strength) as usize;
        if start == self.steps() {
            return Err(Error::Request(format!("strength: {strength} leaves none of {start} steps to run")));
        }
        Ok(start)
    }
}

/// Cumulative products of 1 - beta, in PyTorch's arithmetic: betas and factors in single precision, the running product
/// in double.
fn alphas(config: &Config) -> Vec<f32> {
    let mut product = 1.0_f64;
    betas(config)
        .into_iter()
        .map(|beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect()
}

/// The variances added at each training timestep.
fn betas(config: &Config) -> Vec<f32> {
    let n = config.num_train_timesteps;
    match config.beta_schedule {
        BetaSchedule::Linear => linspace(config.beta_start, config.beta_end, n),
        BetaSchedule::ScaledLinear => {
            linspace(config.beta_start.sqrt(), config.beta_end.sqrt(), n).into_iter().map(|root| root * root).collect()
        }
    }
}

/// `torch.linspace` in single precision, which steps from both ends towards the middle and rounds once an element.
fn linspace(start: f64, end: f64, n: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    let step = if n > 1 { (end - start) / (n - 1) as f32 } else { 0.0 };
    (0..n)
        .map(|index| {
            if index < n / 2 { step.mul_add(index as f32, start) } else { (-step).mul_add((n - 1 - index) as f32, end) }
        })
        .collect()
}
