//! Histograms.

use crate::harness::{Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("histograms.cu");

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    // Skewed, so that some bins are crowded.
    (0..count).map(|_| (random.next() as u8) & (random.next() as u8 | 0xf0)).collect()
}

fn counted(bins: usize, keys: impl IntoIterator<Item = usize>) -> Vec<u32> {
    let mut counts = vec![0; bins];
    keys.into_iter().for_each(|key| counts[key] += 1);
    counts
}

#[test]
fn bytes_in_global_and_shared_memory() {
    let data = bytes(4096, 1);
    let expected = counted(256, data.iter().map(|&byte| byte.into()));
    on_every_build(SOURCE, |program| {
        for kernel in ["global_atomics", "shared_atomics"] {
            let bins = program.zeros::<u32>(256);
            program.launch(kernel, line(3, 160), &[&program.upload(&data), &bins, &4096]);
            assert_eq!(bins.read(), expected, "{kernel}");
        }
    });
}

#[test]
fn floats_in_1024_bins() {
    let mut random = Random::new(2);
    let mut data: Vec<f32> = (0..3000).map(|_| random.normal()).collect();
    data[7] = f32::NAN;
    data[8] = f32::INFINITY;
    let (low, high) = (-1.5f32, 2.25f32);
    let inside = |x: f32| x >= low && x < high;
    let bin = |x: f32| (((x - low) / (high - low) * 1024.0) as usize).min(1023);
    let expected = counted(1024, data.iter().filter(|&&x| inside(x)).map(|&x| bin(x)));
    let rest = data.iter().filter(|&&x| !inside(x)).count() as u32;
    on_every_build(SOURCE, |program| {
        let (bins, outside) = (program.room::<u32>(1024), program.zeros::<u32>(1));
        program.launch("floats", line(1, 256), &[&program.upload(&data), &bins, &outside, &low, &high, &3000]);
        assert_eq!((bins.read(), outside.read()), (expected.clone(), vec![rest]));
    });
}

#[test]
fn counters_of_a_byte() {
    let data = bytes(64 * 50, 3);
    let expected = counted(64, data.iter().map(|&byte| usize::from(byte >> 2)));
    on_every_build(SOURCE, |program| {
        let bins = program.room::<u32>(64);
        program.launch("private_bytes", line(1, 64), &[&program.upload(&data), &bins, &50]);
        assert_eq!(bins.read(), expected);
    });
}

#[test]
fn aggregated_by_warps_and_with_positions() {
    let keys: Vec<i32> = bytes(512, 4).iter().map(|&byte| i32::from(byte % 20)).collect();
    let expected = counted(20, keys.iter().map(|&key| key as usize));
    on_every_build(SOURCE, |program| {
        let device = program.upload(&keys);
        let bins = program.zeros::<u32>(20);
        program.launch("aggregated", line(4, 128), &[&device, &bins]);
        assert_eq!(bins.read(), expected);
        let (bins, positions) = (program.zeros::<u32>(20), program.room::<u32>(512));
        program.launch("ranks", line(4, 128), &[&device, &bins, &positions]);
        let positions = positions.read();
        for (key, &count) in expected.iter().enumerate() {
            let mut mine: Vec<u32> = (0..512).filter(|&i| keys[i] as usize == key).map(|i| positions[i]).collect();
            mine.sort();
            assert!(mine.into_iter().eq(0..count), "key {key}");
        }
    });
}

#[test]
fn weighted_sums() {
    let mut random = Random::new(5);
    let keys: Vec<i32> = (0..600).map(|_| (random.next() % 10) as i32).collect();
    // Multiples of 1/64 below 16: exact in any order.
    let weights: Vec<f32> = (0..600).map(|_| (random.next() % 1024) as f32 / 64.0).collect();
    let mut expected = vec![0.0f32; 10];
    keys.iter().zip(&weights).for_each(|(&key, &weight)| expected[key as usize] += weight);
    let wide: Vec<f64> = expected.iter().map(|&sum| sum.into()).collect();
    on_every_build(SOURCE, |program| {
        let (sums, doubles) = (program.zeros::<f32>(10), program.zeros::<f64>(10));
        let arguments = (program.upload(&keys), program.upload(&weights));
        program.launch("weighted", line(5, 128), &[&arguments.0, &arguments.1, &sums, &doubles, &600]);
        assert_eq!((sums.read(), doubles.read()), (expected.clone(), wide.clone()));
    });
}
