//! The names of single-file checkpoints, those of the latent-diffusion (LDM) code that Stable Diffusion was trained
//! with, as diffusers calls them.
//!
//! LDM numbers a UNet's modules in the order in which they run, so its names follow from the config: which numbers
//! there are depends on the layers of each level, and what is behind a number on where attention is. See
//! `ldm/modules/diffusionmodules/openaimodel.py` and `model.py` of CompVis/stable-diffusion, and diffusers'
//! `loaders/single_file_utils.py`.

use crate::model::{UNetConfig, VaeConfig};
use crate::weights::Naming;

/// Where the parts of a single-file checkpoint lie in it.
pub const UNET: &str = "model.diffusion_model.";
pub const VAE: &str = "first_stage_model.";
pub const TEXT: &str = "cond_stage_model.transformer.";

/// A module as stored and as diffusers calls it.
type Pair = (String, String);

fn pair(stored: impl Into<String>, diffusers: impl Into<String>) -> Pair {
    (stored.into(), diffusers.into())
}

/// The modules of a block, by their names in it.
fn block(stored: &str, diffusers: &str, modules: &[(&str, &str)]) -> Vec<Pair> {
    modules.iter().map(|(inner, outer)| pair(format!("{stored}.{inner}"), format!("{diffusers}.{outer}"))).collect()
}

/// The UNet's names behind [`UNET`].
pub fn unet(config: &UNetConfig) -> Naming {
    let levels = config.block_out_channels.len();
    let mut pairs = vec![
        pair("time_embed.0", "time_embedding.linear_1"),
        pair("time_embed.2", "time_embedding.linear_2"),
        pair("input_blocks.0.0", "conv_in"),
        pair("middle_block.1", "mid_block.attentions.0"),
        pair("out.0", "conv_norm_out"),
        pair("out.2", "conv_out"),
    ];
    pairs.extend(unet_resnet("middle_block.0", "mid_block.resnets.0"));
    pairs.extend(unet_resnet("middle_block.2", "mid_block.resnets.1"));
    let mut number = 1;
    for (level, kind) in config.down_block_types.iter().enumerate() {
        let name = format!("down_blocks.{level}");
        for layer in 0..config.layers_per_block {
            pairs.extend(layer_of("input_blocks", number, &name, layer, kind));
            number += 1;
        }
        if level + 1 < levels {
            pairs.push(pair(format!("input_blocks.{number}.0.op"), format!("{name}.downsamplers.0.conv")));
            number += 1;
        }
    }
    let mut number = 0;
    for (level, kind) in config.up_block_types.iter().enumerate() {
        let name = format!("up_blocks.{level}");
        for layer in 0..=config.layers_per_block {
            pairs.extend(layer_of("output_blocks", number, &name, layer, kind));
            number += 1;
        }
        if level + 1 < levels {
            // The last layer's number holds the upsampling too, behind the ResNet and the transformer.
            let place = if has_attention(kind) { 2 } else { 1 };
            let stored = format!("output_blocks.{}.{place}.conv", number - 1);
            pairs.push(pair(stored, format!("{name}.upsamplers.0.conv")));
        }
    }
    Naming::new(UNET, &[]).with(pairs)
}

fn has_attention(kind: &str) -> bool {
    kind.starts_with("CrossAttn")
}

/// A ResNet, and the transformer behind it where the block has them. Inside, a transformer's names are diffusers'.
fn layer_of(blocks: &str, number: usize, name: &str, layer: usize, kind: &str) -> Vec<Pair> {
    let mut pairs = unet_resnet(&format!("{blocks}.{number}.0"), &format!("{name}.resnets.{layer}"));
    if has_attention(kind) {
        pairs.push(pair(format!("{blocks}.{number}.1"), format!("{name}.attentions.{layer}")));
    }
    pairs
}

fn unet_resnet(stored: &str, diffusers: &str) -> Vec<Pair> {
    let modules = [
        ("in_layers.0", "norm1"),
        ("in_layers.2", "conv1"),
        ("emb_layers.1", "time_emb_proj"),
        ("out_layers.0", "norm2"),
        ("out_layers.3", "conv2"),
        ("skip_connection", "conv_shortcut"),
    ];
    block(stored, diffusers, &modules)
}

/// The VAE's names behind `prefix`: [`VAE`], or nothing in a file of its own. What its training left there is ignored.
pub fn vae(config: &VaeConfig, prefix: &str) -> Naming {
    let levels = config.block_out_channels.len();
    let mut pairs = Vec::new();
    for half in ["encoder", "decoder"] {
        pairs.push(pair(format!("{half}.norm_out"), format!("{half}.conv_norm_out")));
        pairs.extend(vae_resnet(&format!("{half}.mid.block_1"), &format!("{half}.mid_block.resnets.0")));
        pairs.extend(vae_resnet(&format!("{half}.mid.block_2"), &format!("{half}.mid_block.resnets.1")));
        let attention = [("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")];
        pairs.extend(block(&format!("{half}.mid.attn_1"), &format!("{half}.mid_block.attentions.0"), &attention));
    }
    for level in 0..levels {
        // LDM numbers the decoder's levels by their resolution, from the finest, as the encoder's.
        let (down, up) = (format!("encoder.down.{level}"), format!("decoder.up.{}", levels - 1 - level));
        let (down_blocks, up_blocks) = (format!("encoder.down_blocks.{level}"), format!("decoder.up_blocks.{level}"));
        for layer in 0..config.layers_per_block {
            pairs.extend(vae_resnet(&format!("{down}.block.{layer}"), &format!("{down_blocks}.resnets.{layer}")));
        }
        for layer in 0..=config.layers_per_block {
            pairs.extend(vae_resnet(&format!("{up}.block.{layer}"), &format!("{up_blocks}.resnets.{layer}")));
        }
        pairs.push(pair(format!("{down}.downsample.conv"), format!("{down_blocks}.downsamplers.0.conv")));
        pairs.push(pair(format!("{up}.upsample.conv"), format!("{up_blocks}.upsamplers.0.conv")));
    }
    Naming::new(prefix, &["loss.", "model_ema."]).with(pairs)
}

/// A ResNet of the VAE; norms and convolutions are called the same.
fn vae_resnet(stored: &str, diffusers: &str) -> Vec<Pair> {
    let modules = ["norm1", "conv1", "norm2", "conv2"].map(|module| (module, module));
    let mut pairs = block(stored, diffusers, &modules);
    pairs.extend(block(stored, diffusers, &[("nin_shortcut", "conv_shortcut")]));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source::builtin;

    fn sd15<T: serde::de::DeserializeOwned>(name: &str) -> T {
        serde_json::from_slice(&builtin::sd15(name).expect("part of the program")).expect("a config")
    }

    /// Names of `v1-5-pruned-emaonly.safetensors` at every turn of the numbering.
    #[test]
    fn the_published_names_become_diffusers() {
        let unet = unet(&sd15("unet/config.json"));
        for (stored, diffusers) in [
            ("input_blocks.0.0.weight", "conv_in.weight"),
            ("input_blocks.1.0.in_layers.0.weight", "down_blocks.0.resnets.0.norm1.weight"),
            ("input_blocks.2.1.proj_in.weight", "down_blocks.0.attentions.1.proj_in.weight"),
            ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
            ("input_blocks.4.0.skip_connection.bias", "down_blocks.1.resnets.0.conv_shortcut.bias"),
            (
                "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight",
                "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight",
            ),
            ("input_blocks.11.0.emb_layers.1.weight", "down_blocks.3.resnets.1.time_emb_proj.weight"),
            ("middle_block.2.out_layers.3.bias", "mid_block.resnets.1.conv2.bias"),
            ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
            ("output_blocks.3.1.norm.weight", "up_blocks.1.attentions.0.norm.weight"),
            ("output_blocks.5.2.conv.bias", "up_blocks.1.upsamplers.0.conv.bias"),
            ("output_blocks.8.2.conv.bias", "up_blocks.2.upsamplers.0.conv.bias"),
            ("output_blocks.11.0.out_layers.0.weight", "up_blocks.3.resnets.2.norm2.weight"),
            ("out.2.weight", "conv_out.weight"),
            ("time_embed.2.bias", "time_embedding.linear_2.bias"),
        ] {
            let stored = format!("{UNET}{stored}");
            assert_eq!(unet.diffusers(&stored).as_deref(), Some(diffusers));
            assert_eq!(unet.stored(diffusers), stored);
        }
        let vae = vae(&sd15("vae/config.json"), VAE);
        for (stored, diffusers) in [
            ("encoder.down.1.block.0.nin_shortcut.weight", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight"),
            ("encoder.down.2.downsample.conv.bias", "encoder.down_blocks.2.downsamplers.0.conv.bias"),
            ("encoder.mid.attn_1.q.weight", "encoder.mid_block.attentions.0.to_q.weight"),
            ("decoder.mid.block_2.norm1.bias", "decoder.mid_block.resnets.1.norm1.bias"),
            ("decoder.up.3.block.0.conv1.weight", "decoder.up_blocks.0.resnets.0.conv1.weight"),
            ("decoder.up.0.block.2.norm2.weight", "decoder.up_blocks.3.resnets.2.norm2.weight"),
            ("decoder.up.1.upsample.conv.weight", "decoder.up_blocks.2.upsamplers.0.conv.weight"),
            ("decoder.norm_out.weight", "decoder.conv_norm_out.weight"),
            ("post_quant_conv.weight", "post_quant_conv.weight"),
        ] {
            let stored = format!("{VAE}{stored}");
            assert_eq!(vae.diffusers(&stored).as_deref(), Some(diffusers));
            assert_eq!(vae.stored(diffusers), stored);
        }
    }
}
