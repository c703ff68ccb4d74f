//! Every heavy operator at Stable Diffusion's shapes: `cargo bench --bench operators`.

mod common;

use common::{bench_plan, sized, support};
use criterion::{Criterion, criterion_group, criterion_main};
use diffedit::ops::attention::{Attention, Heads};
use diffedit::ops::conv2d::{Conv2d, Geometry};
use diffedit::ops::group_norm::GroupNorm;
use diffedit::ops::layer_norm::LayerNorm;
use diffedit::ops::linear::{Activation, Linear};
use diffedit::plan::{DType, Plan, Tensor};

fn plan() -> Plan {
    Plan::new(support::device().capabilities())
}

fn random(shape: &[usize], scale: f32) -> Tensor {
    let count = shape.iter().product();
    support::upload(shape, &support::Random::new(count as u64).halves(count, scale))
}

fn linear(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("linear");
    // (rows, inputs, outputs)
    let full = [(4096, 320, 320), (4096, 320, 2560), (1024, 640, 640), (256, 1280, 1280), (64, 1280, 1280)];
    for (rows, inputs, outputs) in sized(full.to_vec(), vec![(64, 40, 80)]) {
        let (input, weight) = (random(&[rows, inputs], 1.0), random(&[outputs, inputs], 0.05));
        let mut plan = plan();
        let layer = Linear { input: &input, weight: &weight, bias: None, residual: None, activation: Activation::None };
        let output = layer.record(&mut plan).expect("fits");
        bench_plan(&mut group, &format!("{rows}x{inputs}x{outputs}"), plan, &output);
    }
}

fn conv2d(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv2d");
    // (side, inputs, outputs)
    let full = [(64, 320, 320), (32, 640, 640), (16, 1280, 1280), (8, 1280, 1280), (64, 512, 512)];
    for (side, inputs, outputs) in sized(full.to_vec(), vec![(6, 16, 24)]) {
        let (input, weight) = (random(&[1, side, side, inputs], 1.0), random(&[outputs, 9 * inputs], 0.02));
        let mut plan = plan();
        let convolution = Conv2d {
            input: &input,
            skip: None,
            weight: &weight,
            bias: None,
            kernel_size: 3,
            geometry: Geometry::Same,
            time: None,
            residual: None,
            output: DType::F16,
        };
        let output = convolution.record(&mut plan).expect("fits");
        bench_plan(&mut group, &format!("{side}x{side}x{inputs}x{outputs}"), plan, &output);
    }
}

fn attention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    // (rows, keys, heads, head dim)
    let full = [(4096, 4096, 8, 40), (1024, 1024, 8, 80), (256, 256, 8, 160), (4096, 77, 8, 40), (4096, 4096, 1, 512)];
    for (rows, keys, heads, head_dim) in sized(full.to_vec(), vec![(32, 77, 2, 40)]) {
        let width = heads * head_dim;
        let (query, key, value) =
            (random(&[1, rows, width], 1.0), random(&[1, keys, width], 1.0), random(&[1, keys, width], 1.0));
        let heads_of = |tensor| Heads { tensor, column: 0 };
        let (query, key, value) = (heads_of(&query), heads_of(&key), heads_of(&value));
        let mut plan = plan();
        let output = Attention { query, key, value, heads, head_dim, causal: false }.record(&mut plan).expect("fits");
        bench_plan(&mut group, &format!("{rows}x{keys}x{heads}x{head_dim}"), plan, &output);
    }
}

fn norms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("norms");
    for (side, channels) in sized(vec![(64, 320), (32, 640), (16, 1280), (64, 960)], vec![(4, 64)]) {
        let input = random(&[1, side, side, channels], 1.0);
        let (weight, bias) = (random(&[channels], 1.0), random(&[channels], 1.0));
        let mut group_plan = plan();
        let norm =
            GroupNorm { input: &input, skip: None, weight: &weight, bias: &bias, groups: 32, eps: 1e-5, silu: true };
        let output = norm.record(&mut group_plan).expect("fits");
        bench_plan(&mut group, &format!("group_norm {side}x{side}x{channels}"), group_plan, &output);
        let mut layer_plan = plan();
        let norm = LayerNorm { input: &input, weight: &weight, bias: &bias, eps: 1e-5 };
        let output = norm.record(&mut layer_plan).expect("fits");
        bench_plan(&mut group, &format!("layer_norm {side}x{side}x{channels}"), layer_plan, &output);
    }
}

criterion_group! {
    name = operators;
    config = Criterion::default().sample_size(10);
    targets = linear, conv2d, attention, norms
}
criterion_main!(operators);
