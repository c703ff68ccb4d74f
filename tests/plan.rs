//! What Stable Diffusion 1.5 takes of a device, as planned from its configs: nothing is loaded or run.

use std::path::Path;

use diffedit::EditRequest;
use diffedit::device::{self, Capabilities, DeviceChoice};
use diffedit::edit::{MapSettings, MaskSource, MemoryPlan, Plans, VaeTiling};
use diffedit::model::{Model, ModelFiles};
use image::RgbImage;

fn model() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/sd15");
    Model::describe(&ModelFiles::folder(&folder).expect("a model")).expect("its configs")
}

fn device(name: &str) -> Capabilities {
    device::capabilities(&DeviceChoice::Emulator(Some(name.into()))).expect("a device")
}

fn plan(model: &Model, size: (usize, usize), device: &Capabilities, vae_tiling: VaeTiling) -> MemoryPlan {
    let mut request = EditRequest::new(RgbImage::new(1, 1), "", "");
    (request.size, request.vae_tiling) = (Some(size), vae_tiling);
    Plans::record(model, &request, device).expect("it is planned").memory()
}

#[test]
fn an_edit_of_512x512_fits_in_2_9_gb() {
    let model = model();
    for name in ["a100", "h100", "rtx4090", "rtx3090"] {
        let plan = plan(&model, (512, 512), &device(name), VaeTiling::Auto);
        println!("{name}: {:.1} MB", plan.total() as f64 / 1e6);
        assert!(plan.total() <= 2_900_000_000, "{name}: {plan:?}");
        // 860 M of the UNet, 123 M of the text encoder and 84 M of the VAE, in fp16.
        let weights: usize = plan.weights.iter().map(|(_, bytes)| bytes).sum();
        assert!((2_130_000_000..2_140_000_000).contains(&weights), "{weights} bytes of weights");
    }
}

#[test]
fn more_maps_take_more_calls_and_hardly_more_memory() {
    let (model, device) = (model(), device("a100"));
    let plan = |maps| {
        let mut request = EditRequest::new(RgbImage::new(1, 1), "", "");
        request.mask = MaskSource::Prompts(MapSettings { maps, ..MapSettings::default() });
        Plans::record(&model, &request, &device).expect("it is planned").memory()
    };
    let (few, many) = (plan(10), plan(100));
    assert_eq!(few.arena(), many.arena());
    assert_eq!((few.stages[1].runs, many.stages[1].runs), (2, 20));
    assert!(many.total() - few.total() < 10_000_000);
}

#[test]
fn a_larger_batch_takes_fewer_calls_and_more_memory() {
    let (model, device) = (model(), device("a100"));
    let plan = |batch| {
        let mut request = EditRequest::new(RgbImage::new(1, 1), "", "");
        request.mask = MaskSource::Prompts(MapSettings { batch, ..MapSettings::default() });
        Plans::record(&model, &request, &device).expect("it is planned").memory()
    };
    let [unsaid, five, one, all] = [None, Some(5), Some(1), Some(1000)].map(plan);
    assert_eq!(unsaid, five);
    assert_eq!([one.stages[1].runs, five.stages[1].runs, all.stages[1].runs], [10, 2, 1]);
    let arenas = [&one, &five, &all].map(|plan| plan.stages[1].arena);
    assert!(arenas.is_sorted_by(|a, b| a < b), "{arenas:?}");
}

#[test]
fn every_size_up_to_the_largest_is_planned_whole_and_in_parts() {
    let (model, device) = (model(), device("a100"));
    for size in [(64, 64), (72, 104), (2048, 64), (512, 512), (768, 768), (1024, 1024), (1032, 2040), (2048, 2048)] {
        let whole = plan(&model, size, &device, VaeTiling::Off);
        let cut = plan(&model, size, &device, VaeTiling::On);
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        println!(
            "{size:?}: {:.1} MB between the stages, {:.1} MB of arena, {:.1} MB in all; {:.1} MB in parts",
            megabytes(whole.state),
            megabytes(whole.arena()),
            megabytes(whole.total()),
            megabytes(cut.total())
        );
        assert!(cut.vae_tiled && !whole.vae_tiled && cut.arena() <= whole.arena());
    }
}

#[test]
fn the_vae_is_cut_where_memory_is_short() {
    let (model, mut device) = (model(), device("a100"));
    let mut planned = |tiling, memory_bytes| {
        device.memory_bytes = memory_bytes;
        plan(&model, (2048, 2048), &device, tiling)
    };
    let (large, small) = (80 << 30, 6 << 30);
    let whole = planned(VaeTiling::Auto, large);
    assert!(!whole.vae_tiled && whole.total() > small as usize);
    let cut = planned(VaeTiling::Auto, small);
    assert!(cut.vae_tiled && 2 * cut.arena() < whole.arena(), "{cut:?}");
    assert_eq!(planned(VaeTiling::On, large), cut);
    assert_eq!(planned(VaeTiling::Off, small), whole);
}
