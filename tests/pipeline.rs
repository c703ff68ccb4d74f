//! Every stage and the whole edit against the reference in torch and diffusers (`tools/goldens.py`).
//!
//! The bar is the yardstick's error, single-precision arithmetic with every operator's output rounded to fp16: each
//! stage, given the reference's input, may be twice as far from the reference; the final picture 6 dB.

mod goldens;
mod support;

use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock};

use diffedit::edit::{Dump, DumpData, MapSettings, MaskSource, Observer, Posterior};
use diffedit::mask::Mask;
use diffedit::model::{Model, ModelFiles, Parts, Time};
use diffedit::ops;
use diffedit::plan::{DType, Plan, Tensor};
use diffedit::scheduler::Scheduler;
use diffedit::{EditRequest, EditResult, Editor, EditorOptions, picture};
use goldens::{Case, Goldens, yardstick};
use support::{channels_first, channels_last, device, halves, relative_rms, run_for, upload, upload_f32};

/// One editor for all tests, which share its compiled kernels.
fn with_editor(run: impl FnOnce(&mut Editor, &mut Observer) -> diffedit::Result<EditResult>) -> EditResult {
    static EDITOR: OnceLock<Mutex<Editor>> = OnceLock::new();
    let editor = EDITOR.get_or_init(|| {
        let options =
            EditorOptions { device: support::device_choice(), compiler: support::compiler(), separate_memory: false };
        Mutex::new(Editor::open(&ModelFiles::demo(), options, &mut |_| ()).expect("the demo model opens"))
    });
    let mut editor = editor.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    run(&mut editor, &mut |_| ControlFlow::Continue(())).expect("the edit runs")
}

fn edit(request: &EditRequest) -> EditResult {
    with_editor(|editor, observer| editor.edit(request, observer))
}

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let parts = Parts::open(&ModelFiles::demo()).expect("the demo model is whole");
        Model::load(device(), &parts, &mut |_| ()).expect("the demo model loads")
    })
}

fn request(case: &Case) -> EditRequest {
    let picture = picture::load(&goldens::path(&case.image)).expect("the scene");
    let mut request = EditRequest::new(picture, &case.source, &case.target);
    request.negative = case.negative.clone();
    request.size = Some((case.size[0], case.size[1]));
    request.steps = case.steps;
    request.guidance = case.guidance;
    request.strength = case.strength;
    request.seed = case.seed;
    request.mask = MaskSource::Prompts(MapSettings { maps: case.maps, strength: case.mask_strength, batch: None });
    request.mask_settings = case.mask_settings();
    request
}

/// Fails if a stage's relative RMS error is over twice the yardstick's.
fn hold(case: &str, stage: &str, actual: &[f32], expected: &[f32]) {
    let (error, bar) = (relative_rms(actual, expected), 2.0 * yardstick(case, stage));
    println!("{case} {stage}: {error:.3e} of {bar:.3e}");
    assert!(error <= bar, "{case} {stage}: relative RMS error {error:.3e}, over {bar:.3e}");
    support::assert_clean();
}

fn psnr(actual: &[u8], expected: &[u8]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let square = |(&a, &b): (&u8, &u8)| (f64::from(a) - f64::from(b)).powi(2);
    let mean = actual.iter().zip(expected).map(square).sum::<f64>() / actual.len() as f64;
    10.0 * (255.0f64.powi(2) / mean).log10()
}

fn tensor<'a>(dump: &'a Dump, name: &str) -> &'a DumpData {
    &dump.get(name).unwrap_or_else(|| panic!("the dump lacks {name}")).data
}

fn floats<'a>(dump: &'a Dump, name: &str) -> &'a [f32] {
    match tensor(dump, name) {
        DumpData::F32(values) => values,
        other => panic!("{name} is {other:?}"),
    }
}

/// What is exact: tokens, the picture, the noise; what is not: everything up to the map, and the mask wherever the map
/// is not within the reference's own doubt of the threshold.
#[test]
fn encoding_and_mask_match_the_reference() {
    for case in goldens::cases() {
        let (goldens, name) = (Goldens::open(&case.name), case.name.as_str());
        let request = EditRequest { dump: true, ..request(&case) };
        let result = with_editor(|editor, observer| editor.mask(&request, observer));
        let dump = result.dump.expect("asked for");
        for prompt in ["source", "target", "uncond"] {
            let tokens = format!("tokens.{prompt}");
            assert_eq!(*tensor(&dump, &tokens), DumpData::I32(goldens.i32(&tokens)), "{name} {tokens}");
            let text = format!("text.{prompt}");
            hold(name, &text, floats(&dump, &text), &goldens.f32(&text));
        }
        assert_eq!(*tensor(&dump, "picture"), DumpData::U8(goldens.u8("picture")), "{name}");
        hold(name, "latents", floats(&dump, "latents"), &goldens.f32("latents"));
        for part in ["noise.maps", "noise.start", "noise.steps"].into_iter().filter(|part| goldens.has(part)) {
            let (ours, torch) = (halves(floats(&dump, part)), halves(&goldens.f32(part)));
            let equal = ours.iter().zip(&torch).filter(|(a, b)| a.to_bits() == b.to_bits()).count();
            assert!(equal as f64 >= 0.999 * torch.len() as f64, "{name} {part}: {equal} of {} equal", torch.len());
        }
        let doubt = 4.0 * yardstick(name, "map.max") as f32;
        let (map, reference) = (floats(&dump, "map"), goldens.f32("map"));
        for (index, (&ours, &theirs)) in map.iter().zip(&reference).enumerate() {
            let cell = format!("{name} cell {index}: {ours} for {theirs}, threshold {}", case.threshold);
            let decided = (theirs - case.threshold).abs() > doubt;
            assert!(!decided || (ours > case.threshold) == (theirs > case.threshold), "{cell}");
        }
        let thresholded = tensor(&dump, "mask.threshold");
        if *thresholded == DumpData::U8(goldens.u8("mask.threshold")) {
            assert_eq!(*tensor(&dump, "mask"), DumpData::U8(goldens.u8("mask")), "{name}: blur and holes are exact");
        }
    }
}

#[test]
fn the_final_picture_matches_the_reference_under_its_mask() {
    for case in goldens::cases() {
        let goldens = Goldens::open(&case.name);
        let [width, height] = case.size.map(|side| side / 8);
        let mask = Mask::new(width, height, goldens.u8("mask")).expect("a mask");
        let result = edit(&EditRequest { mask: MaskSource::Mask(mask), dump: true, ..request(&case) });
        let dump = result.dump.expect("asked for");
        hold(&case.name, "latents.final", floats(&dump, "latents.final"), &goldens.f32("latents.final"));
        assert!(floats(&dump, "latents.steps").ends_with(floats(&dump, "latents.final")), "{}", case.name);
        let (ours, bar) =
            (psnr(result.picture.as_raw(), &goldens.u8("decoded")), yardstick(&case.name, "picture.psnr"));
        println!("{}: {ours:.1} dB, yardstick {bar:.1} dB", case.name);
        assert!(ours >= bar - 6.0, "{}: {ours:.1} dB, over 6 below {bar:.1} dB", case.name);
    }
}

/// One UNet call on latents (1, 4, h, w) for prompts of given embeddings.
fn predict(case: &Case, latents: &[f32], prompts: &[Vec<f32>], timestep: u32) -> Vec<f32> {
    let [width, height] = case.size.map(|side| side / 8);
    let mut plan = Plan::new(device().capabilities());
    let text = prompts.concat();
    let text = upload(&[prompts.len(), 77, text.len() / 77 / prompts.len()], &halves(&text));
    let context = model().unet.record_context(&mut plan, &text).expect("fits");
    let table = model().unet.record_time(&mut plan, &upload_f32(&[1], &[timestep as f32])).expect("fits");
    let rows = halves(&channels_last(latents, 4, width * height, 8));
    let input = upload(&[prompts.len(), height, width, 8], &rows.repeat(prompts.len()));
    let output = model().unet.record(&mut plan, &input, Time { table: &table, step: None }, &context).expect("fits");
    channels_first(&run_for(&mut plan, &output), 4, width * height)
}

#[test]
fn the_unet_matches_the_reference_from_its_inputs() {
    for case in goldens::cases() {
        let (goldens, name) = (Goldens::open(&case.name), case.name.as_str());
        let scheduler = Scheduler::new(&model().scheduler, case.steps).expect("a schedule");
        let text = |prompt: &str| goldens.f32(&format!("text.{prompt}"));
        let map_step = scheduler.start_step(case.mask_strength).expect("in range");
        let predicted = predict(
            &case,
            &goldens.f32("check.unet.latents"),
            &[text("source"), text("target")],
            scheduler.timesteps()[map_step],
        );
        let (source, target) = predicted.split_at(predicted.len() / 2);
        hold(name, "unet.source", source, &goldens.f32("check.unet.source"));
        hold(name, "unet.target", target, &goldens.f32("check.unet.target"));
        let steps = goldens.i32("check.steps");
        let size = source.len();
        for (index, &step) in steps.iter().enumerate() {
            let part = |name: &str| goldens.f32(name)[index * size..][..size].to_vec();
            let timestep = scheduler.timesteps()[step as usize];
            let predicted = predict(&case, &part("check.steps.latents"), &[text("uncond"), text("target")], timestep);
            hold(name, &format!("unet.steps.{index}.uncond"), &predicted[..size], &part("check.steps.uncond"));
            hold(name, &format!("unet.steps.{index}.target"), &predicted[size..], &part("check.steps.target"));
        }
    }
}

#[test]
fn one_step_matches_the_reference_from_its_inputs() {
    for case in goldens::cases() {
        let goldens = Goldens::open(&case.name);
        let scheduler = Scheduler::new(&model().scheduler, case.steps).expect("a schedule");
        let [width, height] = case.size.map(|side| side / 8);
        let (pixels, size) = (width * height, 4 * width * height);
        for (index, &step) in goldens.i32("check.steps").iter().enumerate() {
            let part = |name: &str| channels_last(&goldens.f32(name)[index * size..][..size], 4, pixels, 4);
            let step = step as usize;
            let update = scheduler.step_coefficients(scheduler.timesteps()[step]);
            let next = scheduler.timesteps().get(step + 1);
            let (signal, sigma) = next.map_or((1.0, 0.0), |&next| scheduler.noise_coefficients(next));
            let latents = upload_f32(&[1, height, width, 4], &part("check.steps.latents"));
            let predictions = [part("check.steps.uncond"), part("check.steps.target")].concat();
            let original = channels_last(&goldens.f32("latents"), 4, pixels, 4);
            // One step is the last of its table, which reads no noise: a second one makes it take the noise.
            let table = [update.latents, update.epsilon, signal, sigma].repeat(2);
            let mut plan = Plan::new(device().capabilities());
            let next = plan.tensor(DType::F16, &[2, height, width, 8]);
            ops::step::Step {
                predictions: &upload_f32(&[2, height, width, 4], &predictions),
                latents: &latents,
                background: Some(ops::step::Background {
                    original: &upload_f32(&[1, height, width, 4], &original),
                    mask: &device().upload(DType::U8, &[height, width], &goldens.u8("mask")).expect("an upload"),
                    noise: &upload(&[1, height, width, 4], &halves(&part("check.steps.noise"))),
                }),
                coefficients: &upload_f32(&[2, 4], &table),
                counter: &device().upload(DType::I32, &[1], &[0]).expect("an upload"),
                guidance: case.guidance,
                next: &next,
                history: None,
            }
            .record(&mut plan)
            .expect("fits");
            support::run(&plan);
            let stage = format!("step.{index}");
            hold(&case.name, &stage, &support::read(&latents), &part("check.steps.next"));
        }
    }
}

#[test]
fn decoding_matches_the_reference_from_its_latents() {
    for case in goldens::cases() {
        let goldens = Goldens::open(&case.name);
        let [width, height] = case.size.map(|side| side / 8);
        let rows = channels_last(&goldens.f32("latents.final"), 4, width * height, 4);
        let latents: Tensor = upload_f32(&[1, height, width, 4], &rows);
        let mut plan = Plan::new(device().capabilities());
        let scaling_factor = model().vae.config().scaling_factor;
        let unscaled = ops::unscale::unscale(&mut plan, &latents, scaling_factor).expect("fits");
        let decoded = model().vae.record_decode(&mut plan, &unscaled).expect("fits");
        let picture = ops::picture::to_picture(&mut plan, &decoded).expect("fits");
        let kept = support::kept(&decoded);
        plan.place(&decoded, &kept);
        let picture: Vec<u8> = run_for(&mut plan, &picture).into_iter().map(|value| value as u8).collect();
        let pixels = case.size[0] * case.size[1];
        let float = channels_first(&support::read(&kept), 3, pixels);
        hold(&case.name, "decoded", &float, &goldens.f32("decoded.float"));
        let (ours, bar) = (psnr(&picture, &goldens.u8("decoded")), yardstick(&case.name, "decoded.psnr"));
        assert!(ours >= bar - 6.0, "{}: {ours:.1} dB, over 6 below {bar:.1} dB", case.name);
    }
}

#[test]
fn a_sampled_posterior_matches_the_reference() {
    let case = &goldens::cases()[0];
    let goldens = Goldens::open(&case.name);
    let size = goldens.f32("latents").len();
    let [width, height] = case.size.map(|side| side / 8);
    let mask = Mask::new(width, height, vec![1; width * height]).expect("a mask");
    let request = EditRequest {
        posterior: Posterior::Sample { seed: 99 },
        mask: MaskSource::Mask(mask),
        steps: 2,
        dump: true,
        ..request(case)
    };
    let dump = edit(&request).dump.expect("asked for");
    let noise = floats(&dump, "noise.posterior");
    let expected = goldens.f32("noise.posterior");
    let apart = noise.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() > 1e-3 * b.abs() + 2e-6).count();
    assert!(apart == 0 && noise.len() == size, "{apart} of {size} normals differ");
    hold(&case.name, "sample", floats(&dump, "latents"), &goldens.f32("check.sample"));
}
