//! Random weights from a seed, the same to the bit as `tools/random_weights.py` makes them, which says how and why.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use diffedit::weights::{Checkpoint, Naming, WeightFile};
use half::f16;
use half::slice::HalfFloatSliceExt;

const SEED: u64 = 15;

/// The tensor of that name in a diffusers checkpoint.
pub fn random_weights(name: &str, shape: &[usize]) -> Vec<f16> {
    let count = shape.iter().product();
    // The standard deviation of a sum of four uniform 16-bit numbers.
    let unit = (4.0 * f64::from(u32::MAX) / 12.0).sqrt();
    let (centre, spread) = distribution(name, shape);
    let (centre, scale) = (centre as f32, (spread / unit) as f32);
    let key = fnv1a(name) ^ SEED;
    let values: Vec<f32> = (1..=count as u64).map(|index| centre + four_parts(split_mix(key, index)) * scale).collect();
    let mut weights = vec![f16::ZERO; count];
    weights.convert_from_f32_slice(&values);
    weights
}

/// Centre and standard deviation of a tensor's elements.
fn distribution(name: &str, shape: &[usize]) -> (f64, f64) {
    if name.ends_with(".bias") {
        return (0.0, 0.1);
    }
    if shape.len() == 1 {
        return (1.0, 0.1);
    }
    if name.contains("text_model.embeddings") {
        return (0.0, 1.0);
    }
    let inputs: usize = shape[1..].iter().product();
    (0.0, gain(name.strip_suffix(".weight").unwrap_or(name)) / (inputs as f64).sqrt())
}

fn gain(layer: &str) -> f64 {
    let is_one_of = |ends: &[&str]| ends.iter().any(|end| layer.ends_with(end));
    if is_one_of(&[".conv2", ".to_out.0", ".ff.net.2", ".proj_out", ".out_proj", ".mlp.fc2"]) {
        0.5
    } else if is_one_of(&[".to_q", ".to_k", ".q_proj", ".k_proj", "conv_out"]) {
        1.5
    } else {
        1.0
    }
}

/// The 64-bit hash FNV-1a.
fn fnv1a(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    text.bytes().fold(0xCBF2_9CE4_8422_2325, step)
}

/// Output `index`, from 1, of SplitMix64 seeded by the key.
fn split_mix(key: u64, index: u64) -> u64 {
    let mut z = index.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(key);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The sum of the four 16-bit parts, moved to a mean of zero.
fn four_parts(hash: u64) -> f32 {
    let part = |index: u32| (hash >> (16 * index)) as i32 & 0xFFFF;
    (part(0) + part(1) + part(2) + part(3) - 2 * 0xFFFF) as f32
}

/// A checkpoint of random weights of these names and shapes. It stays in memory until the program ends.
pub fn random_checkpoint(shapes: &BTreeMap<String, Vec<usize>>) -> Checkpoint {
    let mut end = 0;
    let entries = shapes.iter().map(|(name, shape)| {
        let begin = end;
        end += size_of::<f16>() * shape.iter().product::<usize>();
        (name.clone(), serde_json::json!({"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}))
    });
    let mut header = serde_json::Value::Object(entries.collect()).to_string();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.bytes());
    for (name, shape) in shapes {
        bytes.extend(bytemuck::cast_slice::<f16, u8>(&random_weights(name, shape)));
    }
    let file = WeightFile::from_static(Path::new("(random weights)"), bytes.leak()).expect("a whole file");
    Checkpoint::of_file(&Arc::new(file), Naming::default()).expect("names differ")
}
