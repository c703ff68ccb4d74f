//! LayerNorm against its definition in f64.

mod support;

use diffedit::Error;
use diffedit::ops::layer_norm::LayerNorm;
use diffedit::plan::Plan;
use half::f16;
use support::{Random, assert_close, device, run_for, upload};

/// (rows, columns, mean in standard deviations).
const CASES: &[(usize, usize, f32)] = &[
    (154, 768, 0.0),
    (64, 320, 0.0),
    (16, 640, 3.0),
    (9, 1280, 0.0),
    (5, 40, -1.0),
    (3, 8, 0.0),
    (1, 2048, 0.0),
    (17, 768, 700.0),
    (6, 320, -1500.0),
];

fn run(input: &[f16], weight: &[f16], bias: &[f16]) -> Vec<f32> {
    let columns = weight.len();
    let input = upload(&[input.len() / columns, columns], input);
    let (weight, bias) = (upload(&[columns], weight), upload(&[columns], bias));
    let mut plan = Plan::new(device().capabilities());
    let norm = LayerNorm { input: &input, weight: &weight, bias: &bias, eps: 1e-5 };
    let output = norm.record(&mut plan).expect("the shapes fit");
    run_for(&mut plan, &output)
}

fn reference(input: &[f16], weight: &[f16], bias: &[f16]) -> Vec<f32> {
    let normalise = |row: &[f16]| -> Vec<f32> {
        let count = row.len() as f64;
        let mean = row.iter().map(|x| x.to_f64()).sum::<f64>() / count;
        let variance = row.iter().map(|x| (x.to_f64() - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + 1e-5).sqrt();
        row.iter()
            .zip(weight.iter().zip(bias))
            .map(|(x, (weight, bias))| ((x.to_f64() - mean) / deviation * weight.to_f64() + bias.to_f64()) as f32)
            .collect()
    };
    input.chunks(weight.len()).flat_map(normalise).collect()
}

#[test]
fn agrees_with_the_definition() {
    let mut random = Random::new(1);
    for &(rows, columns, mean) in CASES {
        let input: Vec<f16> = (0..rows * columns).map(|_| f16::from_f32(mean + random.normal())).collect();
        let (weight, bias) = (random.halves(columns, 1.0), random.halves(columns, 1.0));
        let case = format!("({rows}, {columns}) about {mean}");
        assert_close(&case, &run(&input, &weight, &bias), &reference(&input, &weight, &bias));
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let mut random = Random::new(2);
    let (input, weight, bias) = (random.halves(7 * 320, 2.0), random.halves(320, 1.0), random.halves(320, 1.0));
    let alone: Vec<f32> = input.chunks(320).flat_map(|row| run(row, &weight, &bias)).collect();
    assert!(run(&input, &weight, &bias) == alone);
}

#[test]
fn other_shapes_are_refused() {
    for columns in [12, 2056] {
        let row = upload(&[columns], &vec![f16::ONE; columns]);
        let norm = LayerNorm { input: &row.reshape(&[1, columns]), weight: &row, bias: &row, eps: 1e-5 };
        let result = norm.record(&mut Plan::new(device().capabilities()));
        assert!(matches!(result, Err(Error::Shape { op: "layer_norm", .. })), "{columns}");
    }
}
