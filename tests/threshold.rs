//! Thresholding, to the bit.

mod support;

use diffedit::ops::threshold::threshold;
use diffedit::plan::Plan;
use support::{Random, device, run_for, upload_f32};

#[test]
fn only_what_is_over_the_level_is_mask() {
    let level = 0.1f32;
    let mut random = Random::new(15);
    let mut map: Vec<f32> = (0..33 * 17).map(|_| random.normal().abs() / 4.0).collect();
    map[..4].copy_from_slice(&[level, level.next_up(), level.next_down(), f32::NAN]);
    let expected: Vec<f32> = map.iter().map(|&value| if value > level { 1.0 } else { 0.0 }).collect();
    let mut plan = Plan::new(device().capabilities());
    let mask = threshold(&mut plan, &upload_f32(&[33, 17], &map), level).expect("the shape fits");
    assert_eq!(run_for(&mut plan, &mask), expected);
    assert_eq!(expected[..4], [0.0, 1.0, 0.0, 0.0]);
}
