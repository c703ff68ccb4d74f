//! The same model in every layout that people have gives the same bits.

use std::fs;
use std::path::Path;

use diffedit::device::Device;
use diffedit::model::{Model, ModelFiles, Parts, Time, Tokenizer};
use diffedit::plan::{Arg, DType, Plan, Tensor};
use half::f16;

use super::stored::{self, TEXT, Tensors, UNET, VAE, linked_demo, remove, replace, single_file, write_shards};
use super::support::{Random, device, kept, read, run, upload, upload_f32};

/// What a model gives for fixed inputs, and the weights it gives it with: all that its kernels read.
#[derive(PartialEq)]
struct Bits {
    weights: Vec<Vec<u16>>,
    outputs: Vec<Vec<u32>>,
}

fn bits(parts: &Parts, model: &Model) -> Bits {
    let device: &Device = device();
    let mut random = Random::new(5);
    let length = model.text.config().max_position_embeddings;
    let ids = parts.tokenizer.encode("a photo of a zebra", length).expect("it is tokenized").ids;
    let ids = device.upload(DType::I32, &[1, length], &ids).expect("an upload");
    let timesteps = upload_f32(&[1], &[501.0]);
    let mut padded = |shape: &[usize], used: usize| {
        let values: Vec<f16> = (0..shape.iter().product::<usize>())
            .map(|index| f16::from_f32(if index % 8 < used { random.normal() } else { 0.0 }))
            .collect();
        upload(shape, &values)
    };
    let latents = padded(&[1, 8, 8, 8], 4);
    let picture = padded(&[1, 64, 64, 8], 3);

    let mut plan = Plan::new(device.capabilities());
    let text = model.text.record(&mut plan, &ids).expect("it records");
    let table = model.unet.record_time(&mut plan, &timesteps).expect("it records");
    let context = model.unet.record_context(&mut plan, &text).expect("it records");
    let time = Time { table: &table, step: None };
    let noise = model.unet.record(&mut plan, &latents, time, &context).expect("it records");
    let moments = model.vae.record_encode(&mut plan, &picture).expect("it records");
    let decoded = model.vae.record_decode(&mut plan, &latents).expect("it records");

    let inputs = [&ids, &timesteps, &latents, &picture].map(|tensor| format!("{tensor:?}"));
    let read_by_kernels = plan.launches().iter().flat_map(|launch| &launch.args).filter_map(Arg::tensor);
    let is_weight = |tensor: &&Tensor| tensor.exists() && !inputs.contains(&format!("{tensor:?}"));
    let halves = |tensor: &Tensor| device.read::<u16>(tensor).expect("a download");
    let weights = read_by_kernels.filter(is_weight).map(halves).collect();
    let outputs: Vec<Tensor> = [&text, &noise, &moments, &decoded]
        .map(|tensor| {
            let destination = kept(tensor);
            plan.place(tensor, &destination);
            destination
        })
        .into();
    run(&plan);
    let outputs = outputs.iter().map(|tensor| read(tensor).into_iter().map(f32::to_bits).collect()).collect();
    Bits { weights, outputs }
}

fn load(files: &ModelFiles) -> Bits {
    let parts = Parts::open(files).unwrap_or_else(|error| panic!("{error}"));
    bits(&parts, &Model::load(device(), &parts, &mut |_| ()).unwrap_or_else(|error| panic!("{error}")))
}

/// diffusers' names of the VAE's attention before they changed.
fn old_attention_names(name: &str) -> String {
    let old = [(".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")];
    old.into_iter().fold(name.to_owned(), |name, (new, old)| name.replace(new, old))
}

#[test]
fn every_layout_of_a_model_gives_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = load(&ModelFiles::demo());
    assert!(demo.weights.len() > 300, "{} weights are read", demo.weights.len());
    let same = |layout: &str, files: diffedit::Result<ModelFiles>| {
        let found = load(&files.unwrap_or_else(|error| panic!("{layout}: {error}")));
        assert!(found.weights == demo.weights, "{layout}: other weights");
        assert!(found.outputs == demo.outputs, "{layout}: other outputs");
    };
    // A copy of the miniature, changed.
    let changed = |name: &str, change: &dyn Fn(&Path)| {
        let path = folder.path().join(name);
        linked_demo(&path);
        change(&path);
        same(name, ModelFiles::open(&path));
    };
    same("folder", ModelFiles::folder(&stored::demo()));
    changed("single precision", &|path| {
        for file in [TEXT, UNET, VAE] {
            replace(&path.join(file), &Tensors::of_demo(file).map(stored::Stored::widened).bytes());
        }
    });
    changed("fp16 variant", &|path| {
        for file in [TEXT, UNET, VAE] {
            let file = path.join(file);
            fs::rename(&file, file.with_extension("fp16.safetensors")).expect("a new name");
        }
    });
    changed("shards", &|path| {
        for (file, count) in [(TEXT, 2), (UNET, 3), (VAE, 1)] {
            let file_name = path.join(file);
            remove(&file_name);
            let stem = file_name.file_stem().expect("a name").to_str().expect("ASCII");
            write_shards(&Tensors::of_demo(file), file_name.parent().expect("a folder"), stem, count);
        }
    });
    changed("old attention names", &|path| {
        replace(&path.join(VAE), &Tensors::of_demo(VAE).rename(old_attention_names).bytes());
    });
    changed("text encoder without its root", &|path| {
        let rename = |name: &str| name.trim_start_matches("text_model.").to_owned();
        replace(&path.join(TEXT), &Tensors::of_demo(TEXT).rename(rename).bytes());
    });
    let single = folder.path().join("single.safetensors");
    single_file().write(&single);
    same("single file", ModelFiles::open(&single).and_then(|files| files.with_configs(&stored::demo())));
    vaes(folder.path(), &same);
}

/// Replaces the VAE by itself from everywhere a VAE may come from.
fn vaes(folder: &Path, same: &dyn Fn(&str, diffedit::Result<ModelFiles>)) {
    let whole = single_file();
    let without = Tensors(whole.0.into_iter().filter(|(name, _)| !name.starts_with("first_stage_model.")).collect());
    let path = folder.join("without-vae.safetensors");
    without.write(&path);
    let open = || ModelFiles::open(&path).and_then(|files| files.with_configs(&stored::demo()));
    let refused = Parts::open(&open().expect("it opens")).err().expect("it has no VAE");
    assert!(refused.to_string().contains("--vae FILE"), "{refused}");

    let vae = || Tensors::of_demo(VAE);
    for (name, tensors) in [
        ("diffusers' names", vae()),
        ("diffusers' old names", vae().rename(old_attention_names)),
        ("the original names", stored::ldm_vae(vae()).and(loss())),
        ("the original names and prefix", stored::ldm_vae(vae()).rename(|name| format!("first_stage_model.{name}"))),
        ("a whole checkpoint", single_file()),
    ] {
        let file = folder.join("vae.safetensors");
        replace(&file, &tensors.bytes());
        same(&format!("VAE of {name}"), open().and_then(|files| files.with_vae(&file)));
    }
    same("VAE of a folder", open().and_then(|files| files.with_vae(&stored::demo().join("vae"))));
    same("VAE of a model's folder", ModelFiles::demo().with_vae(&stored::demo()));
}

/// What training leaves in a VAE's file.
fn loss() -> Tensors {
    let stray = stored::Stored::halves(&[], 0.0);
    Tensors([("loss.logvar".to_owned(), stray)].into())
}

/// The vocabulary that single files lack is part of the program.
#[test]
fn a_single_file_has_clips_tokenizer() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("single.safetensors");
    single_file().write(&path);
    let files = ModelFiles::open(&path).expect("it opens");
    let tokenizer = Tokenizer::load(&files).expect("it has a tokenizer");
    let ids = tokenizer.encode("a photo of a cat", 77).expect("it is tokenized").ids;
    assert_eq!(ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
    let whole: serde_json::Value = files.json("tokenizer/vocab.json").expect("a vocabulary");
    assert_eq!(whole.as_object().map(serde_json::Map::len), Some(49408));
}
