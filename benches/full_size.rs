//! The whole network at Stable Diffusion 1.5's size, with the random weights of `tools/full_size.py`.
//!
//!     cargo bench --bench full_size -- check FOLDER                # every stage against the reference's goldens
//!     cargo bench --bench full_size -- layouts FOLDER [CONFIGS]    # the four layouts give the same bits
//!
//! CONFIGS is the folder of a single file's configs, if they are not Stable Diffusion 1.5's.

mod common;
#[path = "../tests/goldens/mod.rs"]
mod goldens;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use common::support::{self, device, relative_rms, upload, upload_f32};
use diffedit::model::{Model, ModelFiles, Parts, Time, Tokenizer};
use diffedit::ops;
use diffedit::plan::{DType, Plan, Tensor};
use goldens::Goldens;
use half::f16;
use serde::Deserialize;
use support::{Random, channels_first, channels_last, halves};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let passed = match arguments[..] {
        ["check", folder] => check(Path::new(folder)),
        ["layouts", folder] => layouts(Path::new(folder), None),
        ["layouts", folder, configs] => layouts(Path::new(folder), Some(Path::new(configs))),
        _ => panic!("wanted: check FOLDER, or layouts FOLDER [CONFIGS]"),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What `tools/full_size.py` says of its goldens.
#[derive(Deserialize)]
struct About {
    timestep: u32,
    /// The error of half precision at its best, by tensor.
    yardstick: std::collections::HashMap<String, f64>,
}

/// Every stage from the reference's inputs, within twice the yardstick's error.
fn check(folder: &Path) -> bool {
    let goldens = Goldens::at(&folder.join("goldens.safetensors"));
    let about: About = goldens.about();
    let (model, _) = load(&ModelFiles::open(&folder.join("fp16")).expect("a model"));
    let prompts = ["target", "uncond"];
    let both = |part: &str| prompts.map(|prompt| format!("{part}.{prompt}"));
    let mut passed = true;
    let mut hold = |names: &[String], actual: Vec<f32>| {
        for (name, actual) in names.iter().zip(actual.chunks(actual.len() / names.len())) {
            let (error, yardstick) = (relative_rms(actual, &goldens.f32(name)), about.yardstick[name]);
            println!("  {name}: relative RMS error {error:.3e}, yardstick {yardstick:.3e}: {:.2}", error / yardstick);
            passed &= error <= 2.0 * yardstick;
        }
    };
    let ids = both("tokens").map(|name| goldens.i32(&name)).concat();
    hold(&both("text"), embed(&model, &ids));
    let [_, _, height, width] = goldens.shape("unet.latents")[..] else { panic!("latents of four dimensions") };
    let text = both("text").map(|name| goldens.f32(&name)).concat();
    hold(&both("unet"), predict(&model, &goldens.f32("unet.latents"), [height, width], &text, about.timestep));
    hold(&["latents".into()], encode(&model, &goldens.u8("picture"), [8 * height, 8 * width]));
    hold(&["decoded".into()], decode(&model, &goldens.f32("latents"), [height, width]));
    passed
}

/// The same small requests to every layout: each weight has its part in what they give.
fn layouts(folder: &Path, configs: Option<&Path>) -> bool {
    let mut hashes = Vec::new();
    for layout in ["fp16", "fp32", "sharded", "single.safetensors"] {
        let mut files = ModelFiles::open(&folder.join(layout)).expect("a model");
        if let (Some(configs), "single.safetensors") = (configs, layout) {
            files = files.with_configs(configs).expect("configs");
        }
        let (model, tokenizer) = load(&files);
        let mut random = Random::new(4);
        let ids = ["a horse on snow", "zebra"].map(|prompt| tokenizer.encode(prompt, 77).expect("ids").ids);
        let text = embed(&model, &ids.concat());
        let latents = support::widen(&random.halves(4 * 8 * 8, 1.0));
        let picture: Vec<u8> = (0..64 * 64 * 3).map(|_| random.next() as u8).collect();
        let results = [
            predict(&model, &latents, [8, 8], &text, 481),
            encode(&model, &picture, [64, 64]),
            decode(&model, &latents, [8, 8]),
        ];
        let all = [text, results.concat()].concat();
        assert!(all.iter().all(|value| value.is_finite()), "{layout} gives numbers");
        hashes.push(common::hash(&all));
        println!("{layout}: result {:016x}", hashes[hashes.len() - 1]);
    }
    let same = hashes.iter().all(|hash| *hash == hashes[0]);
    println!("{}", if same { "the same bits" } else { "the layouts differ" });
    same
}

fn load(files: &ModelFiles) -> (Model, Tokenizer) {
    let start = Instant::now();
    let parts = Parts::open(files).expect("the model fits its configs");
    let model = Model::load(device(), &parts, &mut |_| ()).expect("the model loads");
    println!("{}: loaded in {:.1} s", files.name().display(), start.elapsed().as_secs_f64());
    (model, parts.tokenizer)
}

/// Runs a stage, says how long it took, and gives what it computed.
fn run(name: &str, mut plan: Plan, output: &Tensor) -> Vec<f32> {
    let kept = support::kept(output);
    plan.place(output, &kept);
    let program = common::program(device(), &plan);
    let start = Instant::now();
    program.run(device()).expect("the plan runs");
    device().synchronize().expect("the plan runs");
    let (seconds, gmac) = (start.elapsed().as_secs_f64(), plan.macs() as f64 / 1e9);
    println!("{name}: {gmac:.1} GMAC in {seconds:.1} s, {:.1} GMAC/s", gmac / seconds);
    support::read(&kept)
}

fn plan() -> Plan {
    Plan::new(device().capabilities())
}

/// Token ids (prompts, 77) to embeddings (prompts, 77, width).
fn embed(model: &Model, ids: &[i32]) -> Vec<f32> {
    let mut plan = plan();
    let ids = device().upload(DType::I32, &[ids.len() / 77, 77], ids).expect("an upload");
    let text = model.text.record(&mut plan, &ids).expect("fits");
    run("text encoder", plan, &text)
}

/// One evaluation of the UNet: latents (4, h, w) under each of the prompts, to (prompts, 4, h, w).
fn predict(model: &Model, latents: &[f32], size: [usize; 2], text: &[f32], timestep: u32) -> Vec<f32> {
    let ([height, width], channels) = (size, model.unet.config().cross_attention_dim);
    let prompts = text.len() / 77 / channels;
    let mut plan = plan();
    let text = upload(&[prompts, 77, channels], &halves(text));
    let context = model.unet.record_context(&mut plan, &text).expect("fits");
    let table = model.unet.record_time(&mut plan, &upload_f32(&[1], &[timestep as f32])).expect("fits");
    let rows: Vec<f16> = halves(&channels_last(latents, 4, height * width, 8));
    let input = upload(&[prompts, height, width, 8], &rows.repeat(prompts));
    let output = model.unet.record(&mut plan, &input, Time { table: &table, step: None }, &context).expect("fits");
    channels_first(&run("UNet", plan, &output), 4, height * width)
}

/// A picture (height, width, 3) to latents (4, height / 8, width / 8).
fn encode(model: &Model, picture: &[u8], [height, width]: [usize; 2]) -> Vec<f32> {
    let mut plan = plan();
    let picture = device().upload(DType::U8, &[height, width, 3], picture).expect("an upload");
    let picture = ops::picture::to_tensor(&mut plan, &picture).expect("fits");
    let moments = model.vae.record_encode(&mut plan, &picture).expect("fits");
    let scaling_factor = model.vae.config().scaling_factor;
    let latents = ops::posterior::Posterior { moments: &moments, noise: None, scaling_factor }.record(&mut plan);
    channels_first(&run("VAE encoder", plan, &latents.expect("fits")), 4, height * width / 64)
}

/// Latents (4, h, w) to the decoder's output (3, 8h, 8w).
fn decode(model: &Model, latents: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
    let mut plan = plan();
    let latents = upload_f32(&[1, height, width, 4], &channels_last(latents, 4, height * width, 4));
    let unscaled = ops::unscale::unscale(&mut plan, &latents, model.vae.config().scaling_factor).expect("fits");
    let decoded = model.vae.record_decode(&mut plan, &unscaled).expect("fits");
    channels_first(&run("VAE decoder", plan, &decoded), 3, 64 * height * width)
}
