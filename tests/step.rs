//! Whole runs of steps against their definition in f64.

mod support;

use diffedit::Error;
use diffedit::device::Memory;
use diffedit::ops::step::{Background, History, Step};
use diffedit::plan::{DType, Layout, Plan, Tensor};
use half::f16;
use support::{Random, assert_within, device, poisoned, read, upload, upload_f32, widen};

const HEIGHT: usize = 7;
const WIDTH: usize = 9;
const PIXELS: usize = HEIGHT * WIDTH;
const STEPS: usize = 4;
const GUIDANCE: f32 = 7.5;

/// c_x, c_eps, signal, sigma for each step; the last background is clean.
const COEFFICIENTS: [[f32; 4]; STEPS] =
    [[1.25, -0.5, 0.6, 0.8], [1.125, -0.25, 0.8, 0.6], [1.0625, -0.125, 0.9, 0.43], [1.03, -0.06, 1.0, 0.0]];

/// What every run starts from.
struct Inputs {
    predictions: Vec<f16>,
    latents: Vec<f32>,
    original: Vec<f32>,
    noise: Vec<f16>,
    /// Soft: 0, 1 and what is between.
    mask: Vec<f32>,
}

impl Inputs {
    fn new() -> Inputs {
        let mut random = Random::new(18);
        Inputs {
            predictions: random.halves(2 * PIXELS * 4, 1.0),
            latents: (0..PIXELS * 4).map(|_| random.normal()).collect(),
            original: (0..PIXELS * 4).map(|_| random.normal()).collect(),
            noise: random.halves((STEPS - 1) * PIXELS * 4, 1.0),
            mask: (0..PIXELS).map(|pixel| (pixel % 5) as f32 / 4.0).collect(),
        }
    }
}

/// How the tensors of a run are stored, and which of them there are.
#[derive(Clone, Copy, Debug)]
struct Form {
    prompts: usize,
    /// Predictions, noise: fp32 instead of fp16.
    wide: bool,
    /// fp32 instead of u8.
    soft_mask: bool,
    masked: bool,
    reversed: bool,
}

const FORM: Form = Form { prompts: 2, wide: false, soft_mask: true, masked: true, reversed: false };

fn shape(samples: usize, channels: usize) -> [usize; 4] {
    [samples, HEIGHT, WIDTH, channels]
}

/// fp16, or the same values as fp32.
fn stored(wide: bool, shape: &[usize], values: &[f16]) -> Tensor {
    if wide { upload_f32(shape, &widen(values)) } else { upload(shape, values) }
}

/// The latents after each step of a run.
fn reference(inputs: &Inputs, form: Form) -> Vec<Vec<f64>> {
    let mut x: Vec<f64> = inputs.latents.iter().map(|&value| f64::from(value)).collect();
    let step = |(index, coefficients): (usize, &[f32; 4])| {
        let [c_x, c_eps, signal, sigma] = coefficients.map(f64::from);
        for (i, x) in x.iter_mut().enumerate() {
            let mut eps = inputs.predictions[i].to_f64();
            if form.prompts == 2 {
                eps += f64::from(GUIDANCE) * (inputs.predictions[PIXELS * 4 + i].to_f64() - eps);
            }
            let z = if index + 1 < STEPS { inputs.noise[index * PIXELS * 4 + i].to_f64() } else { 0.0 };
            let mask = match inputs.mask[i / 4] {
                _ if !form.masked => 1.0,
                mask if form.soft_mask => f64::from(mask),
                mask => f64::from(mask.round()),
            };
            let background = signal * f64::from(inputs.original[i]) + sigma * z;
            *x = mask * (c_x * *x + c_eps * eps) + (1.0 - mask) * background;
        }
        x.clone()
    };
    COEFFICIENTS.iter().enumerate().map(step).collect()
}

/// Replays one recorded step STEPS times; gives the history, the latents left, the last input and the counter.
fn run(inputs: &Inputs, form: Form) -> [Vec<f32>; 4] {
    let mask = if form.soft_mask {
        upload_f32(&[HEIGHT, WIDTH], &inputs.mask)
    } else {
        let hard: Vec<u8> = inputs.mask.iter().map(|mask| mask.round() as u8).collect();
        device().upload(DType::U8, &[HEIGHT, WIDTH], &hard).expect("an upload")
    };
    let predictions = &inputs.predictions[..form.prompts * PIXELS * 4];
    let latents = upload_f32(&shape(1, 4), &inputs.latents);
    let counter = device().upload(DType::I32, &[1], &[0i32]).expect("an upload");
    let next = poisoned(DType::F16, &shape(form.prompts, 8));
    let history = poisoned(DType::F32, &shape(STEPS, 4));
    let background = Background {
        original: &upload_f32(&shape(1, 4), &inputs.original),
        mask: &mask,
        noise: &stored(form.wide, &shape(STEPS - 1, 4), &inputs.noise),
    };
    let step = Step {
        predictions: &stored(form.wide, &shape(form.prompts, 4), predictions),
        latents: &latents,
        background: form.masked.then_some(background),
        coefficients: &upload_f32(&[STEPS, 4], COEFFICIENTS.as_flattened()),
        counter: &counter,
        guidance: GUIDANCE,
        next: &next,
        history: Some(History { latents: &history, reversed: form.reversed }),
    };
    let mut plan = Plan::new(device().capabilities());
    step.record(&mut plan).expect("the shapes fit");

    device().prepare(&[&plan], &|_, _| ()).expect("kernels compile");
    let arena = device().allocate(Layout::new(&plan).bytes).expect("memory");
    let program = device().bind(&plan, &Memory::Arena(arena)).expect("the plan binds");
    for _ in 0..STEPS {
        program.run(device()).expect("the plan runs");
    }
    [&history, &latents, &next, &counter].map(read)
}

#[test]
fn runs_agree_with_the_definition() {
    let forms = [
        FORM,
        Form { soft_mask: false, ..FORM },
        Form { wide: true, ..FORM },
        Form { wide: true, soft_mask: false, reversed: true, ..FORM },
        Form { prompts: 1, ..FORM },
        Form { prompts: 1, masked: false, reversed: true, ..FORM },
        Form { masked: false, ..FORM },
    ];
    let inputs = Inputs::new();
    for form in forms {
        let [history, latents, next, counter] = run(&inputs, form);
        let expected = reference(&inputs, form);
        for (index, expected) in expected.iter().enumerate() {
            let row = if form.reversed { STEPS - 1 - index } else { index };
            let actual = &history[row * PIXELS * 4..][..PIXELS * 4];
            assert_within(&format!("{form:?}, step {index}"), actual, expected, 1e-6);
        }
        let last = if form.reversed { &history[..PIXELS * 4] } else { &history[(STEPS - 1) * PIXELS * 4..] };
        assert!(latents == last, "{form:?}");
        let padded: Vec<f32> = (0..form.prompts)
            .flat_map(|_| latents.chunks(4))
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[3], 0.0, 0.0, 0.0, 0.0])
            .map(|value| f16::from_f32(value).to_f32())
            .collect();
        assert!(next == padded, "{form:?}");
        assert_eq!(counter, [STEPS as f32], "{form:?}");
    }
}

#[test]
fn outside_the_mask_the_last_step_leaves_the_original() {
    let inputs = Inputs { mask: vec![0.0; PIXELS], ..Inputs::new() };
    for soft_mask in [false, true] {
        let [_, latents, _, _] = run(&inputs, Form { soft_mask, ..FORM });
        assert!(latents == inputs.original);
    }
}

#[test]
fn noise_for_the_last_step_is_refused() {
    let latents = upload_f32(&shape(1, 4), &[0.0; PIXELS * 4]);
    let predictions = upload_f32(&shape(2, 4), &[0.0; 2 * PIXELS * 4]);
    let noise = upload_f32(&shape(STEPS, 4), &[0.0; STEPS * PIXELS * 4]);
    let mask = upload_f32(&[HEIGHT, WIDTH], &[0.0; PIXELS]);
    let background = Background { original: &latents, mask: &mask, noise: &noise };
    let step = Step {
        predictions: &predictions,
        latents: &latents,
        background: Some(background),
        coefficients: &upload_f32(&[STEPS, 4], COEFFICIENTS.as_flattened()),
        counter: &device().upload(DType::I32, &[1], &[0i32]).expect("an upload"),
        guidance: GUIDANCE,
        next: &poisoned(DType::F16, &shape(2, 8)),
        history: None,
    };
    let result = step.record(&mut Plan::new(device().capabilities()));
    assert!(matches!(result, Err(Error::Shape { op: "step", .. })));
}
