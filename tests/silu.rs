//! SiLU against its definition in f64.

mod support;

use diffedit::ops::silu::silu;
use diffedit::plan::Plan;
use half::f16;
use support::{Random, assert_close, device, run_for, upload};

fn run(values: &[f16]) -> Vec<f32> {
    let mut plan = Plan::new(device().capabilities());
    let output = silu(&mut plan, &upload(&[1, values.len()], values)).expect("the shape fits");
    run_for(&mut plan, &output)
}

#[test]
fn agrees_with_the_definition() {
    let values = Random::new(3).halves(1280 + 8, 4.0);
    let expected: Vec<f32> = values.iter().map(|x| (x.to_f64() / (1.0 + (-x.to_f64()).exp())) as f32).collect();
    assert_close("normal values", &run(&values), &expected);
}

#[test]
fn extremes_stay_finite() {
    let values = [-65504.0, -1000.0, -88.0, -0.0, 0.0, 88.0, 1000.0, 65504.0];
    let halves: Vec<f16> = values.iter().map(|&x| f16::from_f32(x)).collect();
    assert_eq!(run(&halves), [0.0, 0.0, 0.0, 0.0, 0.0, 88.0, 1000.0, 65504.0]);
}
