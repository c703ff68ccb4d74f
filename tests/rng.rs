//! The noise equals PyTorch's: goldens by `tools/goldens.py`.

mod goldens;

use diffedit::rng::TorchRng;
use goldens::Goldens;
use half::f16;

/// How far PyTorch's own vector and scalar paths lie apart.
const NORMALS_WITHIN: f32 = 2e-6;

#[test]
fn uniforms_are_torchs_to_the_bit() {
    let goldens = Goldens::open("rng");
    let cases = goldens.names_after("uniforms.");
    assert_eq!(cases.len(), 6);
    for seed in cases {
        let expected = goldens.f32(&format!("uniforms.{seed}"));
        let uniforms = TorchRng::new(seed.parse().expect("a seed")).uniforms(expected.len());
        assert_eq!(uniforms, expected, "seed {seed}");
    }
}

#[test]
fn normals_are_torchs_at_every_size() {
    let goldens = Goldens::open("rng");
    let cases = goldens.names_after("normals.");
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (seed, size) = case.split_once('.').expect("seed.size");
        let normals = TorchRng::new(seed.parse().expect("a seed")).randn(size.parse().expect("a size"));
        assert_normals(&normals, &goldens.f32(&format!("normals.{case}")), &case);
    }
}

#[test]
fn as_half_precision_hardly_a_normal_differs() {
    let expected = Goldens::open("rng").f32("normals.3.16384");
    let normals = TorchRng::new(3).randn(expected.len());
    assert_same_halves(normals, &expected, "16384 normals");
}

#[test]
fn draws_continue_one_stream() {
    let goldens = Goldens::open("rng");
    let mut rng = TorchRng::new(5);
    for index in 0..7 {
        let normals = format!("stream.{index}.normals");
        if goldens.has(&normals) {
            let expected = goldens.f32(&normals);
            assert_normals(&rng.randn(expected.len()), &expected, &format!("draw {index}"));
        } else {
            let expected = goldens.f32(&format!("stream.{index}.uniforms"));
            assert_eq!(rng.uniforms(expected.len()), expected, "draw {index}");
        }
    }
}

#[test]
fn noise_of_edits_is_the_references() {
    for case in goldens::cases().into_iter().filter(|case| Goldens::open(&case.name).has("noise.start")) {
        let tensors = Goldens::open(&case.name);
        let n: usize = tensors.shape("noise.start").iter().product();
        let maps = (0..case.maps).flat_map(|map| TorchRng::new(3 * map as u64).randn(n));
        assert_same_halves(maps, &tensors.f32("noise.maps"), &case.name);
        let mut rng = TorchRng::new(case.seed);
        assert_same_halves(rng.randn(n), &tensors.f32("noise.start"), &case.name);
        let steps = tensors.shape("noise.steps")[0];
        assert_same_halves((0..steps).flat_map(|_| rng.randn(n)), &tensors.f32("noise.steps"), &case.name);
    }
}

/// 99.9% of the values are equal after rounding to half precision.
fn assert_same_halves(values: impl IntoIterator<Item = f32>, expected: &[f32], case: &str) {
    let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
    assert_eq!(values.len(), expected.len(), "{case}");
    let equal = values.iter().zip(expected).filter(|(value, expected)| **value == f16::from_f32(**expected)).count();
    assert!(equal * 1000 >= expected.len() * 999, "{case}: {equal} of {} are equal", expected.len());
}

fn assert_normals(normals: &[f32], expected: &[f32], case: &str) {
    assert_eq!(normals.len(), expected.len(), "{case}");
    for (index, (normal, expected)) in normals.iter().zip(expected).enumerate() {
        let error = (normal - expected).abs();
        assert!(error <= NORMALS_WITHIN, "{case}: normal {index} is {normal}, torch's {expected}");
    }
}
