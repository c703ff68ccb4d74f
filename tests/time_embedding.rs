//! The sinusoidal embedding against its definition in f64.

mod support;

use diffedit::ops::time_embedding::TimeEmbedding;
use diffedit::plan::{DType, Plan, Tensor};
use support::{assert_close, assert_within, device, run_for, upload_f32};

fn run(timesteps: &Tensor, dim: usize, flip_sin_to_cos: bool, freq_shift: f32) -> Vec<f32> {
    let mut plan = Plan::new(device().capabilities());
    let embedding = TimeEmbedding { timesteps, dim, flip_sin_to_cos, freq_shift };
    let output = embedding.record(&mut plan).expect("the shapes fit");
    run_for(&mut plan, &output)
}

fn reference(timesteps: &[f64], dim: usize, flip_sin_to_cos: bool, freq_shift: f64) -> Vec<f64> {
    let row = |&timestep: &f64| -> Vec<f64> {
        let half = dim / 2;
        let angle = |i: usize| timestep * (-(10000f64.ln()) * i as f64 / (half as f64 - freq_shift)).exp();
        let sines = (0..half).map(|i| angle(i).sin());
        let cosines = (0..half).map(|i| angle(i).cos());
        if flip_sin_to_cos { cosines.chain(sines).collect() } else { sines.chain(cosines).collect() }
    };
    timesteps.iter().flat_map(row).collect()
}

#[test]
fn agrees_with_the_definition() {
    let steps: Vec<i32> = (0..50).map(|step| 981 - 20 * step).chain([0, 999, 1000]).collect();
    let wide: Vec<f64> = steps.iter().map(|&step| f64::from(step)).collect();
    let timesteps = device().upload(DType::I32, &[steps.len()], &steps).expect("an upload");
    for (dim, flip, shift) in [(320, true, 0.0), (320, false, 0.0), (32, true, 1.0), (2, true, 0.0)] {
        let case = format!("{dim} channels, flip {flip}, shift {shift}");
        let (output, expected) = (run(&timesteps, dim, flip, shift), reference(&wide, dim, flip, shift.into()));
        let narrow: Vec<f32> = expected.iter().map(|&value| value as f32).collect();
        assert_close(&case, &output, &narrow);
        assert_within(&case, &output, &expected, 5e-4);
    }
}

#[test]
fn fractional_timesteps_are_taken_as_they_are() {
    let steps = [0.25, 481.5, 998.75];
    let output = run(&upload_f32(&[3], &steps), 64, true, 0.0);
    assert_within("fractions", &output, &reference(&steps.map(f64::from), 64, true, 0.0), 5e-4);
}
