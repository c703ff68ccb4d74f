//! A UNet's checkpoint of Stable Diffusion 1.5's topology, with weights that mean nothing.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use diffedit::model::{UNet, UNetConfig};
use half::f16;
use serde_json::{Map, Value, json};

/// The config of Stable Diffusion 1.5's UNet, its four widths multiples of `width`: 320 in the original.
pub fn unet_config(width: usize) -> UNetConfig {
    let original = include_bytes!("../../models/sd15/unet/config.json");
    let mut config: UNetConfig = serde_json::from_slice(original).expect("a config");
    config.block_out_channels = vec![width, 2 * width, 4 * width, 4 * width];
    config
}

/// How a checkpoint stores its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    F16,
    F32,
}

/// Writes a UNet's checkpoint, a block of numbers again and again, and gives its bytes.
pub fn write_unet(path: &Path, config: &UNetConfig, stored: Stored) -> u64 {
    let (dtype, size) = if stored == Stored::F16 { ("F16", 2) } else { ("F32", 4) };
    let mut header = Map::new();
    let mut total = 0;
    for (name, shape) in UNet::tensors(config.clone()).expect("a UNet") {
        let bytes = shape.iter().product::<usize>() * size;
        header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [total, total + bytes] }));
        total += bytes;
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));

    let mut random = super::Random::new(1);
    let values = std::iter::repeat_with(|| 0.02 * random.normal()).take(1 << 18);
    let block: Vec<u8> = match stored {
        Stored::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
        Stored::F32 => values.flat_map(f32::to_le_bytes).collect(),
    };
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("written");
    file.write_all(header.as_bytes()).expect("written");
    let mut left = total;
    while left > 0 {
        let now = left.min(block.len());
        file.write_all(&block[..now]).expect("written");
        left -= now;
    }
    file.flush().expect("written");
    (8 + header.len() + total) as u64
}
