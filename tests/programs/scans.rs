//! Prefix sums.

use crate::harness::{Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("scans.cu");

fn integers(count: usize, seed: u64) -> Vec<i32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| (random.next() % 1000) as i32 - 300).collect()
}

fn unsigned(count: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.next() as u32 % 1000).collect()
}

fn inclusive<T: Copy + Default + std::ops::Add<Output = T>>(values: &[T]) -> Vec<T> {
    let mut sum = T::default();
    values
        .iter()
        .map(|&value| {
            sum = sum + value;
            sum
        })
        .collect()
}

#[test]
fn hillis_steele() {
    let input = integers(192, 1);
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(192);
        program.launch("hillis_steele", line(1, 192).shared(2 * 192 * 4), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), inclusive(&input));
    });
}

#[test]
fn blelloch() {
    let input = integers(512, 2);
    let mut expected = vec![0];
    expected.extend(&inclusive(&input)[..511]);
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(512);
        program.launch("blelloch", line(1, 256).shared(528 * 4), &[&program.upload(&input), &output, &512]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn three_launches() {
    let (count, blocks) = (2500, 10);
    let input = unsigned(count, 3);
    on_every_build(SOURCE, |program| {
        let (output, totals) = (program.room::<u32>(count), program.room::<u32>(blocks));
        let (scanned, none) = (program.room::<u32>(blocks), 0u64);
        let count = count as i32;
        program.launch("scan_blocks", line(blocks, 256), &[&program.upload(&input), &output, &totals, &count]);
        program.launch("scan_blocks", line(1, 256), &[&totals, &scanned, &none, &(blocks as i32)]);
        program.launch("add_before", line(blocks, 256), &[&output, &scanned, &count]);
        assert_eq!(output.read(), inclusive(&input));
    });
}

#[test]
fn in_double_precision() {
    // Multiples of 1/8, so that every sum is exact in any order.
    let input: Vec<f64> = integers(128, 4).iter().map(|&value| f64::from(value) / 8.0).collect();
    let mut expected = inclusive(&input);
    expected.push(expected[127]);
    on_every_build(SOURCE, |program| {
        let output = program.room::<f64>(129);
        program.launch("scan_f64", line(1, 128), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn one_pass_with_decoupled_look_back() {
    let (count, tiles) = (5000, 40);
    let input = unsigned(count, 5);
    on_every_build(SOURCE, |program| {
        let (output, states) = (program.room::<u32>(count), program.zeros::<u64>(tiles));
        program.launch("look_back", line(tiles, 128), &[&program.upload(&input), &output, &states, &(count as i32)]);
        assert_eq!(output.read(), inclusive(&input));
    });
}

#[test]
fn compaction_keeps_the_order() {
    let input = integers(320, 6);
    let expected: Vec<i32> = input.iter().copied().filter(|value| value % 3 == 0).collect();
    on_every_build(SOURCE, |program| {
        let (output, kept) = (program.room::<i32>(320), program.room::<i32>(1));
        program.launch("compact", line(1, 320), &[&program.upload(&input), &output, &kept]);
        assert_eq!(kept.read(), [expected.len() as i32]);
        assert_eq!(output.read()[..expected.len()], expected);
    });
}

#[test]
fn within_segments() {
    let (values, mut random) = (integers(128, 7), Random::new(8));
    let heads: Vec<u8> = (0..128).map(|_| (random.next() % 5 == 0).into()).collect();
    let mut sum = 0;
    let expected: Vec<i32> = (0..128)
        .map(|index| {
            sum = if heads[index] == 1 || index % 32 == 0 { values[index] } else { sum + values[index] };
            sum
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(128);
        program.launch("segmented", line(4, 32), &[&program.upload(&values), &program.upload(&heads), &output]);
        assert_eq!(output.read(), expected);
    });
}
