//! Atomics of all types.

use bytemuck::Pod;
use half::f16;

use crate::harness::{Program, Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("atomics.cu");
const THREADS: usize = 96;

/// The value that a cell starts with, and the operation.
type Fold<T> = (T, fn(T, T) -> T);

fn folded<T: Pod + PartialEq + std::fmt::Debug>(program: &Program, kernel: &str, input: &[T], folds: [Fold<T>; 6]) {
    let mut first: Vec<T> = folds.iter().map(|fold| fold.0).collect();
    first.resize(8, T::zeroed());
    let results = program.upload(&[first.clone(), first].concat());
    program.launch(kernel, line(1, THREADS), &[&program.upload(input), &results]);
    let found = results.read();
    for (index, (first, fold)) in folds.into_iter().enumerate() {
        for (half, place) in [(1, index), (0, 8 + index)] {
            let expected = input.iter().skip(half).step_by(2).copied().fold(first, fold);
            assert_eq!(found[place], expected, "{kernel}, operation {index}");
        }
    }
}

#[test]
fn integers_in_global_and_shared_memory() {
    let mut random = Random::new(1);
    let bits: Vec<u64> = (0..THREADS).map(|_| random.next()).collect();
    let as_i32: Vec<i32> = bits.iter().map(|&x| x as i32).collect();
    let as_u32: Vec<u32> = bits.iter().map(|&x| x as u32).collect();
    let as_i64: Vec<i64> = bits.iter().map(|&x| x as i64).collect();
    on_every_build(SOURCE, |program| {
        let folds: [Fold<i32>; 6] = [
            (5, i32::wrapping_add),
            (i32::MAX, i32::min),
            (i32::MIN, i32::max),
            (-1, |a, b| a & b),
            (0, |a, b| a | b),
            (0, |a, b| a ^ b),
        ];
        folded(program, "fold_i32", &as_i32, folds);
        let folds: [Fold<u32>; 6] = [
            (5, u32::wrapping_add),
            (u32::MAX, u32::min),
            (0, u32::max),
            (!0, |a, b| a & b),
            (0, |a, b| a | b),
            (0, |a, b| a ^ b),
        ];
        folded(program, "fold_u32", &as_u32, folds);
        let folds: [Fold<u64>; 6] = [
            (5, u64::wrapping_add),
            (u64::MAX, u64::min),
            (0, u64::max),
            (!0, |a, b| a & b),
            (0, |a, b| a | b),
            (0, |a, b| a ^ b),
        ];
        folded(program, "fold_u64", &bits, folds);
        let results = program.upload(&[0i64, i64::MAX, i64::MIN]);
        program.launch("fold_i64", line(1, THREADS), &[&program.upload(&as_i64), &results]);
        let sum = as_i64.iter().fold(0i64, |sum, &x| sum.wrapping_add(x));
        let (min, max) = (as_i64.iter().min().expect("some"), as_i64.iter().max().expect("some"));
        assert_eq!(results.read(), [sum, *min, *max]);
    });
}

#[test]
fn what_atomics_return() {
    on_every_build(SOURCE, |program| {
        let (counters, output) = (program.upload(&[4u32, 5, 1000, 0]), program.room::<u32>(256));
        program.launch("tickets", line(1, 64), &[&counters, &output]);
        let found = output.read();
        let sorted = |range: std::ops::Range<usize>| {
            let mut values = found[range].to_vec();
            values.sort();
            values
        };
        let steps = |first: u32, next: fn(u32) -> u32| {
            let mut values: Vec<u32> = std::iter::successors(Some(first), |&x| Some(next(x))).take(64).collect();
            let last = next(values[63]);
            values.sort();
            (values, last)
        };
        let (up, last_up) = steps(4, |x| if x >= 9 { 0 } else { x + 1 });
        let (down, last_down) = steps(5, |x| if x == 0 || x > 12 { 12 } else { x - 1 });
        assert_eq!((sorted(0..64), sorted(64..128)), (up, down));
        // Everything that was put in comes out, but for what is there in the end.
        let mut exchanged = found[128..192].to_vec();
        exchanged.push(counters.read()[2]);
        exchanged.sort();
        assert!(exchanged.into_iter().eq((0..64).chain([1000])));
        assert!(sorted(192..256).into_iter().eq((0..64).map(|i| 3 * i)));
        let counters = counters.read();
        assert_eq!([counters[0], counters[1], counters[3]], [last_up, last_down, 192]);
    });
}

#[test]
fn floats_doubles_and_halves() {
    // Small multiples of 1/4: exact in any order, in fp16 too.
    let input: Vec<f32> = (0..64).map(|i| (i % 9) as f32 / 4.0).collect();
    let sum: f32 = input.iter().sum();
    on_every_build(SOURCE, |program| {
        let (sums, wide) = (program.zeros::<f32>(1), program.zeros::<f64>(1));
        let (pairs, halves) = (program.zeros::<f16>(2), program.zeros::<f16>(2));
        program.launch("floats", line(1, 64), &[&program.upload(&input), &sums, &wide, &pairs, &halves]);
        assert_eq!((sums.read(), wide.read()), (vec![sum], vec![f64::from(sum)]));
        assert_eq!(pairs.read(), [f16::from_f32(sum), f16::from_f32(64.0)]);
        assert_eq!(halves.read(), [f16::from_f32(32.0), f16::ZERO]);
    });
}

#[test]
fn compare_and_swap_of_every_width() {
    on_every_build(SOURCE, |program| {
        let (small, word, wide) =
            (program.upload(&[7u16, 65_500, 9, 9]), program.upload(&[1u32]), program.upload(&[9u64]));
        program.launch("compare_and_swap", line(2, 48), &[&small, &word, &wide]);
        assert_eq!(small.read(), [7, 65_500u16.wrapping_add(3 * 96), 9, 9]);
        assert_eq!(word.read(), [(0..96).fold(1u32, |x, _| x.wrapping_mul(3).wrapping_add(1))]);
        assert_eq!(wide.read(), [9 + 96 * 0x1_0000_0001]);
    });
}

#[test]
fn scopes_and_orders() {
    on_every_build(SOURCE, |program| {
        let counters = program.zeros::<u32>(5);
        program.launch("scoped", line(3, 40), &[&counters]);
        assert_eq!(counters.read(), [120, 240, 360, 480, 39]);
    });
}
