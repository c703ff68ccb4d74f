//! The summed differences against their definition in f64.

mod support;

use diffedit::Error;
use diffedit::ops::difference::{Difference, Guided};
use diffedit::plan::{DType, Plan, Tensor};
use half::f16;
use support::{Random, assert_within, device, poisoned, read, run, upload, upload_f32, widen};

const GUIDANCE: f32 = 7.5;
const HEIGHT: usize = 7;
const WIDTH: usize = 9;
const PIXELS: usize = HEIGHT * WIDTH;

/// Predictions of `maps` maps for `prompts` prompts, and the tensor of all of them.
fn predictions(maps: usize, prompts: usize) -> Vec<f16> {
    Random::new(12).halves(maps * prompts * PIXELS * 4, 1.0)
}

fn shape(samples: usize) -> [usize; 4] {
    [samples, HEIGHT, WIDTH, 4]
}

/// What the operator leaves behind.
struct Results {
    sum: Vec<f32>,
    maps: Vec<f32>,
    guided: Option<Vec<f32>>,
}

/// Runs the maps in launches of at most `chunk`.
fn accumulate(predictions: &Tensor, prompts: usize, chunk: usize) -> Results {
    let maps = predictions.dim(0) / prompts;
    let sum = poisoned(DType::F32, &[HEIGHT, WIDTH, 4]);
    let means = poisoned(DType::F32, &[maps, HEIGHT, WIDTH]);
    let guided = (prompts == 3).then(|| poisoned(DType::F32, &shape(2)));
    let mut plan = Plan::new(device().capabilities());
    for start in (0..maps).step_by(chunk) {
        let count = chunk.min(maps - start);
        let difference = Difference {
            predictions: &predictions.slice(start * prompts, count * prompts),
            sum: &sum,
            first: start == 0,
            maps: Some(&means.slice(start, count)),
            guided: guided.as_ref().map(|mean| Guided { mean, guidance: GUIDANCE, weight: 1.0 / maps as f32 }),
        };
        difference.record(&mut plan).expect("the shapes fit");
    }
    run(&plan);
    Results { sum: read(&sum), maps: read(&means), guided: guided.as_ref().map(read) }
}

#[test]
fn sums_agree_with_the_definition() {
    for (maps, prompts) in [(10, 2), (1, 2), (4, 3)] {
        let case = format!("{maps} maps, {prompts} prompts");
        let halves = predictions(maps, prompts);
        let at = |map: usize, prompt: usize, index: usize| -> f64 {
            halves[(map * prompts + prompt) * PIXELS * 4 + index].to_f64()
        };
        let distance = |map: usize, index: usize| (at(map, prompts - 1, index) - at(map, prompts - 2, index)).abs();
        let sum: Vec<f64> = (0..PIXELS * 4).map(|index| (0..maps).map(|map| distance(map, index)).sum()).collect();
        let means: Vec<f64> = (0..maps * PIXELS)
            .map(|index| (0..4).map(|c| distance(index / PIXELS, index % PIXELS * 4 + c)).sum::<f64>() / 4.0)
            .collect();
        let guided: Vec<f64> = (0..2 * PIXELS * 4)
            .map(|index| {
                let (prompt, index) = (1 + index / (PIXELS * 4), index % (PIXELS * 4));
                let guide =
                    |map| at(map, 0, index) + f64::from(GUIDANCE) * (at(map, prompt, index) - at(map, 0, index));
                if prompts == 3 { (0..maps).map(guide).sum::<f64>() / maps as f64 } else { 0.0 }
            })
            .collect();

        let tensors = [upload(&shape(maps * prompts), &halves), upload_f32(&shape(maps * prompts), &widen(&halves))];
        for tensor in tensors {
            let results = accumulate(&tensor, prompts, maps);
            assert_within(&case, &results.sum, &sum, 1e-6);
            assert_within(&case, &results.maps, &means, 1e-6);
            assert_eq!(results.guided.is_some(), prompts == 3);
            if let Some(actual) = results.guided {
                assert_within(&case, &actual, &guided, 1e-6);
            }
        }
    }
}

#[test]
fn cutting_the_maps_changes_no_bit() {
    let tensor = upload(&shape(30), &predictions(10, 3));
    let whole = accumulate(&tensor, 3, 10);
    for chunk in [1, 3, 7] {
        let cut = accumulate(&tensor, 3, chunk);
        assert!(cut.sum == whole.sum && cut.maps == whole.maps && cut.guided == whole.guided, "chunks of {chunk}");
    }
}

#[test]
fn an_odd_number_of_predictions_is_refused() {
    let predictions = upload(&shape(3), &predictions(3, 1));
    let sum = poisoned(DType::F32, &[HEIGHT, WIDTH, 4]);
    let difference = Difference { predictions: &predictions, sum: &sum, first: true, maps: None, guided: None };
    let result = difference.record(&mut Plan::new(device().capabilities()));
    assert!(matches!(result, Err(Error::Shape { op: "difference", .. })));
}
