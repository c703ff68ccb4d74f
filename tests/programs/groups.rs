//! Cooperative groups.

use crate::harness::{Source, line, on_every_build};

/// Their headers take seconds to compile.
const SOURCE: Source = Source::new("groups.cu").slow();

#[test]
fn tiles() {
    let input: Vec<i32> = (0..128).map(|i| i * 37 % 61 - 20).collect();
    let mut expected: Vec<i32> = input.chunks(8).map(|tile| tile.iter().sum()).collect();
    for i in 0..128 {
        let least = input[i / 8 * 8..][..8].iter().min().expect("eight");
        expected.push(input[i / 32 * 32..][..32].iter().sum::<i32>() * 3 + least);
    }
    expected.extend((0..128).map(|i| input[i / 8 * 8..i].iter().sum::<i32>()));
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(16 + 256);
        program.launch("tile_sums", line(1, 128), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn coalesced_threads() {
    let input: Vec<i32> = (0..96).map(|i| i * 7 % 41).collect();
    let mut expected: Vec<i32> = input.iter().copied().filter(|value| value % 3 == 1).collect();
    expected.sort();
    on_every_build(SOURCE, |program| {
        let (output, counter) = (program.room::<i32>(96), program.zeros::<i32>(1));
        program.launch("coalesced", line(1, 96), &[&program.upload(&input), &output, &counter]);
        let mut found = output.read()[..counter.read()[0] as usize].to_vec();
        found.sort();
        assert_eq!(found, expected);
    });
}

#[test]
fn the_whole_grid() {
    let input: Vec<i32> = (0..3000).map(|i| i * i % 1009).collect();
    let sum: i32 = input.iter().sum();
    on_every_build(SOURCE, |program| {
        let (partial, output) = (program.room::<i32>(7), program.room::<i32>(1));
        let launch = line(7, 96).cooperative();
        program.launch("grid_sum", launch, &[&program.upload(&input), &partial, &output, &3000]);
        assert_eq!(output.read(), [sum]);
        assert!(partial.read().into_iter().eq((0..7).map(|block| sum + block)));
    });
}
