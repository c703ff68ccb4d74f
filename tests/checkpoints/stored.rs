//! Checkpoints written anew: the miniature's tensors in every layout that people have, and in ways that are wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

/// The folder of the miniature.
pub fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo")
}

/// The weights of the miniature's parts, below its folder.
pub const TEXT: &str = "text_encoder/model.safetensors";
pub const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
pub const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

/// One tensor as a file holds it.
#[derive(Clone)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Stored {
    pub fn halves(shape: &[usize], value: f32) -> Stored {
        let count = shape.iter().product();
        let bytes = f16::from_f32(value).to_le_bytes().repeat(count);
        Stored { dtype: Dtype::F16, shape: shape.to_vec(), bytes }
    }

    fn values(&self) -> impl Iterator<Item = f16> {
        assert_eq!(self.dtype, Dtype::F16);
        self.bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes))
    }

    /// The same values in single precision.
    pub fn widened(&self) -> Stored {
        let bytes = self.values().flat_map(|value| value.to_f32().to_le_bytes()).collect();
        Stored { dtype: Dtype::F32, shape: self.shape.clone(), bytes }
    }

    /// Rounded to bf16.
    pub fn as_bf16(&self) -> Stored {
        let bytes = self.values().flat_map(|value| bf16::from_f32(value.to_f32()).to_le_bytes()).collect();
        Stored { dtype: Dtype::BF16, shape: self.shape.clone(), bytes }
    }
}

/// The tensors of a file.
#[derive(Clone, Default)]
pub struct Tensors(pub BTreeMap<String, Stored>);

impl Tensors {
    pub fn read(path: &Path) -> Tensors {
        let bytes = fs::read(path).expect("a readable file");
        let file = SafeTensors::deserialize(&bytes).expect("a whole file");
        let stored = |view: TensorView| Stored {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        Tensors(file.tensors().into_iter().map(|(name, view)| (name, stored(view))).collect())
    }

    /// A file of the miniature.
    pub fn of_demo(file: &str) -> Tensors {
        Tensors::read(&demo().join(file))
    }

    pub fn bytes(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(name, stored)| {
            let view = TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes);
            (name, view.unwrap_or_else(|error| panic!("{name}: {error}")))
        });
        serialize(views, None).expect("it serialises")
    }

    pub fn write(&self, path: &Path) {
        fs::write(path, self.bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn map(self, change: impl Fn(&Stored) -> Stored) -> Tensors {
        Tensors(self.0.into_iter().map(|(name, stored)| (name, change(&stored))).collect())
    }

    pub fn rename(self, rename: impl Fn(&str) -> String) -> Tensors {
        Tensors(self.0.into_iter().map(|(name, stored)| (rename(&name), stored)).collect())
    }

    pub fn and(mut self, other: Tensors) -> Tensors {
        self.0.extend(other.0);
        self
    }

    pub fn get_mut(&mut self, name: &str) -> &mut Stored {
        self.0.get_mut(name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

/// A copy of the miniature's folder: links to its files, which stay what they are, until one is replaced.
pub fn linked_demo(folder: &Path) {
    link(&demo(), folder);
}

fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            link(&path, &target);
        } else {
            std::os::unix::fs::symlink(&path, &target).expect("a link");
        }
    }
}

/// Gives a copy of the miniature a tokenizer of bytes alone, which is read at once.
pub fn small_tokenizer(folder: &Path) {
    let printable = (33..=126).chain(161..=172).chain(174..=255).chain(256..=323).filter_map(char::from_u32);
    let bytes: Vec<String> = printable.map(String::from).collect();
    let ends = bytes.iter().map(|byte| format!("{byte}</w>"));
    let specials = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let tokens = bytes.iter().cloned().chain(ends).chain(specials);
    let vocabulary: serde_json::Map<_, _> = tokens.enumerate().map(|(id, token)| (token, id.into())).collect();
    let vocabulary = serde_json::Value::Object(vocabulary).to_string();
    replace(&folder.join("tokenizer/vocab.json"), vocabulary.as_bytes());
    replace(&folder.join("tokenizer/merges.txt"), b"#version: 0.2\n");
}

/// Puts a file in a link's place.
pub fn replace(path: &Path, contents: &[u8]) {
    remove(path);
    fs::write(path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Removes a file or a link, if there is one.
pub fn remove(path: &Path) {
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The tensors in shards with their index, as `save_pretrained` of diffusers leaves them.
pub fn write_shards(tensors: &Tensors, folder: &Path, stem: &str, shards: usize) {
    let file = |shard: usize| format!("{stem}-{:05}-of-{shards:05}.safetensors", shard + 1);
    let mut parts = vec![Tensors::default(); shards];
    let mut map = serde_json::Map::new();
    for (index, (name, stored)) in tensors.0.iter().enumerate() {
        parts[index % shards].0.insert(name.clone(), stored.clone());
        map.insert(name.clone(), file(index % shards).into());
    }
    for (shard, part) in parts.iter().enumerate() {
        part.write(&folder.join(file(shard)));
    }
    let index = serde_json::json!({ "metadata": { "total_size": 0 }, "weight_map": map });
    fs::write(folder.join(format!("{stem}.safetensors.index.json")), index.to_string()).expect("a file");
}

/// The whole miniature as a single-file checkpoint in the names of the latent-diffusion code, with what such files hold
/// beside the model.
pub fn single_file() -> Tensors {
    let vae = Tensors::of_demo(VAE);
    let mut tensors = Tensors::of_demo(UNET).rename(|name| format!("model.diffusion_model.{}", ldm_unet(name, 1)));
    tensors = tensors.and(ldm_vae(vae).rename(|name| format!("first_stage_model.{name}")));
    tensors = tensors.and(Tensors::of_demo(TEXT).rename(|name| format!("cond_stage_model.transformer.{name}")));
    for name in ["betas", "alphas_cumprod", "logvar", "model_ema.decay", "model_ema.diffusion_modelout2bias"] {
        tensors.0.insert(name.into(), Stored::halves(&[4], 1.0));
    }
    let positions =
        Stored { dtype: Dtype::I64, shape: vec![1, 77], bytes: (0..77_i64).flat_map(i64::to_le_bytes).collect() };
    let name = "cond_stage_model.transformer.text_model.embeddings.position_ids";
    tensors.0.insert(name.into(), positions);
    tensors
}

/// A dotted name's module and what is inside it: everything up to the `count`th component, and the rest.
fn split(name: &str, count: usize) -> (Vec<&str>, String) {
    let parts: Vec<&str> = name.split('.').collect();
    let rest = parts[count.min(parts.len())..].join(".");
    (parts.into_iter().take(count).collect(), rest)
}

/// LDM's name of a UNet's tensor, in a network of `layers` a block and four levels, all but the deepest with attention:
/// the formulas of diffusers' `convert_diffusers_to_original_stable_diffusion.py`.
pub fn ldm_unet(name: &str, layers: usize) -> String {
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let (head, rest) = split(name, 4);
    let inner = |rest: &str| {
        let names = [
            ("norm1", "in_layers.0"),
            ("conv1", "in_layers.2"),
            ("time_emb_proj", "emb_layers.1"),
            ("norm2", "out_layers.0"),
            ("conv2", "out_layers.3"),
            ("conv_shortcut", "skip_connection"),
        ];
        let (module, end) = rest.rsplit_once('.').expect("a tensor of a module");
        let (_, ldm) = names.iter().find(|(ours, _)| *ours == module).unwrap_or_else(|| panic!("{rest}"));
        format!("{ldm}.{end}")
    };
    match head[..] {
        ["down_blocks", i, "resnets", j] => {
            format!("input_blocks.{}.0.{}", (layers + 1) * number(i) + number(j) + 1, inner(&rest))
        }
        ["down_blocks", i, "attentions", j] => {
            format!("input_blocks.{}.1.{rest}", (layers + 1) * number(i) + number(j) + 1)
        }
        ["down_blocks", i, "downsamplers", _] => {
            format!("input_blocks.{}.0.op.{}", (layers + 1) * (number(i) + 1), rest.trim_start_matches("conv."))
        }
        ["up_blocks", i, "resnets", j] => {
            format!("output_blocks.{}.0.{}", (layers + 1) * number(i) + number(j), inner(&rest))
        }
        ["up_blocks", i, "attentions", j] => format!("output_blocks.{}.1.{rest}", (layers + 1) * number(i) + number(j)),
        ["up_blocks", i, "upsamplers", _] => {
            let place = if number(i) == 0 { 1 } else { 2 };
            format!("output_blocks.{}.{place}.{rest}", (layers + 1) * number(i) + layers)
        }
        _ => [
            ("time_embedding.linear_1", "time_embed.0"),
            ("time_embedding.linear_2", "time_embed.2"),
            ("conv_in", "input_blocks.0.0"),
            ("conv_norm_out", "out.0"),
            ("conv_out", "out.2"),
            ("mid_block.attentions.0", "middle_block.1"),
        ]
        .into_iter()
        .find_map(|(ours, ldm)| Some(format!("{ldm}{}", name.strip_prefix(ours)?)))
        .unwrap_or_else(|| {
            let resnet = name.strip_prefix("mid_block.resnets.").expect("nothing else is left");
            let (index, rest) = resnet.split_once('.').expect("a tensor of a module");
            format!("middle_block.{}.{}", 2 * number(index), inner(rest))
        }),
    }
}

/// A VAE of four levels in LDM's names, its attention as 1x1 convolutions.
pub fn ldm_vae(vae: Tensors) -> Tensors {
    let rename = |name: &str| {
        let mut name = name.to_owned();
        // The decoder's levels count from the finest.
        for level in 0..4 {
            if let Some(rest) = name.strip_prefix(&format!("decoder.up_blocks.{level}.")) {
                name = format!("decoder.up.{}.{rest}", 3 - level);
            }
        }
        for (ours, ldm) in [
            ("encoder.down_blocks.", "encoder.down."),
            (".resnets.", ".block."),
            (".downsamplers.0.", ".downsample."),
            (".upsamplers.0.", ".upsample."),
            (".conv_shortcut.", ".nin_shortcut."),
            (".conv_norm_out.", ".norm_out."),
            (".mid_block.block.0.", ".mid.block_1."),
            (".mid_block.block.1.", ".mid.block_2."),
            (".mid_block.attentions.0.", ".mid.attn_1."),
            (".group_norm.", ".norm."),
            (".to_q.", ".q."),
            (".to_k.", ".k."),
            (".to_v.", ".v."),
            (".to_out.0.", ".proj_out."),
        ] {
            name = name.replace(ours, ldm);
        }
        name
    };
    let mut tensors = vae.rename(rename);
    for (name, stored) in &mut tensors.0 {
        if name.contains(".attn_1.") && stored.shape.len() == 2 {
            stored.shape.extend([1, 1]);
        }
    }
    tensors
}
