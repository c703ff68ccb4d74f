//! OpenCV's blur, to the bit.

mod support;

use diffedit::Error;
use diffedit::ops::gaussian_blur::gaussian_blur;
use diffedit::plan::{DType, Plan};
use support::{Random, device, run_for};

/// OpenCV's coefficients of 256, from the end to the centre.
const KERNELS: &[&[i32]] = &[
    &[256],
    &[64, 128],
    &[16, 64, 96],
    &[8, 28, 56, 72],
    &[1, 3, 6, 12, 20, 30, 36, 40],
    &[0, 2, 2, 4, 6, 11, 15, 20, 25, 28, 30],
];

/// A whole kernel from its half.
fn mirrored(half: &[i32]) -> Vec<i32> {
    half.iter().chain(half.iter().rev().skip(1)).copied().collect()
}

fn run(height: usize, width: usize, mask: &[u8], kernel: &[i32]) -> Vec<u8> {
    let mask = device().upload(DType::U8, &[height, width], mask).expect("an upload");
    let kernel = device().upload(DType::I32, &[kernel.len()], kernel).expect("an upload");
    let mut plan = Plan::new(device().capabilities());
    let blurred = gaussian_blur(&mut plan, &mask, &kernel).expect("the shapes fit");
    run_for(&mut plan, &blurred).into_iter().map(|value| value as u8).collect()
}

/// Where a position outside lies after mirroring, without repeating the edge: the mirrored mask has a period.
fn mirrored_position(position: i64, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as i64 - 1);
    let inside = position.rem_euclid(period);
    inside.min(period - inside) as usize
}

fn reference(height: usize, width: usize, mask: &[u8], kernel: &[i32]) -> Vec<u8> {
    let radius = kernel.len() as i64 / 2;
    let weighted = |y: usize, x: usize| -> i64 {
        let mut sum = 0;
        for (i, &vertical) in kernel.iter().enumerate() {
            let row = mirrored_position(y as i64 + i as i64 - radius, height);
            for (j, &horizontal) in kernel.iter().enumerate() {
                let column = mirrored_position(x as i64 + j as i64 - radius, width);
                sum += i64::from(vertical) * i64::from(horizontal) * i64::from(mask[row * width + column]);
            }
        }
        sum
    };
    (0..height * width).map(|index| u8::from((weighted(index / width, index % width) + 32768) >> 16 > 0)).collect()
}

#[test]
fn agrees_with_the_definition() {
    let mut random = Random::new(17);
    for (height, width) in [(64, 64), (33, 40), (7, 9), (3, 2), (1, 5), (1, 1)] {
        for half in KERNELS {
            let kernel = mirrored(half);
            assert_eq!(kernel.iter().sum::<i32>(), 256);
            let mask: Vec<u8> = (0..height * width).map(|_| (random.next() % 2) as u8).collect();
            let case = format!("{height} x {width}, {} coefficients", kernel.len());
            assert!(run(height, width, &mask, &kernel) == reference(height, width, &mask, &kernel), "{case}");
        }
    }
}

#[test]
fn half_of_the_weight_is_enough() {
    // Columns 0..4 are mask: with [64, 128, 64] column 3 sees three quarters and column 4 a quarter. On a checkerboard
    // every pixel sees exactly half: 128 * 128 + 4 * 64 * 64 or 4 * 64 * 128 of 65536.
    let kernel = mirrored(KERNELS[1]);
    let stripes: Vec<u8> = (0..6 * 8).map(|index| u8::from(index % 8 < 4)).collect();
    assert_eq!(run(6, 8, &stripes, &kernel), stripes);
    let checkerboard: Vec<u8> = (0..6 * 8).map(|index| ((index / 8 + index % 8) % 2) as u8).collect();
    assert_eq!(run(6, 8, &checkerboard, &kernel), [1; 48]);
}

#[test]
fn a_lone_pixel_vanishes_and_a_lone_hole_fills() {
    let kernel = mirrored(KERNELS[3]);
    let mut mask = vec![0u8; 15 * 15];
    mask[7 * 15 + 7] = 1;
    assert_eq!(run(15, 15, &mask, &kernel), vec![0; 225]);
    let hole: Vec<u8> = mask.iter().map(|value| 1 - value).collect();
    assert_eq!(run(15, 15, &hole, &kernel), vec![1; 225]);
}

#[test]
fn an_even_kernel_is_refused() {
    let mask = device().upload(DType::U8, &[4, 4], &[0u8; 16]).expect("an upload");
    let kernel = device().upload(DType::I32, &[4], &[64i32; 4]).expect("an upload");
    let result = gaussian_blur(&mut Plan::new(device().capabilities()), &mask, &kernel);
    assert!(matches!(result, Err(Error::Shape { op: "gaussian_blur", .. })));
}
