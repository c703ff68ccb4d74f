//! What Stable Diffusion 1.5 takes of a device, as planned from its configs: nothing is loaded or run.

mod support;

use diffedit::EditRequest;
use diffedit::device::{self, Capabilities, DeviceChoice};
use diffedit::edit::{MapSettings, MaskSource, MemoryPlan, Plans};
use diffedit::model::{Model, ModelFiles};
use image::RgbImage;

fn model() -> Model {
    let folder = tempfile::tempdir().expect("a folder");
    support::checkpoint::write_sd15_configs(folder.path());
    Model::describe(&ModelFiles::folder(folder.path()).expect("a model")).expect("its configs")
}

fn device(name: &str) -> Capabilities {
    device::capabilities(&DeviceChoice::Emulator(Some(name.into()))).expect("a device")
}

fn plan(model: &Model, size: (usize, usize), device: &Capabilities) -> MemoryPlan {
    let mut request = EditRequest::new(RgbImage::new(1, 1), "", "");
    request.size = Some(size);
    Plans::record(model, &request, device).expect("it is planned").memory()
}

#[test]
fn an_edit_of_512x512_fits_in_2_9_gb() {
    let model = model();
    for name in ["a100", "h100", "rtx4090", "rtx3090"] {
        let plan = plan(&model, (512, 512), &device(name));
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
        request.mask = MaskSource::Prompts(MapSettings { maps, strength: 0.5 });
        Plans::record(&model, &request, &device).expect("it is planned").memory()
    };
    let (few, many) = (plan(10), plan(100));
    assert_eq!(few.arena(), many.arena());
    assert_eq!((few.stages[1].runs, many.stages[1].runs), (2, 20));
    assert!(many.total() - few.total() < 10_000_000);
}

#[test]
fn every_size_up_to_the_largest_is_planned() {
    let (model, device) = (model(), device("a100"));
    for size in [(64, 64), (72, 104), (2048, 64), (1032, 2040), (2048, 2048)] {
        let plan = plan(&model, size, &device);
        println!("{size:?}: {:.1} MB", plan.total() as f64 / 1e6);
        assert!(plan.arena() > 0);
    }
}
