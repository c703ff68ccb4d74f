//! What the tests of the matrix engine share: a reference product, and running one case of a table again.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use diffedit::device::Capabilities;
use diffedit::plan::{DType, Launch, Plan, Tensor};

use super::support;

/// `a` (m, k) times `w` (n, k) transposed, in f32, eight rows at a time.
pub fn product(a: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    const ROWS: usize = 8;
    let n = w.len() / k;
    let mut transposed = vec![0.0; w.len()]; // (k, n)
    for (column, row) in w.chunks_exact(k).enumerate() {
        for (index, &value) in row.iter().enumerate() {
            transposed[index * n + column] = value;
        }
    }
    let mut c = vec![0.0; a.len() / k * n];
    for (a, c) in a.chunks(ROWS * k).zip(c.chunks_mut(ROWS * n)) {
        for (index, w) in transposed.chunks_exact(n).enumerate() {
            for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
                c.iter_mut().zip(w).for_each(|(c, w)| *c += a[index] * w);
            }
        }
    }
    c
}

/// Runs `check` on every case of the table, or only on the one that `DIFFEDIT_TEST_CASE` names.
pub fn for_each_case<C: Debug>(test: &str, cases: &[C], check: impl Fn(&str, &C)) {
    let wanted = std::env::var("DIFFEDIT_TEST_CASE").ok();
    for case in cases {
        let name = format!("{case:?}");
        if wanted.as_ref().is_none_or(|wanted| *wanted == name) {
            check(&format!("DIFFEDIT_TEST_CASE='{name}' cargo test --test {test}"), case);
        }
    }
}

/// The device's capabilities with another number of multiprocessors: what chooses another tile on the same device.
pub fn with_multiprocessors(multiprocessors: u32) -> Capabilities {
    Capabilities { multiprocessors, ..support::device().capabilities().clone() }
}

/// Rows and columns of the tile that the plan's only launch was given: k is not split.
fn tile(plan: &Plan) -> (i64, i64) {
    let [launch] = plan.launches() else { panic!("one launch, not {}", plan.launches().len()) };
    (define(launch, "TILE_M"), define(launch, "TILE_N"))
}

/// Every tile that the matrix engine has: rows and columns.
pub const TILES: [(i64, i64); 5] = [(32, 32), (64, 64), (128, 32), (128, 64), (128, 128)];

/// What `record` computes, the same bits on devices small and large, whose tiles are added to `tiles`.
pub fn in_every_tile(case: &str, tiles: &mut BTreeSet<(i64, i64)>, record: impl Fn(&mut Plan) -> Tensor) -> Vec<f32> {
    let [first, rest @ ..] = [1, 12, 20, 10_000].map(|multiprocessors| {
        let mut plan = Plan::new(&with_multiprocessors(multiprocessors));
        let output = record(&mut plan);
        tiles.insert(tile(&plan));
        support::run_for(&mut plan, &output)
    });
    for output in &rest {
        assert_same_bits(case, output, &first);
    }
    first
}

fn define(launch: &Launch, name: &str) -> i64 {
    let found = launch.unit.defines.iter().find(|(define, _)| *define == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", launch.unit)).1
}

/// Fails unless the bits are the same.
pub fn assert_same_bits(case: &str, actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len(), "{case}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!(actual.to_bits() == expected.to_bits(), "{case}: element {index} is {actual}, not {expected}");
    }
}

/// Runs the plan with `output` between two guards of its own size, and fails if the kernel wrote into one.
pub fn run_guarded(case: &str, plan: &mut Plan, output: &Tensor) -> Vec<f32> {
    const GUARD: u8 = 0x3A;
    let device = support::device();
    let buffer = device.allocate(3 * output.bytes()).expect("memory");
    let bytes = buffer.tensor(DType::U8, &[3, output.bytes()]);
    device.fill(&bytes, GUARD).expect("a fill");
    let all = buffer.tensor(output.dtype(), &[3, output.elements()]);
    plan.place(output, &all.slice(1, 1));
    support::run(plan);
    for guard in [0, 2] {
        let guarded = device.read::<u8>(&bytes.slice(guard, 1)).expect("a download");
        let touched = guarded.iter().position(|&byte| byte != GUARD);
        assert_eq!(touched, None, "{case}: wrote outside the output, into part {guard} of three");
    }
    support::read(&all.slice(1, 1))
}
