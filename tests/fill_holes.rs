//! Filled masks against a flood from the border.

mod support;

use diffedit::Error;
use diffedit::ops::fill_holes::fill_holes;
use diffedit::plan::{DType, Plan};
use support::{Random, device, run_for};

fn run(height: usize, width: usize, mask: &[u8]) -> Vec<u8> {
    let mask = device().upload(DType::U8, &[height, width], mask).expect("an upload");
    let mut plan = Plan::new(device().capabilities());
    let filled = fill_holes(&mut plan, &mask).expect("the shape fits");
    run_for(&mut plan, &filled).into_iter().map(|value| value as u8).collect()
}

/// Everything that a flood of the background from outside does not reach.
fn reference(height: usize, width: usize, mask: &[u8]) -> Vec<u8> {
    let mut filled = vec![1; height * width];
    let border = |y: usize, x: usize| y == 0 || x == 0 || y + 1 == height || x + 1 == width;
    let mut queue: Vec<(usize, usize)> =
        (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).filter(|&(y, x)| border(y, x)).collect();
    while let Some((y, x)) = queue.pop() {
        if y >= height || x >= width || mask[y * width + x] != 0 || filled[y * width + x] == 0 {
            continue;
        }
        filled[y * width + x] = 0;
        queue.extend([(y.wrapping_sub(1), x), (y + 1, x), (y, x.wrapping_sub(1)), (y, x + 1)]);
    }
    filled
}

/// A mask from rows of `#` and `.`.
fn drawn(rows: &[&str]) -> (usize, usize, Vec<u8>) {
    let cells = rows.iter().flat_map(|row| row.bytes()).map(|cell| u8::from(cell == b'#')).collect();
    (rows.len(), rows[0].len(), cells)
}

#[test]
fn holes_are_filled_and_bays_are_not() {
    let (height, width, mask) = drawn(&[
        ".......#.",
        ".####.###",
        ".#..#.#.#",
        ".#.##.##.", // the hole beside touches the outside by a corner only
        ".###..#..",
        "......###",
        "###...#..",
        "#.##..###",
    ]);
    let (_, _, expected) = drawn(&[
        ".......#.",
        ".####.###",
        ".####.###",
        ".####.##.",
        ".###..#..",
        "......###",
        "###...#..",
        "#.##..###",
    ]);
    assert_eq!(run(height, width, &mask), expected);
    assert_eq!(reference(height, width, &mask), expected);
}

#[test]
fn random_masks_agree_with_a_flood() {
    let mut random = Random::new(16);
    let shapes = [(64, 64), (96, 40), (7, 9), (1, 50), (50, 1), (33, 65), (256, 256)];
    for (height, width) in shapes {
        // About where 4-connected background stops to percolate, paths are longest.
        for percent in [30, 40, 55] {
            let mask: Vec<u8> = (0..height * width).map(|_| u8::from(random.next() % 100 < percent)).collect();
            assert!(run(height, width, &mask) == reference(height, width, &mask), "{height} x {width}, {percent} %");
        }
    }
}

#[test]
fn a_spiral_is_followed_to_its_end() {
    // Walls at odd rows, open at alternating ends, inside a frame with one gate.
    let (height, width) = (41, 70);
    let mut mask = vec![0u8; height * width];
    for (y, row) in mask.chunks_mut(width).enumerate() {
        if y % 2 == 0 {
            row.fill(1);
            row[if y % 4 == 0 { 1 } else { width - 2 }] = 0;
        } else {
            row[0] = 1;
            row[width - 1] = 1;
        }
    }
    mask[(height - 1) * width..].fill(1);
    assert_eq!(run(height, width, &mask), mask);
    mask[1] = 1;
    assert_eq!(run(height, width, &mask), vec![1; height * width]);
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let mask = device().upload(DType::U8, &[257, 256], &vec![0u8; 257 * 256]).expect("an upload");
    let result = fill_holes(&mut Plan::new(device().capabilities()), &mask);
    assert!(matches!(result, Err(Error::Shape { op: "fill_holes", .. })));
}
