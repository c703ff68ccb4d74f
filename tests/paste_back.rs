//! Whole edits by the program, on the device: what comes back of pictures as people have them.

mod support;

use std::path::Path;
use std::process::Command;

use diffedit::picture::{Metadata, Original, write_png_as};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Pixel, RgbaImage};

/// Runs the program on the device under test, which must succeed, with as few steps as there are.
fn diffedit(folder: &Path, arguments: &[&str]) {
    // Finds NVRTC, or fetches it as for the other tests.
    support::compiler();
    let output = Command::new(env!("CARGO_BIN_EXE_diffedit"))
        .args(arguments)
        .args(["--steps", "2", "--maps", "1", "--device"])
        .arg(support::device_choice().to_string())
        .current_dir(folder)
        .env_remove("DIFFEDIT_KERNELS")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn load(folder: &Path, name: &str) -> Original {
    Original::load(&folder.join(name)).expect("a picture")
}

fn save(folder: &Path, name: &str, picture: &DynamicImage, metadata: &Metadata) {
    let file = std::fs::File::create(folder.join(name)).expect("a file");
    write_png_as(file, picture, metadata, &[]).expect("a PNG");
}

/// Whether pixels are equal wherever the mask is black; and how many are not where it is white.
fn compare<P: Pixel + PartialEq>(
    before: &ImageBuffer<P, Vec<P::Subpixel>>,
    after: &ImageBuffer<P, Vec<P::Subpixel>>,
    mask: &GrayImage,
) -> (bool, usize) {
    assert_eq!((before.dimensions(), mask.dimensions()), (after.dimensions(), before.dimensions()));
    let pixels = || before.pixels().zip(after.pixels()).zip(mask.pixels());
    let kept = pixels().filter(|(_, white)| white.0[0] == 0).all(|((before, after), _)| before == after);
    (kept, pixels().filter(|((before, after), white)| white.0[0] == 255 && before != after).count())
}

/// A picture 16 bits deep, wider than high, turned by its EXIF: everything comes back but what is under the mask.
#[test]
fn deep_pictures_come_back_at_their_own_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let grey = ImageBuffer::from_fn(150, 100, |x, y| Luma([(x * 431 + y * 77 + 1) as u16]));
    let deep = DynamicImage::from(grey).into_rgb16();
    let mut profile = vec![0; 128];
    profile[16..20].copy_from_slice(b"RGB ");
    // Little-endian TIFF with one entry: turn by a quarter to the right.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let metadata = Metadata { icc: Some(profile), exif: Some(exif) };
    save(folder.path(), "in.png", &deep.into(), &metadata);
    let mask = GrayImage::from_fn(50, 75, |x, _| Luma([if x < 25 { 0 } else { 255 }]));
    mask.save(folder.path().join("hand.png")).expect("a picture");
    let files = ["--image", "in.png", "-o", "out.png", "--mask-out", "mask.png", "--json", "edit.json"];
    diffedit(
        folder.path(),
        &[&["edit", "--to", "zebra", "--mask", "hand.png", "--size", "64x96"], &files[..]].concat(),
    );

    let (before, after) = (load(folder.path(), "in.png"), load(folder.path(), "out.png"));
    assert_eq!(before.metadata, after.metadata);
    let (DynamicImage::ImageRgb16(before), DynamicImage::ImageRgb16(after)) = (before.pixels, after.pixels) else {
        panic!("the depth stays")
    };
    assert_eq!(after.dimensions(), (100, 150), "upright");
    let mask = load(folder.path(), "mask.png").pixels.into_luma8();
    assert!(mask.enumerate_pixels().all(|(x, _, white)| (white.0[0] == 255) == (x >= 50)));
    let (kept, changed) = compare(&before, &after, &mask);
    assert!(kept && changed > 6000, "{changed} pixels changed");
    let report = std::fs::read(folder.path().join("edit.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["settings"]["size"], serde_json::json!([64, 96]));
    assert_eq!((&report["picture"], &report["pasted-back"]), (&serde_json::json!([100, 150]), &true.into()));
}

/// Without a size the picture keeps its shape, at the model's area; transparency stays; and a thing is removed without
/// a mask by hand.
#[test]
fn transparent_pictures_keep_their_shape_and_transparency() {
    let folder = tempfile::tempdir().expect("a folder");
    let scene = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/scenes/0-horse-grass.png"));
    let scene = scene.expect("the scene").resize_exact(230, 60, image::imageops::FilterType::Triangle).into_rgba8();
    let glass = RgbaImage::from_fn(230, 60, |x, y| {
        let mut pixel = *scene.get_pixel(x, y);
        pixel[3] = if y < 20 { 0 } else { 255 - (x / 2) as u8 };
        pixel
    });
    save(folder.path(), "in.png", &glass.clone().into(), &Metadata::default());
    let remove = ["remove", "--image", "in.png", "--what", "horse", "--background", "grass", "--json", "remove.json"];
    diffedit(folder.path(), &[&remove[..], &["-o", "out.png", "--mask-out", "mask.png"]].concat());
    let DynamicImage::ImageRgba8(after) = load(folder.path(), "out.png").pixels else { panic!("it stays transparent") };
    let mask = load(folder.path(), "mask.png").pixels.into_luma8();
    let (kept, changed) = compare(&glass, &after, &mask);
    assert!(kept && changed > 0, "{changed} pixels changed");
    assert!(glass.pixels().zip(after.pixels()).all(|(before, after)| before[3] == after[3]));
    let report = std::fs::read(folder.path().join("remove.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let settings = &report["settings"];
    let side = |index: usize| settings["size"][index].as_u64().expect("a size") as u32;
    let aspect = f64::from(side(0)) / f64::from(side(1));
    assert!(side(0) % 8 == 0 && side(1) % 8 == 0 && (aspect / (230.0 / 60.0)).ln().abs() < 0.03, "{settings}");
    assert_eq!((&settings["from"], &settings["to"]), (&"horse".into(), &"grass".into()));

    diffedit(folder.path(), &[&remove[..], &["-o", "raw.png", "--raw"]].concat());
    let raw = load(folder.path(), "raw.png").pixels;
    assert_eq!((raw.width(), raw.height(), raw.color()), (side(0), side(1), image::ColorType::Rgb8));
}
