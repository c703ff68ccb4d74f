//! A scheduler's configuration in a diffusers-layout model folder.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

/// How betas grow over the training timesteps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BetaSchedule {
    /// Linearly.
    Linear,
    /// Their square roots grow linearly, as in Stable Diffusion.
    ScaledLinear,
}

/// Which of the training timesteps are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestepSpacing {
    /// Whole strides up from 0, shifted by the offset.
    Leading,
    /// Evenly from the first to the last, both included.
    Linspace,
    /// Even strides down from the last.
    Trailing,
}

/// The noise schedule a model was trained with and how it is sampled: `scheduler/scheduler_config.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "File")]
pub struct Config {
    pub num_train_timesteps: usize,
    pub beta_start: f64,
    pub beta_end: f64,
    pub beta_schedule: BetaSchedule,
    pub timestep_spacing: TimestepSpacing,
    /// Added to the timesteps of the leading spacing.
    pub steps_offset: u32,
    /// Whether the last step arrives at clean latents (alpha 1) or at training timestep 0.
    pub set_alpha_to_one: bool,
}

impl Config {
    /// Reads `scheduler_config.json`. Those of other schedulers than DDIM serve too, as Stable Diffusion 1.5 ships a
    /// PNDM one: DDIM is built on their betas.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Model`] if it is not such a file, or asks for a variant of
    /// diffusion that is not implemented.
    pub fn read(path: &Path) -> Result<Config> {
        let text = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::Model { path: path.to_owned(), message: error.to_string() })
    }

    /// The visited timesteps, noisiest first: diffusers' `set_timesteps`, with NumPy's rounding.
    pub(super) fn timesteps(&self, steps: usize) -> Vec<u32> {
        let train = self.num_train_timesteps;
        match self.timestep_spacing {
            TimestepSpacing::Leading => {
                let stride = train / steps;
                (0..steps).rev().map(|index| (index * stride) as u32 + self.steps_offset).collect()
            }
            TimestepSpacing::Linspace => {
                let stride = (train - 1) as f64 / (steps.max(2) - 1) as f64;
                (0..steps).rev().map(|index| (index as f64 * stride).round_ties_even() as u32).collect()
            }
            TimestepSpacing::Trailing => {
                // NumPy's arange steps by the difference of its first two values, not by the stride it was given. For
                // some numbers of steps it gives one value too many, a timestep of -1: that one is left out.
                let first = train as f64;
                let stride = first - (first - first / steps as f64);
                (0..steps).map(|index| (first - index as f64 * stride).round_ties_even() as u32 - 1).collect()
            }
        }
    }
}

/// The file as it is, with every field optional.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "_class_name", default)]
    class_name: String,
    num_train_timesteps: Option<usize>,
    beta_start: Option<f64>,
    beta_end: Option<f64>,
    beta_schedule: Option<String>,
    trained_betas: Option<Vec<f64>>,
    timestep_spacing: Option<String>,
    steps_offset: Option<u32>,
    set_alpha_to_one: Option<bool>,
    prediction_type: Option<String>,
    clip_sample: Option<bool>,
    #[serde(default)]
    thresholding: bool,
    #[serde(default)]
    rescale_betas_zero_snr: bool,
}

impl TryFrom<File> for Config {
    type Error = String;

    /// Fills in the defaults of diffusers' classes. Where DDIM's differ from those of the others, they hold for DDIM's
    /// own files only: an absent `clip_sample` means clipping there, and nothing elsewhere.
    fn try_from(file: File) -> Result<Config, String> {
        let ddim = file.class_name == "DDIMScheduler";
        file.refuse_variants(ddim)?;
        let config = Config {
            num_train_timesteps: file.num_train_timesteps.unwrap_or(1000),
            beta_start: file.beta_start.unwrap_or(0.0001),
            beta_end: file.beta_end.unwrap_or(0.02),
            beta_schedule: match file.beta_schedule.as_deref() {
                None | Some("linear") => BetaSchedule::Linear,
                Some("scaled_linear") => BetaSchedule::ScaledLinear,
                Some(other) => return Err(format!("beta_schedule {other:?} is neither linear nor scaled_linear")),
            },
            timestep_spacing: match file.timestep_spacing.as_deref() {
                None | Some("leading") => TimestepSpacing::Leading,
                Some("linspace") => TimestepSpacing::Linspace,
                Some("trailing") => TimestepSpacing::Trailing,
                Some(other) => return Err(format!("timestep_spacing {other:?} is not leading, linspace or trailing")),
            },
            steps_offset: file.steps_offset.unwrap_or(0),
            set_alpha_to_one: file.set_alpha_to_one.unwrap_or(ddim),
        };
        config.check_ranges()?;
        Ok(config)
    }
}

impl File {
    /// Refuses what would change the mathematics of a step.
    fn refuse_variants(&self, ddim: bool) -> Result<(), String> {
        if let Some(other) = self.prediction_type.as_deref().filter(|&kind| kind != "epsilon") {
            return Err(format!("prediction_type {other:?} is not supported, only \"epsilon\" is"));
        }
        if self.clip_sample.unwrap_or(ddim) {
            return Err("clip_sample is not supported: latents have no bounds (set it to false)".to_owned());
        }
        if self.thresholding {
            return Err("thresholding is not supported".to_owned());
        }
        if self.rescale_betas_zero_snr {
            return Err("rescale_betas_zero_snr is not supported".to_owned());
        }
        if self.trained_betas.is_some() {
            return Err("trained_betas are not supported".to_owned());
        }
        Ok(())
    }
}

impl Config {
    /// Holds the values to where the formulas make sense.
    fn check_ranges(&self) -> Result<(), String> {
        if !(1..=1_000_000).contains(&self.num_train_timesteps) {
            return Err(format!("num_train_timesteps {} is not in 1 to 1,000,000", self.num_train_timesteps));
        }
        for (name, beta) in [("beta_start", self.beta_start), ("beta_end", self.beta_end)] {
            if !(beta > 0.0 && beta < 1.0) {
                return Err(format!("{name} {beta} is not between 0 and 1"));
            }
        }
        if self.steps_offset as usize >= self.num_train_timesteps {
            return Err(format!("steps_offset {} is beyond the last training timestep", self.steps_offset));
        }
        Ok(())
    }
}
