//! The VAE in bands of rows against the whole: the same bits, whatever the bands, in less memory.

mod support;

use diffedit::EditRequest;
use diffedit::device::{self, DeviceChoice};
use diffedit::edit::{Plans, VaeTiling};
use diffedit::model::{Bands, Model, ModelFiles, Parts};
use diffedit::plan::{Layout, Plan, Tensor};
use half::f16;
use image::RgbImage;
use support::{Random, device, run_for, upload};

/// Heights and widths of latents: not multiples of a band, and of which one is larger than the other.
const SIZES: [[usize; 2]; 2] = [[9, 12], [13, 8]];

/// A few rows of the widest layer, and so few that every layer is cut somewhere.
const BANDS: [Bands; 2] = [Bands { bytes: 48 << 10 }, Bands { bytes: 5 << 10 }];

fn model() -> Model {
    let parts = Parts::open(&ModelFiles::demo()).expect("the demo model is whole");
    Model::load(device(), &parts, &mut |_| ()).expect("the demo model loads")
}

/// Random numbers in the first `used` of eight channels, zeros in the others.
fn picture(height: usize, width: usize, used: usize) -> Tensor {
    let mut random = Random::new(7);
    let pixel = |_| -> [f16; 8] {
        std::array::from_fn(|channel| f16::from_f32(if channel < used { random.normal() } else { 0.0 }))
    };
    let values: Vec<f16> = (0..height * width).flat_map(pixel).collect();
    upload(&[1, height, width, 8], &values)
}

/// The bits of what a half of the VAE gives, and the bytes and launches that it takes.
fn compute(record: impl FnOnce(&mut Plan) -> Tensor) -> (Vec<u32>, usize, usize) {
    let mut plan = Plan::new(device().capabilities());
    let output = record(&mut plan);
    let bits = run_for(&mut plan, &output).into_iter().map(f32::to_bits).collect();
    (bits, Layout::new(&plan).bytes, plan.launches().len())
}

#[test]
fn decoding_and_encoding_in_bands_give_the_bits_of_the_whole() {
    let model = model();
    for [height, width] in SIZES {
        let latents = picture(height, width, 4);
        let decode = |bands| compute(|plan| model.vae.record_decode_in(plan, &latents, bands).expect("it fits"));
        let pixels = picture(8 * height, 8 * width, 3);
        let encode = |bands| compute(|plan| model.vae.record_encode_in(plan, &pixels, bands).expect("it fits"));
        let (decoded, decoded_bytes, decoded_launches) = decode(None);
        let (encoded, encoded_bytes, encoded_launches) = encode(None);
        for bands in BANDS {
            let case = format!("{height}x{width} in {bands:?}");
            let (bits, bytes, launches) = decode(Some(bands));
            assert!(launches > 2 * decoded_launches, "{case}: {launches} launches, {decoded_launches} for the whole");
            assert!(bits == decoded, "{case}: other bits");
            println!("decoding {case}: {bytes} bytes for {decoded_bytes}");
            assert!(3 * bytes < 2 * decoded_bytes, "{case}: {bytes} bytes, {decoded_bytes} for the whole");
            let (bits, bytes, launches) = encode(Some(bands));
            assert!(launches > 2 * encoded_launches, "{case}: {launches} launches, {encoded_launches} for the whole");
            assert!(bits == encoded, "{case}: other bits");
            println!("encoding {case}: {bytes} bytes for {encoded_bytes}");
            assert!(bytes < encoded_bytes, "{case}: {bytes} bytes, {encoded_bytes} for the whole");
        }
    }
}

#[test]
fn large_pictures_are_cut_where_memory_is_short() {
    let folder = tempfile::tempdir().expect("a folder");
    support::checkpoint::write_sd15_configs(folder.path());
    let model = Model::describe(&ModelFiles::folder(folder.path()).expect("a model")).expect("its configs");
    let choice = DeviceChoice::Emulator(Some("a100".into()));
    let mut device = device::capabilities(&choice).expect("a device");
    let mut request = EditRequest::new(RgbImage::new(1, 1), "", "");
    request.size = Some((2048, 2048));
    let mut plan = |tiling, memory_bytes| {
        request.vae_tiling = tiling;
        device.memory_bytes = memory_bytes;
        Plans::record(&model, &request, &device).expect("it is planned").memory()
    };
    let (large, small) = (80 << 30, 6 << 30);
    let whole = plan(VaeTiling::Auto, large);
    assert!(!whole.vae_tiled && whole.total() > small as usize);
    let cut = plan(VaeTiling::Auto, small);
    println!("2048x2048: {:.1} MB whole, {:.1} MB in parts", whole.total() as f64 / 1e6, cut.total() as f64 / 1e6);
    assert!(cut.vae_tiled && 2 * cut.arena() < whole.arena(), "{cut:?}");
    assert_eq!(plan(VaeTiling::On, large), cut);
    assert_eq!(plan(VaeTiling::Off, small), whole);
}
