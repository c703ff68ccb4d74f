//! A UNet call and the whole edit of the demo model: `cargo bench --bench edit`.

mod common;

use std::ops::ControlFlow;

use common::{Sensors, hash, program, sized, support};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diffedit::device::DeviceChoice;
use diffedit::edit::{MapSettings, MaskSource};
use diffedit::model::ModelFiles;
use diffedit::{EditRequest, Editor, EditorOptions};

fn editor() -> Editor {
    let device: DeviceChoice = support::device_choice();
    let options = EditorOptions { device, compiler: support::compiler(), separate_memory: false };
    Editor::open(&ModelFiles::demo(), options, &mut |_| ()).expect("the demo model opens")
}

/// An edit with the model's own settings; in the tests the least of one.
fn request() -> EditRequest {
    let picture = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/scenes/0-horse-grass.png"));
    let mut request = EditRequest::new(picture.expect("a picture").to_rgb8(), "horse", "zebra");
    request.take_defaults(&ModelFiles::demo()).expect("the model's defaults");
    request.steps = sized(request.steps, 3);
    request.mask = MaskSource::Prompts(MapSettings { maps: sized(10, 1), ..MapSettings::default() });
    request
}

fn unet(criterion: &mut Criterion) {
    let editor = editor();
    let plans = editor.plans(&request()).expect("the edit is planned");
    plans.allocate(editor.device()).expect("memory");
    let step = program(editor.device(), &plans.step);
    let before = Sensors::read();
    let mut group = criterion.benchmark_group("unet");
    group.sample_size(10).throughput(Throughput::Elements(plans.step.macs()));
    // The step counter is never reset: past the last step the kernel would trap, so each call starts over.
    group.bench_function("denoising step", |bencher| {
        bencher.iter(|| {
            plans.rewind(editor.device()).expect("the counter resets");
            step.run(editor.device()).expect("the step runs");
            editor.device().synchronize().expect("the step runs");
        });
    });
    println!("unet: {} launches{}", plans.step.launches().len(), Sensors::since(before));
}

fn edit(criterion: &mut Criterion) {
    let mut editor = editor();
    let request = request();
    let before = Sensors::read();
    let mut group = criterion.benchmark_group("edit");
    group.sample_size(10);
    let mut result = None;
    group.bench_function("horse to zebra", |bencher| {
        bencher.iter(|| result = Some(editor.edit(&request, &mut |_| ControlFlow::Continue(())).expect("an edit")));
    });
    let result = result.expect("the bench ran");
    let values: Vec<f32> = result.picture.as_raw().iter().map(|&value| f32::from(value)).collect();
    println!("edit: result {:016x}, {} MACs{}", hash(&values), result.macs, Sensors::since(before));
}

criterion_group!(benches, unet, edit);
criterion_main!(benches);
