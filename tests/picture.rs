//! Pictures to tensors and back, to the bit.

mod support;

use diffedit::ops::picture::{to_picture, to_tensor};
use diffedit::plan::{DType, Plan};
use half::f16;
use support::{Random, device, run_for, upload, upload_f32, widen};

#[test]
fn a_picture_becomes_a_padded_tensor() {
    // 16 x 17 pixels of 3 channels hold every level.
    let levels: Vec<u8> = (0..16 * 17 * 3).map(|index| (index * 7 % 256) as u8).collect();
    let picture = device().upload(DType::U8, &[16, 17, 3], &levels).expect("an upload");
    let expected: Vec<f32> = levels
        .chunks(3)
        .flat_map(|pixel| {
            let mut padded = [0.0; 8];
            for (value, &level) in padded.iter_mut().zip(pixel) {
                *value = f16::from_f32(f32::from(level) / 127.5 - 1.0).to_f32();
            }
            padded
        })
        .collect();
    let mut plan = Plan::new(device().capabilities());
    let output = to_tensor(&mut plan, &picture).expect("the shape fits");
    assert_eq!(output.shape(), [1, 16, 17, 8]);
    assert_eq!(run_for(&mut plan, &output), expected);
}

fn level(value: f32) -> f32 {
    (255.0 * (value * 0.5 + 0.5).clamp(0.0, 1.0)).round_ties_even()
}

#[test]
fn a_tensor_becomes_a_picture() {
    let mut values = Random::new(5).halves(2 * 9 * 7 * 3, 0.8);
    for (value, extreme) in values.iter_mut().zip([-1.0, 1.0, 0.0, -65504.0, 65504.0, f32::INFINITY]) {
        *value = f16::from_f32(extreme);
    }
    let wide = widen(&values);
    let expected: Vec<f32> = wide.iter().copied().map(level).collect();
    for tensor in [upload(&[2, 9, 7, 3], &values), upload_f32(&[2, 9, 7, 3], &wide)] {
        let mut plan = Plan::new(device().capabilities());
        let output = to_picture(&mut plan, &tensor).expect("the shape fits");
        assert_eq!(output.shape(), [2, 9, 7, 3]);
        assert_eq!(run_for(&mut plan, &output), expected, "{tensor:?}");
    }
}

#[test]
fn channels_past_the_third_are_left_out() {
    let values = Random::new(6).halves(5 * 4 * 8, 0.5);
    let expected: Vec<f32> = widen(&values).chunks(8).flat_map(|pixel| [0, 1, 2].map(|c| level(pixel[c]))).collect();
    let mut plan = Plan::new(device().capabilities());
    let output = to_picture(&mut plan, &upload(&[1, 5, 4, 8], &values)).expect("the shape fits");
    assert_eq!(run_for(&mut plan, &output), expected);
}
