//! What ARCHITECTURE.md promises of a run: its bits, its transfers, its memory.
//!
//! One test after another: the emulator's settings and counters are the process's.

mod support;

use std::ops::ControlFlow;

use diffedit::device::DeviceChoice;
use diffedit::edit::{Event, MapSettings, MaskSource, Plans};
use diffedit::model::{Model, ModelFiles};
use diffedit::plan::{Arg, Layout, Plan};
use diffedit::{EditRequest, EditResult, Editor, EditorOptions, Error};

const STEPS: usize = 6;

fn open(separate_memory: bool) -> Editor {
    let options = EditorOptions { device: support::device_choice(), compiler: support::compiler(), separate_memory };
    Editor::open(&ModelFiles::demo(), options, &mut |_| ()).expect("the demo model opens")
}

/// A short edit of the demo's picture: every stage, few steps, at half its side.
fn request() -> EditRequest {
    let picture = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/scenes/0-horse-grass.png"));
    let mut request = EditRequest::new(picture.expect("the scene").to_rgb8(), "horse", "zebra");
    request.size = Some((128, 128));
    request.steps = STEPS;
    request.strength = 1.0;
    request.mask = MaskSource::Prompts(MapSettings { maps: 3, ..MapSettings::default() });
    request.mask_settings.threshold = 0.25;
    request
}

fn edit(editor: &mut Editor, request: &EditRequest) -> EditResult {
    editor.edit(request, &mut |_| ControlFlow::Continue(())).expect("the edit runs")
}

/// All that an edit computed: map, mask and picture.
fn bits(result: &EditResult) -> (Vec<u32>, Vec<u8>, Vec<u8>) {
    let map = result.map.as_ref().expect("a map").values().iter().map(|value| value.to_bits()).collect();
    (map, result.mask.cells().to_vec(), result.picture.as_raw().clone())
}

fn emulated() -> bool {
    matches!(support::device_choice(), DeviceChoice::Emulator(_))
}

#[test]
fn promises() {
    let mut editor = open(false);
    let first = edit(&mut editor, &request());
    let expected = bits(&first);
    assert!(first.mask.cells().contains(&1) && first.mask.cells().contains(&0), "the mask cuts something out");

    same_bits_again(&mut editor, &expected);
    same_bits_with_figures(&mut editor, &expected);
    same_bits_in_every_batch(&mut editor, &expected);
    same_bits_in_separate_memory(&expected);
    if emulated() {
        same_bits_under_every_schedule(&mut editor, &expected);
        counted(&mut editor);
    }
    cancelled(&mut editor, &expected);
    plans_hold_no_large_intermediates(&editor);
    memory_is_as_planned(editor);
}

/// However many maps share a call of the UNet.
fn same_bits_in_every_batch(editor: &mut Editor, expected: &(Vec<u32>, Vec<u8>, Vec<u8>)) {
    for batch in [1, 2] {
        let mut request = request();
        request.mask = MaskSource::Prompts(MapSettings { maps: 3, batch: Some(batch), ..MapSettings::default() });
        let result = editor.mask(&request, &mut |_| ControlFlow::Continue(())).expect("the mask is found");
        let (map, mask, _) = bits(&result);
        assert!((&map, &mask) == (&expected.0, &expected.1), "maps in batches of {batch}");
    }
}

fn same_bits_again(editor: &mut Editor, expected: &(Vec<u32>, Vec<u8>, Vec<u8>)) {
    assert_eq!(bits(&edit(editor, &request())), *expected, "the same edit again");
    let mut other = request();
    other.steps = 3;
    other.target = "cow".into();
    edit(editor, &other);
    assert_eq!(bits(&edit(editor, &request())), *expected, "the same edit after another");
}

/// Figures run the unconditional prediction too, and another batch: neither may change the mask.
fn same_bits_with_figures(editor: &mut Editor, expected: &(Vec<u32>, Vec<u8>, Vec<u8>)) {
    let result = edit(editor, &EditRequest { figures: true, dump: true, ..request() });
    assert_eq!(bits(&result), *expected, "with figures");
    let figures = result.figures.expect("asked for");
    assert_eq!(figures.steps.last().expect("steps").0, STEPS);
}

fn same_bits_in_separate_memory(expected: &(Vec<u32>, Vec<u8>, Vec<u8>)) {
    let mut editor = open(true);
    assert_eq!(bits(&edit(&mut editor, &request())), *expected, "every tensor in memory of its own");
}

fn same_bits_under_every_schedule(editor: &mut Editor, expected: &(Vec<u32>, Vec<u8>, Vec<u8>)) {
    let defaults = cuda_emulator::Config::from_environment().expect("a configuration");
    for (threads, seed) in [(1, 0), (2, 1), (1, 2), (3, 3)] {
        let config = cuda_emulator::Config { threads, seed, quiet: true, ..defaults.clone() };
        cuda_emulator::configure(config).expect("threads and seed may change");
        assert_eq!(bits(&edit(editor, &request())), *expected, "{threads} threads, seed {seed}");
    }
    cuda_emulator::configure(defaults).expect("back to the defaults");
}

/// The second edit of a kind: nothing but its pictures, ids and noise crosses, and the loops only launch graphs.
fn counted(editor: &mut Editor) {
    let request = request();
    edit(editor, &request);
    cuda_emulator::reset_statistics();
    let mut at_last_step = None;
    let mut observer = |event| {
        if let Event::Step { done: STEPS, .. } = event {
            at_last_step = Some(cuda_emulator::statistics());
        }
        ControlFlow::Continue(())
    };
    editor.edit(&request, &mut observer).expect("the edit runs");
    let counted = cuda_emulator::statistics();
    let at_last_step = at_last_step.expect("the loop ended");

    let (pixels, picture) = (16 * 16, 128 * 128 * 3);
    let noise = 2 * 4 * pixels * (3 + 1 + STEPS as u64 - 1);
    assert_eq!(counted.host_to_device_copies, 5, "picture, ids, and the noise of maps, start and steps");
    assert_eq!(counted.host_to_device_bytes, picture + 4 * 3 * 77 + noise);
    assert_eq!(counted.device_to_host_copies, 3, "picture, mask, map");
    assert_eq!(counted.device_to_host_bytes, picture + pixels + 4 * pixels);
    assert_eq!(counted.graph_launches, STEPS as u64, "a step is one graph launch");
    assert_eq!((counted.allocations, counted.frees, counted.module_loads), (0, 0, 0), "all was there before");
    assert_eq!(at_last_step.synchronisations, 0, "nothing waits before the last step is done");
    assert_eq!(at_last_step.device_to_host_copies, 0, "nothing comes back before the last step is done");
}

/// Breaking off leaves the editor ready for the next edit.
fn cancelled(editor: &mut Editor, expected: &(Vec<u32>, Vec<u8>, Vec<u8>)) {
    let mut seen = 0;
    let mut observer = |event| {
        let Event::Step { done, .. } = event else { return ControlFlow::Continue(()) };
        seen = done;
        if done < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let error = editor.edit(&request(), &mut observer).expect_err("it was cancelled");
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(seen, 2);
    assert_eq!(bits(&edit(editor, &request())), *expected, "the edit after a cancelled one");
}

/// What is planned from the configs alone is what a run allocates, to the byte, and no stage takes more on the way.
fn memory_is_as_planned(mut editor: Editor) {
    let described = Model::describe(&ModelFiles::demo()).expect("the demo model's configs");
    let requests =
        [request(), EditRequest { figures: true, dump: true, ..request() }, EditRequest { steps: 2, ..request() }];
    let mut largest = editor.device().peak_bytes();
    for request in requests {
        let planned = Plans::record(&described, &request, editor.device().capabilities()).expect("it is planned");
        let planned = planned.memory().total();
        edit(&mut editor, &request);
        assert_eq!(editor.device().allocated_bytes(), planned);
        largest = largest.max(planned);
        assert_eq!(editor.device().peak_bytes(), largest, "a stage took more");
    }
    let device = editor.device().clone();
    drop(editor);
    assert_eq!(device.allocated_bytes(), 0, "all of it is given back");
}

/// No tensor is as large as unrolled convolution windows (nine times the activations) or attention's scores (here four
/// times) would be, and the arena is smaller than its tensors together. A GEGLU's output is the largest there is.
fn plans_hold_no_large_intermediates(editor: &Editor) {
    let plans = editor.plans(&request()).expect("the edit is planned");
    for plan in plans.all() {
        let largest_operand = plan
            .launches()
            .iter()
            .flat_map(|launch| launch.args.iter().filter_map(Arg::tensor))
            .filter(|tensor| tensor.shape().len() == 4)
            .map(|tensor| tensor.bytes())
            .max()
            .unwrap_or(0);
        for bytes in plan.tensor_bytes() {
            assert!(
                bytes <= (2 * largest_operand).max(1 << 16),
                "{bytes} bytes where activations take {largest_operand}"
            );
        }
    }
    let step: &Plan = &plans.step;
    let together: usize = step.tensor_bytes().sum();
    let arena = Layout::new(step).bytes;
    assert!(arena * 4 < together, "an arena of {arena} bytes for tensors of {together}");
}
