//! Attention against its definition in f64, over every head dim and length the models have and many they have not.
//!
//! The yardstick is the error of rounding the exact output to fp16, which `assert_close` allows twice. The kernel
//! makes that rounding and one more, of the probabilities: the two are about equal where many keys share the weight,
//! so that 1.3 yardsticks are expected.

mod support;

use diffedit::device::Capabilities;
use diffedit::ops::attention::{Attention, Heads};
use diffedit::plan::{DType, Plan, Tensor, Unit};
use half::f16;
use support::{Random, assert_close, compiler, device, run_for, upload};

/// Shared memory that a block can have on the smallest of the supported devices (8.6, 8.9, 12.0), bytes.
const LEAST_SHARED_BYTES: u32 = 101_376;

/// One attention: what is printed is what it takes to run it again.
#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    key_batch: usize,
    heads: usize,
    head_dim: usize,
    rows: usize,
    keys: usize,
    causal: bool,
    /// Standard deviation of queries and keys: scores have its square.
    spread: f32,
}

impl Case {
    /// Self-attention of one sample.
    const fn of(heads: usize, head_dim: usize, rows: usize) -> Case {
        Case { batch: 1, key_batch: 1, heads, head_dim, rows, keys: rows, causal: false, spread: 1.0 }
    }

    const fn over(self, keys: usize) -> Case {
        Case { keys, ..self }
    }

    const fn causal(self) -> Case {
        Case { causal: true, ..self }
    }

    const fn batch(self, batch: usize, key_batch: usize) -> Case {
        Case { batch, key_batch, ..self }
    }

    const fn spread(self, spread: f32) -> Case {
        Case { spread, ..self }
    }

    fn width(&self) -> usize {
        self.heads * self.head_dim
    }
}

/// fp16 (batch, rows, columns), NaN wherever the attention has no business.
struct Packed {
    shape: [usize; 3],
    values: Vec<f16>,
}

impl Packed {
    fn new(shape: [usize; 3]) -> Packed {
        Packed { shape, values: vec![f16::NAN; shape.iter().product()] }
    }

    /// Draws `width` columns from `column` on.
    fn fill(mut self, column: usize, width: usize, scale: f32, random: &mut Random) -> Packed {
        for row in self.values.chunks_mut(self.shape[2]) {
            row[column..column + width].copy_from_slice(&random.halves(width, scale));
        }
        self
    }

    /// `width` numbers of one row of one sample.
    fn at(&self, sample: usize, row: usize, column: usize, width: usize) -> &[f16] {
        let start = (sample * self.shape[1] + row) * self.shape[2] + column;
        &self.values[start..start + width]
    }

    fn upload(&self) -> Tensor {
        upload(&self.shape, &self.values)
    }

    fn sample(&self, sample: usize) -> Packed {
        let [_, rows, columns] = self.shape;
        let values = self.values[sample * rows * columns..][..rows * columns].to_vec();
        Packed { shape: [1, rows, columns], values }
    }
}

/// Queries after 8 columns of something else; keys and values in one tensor, 16 columns between them.
struct Inputs {
    case: Case,
    query: Packed,
    memory: Packed,
}

const QUERY_COLUMN: usize = 8;

impl Inputs {
    fn new(case: Case, seed: u64) -> Inputs {
        let mut random = Random::new(seed);
        let width = case.width();
        let query = Packed::new([case.batch, case.rows, width + 16]);
        let query = query.fill(QUERY_COLUMN, width, case.spread, &mut random);
        let memory = Packed::new([case.key_batch, case.keys, 2 * width + 16]);
        let memory = memory.fill(0, width, case.spread, &mut random).fill(width + 16, width, 1.0, &mut random);
        Inputs { case, query, memory }
    }

    fn value_column(&self) -> usize {
        self.case.width() + 16
    }

    /// The kernel's output on the test device, tiled for `capabilities`.
    fn run_as(&self, capabilities: &Capabilities) -> Vec<f32> {
        let (query, memory) = (self.query.upload(), self.memory.upload());
        let mut plan = Plan::new(capabilities);
        let attention = Attention {
            query: Heads { tensor: &query, column: QUERY_COLUMN },
            key: Heads { tensor: &memory, column: 0 },
            value: Heads { tensor: &memory, column: self.value_column() },
            heads: self.case.heads,
            head_dim: self.case.head_dim,
            causal: self.case.causal,
        };
        let output = attention.record(&mut plan).expect("a valid attention");
        assert_eq!(output.shape(), [self.case.batch, self.case.rows, self.case.width()]);
        run_for(&mut plan, &output)
    }

    fn run(&self) -> Vec<f32> {
        self.run_as(device().capabilities())
    }

    /// The definition, in f64.
    fn reference(&self) -> Vec<f32> {
        let Case { batch, key_batch, heads, head_dim, rows, keys, causal, .. } = self.case;
        let mut output = Vec::with_capacity(batch * rows * self.case.width());
        for sample in 0..batch {
            for row in 0..rows {
                for head in 0..heads {
                    let column = head * head_dim;
                    let query = self.query.at(sample, row, QUERY_COLUMN + column, head_dim);
                    let seen = if causal { row + 1 } else { keys };
                    let memory = |key, column| self.memory.at(sample % key_batch, key, column, head_dim);
                    let scores: Vec<f64> =
                        (0..seen).map(|key| dot(query, memory(key, column)) / (head_dim as f64).sqrt()).collect();
                    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
                    let total: f64 = weights.iter().sum();
                    let mut sums = vec![0.0; head_dim];
                    for (key, weight) in weights.iter().enumerate() {
                        for (sum, value) in sums.iter_mut().zip(memory(key, self.value_column() + column)) {
                            *sum += weight * value.to_f64();
                        }
                    }
                    output.extend(sums.iter().map(|sum| (sum / total) as f32));
                }
            }
        }
        output
    }
}

fn dot(a: &[f16], b: &[f16]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
}

fn check(cases: &[Case]) {
    for (index, &case) in cases.iter().enumerate() {
        let inputs = Inputs::new(case, index as u64);
        assert_close(&format!("{case:?}"), &inputs.run(), &inputs.reference());
    }
}

/// The test device, had it this many multiprocessors: few make blocks large, many make them small.
fn with_multiprocessors(multiprocessors: u32) -> Capabilities {
    Capabilities { multiprocessors, ..device().capabilities().clone() }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn self_attention_of_the_unet() {
    check(&[
        Case::of(8, 40, 256),
        Case::of(8, 40, 200).batch(2, 2),
        Case::of(8, 80, 200),
        Case::of(8, 160, 64).batch(2, 2),
        Case::of(2, 160, 200),
    ]);
}

#[test]
fn cross_attention_over_the_prompts_tokens() {
    check(&[
        Case::of(8, 40, 256).over(77),
        Case::of(8, 80, 64).over(77).batch(3, 3),
        Case::of(8, 160, 64).over(77).batch(4, 2),
        Case::of(4, 16, 40).over(77).batch(6, 2),
    ]);
}

#[test]
fn causal_attention_of_the_text_encoder() {
    check(&[
        Case::of(12, 64, 77).causal().batch(2, 2),
        Case::of(1, 64, 200).causal(),
        Case::of(2, 40, 130).causal(),
        Case::of(1, 128, 70).causal(),
        Case::of(1, 512, 130).causal(),
    ]);
}

#[test]
fn the_autoencoders_one_head() {
    check(&[
        Case::of(1, 512, 64),
        Case::of(1, 512, 130).batch(2, 2),
        Case::of(1, 512, 300),
        Case::of(1, 64, 256),
        Case::of(1, 64, 64).batch(3, 3),
    ]);
}

#[test]
fn head_dims_of_other_models() {
    for head_dim in [8, 16, 24, 32, 48, 56, 72, 96, 104, 128, 192, 200, 256, 320, 504] {
        check(&[Case::of(2, head_dim, 70), Case::of(1, head_dim, 33).over(100)]);
    }
}

#[test]
fn ragged_lengths() {
    for rows in [1, 7, 16, 17, 33, 77, 130] {
        for keys in [1, 7, 16, 17, 33, 77, 130] {
            check(&[Case::of(1, 40, rows).over(keys), Case::of(1, 24, rows).over(keys).batch(2, 1)]);
        }
    }
    for (rows, keys) in [(1, 130), (7, 65), (33, 1), (130, 7)] {
        check(&[Case::of(1, 80, rows).over(keys), Case::of(1, 264, rows).over(keys)]);
    }
}

/// Scores in the thousands: their exponentials overflow fp32, and nearly all weight is on one key. (Far beyond, the
/// rounding of the scores themselves to fp32 would show where two keys tie.)
#[test]
fn large_scores() {
    check(&[
        Case::of(2, 40, 130).spread(30.0),
        Case::of(2, 80, 77).spread(30.0),
        Case::of(1, 512, 70).spread(30.0),
        Case::of(1, 64, 77).causal().spread(30.0),
    ]);
}

/// Every score alike: the mean of the values, however far from zero the scores are.
#[test]
fn equal_scores() {
    let case = Case::of(1, 40, 20).over(100);
    let mut inputs = Inputs::new(case, 1);
    for row in inputs.query.values.chunks_mut(case.width() + 16) {
        row[QUERY_COLUMN..QUERY_COLUMN + case.width()].fill(f16::from_f32(-300.0));
    }
    for row in inputs.memory.values.chunks_mut(2 * case.width() + 16) {
        row[..case.width()].fill(f16::from_f32(300.0));
    }
    assert_close("equal scores", &inputs.run(), &inputs.reference());
}

#[test]
fn packed_projections_in_one_tensor() {
    let (heads, head_dim, rows) = (4, 16, 50);
    let width = heads * head_dim;
    let packed = Packed::new([2, rows, 3 * width]).fill(0, 3 * width, 1.0, &mut Random::new(3));
    let tensor = packed.upload();
    let mut plan = Plan::new(device().capabilities());
    let columns = |column| Heads { tensor: &tensor, column };
    let attention =
        Attention { query: columns(0), key: columns(width), value: columns(2 * width), heads, head_dim, causal: false };
    let output = attention.record(&mut plan).expect("a valid attention");
    let actual = run_for(&mut plan, &output);

    let case = Case::of(heads, head_dim, rows).batch(2, 2);
    let mut inputs = Inputs::new(case, 0);
    for (row, source) in packed.values.chunks(3 * width).enumerate() {
        let (query, memory) = source.split_at(width);
        inputs.query.values[row * (width + 16) + QUERY_COLUMN..][..width].copy_from_slice(query);
        let (key, value) = memory.split_at(width);
        let target = &mut inputs.memory.values[row * (2 * width + 16)..][..2 * width + 16];
        target[..width].copy_from_slice(key);
        target[width + 16..].copy_from_slice(value);
    }
    assert_close("packed", &actual, &inputs.reference());
}

#[test]
fn a_sample_does_not_see_its_batch() {
    for case in [
        Case::of(2, 40, 130).batch(4, 2),
        Case::of(2, 80, 70).over(77).batch(3, 3),
        Case::of(3, 64, 77).causal().batch(2, 1),
        Case::of(1, 512, 70).batch(2, 2),
    ] {
        let together = Inputs::new(case, 9);
        let results = together.run();
        for (sample, result) in results.chunks(case.rows * case.width()).enumerate() {
            let alone = Inputs {
                case: case.batch(1, 1),
                query: together.query.sample(sample),
                memory: together.memory.sample(sample % case.key_batch),
            };
            assert!(bits(result) == bits(&alone.run()), "sample {sample} of {case:?}");
        }
    }
}

#[test]
fn a_run_repeats_to_the_bit() {
    for case in [Case::of(8, 40, 150).batch(2, 2), Case::of(1, 512, 130)] {
        let inputs = Inputs::new(case, 4);
        assert!(bits(&inputs.run()) == bits(&inputs.run()), "{case:?}");
    }
}

/// How many rows a block has is chosen by the device, and changes no bit.
#[test]
fn rows_do_not_depend_on_the_tiling() {
    for case in [
        Case::of(2, 40, 200),
        Case::of(2, 40, 130).over(77).batch(2, 1),
        Case::of(1, 24, 150).causal(),
        Case::of(1, 512, 130),
        Case::of(1, 320, 90).causal(),
    ] {
        let inputs = Inputs::new(case, 6);
        let large = inputs.run_as(&with_multiprocessors(1));
        assert!(bits(&large) == bits(&inputs.run_as(&with_multiprocessors(10_000))), "{case:?}");
        assert_close(&format!("large blocks, {case:?}"), &large, &inputs.reference());
    }
}

/// Capabilities by which tiles are chosen; nothing runs on them.
fn named(compute_capability: (u32, u32), multiprocessors: u32) -> Capabilities {
    Capabilities {
        name: String::new(),
        compute_capability,
        multiprocessors,
        shared_bytes_per_block: LEAST_SHARED_BYTES,
        memory_bytes: 8 << 30,
    }
}

/// The plan of one attention over planned tensors.
fn recorded(case: Case, capabilities: &Capabilities) -> diffedit::Result<Plan> {
    let mut plan = Plan::new(capabilities);
    let query = plan.tensor(DType::F16, &[case.batch, case.rows, case.width()]);
    let memory = plan.tensor(DType::F16, &[case.key_batch, case.keys, 2 * case.width()]);
    let attention = Attention {
        query: Heads { tensor: &query, column: 0 },
        key: Heads { tensor: &memory, column: 0 },
        value: Heads { tensor: &memory, column: case.width() },
        heads: case.heads,
        head_dim: case.head_dim,
        causal: case.causal,
    };
    attention.record(&mut plan).map(|_| plan)
}

#[test]
fn shared_memory_fits_the_smallest_device() {
    for head_dim in (8..=512).step_by(8) {
        for (rows, keys) in [(1, 1), (16, 77), (77, 77), (64, 80), (64, 64), (300, 48), (4096, 4096)] {
            for multiprocessors in [1, 10_000] {
                let case = Case::of(8, head_dim, rows).over(keys);
                let plan = recorded(case, &named((8, 6), multiprocessors)).expect("a valid attention");
                let bytes = plan.launches()[0].shared_bytes;
                assert!(bytes <= LEAST_SHARED_BYTES, "{bytes} bytes for {case:?}");
            }
        }
    }
}

/// The units that press most on the registers, on every architecture; few multiprocessors make the largest blocks.
#[test]
fn the_largest_blocks_do_not_spill() {
    let compiler = compiler();
    for compute_capability in [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)] {
        let capabilities = named(compute_capability, 1);
        let cases = [
            Case::of(1, 48, 300).over(77),
            Case::of(1, 48, 300).causal(),
            Case::of(1, 80, 300),
            Case::of(1, 192, 300).causal(),
            Case::of(1, 512, 300).causal(),
        ];
        let units: Vec<Unit> = cases
            .iter()
            .map(|&case| recorded(case, &capabilities).expect("a valid attention").launches()[0].unit.clone())
            .collect();
        let images = compiler.images(&units, &capabilities.arch(), &|_| ()).expect("kernels compile");
        for (unit, image) in units.iter().zip(images) {
            let resources = image.resources();
            assert_eq!(resources.len(), 1, "one kernel in {unit:?}");
            let resources = &resources[0];
            assert_eq!((resources.spill_bytes, resources.stack_bytes), (0, 0), "{unit:?} for {}", capabilities.arch());
        }
    }
}

#[test]
fn kernels_use_the_tensor_cores() {
    for (case, narrow_tail) in [(Case::of(8, 40, 256), true), (Case::of(1, 512, 256), false)] {
        let plan = recorded(case, &named((8, 0), 108)).expect("a valid attention");
        let images = compiler().images(&[plan.launches()[0].unit.clone()], "sm_80", &|_| ()).expect("kernels compile");
        let ptx = String::from_utf8_lossy(&images[0].ptx);
        for instruction in ["mma.sync.aligned.m16n8k16", "ldmatrix.sync", ".trans.shared", "cp.async.cg.shared"] {
            assert!(ptx.contains(instruction), "no {instruction} for {case:?}");
        }
        assert_eq!(ptx.contains("mma.sync.aligned.m16n8k8"), narrow_tail, "{case:?}");
        assert!(!ptx.contains(".local"), "local memory for {case:?}");
    }
}

#[test]
fn work_is_counted_without_padding() {
    let macs = |case| recorded(case, &named((8, 0), 108)).expect("a valid attention").macs();
    assert_eq!(macs(Case::of(8, 40, 100).over(77).batch(3, 1)), 2 * 3 * 8 * 100 * 77 * 40);
    assert_eq!(macs(Case::of(12, 64, 77).causal()), 2 * 12 * (77 * 78 / 2) * 64);
}

#[test]
fn mistakes_are_refused() {
    let refused = |case: Case| recorded(case, &named((8, 0), 108)).is_err();
    assert!(refused(Case::of(1, 36, 16)), "a head dim that is no multiple of 8");
    assert!(refused(Case::of(1, 520, 16)), "a head dim over 512");
    assert!(refused(Case::of(0, 40, 16)), "no heads");
    assert!(refused(Case::of(1, 40, 16).over(0)), "no keys");
    assert!(refused(Case::of(1, 40, 16).over(20).causal()), "causal with more keys than queries");
    assert!(refused(Case::of(1, 40, 16).batch(3, 2)), "three samples over two of keys");

    let mut plan = Plan::new(&named((8, 0), 108));
    let half = plan.tensor(DType::F16, &[1, 16, 120]);
    let single = plan.tensor(DType::F32, &[1, 16, 120]);
    let picture = plan.tensor(DType::F16, &[1, 4, 4, 120]);
    let mut record = |tensor, column| {
        let rest = Heads { tensor: &half, column: 0 };
        let query = Heads { tensor, column };
        Attention { query, key: rest, value: rest, heads: 1, head_dim: 40, causal: false }.record(&mut plan)
    };
    assert!(record(&half, 80).is_ok());
    assert!(record(&half, 4).is_err(), "a column that is no multiple of 8");
    assert!(record(&half, 88).is_err(), "columns past the end");
    assert!(record(&single, 0).is_err(), "fp32");
    assert!(record(&picture, 0).is_err(), "four dimensions");
}
