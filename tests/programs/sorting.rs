//! Sorting.

use crate::harness::{Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("sorting.cu");

fn unsigned(count: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.next() as u32).collect()
}

fn sorted<T: Copy + PartialOrd>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    values
}

#[test]
fn bitonic_in_shared_memory() {
    let keys = unsigned(1024, 1);
    let positions: Vec<u32> = (0..1024).collect();
    on_every_build(SOURCE, |program| {
        let (device, values) = (program.upload(&keys), program.upload(&positions));
        program.launch("bitonic_shared", line(2, 256), &[&device, &values]);
        let (found, values) = (device.read(), values.read());
        for block in 0..2 {
            let range = 512 * block..512 * (block + 1);
            assert_eq!(found[range.clone()], sorted(&keys[range]));
        }
        assert!(values.iter().zip(&found).all(|(&value, &key)| keys[value as usize] == key), "values follow keys");
    });
}

#[test]
fn bitonic_in_registers() {
    let mut random = Random::new(2);
    let data: Vec<f32> = (0..128).map(|_| random.normal()).collect();
    let expected: Vec<f32> = data.chunks(32).flat_map(sorted).collect();
    on_every_build(SOURCE, |program| {
        let device = program.upload(&data);
        program.launch("bitonic_warp", line(2, 64), &[&device]);
        assert_eq!(device.read(), expected);
    });
}

#[test]
fn odd_even_of_shorts() {
    let data: Vec<i16> = unsigned(101, 3).iter().map(|&key| key as i16).collect();
    on_every_build(SOURCE, |program| {
        let device = program.upload(&data);
        program.launch("odd_even", line(1, 64).shared(202), &[&device, &101]);
        assert_eq!(device.read(), sorted(&data));
    });
}

#[test]
fn merge_of_64_bit_keys() {
    let mut random = Random::new(4);
    let data: Vec<i64> = (0..700).map(|_| (random.next() as i64) >> (random.next() % 60)).collect();
    on_every_build(SOURCE, |program| {
        let (mut from, mut to) = (program.upload(&data), program.room::<i64>(700));
        let mut run = 1;
        while run < 700 {
            program.launch("merge_pass", line(6, 128), &[&from, &to, &run, &700]);
            std::mem::swap(&mut from, &mut to);
            run *= 2;
        }
        assert_eq!(from.read(), sorted(&data));
    });
}

#[test]
fn radix_by_ballots() {
    let keys = unsigned(256, 5);
    on_every_build(SOURCE, |program| {
        let (mut from, mut to) = (program.upload(&keys), program.room::<u32>(256));
        for shift in (0..32).step_by(4) {
            program.launch("radix_pass", line(1, 256), &[&from, &to, &shift]);
            std::mem::swap(&mut from, &mut to);
        }
        assert_eq!(from.read(), sorted(&keys));
    });
}

#[test]
fn by_rank() {
    let mut random = Random::new(6);
    let data: Vec<f32> = (0..150).map(|_| (random.normal() * 20.0).round()).collect();
    on_every_build(SOURCE, |program| {
        let to = program.room::<f32>(150);
        program.launch("rank_sort", line(3, 64), &[&program.upload(&data), &to, &150]);
        assert_eq!(to.read(), sorted(&data));
    });
}

#[test]
fn quicksort_with_its_own_stack() {
    let data: Vec<i32> = unsigned(64 * 40, 7).iter().map(|&key| key as i32 >> 20).collect();
    let expected: Vec<i32> = data.chunks(40).flat_map(sorted).collect();
    on_every_build(SOURCE, |program| {
        let device = program.upload(&data);
        program.launch("quicksort_rows", line(2, 32), &[&device, &40]);
        assert_eq!(device.read(), expected);
    });
}
