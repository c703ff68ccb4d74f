//! The VAE decoder's input.

mod support;

use diffedit::ops::unscale::unscale;
use diffedit::plan::Plan;
use support::{Random, assert_close, device, run_for, upload_f32};

#[test]
fn divides_and_pads() {
    let mut random = Random::new(10);
    let latents: Vec<f32> = (0..2 * 7 * 9 * 4).map(|_| random.normal()).collect();
    let mut plan = Plan::new(device().capabilities());
    let output = unscale(&mut plan, &upload_f32(&[2, 7, 9, 4], &latents), 0.18215).expect("the shape fits");
    assert_eq!(output.shape(), [2, 7, 9, 8]);
    let output = run_for(&mut plan, &output);
    let expected: Vec<f32> = latents
        .chunks(4)
        .flat_map(|pixel| {
            [pixel[0] / 0.18215, pixel[1] / 0.18215, pixel[2] / 0.18215, pixel[3] / 0.18215, 0., 0., 0., 0.]
        })
        .collect();
    assert_close("unscaled latents", &output, &expected);
    assert!(output.chunks(8).all(|pixel| pixel[4..] == [0.0; 4]));
}
