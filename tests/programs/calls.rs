//! Calls that cannot be inlined.

use crate::harness::{Source, line, on_every_build};

const SOURCE: Source = Source::new("calls.cu");

#[test]
fn recursion() {
    fn fibonacci(n: i32) -> i32 {
        if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    }
    fn ackermann(m: i32, n: i32) -> i32 {
        match (m, n) {
            (0, n) => n + 1,
            (m, 0) => ackermann(m - 1, 1),
            (m, n) => ackermann(m - 1, ackermann(m, n - 1)),
        }
    }
    let expected: Vec<i32> =
        (0..32).map(|i| fibonacci(i % 12)).chain((0..32).map(|i| ackermann(i % 3, i % 4))).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(64);
        program.launch("recursion", line(1, 32), &[&output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn quicksort() {
    let rows: Vec<i32> = (0..32 * 20).map(|i| i * 7919 % 1013).collect();
    let mut expected = rows.clone();
    expected.chunks_mut(20).for_each(<[i32]>::sort);
    on_every_build(SOURCE, |program| {
        let device = program.upload(&rows);
        program.launch("sort_rows", line(1, 32), &[&device, &20]);
        assert_eq!(device.read(), expected);
    });
}

#[test]
fn queens() {
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(6);
        program.launch("count_queens", line(1, 6), &[&output, &6]);
        // By the column of the first queen; four in all.
        assert_eq!(output.read(), [0, 1, 1, 1, 1, 0]);
    });
}

#[test]
fn pointers_to_functions() {
    let codes = [0, 2, 1, 3, 0, 1, 2, 0];
    let operations: [fn(f32, f32) -> f32; 4] = [|a, b| a + b, |a, b| a - b, |a, b| a * b, f32::max];
    let value = |thread: usize| {
        (0..8).fold(thread as f32, |value, i| operations[(codes[i] as usize + thread) % 4](value, i as f32 + 0.5))
    };
    let expected: Vec<f32> = (0..32).map(value).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(32);
        program.launch("pointers", line(1, 32), &[&program.upload(&codes), &8, &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn virtual_functions() {
    let expected: Vec<f32> = (0..32)
        .map(|i| {
            let x = i as f32;
            match (i + 1) % 3 {
                0 => 2.0 * 3.0 * x * x,
                1 => 2.0 * x * 2.0 + 4.0,
                _ => 2.0 * (x / 2.0 * (x / 2.0) + 0.25) + 4.0,
            }
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(32);
        program.launch("shapes", line(1, 32), &[&output, &1]);
        assert_eq!(output.read(), expected);
    });
}
