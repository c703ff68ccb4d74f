//! Configs and checkpoints of Stable Diffusion 1.5's shape, with weights that mean nothing.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use diffedit::model::{UNet, UNetConfig};
use half::f16;
use serde_json::{Map, Value, json};

/// The config of Stable Diffusion 1.5's UNet, its four widths multiples of `width`: 320 in the original.
pub fn unet_config(width: usize) -> Value {
    let cross = |name: &str| format!("CrossAttn{name}");
    json!({
        "act_fn": "silu",
        "attention_head_dim": 8,
        "block_out_channels": [width, 2 * width, 4 * width, 4 * width],
        "cross_attention_dim": 768,
        "down_block_types": [cross("DownBlock2D"), cross("DownBlock2D"), cross("DownBlock2D"), "DownBlock2D"],
        "flip_sin_to_cos": true,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": 2,
        "norm_eps": 1e-5,
        "norm_num_groups": 32,
        "out_channels": 4,
        "sample_size": 64,
        "up_block_types": ["UpBlock2D", cross("UpBlock2D"), cross("UpBlock2D"), cross("UpBlock2D")],
    })
}

/// Writes the configs of Stable Diffusion 1.5, and no weights.
pub fn write_sd15_configs(folder: &Path) {
    let vae = json!({
        "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 3,
    });
    let text = json!({
        "hidden_act": "quick_gelu",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "max_position_embeddings": 77,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "vocab_size": 49408,
    });
    let scheduler: Value =
        serde_json::from_slice(include_bytes!("../../models/demo/scheduler/scheduler_config.json")).expect("JSON");
    let files = [
        ("unet/config.json", unet_config(320)),
        ("vae/config.json", vae),
        ("text_encoder/config.json", text),
        ("scheduler/scheduler_config.json", scheduler),
    ];
    for (name, config) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, config.to_string()).expect("a config");
    }
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
