//! The schedule equals diffusers' DDIM: goldens by `tools/goldens.py`.

mod goldens;

use std::path::Path;

use diffedit::scheduler::{Config, Scheduler};
use diffedit::{Error, Result};
use goldens::Goldens;

const VARIANTS: [&str; 4] = ["leading", "linspace", "trailing", "linear"];

/// The configuration a golden was made with.
fn config(variant: &str) -> Config {
    let stable_diffusion = r#""beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear""#;
    let text = match variant {
        // As Stable Diffusion 1.5 ships it.
        "leading" => format!(
            r#"{{"_class_name": "PNDMScheduler", {stable_diffusion}, "num_train_timesteps": 1000,
                "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null,
                "clip_sample": false}}"#
        ),
        "linspace" => format!(r#"{{{stable_diffusion}, "timestep_spacing": "linspace"}}"#),
        "trailing" => format!(r#"{{{stable_diffusion}, "timestep_spacing": "trailing", "set_alpha_to_one": true}}"#),
        "linear" => r#"{"_class_name": "DDIMScheduler", "clip_sample": false}"#.to_owned(),
        other => panic!("no variant {other}"),
    };
    serde_json::from_str(&text).expect("a valid configuration")
}

#[test]
fn timesteps_are_diffusers() {
    let goldens = Goldens::open("scheduler");
    for variant in VARIANTS {
        let names = goldens.names_after(&format!("{variant}."));
        let cases: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".timesteps")).collect();
        assert_eq!(cases.len(), 8, "{variant}");
        for steps in cases {
            let expected = goldens.i32(&format!("{variant}.{steps}.timesteps"));
            let scheduler = Scheduler::new(&config(variant), steps.parse().expect("a number")).expect("a schedule");
            let timesteps: Vec<i32> = scheduler.timesteps().iter().map(|&timestep| timestep as i32).collect();
            assert_eq!(timesteps, expected, "{variant}, {steps} steps");
        }
    }
}

#[test]
fn alphas_are_torchs_to_the_last_bit() {
    let goldens = Goldens::open("scheduler");
    for variant in VARIANTS {
        let scheduler = Scheduler::new(&config(variant), 50).expect("a schedule");
        for (timestep, expected) in goldens.f32(&format!("{variant}.alphas")).into_iter().enumerate() {
            let alpha = scheduler.alpha(timestep as u32);
            let ulps = alpha.to_bits().abs_diff(expected.to_bits());
            assert!(ulps <= 1, "{variant}: alpha {timestep} is {alpha}, torch's {expected}");
        }
    }
}

#[test]
fn steps_and_noising_are_diffusers() {
    let goldens = Goldens::open("scheduler");
    for variant in VARIANTS {
        let scheduler = Scheduler::new(&config(variant), 50).expect("a schedule");
        let [latents, noise, epsilon, stepped, noised] =
            ["latents", "noise", "epsilon", "stepped", "noised"].map(|name| goldens.f32(&format!("{variant}.{name}")));
        let n = latents.len();
        for (step, &timestep) in scheduler.timesteps().iter().enumerate() {
            let factors = scheduler.step_coefficients(timestep);
            let (signal, amount) = scheduler.noise_coefficients(timestep);
            for index in 0..n {
                let value = factors.latents * latents[index] + factors.epsilon * epsilon[index];
                assert_close(value, stepped[step * n + index], &format!("{variant}, step {step}"));
                let value = signal * latents[index] + amount * noise[index];
                assert_close(value, noised[step * n + index], &format!("{variant}, noise of step {step}"));
            }
        }
    }
}

/// Within a few roundings of values up to 5 or so.
fn assert_close(value: f32, expected: f32, case: &str) {
    assert!((value - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{case}: {value} is not {expected}");
}

#[test]
fn the_seed_starts_at_step_12_and_masks_at_481() -> Result<()> {
    let scheduler = Scheduler::new(&config("leading"), 50)?;
    assert_eq!(scheduler.start_step(0.75)?, 12);
    assert_eq!(scheduler.timesteps()[12], 741);
    assert_eq!(scheduler.start_step(0.5)?, 25);
    assert_eq!(scheduler.timesteps()[25], 481);
    assert_eq!(scheduler.previous(1), -19);
    Ok(())
}

#[test]
fn full_strength_starts_from_pure_noise() -> Result<()> {
    let scheduler = Scheduler::new(&config("leading"), 50)?;
    assert_eq!(scheduler.start_step(1.0)?, 0);
    assert_eq!(scheduler.start_coefficients(0), (0.0, 1.0));
    assert_eq!(scheduler.start_coefficients(12), scheduler.noise_coefficients(741));
    assert_eq!(scheduler.start_step(0.01)?, 49);
    Ok(())
}

#[test]
fn strengths_out_of_range_are_refused() {
    let scheduler = Scheduler::new(&config("leading"), 50).expect("a schedule");
    for strength in [0.0, -0.5, 1.001, f64::NAN, f64::INFINITY, 1e-18] {
        let refused = scheduler.start_step(strength);
        assert!(matches!(&refused, Err(Error::Request(message)) if message.starts_with("strength: ")), "{refused:?}");
    }
}

#[test]
fn numbers_of_steps_that_do_not_fit_are_refused() {
    // With an offset of 1, a thousand steps would begin at timestep 1000, which was never trained.
    for (variant, steps) in [("leading", 0), ("leading", 1000), ("leading", usize::MAX), ("trailing", 1001)] {
        let refused = Scheduler::new(&config(variant), steps);
        assert!(matches!(&refused, Err(Error::Request(message)) if message.starts_with("steps: ")), "{refused:?}");
    }
}

#[test]
fn other_kinds_of_diffusion_are_refused_by_name() {
    let cases = [
        (r#"{"prediction_type": "v_prediction"}"#, "prediction_type"),
        (r#"{"clip_sample": true}"#, "clip_sample"),
        (r#"{"_class_name": "DDIMScheduler"}"#, "clip_sample"),
        (r#"{"thresholding": true}"#, "thresholding"),
        (r#"{"rescale_betas_zero_snr": true}"#, "rescale_betas_zero_snr"),
        (r#"{"trained_betas": [0.1, 0.2]}"#, "trained_betas"),
        (r#"{"beta_schedule": "squaredcos_cap_v2"}"#, "beta_schedule"),
        (r#"{"timestep_spacing": "karras"}"#, "timestep_spacing"),
        (r#"{"beta_end": 1.5}"#, "beta_end"),
        (r#"{"beta_start": 0.0}"#, "beta_start"),
        (r#"{"num_train_timesteps": 0}"#, "num_train_timesteps"),
        (r#"{"steps_offset": 1000}"#, "steps_offset"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scheduler_config.json");
    for (text, name) in cases {
        std::fs::write(&path, text).expect("a file");
        let refused = Config::read(&path);
        assert!(matches!(&refused, Err(Error::Model { message, .. }) if message.contains(name)), "{text}: {refused:?}");
    }
    assert!(matches!(Config::read(Path::new("nowhere.json")), Err(Error::File { .. })));
}

#[test]
fn the_demo_models_schedule_is_stable_diffusions() -> Result<()> {
    let demo = Config::read(&goldens::path("models/demo/scheduler/scheduler_config.json"))?;
    assert_eq!(demo, config("leading"));
    Ok(())
}
