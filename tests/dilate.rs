//! A mask grown in every direction.

mod support;

use diffedit::Error;
use diffedit::mask::{MAX_DILATION, Mask};
use diffedit::ops::dilate::dilate;
use diffedit::plan::{DType, Plan};
use support::{Random, device, run_for};

fn run(height: usize, width: usize, mask: &[u8], radius: usize) -> Vec<u8> {
    let mask = device().upload(DType::U8, &[height, width], mask).expect("an upload");
    let mut plan = Plan::new(device().capabilities());
    let dilated = dilate(&mut plan, &mask, radius).expect("the shape fits");
    run_for(&mut plan, &dilated).into_iter().map(|value| value as u8).collect()
}

/// The definition, a cell at a time.
fn reference(width: usize, mask: &[u8], radius: usize) -> Vec<u8> {
    let near = |a: usize, b: usize| a.abs_diff(b) <= radius;
    let reached = |index: usize| {
        let (y, x) = (index / width, index % width);
        (0..mask.len()).any(|other| mask[other] != 0 && near(y, other / width) && near(x, other % width))
    };
    (0..mask.len()).map(|index| u8::from(reached(index))).collect()
}

#[test]
fn agrees_with_the_definition_and_the_host() {
    let mut random = Random::new(23);
    for (height, width) in [(64, 64), (33, 40), (7, 9), (3, 2), (1, 5), (1, 1)] {
        for radius in [0, 1, 2, 5, 13, MAX_DILATION] {
            let mask: Vec<u8> = (0..height * width).map(|_| u8::from(random.next().is_multiple_of(32))).collect();
            let case = format!("{height} x {width}, radius {radius}");
            let expected = reference(width, &mask, radius);
            assert_eq!(run(height, width, &mask, radius), expected, "{case}");
            let host = Mask::new(width, height, mask).and_then(|mask| mask.dilate(radius)).expect("it is valid");
            assert_eq!(host.cells(), expected, "{case}");
        }
    }
}

#[test]
fn a_pixel_becomes_a_square_that_the_border_cuts() {
    let mut mask = vec![0u8; 5 * 6];
    mask[1] = 1;
    #[rustfmt::skip]
    assert_eq!(run(5, 6, &mask, 2), [
        1, 1, 1, 1, 0, 0,
        1, 1, 1, 1, 0, 0,
        1, 1, 1, 1, 0, 0,
        0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0,
    ]);
}

#[test]
fn a_radius_that_is_too_large_is_refused() {
    let mask = device().upload(DType::U8, &[4, 4], &[0u8; 16]).expect("an upload");
    let result = dilate(&mut Plan::new(device().capabilities()), &mask, MAX_DILATION + 1);
    assert!(matches!(result, Err(Error::Shape { op: "dilate", .. })));
    let host = Mask::new(2, 2, vec![0; 4]).expect("it is valid").dilate(MAX_DILATION + 1);
    assert!(matches!(host, Err(Error::Request(message)) if message.starts_with("dilate: ")));
}
