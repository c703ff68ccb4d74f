//! The VAE's posterior against its definition in f64.

mod support;

use diffedit::Error;
use diffedit::ops::posterior::Posterior;
use diffedit::plan::{Plan, Tensor};
use half::f16;
use support::{Random, assert_within, device, run_for, upload, upload_f32, widen};

const SCALING: f32 = 0.18215;
const SHAPE: [usize; 3] = [1, 7, 9];

fn run(moments: &Tensor, noise: Option<&Tensor>) -> Vec<f32> {
    let mut plan = Plan::new(device().capabilities());
    let output = Posterior { moments, noise, scaling_factor: SCALING }.record(&mut plan).expect("the shapes fit");
    run_for(&mut plan, &output)
}

/// Pixels whose logarithm of the variance lies past an end of the clamp.
const ABOVE: usize = 5;
const BELOW: usize = 6;

fn moments() -> Vec<f16> {
    let mut random = Random::new(8);
    (0..7 * 9 * 8)
        .map(|index| {
            let log_variance = match index / 8 {
                ABOVE => 25.0,
                BELOW => -60.0,
                _ => 2.0 * random.normal(),
            };
            f16::from_f32(if index % 8 < 4 { 3.0 * random.normal() } else { log_variance })
        })
        .collect()
}

fn reference(moments: &[f16], noise: Option<&[f16]>) -> Vec<f64> {
    (0..moments.len() / 2)
        .map(|index| {
            let (pixel, channel) = (index / 4, index % 4);
            let deviation = (0.5 * moments[8 * pixel + 4 + channel].to_f64().clamp(-30.0, 20.0)).exp();
            let z = noise.map_or(0.0, |noise| noise[index].to_f64());
            f64::from(SCALING) * (moments[8 * pixel + channel].to_f64() + deviation * z)
        })
        .collect()
}

#[test]
fn samples_and_modes_agree_with_the_definition() {
    let moments = moments();
    let mut noise = Random::new(9).halves(7 * 9 * 4, 1.0);
    // Times exp(-15) this is 0.018; unclamped it would vanish.
    noise[4 * BELOW..4 * (BELOW + 1)].fill(f16::from_f32(60_000.0));
    let shape = [SHAPE[0], SHAPE[1], SHAPE[2], 8];
    let noise_tensor = upload(&[SHAPE[0], SHAPE[1], SHAPE[2], 4], &noise);
    for tensor in [upload(&shape, &moments), upload_f32(&shape, &widen(&moments))] {
        assert_within("mode", &run(&tensor, None), &reference(&moments, None), 1e-6);
        // The largest value, exp(10), hides the others: they are compared by themselves.
        let (sampled, expected) = (run(&tensor, Some(&noise_tensor)), reference(&moments, Some(&noise)));
        assert_within("sample", &sampled, &expected, 1e-6);
        assert_within("small samples", &sampled[4 * BELOW..], &expected[4 * BELOW..], 1e-6);
    }
}

#[test]
fn noise_of_another_shape_is_refused() {
    let moments = upload(&[1, 2, 2, 8], &[f16::ZERO; 32]);
    let noise = upload(&[1, 2, 2, 8], &[f16::ZERO; 32]);
    let posterior = Posterior { moments: &moments, noise: Some(&noise), scaling_factor: SCALING };
    let result = posterior.record(&mut Plan::new(device().capabilities()));
    assert!(matches!(result, Err(Error::Shape { op: "posterior", .. })));
}
