//! The program as its users meet it: its help, what it refuses and how, and what needs no device.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{GrayImage, Luma, Rgb, RgbImage};

/// The program, forbidden to fetch anything, with a cache of its own.
fn diffedit(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diffedit"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("DIFFEDIT_OFFLINE", "1")
        .env_remove("DIFFEDIT_KERNELS")
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a picture `in.png`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8 * 4, y as u8 * 4, 128]));
    picture.save(folder.path().join("in.png")).expect("a picture");
    folder
}

/// The files in a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "cache")
        .collect();
    names.sort();
    names
}

/// Runs the program, which must refuse with one line that holds `part`, and leave no file behind.
fn assert_refused(folder: &Path, arguments: &[&str], part: &str) {
    let before = files(folder);
    let output = diffedit(folder, arguments);
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(output.stdout.is_empty(), "{arguments:?} printed {:?}", text(&output.stdout));
    let errors: Vec<&str> = said.lines().collect();
    assert_eq!(errors.len(), 1, "{arguments:?} said\n{said}");
    assert!(errors[0].starts_with("error: ") && errors[0].contains(part), "{arguments:?}: wanted {part:?} in {said}");
    assert_eq!(files(folder), before, "{arguments:?} left files");
}

/// An edit of `in.png` with more arguments.
fn edit<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["edit", "--image", "in.png", "--from", "horse", "--to", "zebra", "-o", "out.png"], more].concat()
}

#[test]
fn help_names_every_option_with_its_range() {
    let folder = folder();
    let help = |command: &str| {
        let output = diffedit(folder.path(), &[command, "--help"]);
        assert!(output.status.success(), "{command}");
        // Lines are broken wherever they are full.
        text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let edit = help("edit");
    for option in [
        "--image",
        "--from",
        "--to",
        "--out",
        "--model",
        "--vae",
        "--config",
        "--mask",
        "--map",
        "--mask-out",
        "--map-out",
        "--negative-prompt",
        "--steps",
        "--guidance",
        "--cfg-scale",
        "--strength",
        "--seed",
        "--maps",
        "--mask-strength",
        "--threshold",
        "--blur",
        "--fill-holes",
        "--size",
        "--resize",
        "--raw",
        "-W",
        "-H",
        "--device",
        "--noise",
        "--dump",
        "--json",
        "--sheet",
        "--vae-tiling",
        "1 to 1000",
        "0 to 1",
        "odd, 1 (none) to 255",
        "Example",
    ] {
        assert!(edit.contains(option), "{option} is not in\n{edit}");
    }
    assert!(help("mask").contains("--overlay"));
    let remove = help("remove");
    for option in ["--what", "--background", "--resize", "--mask-out", "--strength", "Example"] {
        assert!(remove.contains(option), "{option} is not in\n{remove}");
    }
    assert!(help("plan").contains("--maps"));
    assert!(help("compile").contains("--arch"));
    assert!(help("demo").contains("--out"));
    assert!(help("devices").contains("emulator"));
    let version = diffedit(folder.path(), &["--version"]);
    assert_eq!(text(&version.stdout).trim(), concat!("diffedit ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_a_command_the_help_is_shown() {
    let output = diffedit(folder().path(), &[]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("Usage: diffedit"));
}

#[test]
fn values_out_of_range_are_refused() {
    let folder = folder();
    for (option, value, part) in [
        ("--steps", "0", "1 to 1000"),
        ("--steps", "1001", "1 to 1000"),
        ("--steps", "many", "not a number"),
        ("--strength", "0", "above 0"),
        ("--strength", "1.5", "at most 1"),
        ("--mask-strength", "nan", "above 0"),
        ("--guidance", "inf", "finite"),
        ("--threshold", "1.2", "0 to 1"),
        ("--blur", "8", "odd"),
        ("--blur", "257", "1 to 255"),
        ("--maps", "0", "1 to 1000"),
        ("--size", "100x128", "multiple of 8"),
        ("--size", "128", "width x height"),
        ("--size", "4096x4096", "64 to 2048"),
        ("--resize", "crop", "stretch, fit or fill"),
        ("--seed", "-1", "2^64"),
        ("--seed", "18446744073709551616", "2^64"),
        ("--device", "gpu", "emulator:NAME"),
        ("--mask-out", "mask.jpg", "must end in .png"),
        ("--map-out", "map.txt", ".npy"),
        ("--colour", "red", "unexpected argument"),
    ] {
        assert_refused(folder.path(), &edit(&[option, value]), part);
    }
    assert_refused(folder.path(), &edit(&["-W", "128"]), "--height");
    assert_refused(folder.path(), &["edit", "--image", "in.png", "-o", "out.png"], "--to");
    assert_refused(folder.path(), &["remove", "--image", "in.png", "-o", "out.png"], "--what");
    assert_refused(folder.path(), &["compile", "--arch", "sm_75", "--out", "k"], "Ampere");
    assert_refused(folder.path(), &edit(&["--mask", "in.png", "--map", "in.png"]), "cannot be used with");
}

#[test]
fn pictures_that_cannot_be_used_are_refused() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty.png"), b"").expect("a file");
    fs::write(path("text.png"), b"this is no picture").expect("a file");
    let whole = fs::read(path("in.png")).expect("a picture");
    fs::write(path("half.png"), &whole[..whole.len() / 2]).expect("a file");
    fs::write(path("none.png"), with_size(&whole, 0)).expect("a file");
    fs::write(path("huge.png"), with_size(&whole, 70_000)).expect("a file");
    for (name, part) in [
        ("missing.png", "No such file"),
        (".", "directory"),
        ("empty.png", "empty"),
        ("text.png", "not a picture"),
        ("half.png", "damaged"),
        ("none.png", "none.png"),
        ("huge.png", "70000x70000"),
    ] {
        let arguments = ["edit", "--image", name, "--from", "", "--to", "", "-o", "out.png"];
        assert_refused(folder.path(), &arguments, part);
        let arguments = ["mask", "--image", name, "--from", "a", "--to", "b", "-o", "out.png"];
        assert_refused(folder.path(), &arguments, part);
    }
}

/// A PNG whose header says that it is `side` pixels wide and high.
fn with_size(png: &[u8], side: u32) -> Vec<u8> {
    let mut png = png.to_vec();
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let crc = !png[12..29].iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_run() {
    let folder = folder();
    fs::create_dir(folder.path().join("dir.png")).expect("a folder");
    for (more, part) in [
        (vec!["--mask-out", "gone/mask.png"], "no such folder"),
        (vec!["--sheet", "dir.png"], "is a folder"),
        (vec!["--mask-out", "out.png"], "two outputs"),
        (vec!["--mask-out", "in.png"], "is an input"),
        (vec!["--json", "in.png/x.json"], "not a folder"),
    ] {
        assert_refused(folder.path(), &edit(&more), part);
    }
}

#[test]
fn models_that_are_not_whole_are_refused() {
    let folder = folder();
    let model = folder.path().join("model");
    assert_refused(folder.path(), &edit(&["--model", "model"]), "no such folder");
    fs::create_dir_all(model.join("unet")).expect("a folder");
    let output = diffedit(folder.path(), &edit(&["--model", "model"]));
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.starts_with("error: model: cannot be loaded:\n"), "{said}");
    for part in ["text_encoder/config.json: is missing", "unet/config.json: is missing", "vae/config.json: is missing"]
    {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_refused(folder.path(), &edit(&["--model", "in.png"]), "is a picture");
    assert_refused(folder.path(), &edit(&["--vae", "in.png"]), "is a picture");
    assert_refused(folder.path(), &edit(&["--vae", "missing.safetensors"]), "No such file");
    fs::write(folder.path().join("sd15.ckpt"), "").expect("a file");
    assert_refused(folder.path(), &edit(&["--model", "sd15.ckpt"]), "is a pickle");

    copy(&demo(), &model);
    for (file, contents, part) in [
        ("diffedit.json", r#"{"steps": 0}"#, "1..=1000"),
        ("diffedit.json", r#"{"stepz": 5}"#, "stepz"),
        ("unet/config.json", "{", "unet/config.json"),
        ("vae/config.json", "{}", "vae/config.json"),
        ("unet/diffusion_pytorch_model.safetensors", "cut", "unet/diffusion_pytorch_model.safetensors"),
    ] {
        let path = model.join(file);
        let before = fs::read(&path).expect("part of the model");
        fs::write(&path, contents).expect("a file");
        assert_refused(folder.path(), &edit(&["--model", "model"]), part);
        fs::write(&path, before).expect("a file");
    }
    fs::remove_file(model.join("vae/diffusion_pytorch_model.safetensors")).expect("part of the model");
    assert_refused(folder.path(), &edit(&["--model", "model"]), "vae/diffusion_pytorch_model.safetensors: is missing");
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file");
        }
    }
}

#[test]
fn masks_maps_and_noise_that_do_not_fit_are_refused() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("text.png"), "no picture").expect("a file");
    GrayImage::new(10, 10).save(path("small.png")).expect("a map");
    fs::write(path("noise.safetensors"), "no tensors").expect("a file");
    fs::write(path("map.npy"), "no array").expect("a file");
    RgbImage::from_pixel(8, 8, Rgb([200, 30, 30])).save(path("red.png")).expect("a picture");
    GrayImage::new(8, 8).save(path("black.png")).expect("a map");
    assert_refused(folder.path(), &edit(&["--mask", "text.png"]), "text.png");
    assert_refused(folder.path(), &edit(&["--mask", "missing.png"]), "missing.png");
    assert_refused(folder.path(), &edit(&["--mask", "red.png"]), "red.png: is in colour");
    assert_refused(folder.path(), &edit(&["--map", "red.png"]), "red.png: is in colour");
    assert_refused(folder.path(), &edit(&["--map", "black.png", "--size", "64x64"]), "a lower --threshold");
    assert_refused(folder.path(), &edit(&["--map", "small.png"]), "10x10");
    assert_refused(folder.path(), &edit(&["--map", "map.npy"]), "map.npy");
    assert_refused(folder.path(), &edit(&["--noise", "noise.safetensors"]), "noise.safetensors");
    assert_refused(folder.path(), &["mask", "--map", "text.png", "-o", "m.png"], "text.png");
}

#[test]
fn a_saved_map_becomes_a_mask_without_model_or_device() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let defaults = fs::read(demo().join("diffedit.json")).expect("the miniature's defaults");
    let defaults: serde_json::Value = serde_json::from_slice(&defaults).expect("JSON");
    let recommended = defaults["threshold"].as_f64().expect("a threshold");
    // A map of 16 x 8 whose left half is below what the miniature recommends and whose right half is above, with a hole.
    let (below, above) = ((recommended * 0.8 * 255.0) as u8, (recommended * 1.6 * 255.0) as u8);
    let map = GrayImage::from_fn(16, 8, |x, y| match (x, y) {
        (12, 4) => Luma([0]),
        (8.., _) => Luma([above]),
        _ => Luma([below]),
    });
    let (low, high) = ((recommended * 0.5).to_string(), (recommended * 1.2).to_string());
    map.save(path("map.png")).expect("a map");
    let white = |arguments: &[&str]| {
        let all = [&["mask", "--map", "map.png", "-o", "mask.png"], arguments].concat();
        let output = diffedit(folder.path(), &all);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        let mask = image::open(path("mask.png")).expect("a mask").into_luma8();
        assert!(mask.pixels().all(|pixel| matches!(pixel.0[0], 0 | 255)));
        (mask.dimensions(), mask.pixels().filter(|pixel| pixel.0[0] == 255).count())
    };
    assert_eq!(white(&["--threshold", &low, "--blur", "1"]), ((128, 64), 127 * 64));
    assert_eq!(white(&["--threshold", &high, "--blur", "1"]), ((128, 64), 63 * 64));
    assert_eq!(white(&["--threshold", &high, "--blur", "1", "--fill-holes"]), ((128, 64), 64 * 64));
    assert_eq!(white(&["--threshold", &high, "--blur", "3", "--size", "256x128"]), ((256, 128), 64 * 256));
    assert_eq!(white(&["--blur", "1"]), ((128, 64), 63 * 64));
    assert_eq!(files(folder.path()), ["in.png", "map.png", "mask.png"]);

    let more = ["--image", "in.png", "--overlay", "overlay.png", "--json", "mask.json", "--blur", "1"];
    // Over a picture the mask is as large as that, and through the crop that fills 128 x 64 only its middle is edited.
    assert_eq!(white(&more).0, (64, 64));
    let overlay = || image::open(path("overlay.png")).expect("an overlay");
    assert_eq!((overlay().width(), overlay().height()), (64, 64));
    assert_eq!(white(&[&more[..], &["--resize", "fill"]].concat()), ((64, 64), 32 * 32 - 4 * 4));
    assert_eq!(white(&[&more[..], &["--raw"]].concat()), ((128, 64), 63 * 64));
    assert_eq!((overlay().width(), overlay().height()), (128, 64));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(path("mask.json")).expect("a report")).expect("JSON");
    let used = report["settings"]["threshold"].as_f64().expect("a threshold");
    assert!((used - recommended).abs() < 1e-6, "{used}");
    assert_eq!(report["settings"]["dilate"], 0);
    assert_eq!(report["mask-coverage"], 63.0 / 128.0);
}

#[test]
fn devices_are_listed() {
    let output = diffedit(folder().path(), &["devices"]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("emulator:a100"), "{said}{}", text(&output.stderr));
}

#[test]
fn without_nvrtc_one_message_says_what_was_tried() {
    let folder = folder();
    let mut command = Command::new(env!("CARGO_BIN_EXE_diffedit"));
    let output = command
        .args(edit(&["--device", "emulator"]))
        .current_dir(folder.path())
        .env("DIFFEDIT_NVRTC", "/nonexistent/libnvrtc.so.12")
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .output()
        .expect("the program starts");
    let said = text(&output.stderr);
    assert!(!output.status.success());
    for part in ["no usable NVRTC", "/nonexistent/libnvrtc.so.12", "DIFFEDIT_NVRTC", "pip install"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(files(folder.path()), ["in.png"]);
}

#[test]
fn words_that_the_miniature_does_not_know_are_told() {
    let folder = folder();
    let said = |prompts: [&str; 2]| {
        let arguments = ["edit", "--image", "in.png", "--from", prompts[0], "--to", prompts[1], "-o", "out.png"];
        // There are no kernels, so that it ends after the warning.
        let output = diffedit(folder.path(), &[&arguments[..], &["--kernels", "missing"]].concat());
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let warned = said(["a horse on grass", "a giraffe on Mars"]);
    assert!(warned.starts_with("warning: the model was not trained on giraffe, mars; it knows a, an, and"), "{warned}");
    let known = said(["A horse, on grass", "a zebra on grass"]);
    assert!(!known.contains("warning"), "{known}");
}

/// Of the model there are only the configs here.
#[test]
fn a_plan_needs_neither_weights_nor_a_device() {
    let folder = folder();
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/models/sd15");
    let device = ["--device", "emulator:a100", "--size", "512x512", "--json", "plan.json"];
    let output = diffedit(folder.path(), &[&["plan", "--model", configs], &device[..]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for part in ["weights, UNet", "arena of the stages", "decode", "512x512 with 10 maps"] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
    let plan = fs::read(folder.path().join("plan.json")).expect("it is written");
    let plan: serde_json::Value = serde_json::from_slice(&plan).expect("JSON");
    let bytes = |value: &serde_json::Value| value.as_u64().expect("bytes");
    let weights: u64 = plan["weights"].as_object().expect("parts").values().map(bytes).sum();
    assert_eq!(bytes(&plan["all"]), weights + bytes(&plan["state"]) + bytes(&plan["arena"]));
    assert!(table.contains(&format!("{:.1} MB", bytes(&plan["all"]) as f64 / 1e6)), "{table}");
}
