//! Sums, maxima and positions of arrays.

use crate::harness::{Source, line, on_every_build, plane};
use crate::support::{Random, assert_within};

const SOURCE: Source = Source::new("reductions.cu");

/// Roundings of a sum of `count` terms that are as large as their sum, relative to it: a term passes through fewer
/// additions than there are terms.
fn sum_bound(count: usize) -> f64 {
    count as f64 * f64::from(f32::EPSILON) / 2.0
}

fn integers(count: usize, seed: u64) -> Vec<i32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.next() as i32 >> 8).collect()
}

fn floats(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.normal().abs()).collect()
}

fn wrapping_sum(values: &[i32]) -> i32 {
    values.iter().fold(0, |sum, &value| sum.wrapping_add(value))
}

#[test]
fn trees_in_shared_memory() {
    let input = integers(1000, 1);
    let expected: Vec<i32> = input.chunks(256).map(wrapping_sum).collect();
    on_every_build(SOURCE, |program| {
        let (device, output) = (program.upload(&input), program.room::<i32>(4));
        program.launch("tree_sum", line(4, 256).shared(1024), &[&device, &output, &1000]);
        assert_eq!(output.read(), expected);
        let output = program.room::<i32>(3);
        program.launch("interleaved_sum", line(3, 256), &[&device, &output]);
        assert_eq!(output.read(), expected[..3]);
    });
}

#[test]
fn shuffles_of_every_width() {
    let (small, count) = (floats(3000, 2), 3000);
    let wide: Vec<f64> = small.iter().map(|&value| f64::from(value) * 1.000_000_001).collect();
    let mut random = Random::new(3);
    let integers: Vec<u64> = (0..count).map(|_| random.next()).collect();
    on_every_build(SOURCE, |program| {
        let (device, output) = (program.upload(&small), program.room::<f32>(2));
        program.launch("shuffle_sum_f32", line(2, 128), &[&device, &output, &count]);
        let sum: f32 = output.read().iter().sum();
        assert_within("f32", &[sum], &[small.iter().map(|&x| f64::from(x)).sum()], sum_bound(3000));

        let (device, output) = (program.upload(&wide), program.room::<f64>(2));
        program.launch("shuffle_sum_f64", line(2, 96), &[&device, &output, &count]);
        let (sum, expected): (f64, f64) = (output.read().iter().sum(), wide.iter().sum());
        assert!((sum - expected).abs() <= expected * 3000.0 * f64::EPSILON, "{sum} is not {expected}");

        let (device, output) = (program.upload(&integers), program.room::<u64>(3));
        program.launch("shuffle_sum_u64", line(3, 64), &[&device, &output, &count]);
        let sum = output.read().iter().fold(0u64, |sum, &value| sum.wrapping_add(value));
        assert_eq!(sum, integers.iter().fold(0u64, |sum, &value| sum.wrapping_add(value)));
    });
}

#[test]
fn position_of_the_maximum() {
    let mut random = Random::new(4);
    let input: Vec<f32> = (0..2000).map(|_| (random.normal() * 8.0).round() - 3.0).collect();
    let largest = input.iter().copied().fold(f32::MIN, f32::max);
    let position = input.iter().position(|&value| value == largest).expect("it is there") as u64;
    on_every_build(SOURCE, |program| {
        let (device, best) = (program.upload(&input), program.zeros::<u64>(1));
        program.launch("arg_max", line(3, 96), &[&device, &best, &2000]);
        assert_eq!(0xffff_ffff - (best.read()[0] & 0xffff_ffff), position);
    });
}

#[test]
fn atomics_fold_everything_into_a_word() {
    let input = integers(777, 5);
    let fold = |first: i32, f: fn(i32, i32) -> i32| input.iter().copied().fold(first, f);
    let expected = [
        fold(0, i32::wrapping_add),
        fold(i32::MAX, i32::min),
        fold(i32::MIN, i32::max),
        fold(-1, |a, b| a & b),
        fold(0, |a, b| a | b),
        fold(0, |a, b| a ^ b),
        fold(0, i32::wrapping_sub),
    ];
    on_every_build(SOURCE, |program| {
        let results = program.upload(&[0, i32::MAX, i32::MIN, -1, 0, 0, 0]);
        program.launch("atomic_fold", line(7, 128), &[&program.upload(&input), &results, &777]);
        assert_eq!(results.read(), expected);
    });
}

#[test]
fn the_last_block_finishes() {
    let input = integers(5000, 6);
    on_every_build(SOURCE, |program| {
        let (device, partial, output) = (program.upload(&input), program.room::<i32>(9), program.room::<i32>(1));
        for blocks in [1, 9, 4] {
            program.launch("last_block_sum", line(blocks, 128), &[&device, &partial, &output, &5000]);
            assert_eq!(output.read(), [wrapping_sum(&input)], "{blocks} blocks");
        }
    });
}

#[test]
fn rows_and_columns_of_a_matrix() {
    let (rows, columns) = (24, 75);
    let matrix = floats(rows * columns, 7);
    let at = |row: usize, column: usize| f64::from(matrix[row * columns + column]);
    let by_row: Vec<f64> = (0..rows).map(|row| (0..columns).map(|column| at(row, column)).sum()).collect();
    let by_column: Vec<f64> = (0..columns).map(|column| (0..rows).map(|row| at(row, column)).sum()).collect();
    on_every_build(SOURCE, |program| {
        let (device, sums) = (program.upload(&matrix), program.room::<f32>(rows));
        program.launch("row_sums", plane([rows / 4, 1], [32, 4]), &[&device, &sums, &(columns as i32)]);
        assert_within("rows", &sums.read(), &by_row, sum_bound(columns));
        let sums = program.room::<f32>(columns);
        program.launch("column_sums", line(2, 64), &[&device, &sums, &(rows as i32), &(columns as i32)]);
        assert_within("columns", &sums.read(), &by_column, sum_bound(rows));
    });
}

#[test]
fn dot_product_of_vectors_of_four() {
    let (a, b) = (floats(400, 8), floats(400, 9));
    let expected = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(1);
        program.launch("dot4", line(1, 32), &[&program.upload(&a), &program.upload(&b), &output, &100]);
        // Each product is rounded too.
        assert_within("dot", &output.read(), &[expected], sum_bound(401));
    });
}

#[test]
fn barriers_that_count_and_vote() {
    let mut input = vec![1i32; 300];
    input[5] = -4;
    input[150] = 7;
    input[299] = 3;
    let expected: Vec<i32> = input
        .chunks(100)
        .flat_map(|block| {
            let count = block.iter().filter(|&&value| value > 0).count() as i32;
            [count, block.iter().all(|&value| value != 7).into(), block.contains(&3).into()]
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(9);
        program.launch("barrier_votes", line(3, 100), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn redux_of_integers() {
    let input = integers(128, 10);
    let expected: Vec<i32> = input
        .chunks(32)
        .flat_map(|warp| {
            let fold = |first, f: fn(i32, i32) -> i32| warp.iter().copied().fold(first, f);
            [
                wrapping_sum(warp),
                fold(i32::MAX, i32::min),
                fold(i32::MIN, i32::max),
                fold(-1, |a, b| a & b),
                fold(0, |a, b| a | b),
                fold(0, |a, b| a ^ b),
            ]
        })
        .collect();
    on_every_build(SOURCE.since(80), |program| {
        let output = program.room::<i32>(24);
        program.launch("redux", line(4, 32), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}
