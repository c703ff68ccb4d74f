//! Noised copies against their definition in f64.

mod support;

use diffedit::ops::add_noise::AddNoise;
use diffedit::plan::Plan;
use half::f16;
use support::{Random, assert_within, device, kept, read, run, upload, upload_f32};

const SIGNAL: f32 = 0.549_82;
const SIGMA: f32 = 0.835_28;

#[test]
fn every_prompt_gets_a_copy_of_every_noised_map() {
    for (copies, height, width, repeat) in [(10, 8, 8, 2), (1, 64, 64, 2), (3, 7, 9, 3), (2, 5, 3, 1)] {
        let case = format!("{copies} maps of {height} x {width} for {repeat} prompts");
        let mut random = Random::new(11);
        let elements = height * width * 4;
        let latents: Vec<f32> = (0..elements).map(|_| random.normal()).collect();
        let noise = random.halves(copies * elements, 1.0);
        let expected: Vec<f64> = noise
            .iter()
            .zip(latents.iter().cycle())
            .map(|(z, &x)| f64::from(SIGNAL) * f64::from(x) + f64::from(SIGMA) * z.to_f64())
            .collect();

        let mut plan = Plan::new(device().capabilities());
        let add_noise = AddNoise {
            latents: &upload_f32(&[1, height, width, 4], &latents),
            noise: &upload(&[copies, height, width, 4], &noise),
            signal: SIGNAL,
            sigma: SIGMA,
            repeat,
            keep_latents: true,
        };
        let noised = add_noise.record(&mut plan).expect("the shapes fit");
        let planned = noised.latents.expect("they were asked for");
        let (input, kept_latents) = (kept(&noised.input), kept(&planned));
        plan.place(&noised.input, &input);
        plan.place(&planned, &kept_latents);
        run(&plan);

        let latents = read(&kept_latents);
        assert_within(&case, &latents, &expected, 1e-6);
        let padded: Vec<f32> = (0..copies * repeat)
            .flat_map(|sample| latents[sample / repeat * elements..][..elements].chunks(4))
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[3], 0.0, 0.0, 0.0, 0.0])
            .map(|value| f16::from_f32(value).to_f32())
            .collect();
        assert!(read(&input) == padded, "{case}");
    }
}

#[test]
fn latents_are_left_out_where_nobody_wants_them() {
    let latents = upload_f32(&[1, 2, 2, 4], &[0.5; 16]);
    let noise = upload(&[1, 2, 2, 4], &[f16::ONE; 16]);
    let mut plan = Plan::new(device().capabilities());
    let add_noise =
        AddNoise { latents: &latents, noise: &noise, signal: 2.0, sigma: 3.0, repeat: 1, keep_latents: false };
    let noised = add_noise.record(&mut plan).expect("the shapes fit");
    assert!(noised.latents.is_none());
    let output = support::run_for(&mut plan, &noised.input);
    assert!(output.chunks(8).all(|pixel| pixel == [4.0, 4.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0]));
}
