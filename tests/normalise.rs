//! The stretched map against its definition in f64.

mod support;

use diffedit::ops::normalise::normalise;
use diffedit::plan::Plan;
use support::{Random, assert_within, device, run_for, upload_f32};

fn run(height: usize, width: usize, sum: &[f32]) -> Vec<f32> {
    let mut plan = Plan::new(device().capabilities());
    let map = normalise(&mut plan, &upload_f32(&[height, width, 4], sum)).expect("the shape fits");
    assert_eq!(map.shape(), [height, width]);
    run_for(&mut plan, &map)
}

#[test]
fn agrees_with_the_definition() {
    for (height, width) in [(64, 64), (7, 9), (96, 64), (1, 2), (256, 256)] {
        let mut random = Random::new(13);
        let sum: Vec<f32> = (0..height * width * 4).map(|_| 2.0 + random.normal().abs()).collect();
        let means: Vec<f64> =
            sum.chunks(4).map(|pixel| pixel.iter().map(|&x| f64::from(x)).sum::<f64>() / 4.0).collect();
        let (low, high) = means.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        let expected: Vec<f64> = means.iter().map(|mean| (mean - low) / (high - low)).collect();
        let map = run(height, width, &sum);
        assert_within(&format!("{height} x {width}"), &map, &expected, 3e-6);
        assert!(map.contains(&0.0) && map.contains(&1.0));
    }
}

#[test]
fn a_constant_sum_gives_zeros() {
    assert_eq!(run(5, 7, &[3.3; 5 * 7 * 4]), [0.0; 35]);
}

#[test]
fn the_scale_of_the_sum_cancels() {
    let mut random = Random::new(14);
    let sum: Vec<f32> = (0..16 * 16 * 4).map(|_| random.normal().abs()).collect();
    let scaled: Vec<f32> = sum.iter().map(|value| value * 8.0).collect();
    assert!(run(16, 16, &sum) == run(16, 16, &scaled));
}
