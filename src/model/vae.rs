//! The variational autoencoder: picture to latents and back. diffusers' `AutoencoderKL` as SD1.x configures it.

use super::blocks::{Normalisation, ResnetBlock, ResnetShape};
use super::config::VaeConfig;
use crate::error::Result;
use crate::ops::attention::{Attention, Heads};
use crate::ops::conv2d::{Conv2d, Geometry};
use crate::ops::linear::Activation;
use crate::plan::{DType, Plan, Tensor};
use crate::weights::{Conv, Linear, Loader};

/// GroupNorm's epsilon everywhere in the VAE.
const EPS: f32 = 1e-6;

/// Both halves of the autoencoder on a device.
pub struct Vae {
    config: VaeConfig,
    weight_bytes: usize,
    encoder: Half,
    quant_conv: Conv,
    post_quant_conv: Conv,
    decoder: Half,
}

/// Encoder or decoder: the same parts, in another order.
struct Half {
    conv_in: Conv,
    blocks: Vec<Block>,
    mid: Mid,
    norm_out: Normalisation,
    conv_out: Conv,
}

/// Channels at the ends of a half: into conv_in and out of it, into conv_out and out of it.
struct Ends {
    inputs: usize,
    first: usize,
    last: usize,
    outputs: usize,
}

struct Block {
    resnets: Vec<ResnetBlock>,
    resample: Option<Conv>,
}

/// Two ResNets around one head of attention as wide as the block.
struct Mid {
    before: ResnetBlock,
    norm: Normalisation,
    qkv: Linear,
    out: Linear,
    after: ResnetBlock,
}

impl Vae {
    /// Loads the weights that the config asks for.
    pub fn load(loader: &Loader, config: VaeConfig) -> Result<Vae> {
        let latent = config.latent_channels;
        Ok(Vae {
            encoder: Half::load_encoder(loader, &config)?,
            quant_conv: loader.conv("quant_conv", 2 * latent, 2 * latent, 1)?,
            // Its output feeds a convolution, which reads channels by eights.
            post_quant_conv: loader.conv_padded_outputs("post_quant_conv", latent, latent, 1)?,
            decoder: Half::load_decoder(loader, &config)?,
            config,
            weight_bytes: loader.bytes(),
        })
    }

    /// Device memory of the weights.
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// The posterior's moments fp32 (batch, h, w, 8), mean then logvar, of pictures fp16 (batch, 8h, 8w, 8) in -1..1
    /// with channels 3.. zero.
    pub fn record_encode(&self, plan: &mut Plan, picture: &Tensor) -> Result<Tensor> {
        let encoder = &self.encoder;
        let mut hidden = encoder.conv_in.record(plan, picture, Geometry::Same)?;
        for block in &encoder.blocks {
            for resnet in &block.resnets {
                hidden = resnet.record(plan, &hidden, None, None)?;
            }
            if let Some(downsample) = &block.resample {
                hidden = downsample.record(plan, &hidden, Geometry::DownsampleBottomRight)?;
            }
        }
        let hidden = encoder.mid.record(plan, &hidden)?;
        let normed = encoder.norm_out.record(plan, &hidden, None, true)?;
        let moments = encoder.conv_out.record(plan, &normed, Geometry::Same)?;
        Conv2d { output: DType::F32, ..self.quant_conv.with(&moments, Geometry::Same) }.record(plan)
    }

    /// Pictures fp32 (batch, 8h, 8w, 3), roughly -1..1, of unscaled latents fp16 (batch, h, w, 8) with channels 4..
    /// zero.
    pub fn record_decode(&self, plan: &mut Plan, latents: &Tensor) -> Result<Tensor> {
        let decoder = &self.decoder;
        let hidden = self.post_quant_conv.record(plan, latents, Geometry::Same)?;
        let hidden = decoder.conv_in.record(plan, &hidden, Geometry::Same)?;
        let mut hidden = decoder.mid.record(plan, &hidden)?;
        for block in &decoder.blocks {
            for resnet in &block.resnets {
                hidden = resnet.record(plan, &hidden, None, None)?;
            }
            if let Some(upsample) = &block.resample {
                let geometry = Geometry::Upsample { height: 2 * hidden.dim(1), width: 2 * hidden.dim(2) };
                hidden = upsample.record(plan, &hidden, geometry)?;
            }
        }
        let normed = decoder.norm_out.record(plan, &hidden, None, true)?;
        Conv2d { output: DType::F32, ..decoder.conv_out.with(&normed, Geometry::Same) }.record(plan)
    }
}

impl Half {
    fn load_encoder(loader: &Loader, config: &VaeConfig) -> Result<Half> {
        let widths = &config.block_out_channels;
        let mut blocks = Vec::new();
        let mut channels = widths[0];
        for (index, &width) in widths.iter().enumerate() {
            let name = format!("encoder.down_blocks.{index}");
            let resnets = load_resnets(loader, config, &name, config.layers_per_block, channels, width)?;
            let last = index + 1 == widths.len();
            let resample = format!("{name}.downsamplers.0.conv");
            let resample = if last { None } else { Some(loader.conv(&resample, width, width, 3)?) };
            blocks.push(Block { resnets, resample });
            channels = width;
        }
        let ends =
            Ends { inputs: config.in_channels, first: widths[0], last: channels, outputs: 2 * config.latent_channels };
        Half::load(loader, config, "encoder", ends, blocks)
    }

    fn load_decoder(loader: &Loader, config: &VaeConfig) -> Result<Half> {
        let widths = &config.block_out_channels;
        let deepest = *widths.last().expect("checked");
        let mut blocks = Vec::new();
        let mut channels = deepest;
        for (index, &width) in widths.iter().rev().enumerate() {
            let name = format!("decoder.up_blocks.{index}");
            let resnets = load_resnets(loader, config, &name, config.layers_per_block + 1, channels, width)?;
            let last = index + 1 == widths.len();
            let resample = format!("{name}.upsamplers.0.conv");
            let resample = if last { None } else { Some(loader.conv(&resample, width, width, 3)?) };
            blocks.push(Block { resnets, resample });
            channels = width;
        }
        let ends =
            Ends { inputs: config.latent_channels, first: deepest, last: channels, outputs: config.out_channels };
        Half::load(loader, config, "decoder", ends, blocks)
    }

    /// The parts around the blocks.
    fn load(loader: &Loader, config: &VaeConfig, name: &str, ends: Ends, blocks: Vec<Block>) -> Result<Half> {
        let Ends { inputs, first, last, outputs } = ends;
        let norm = loader.norm(&format!("{name}.conv_norm_out"), last)?;
        Ok(Half {
            conv_in: loader.conv(&format!("{name}.conv_in"), inputs, first, 3)?,
            blocks,
            mid: Mid::load(loader, config, &format!("{name}.mid_block"))?,
            norm_out: Normalisation { norm, groups: config.norm_num_groups, eps: EPS },
            conv_out: loader.conv(&format!("{name}.conv_out"), last, outputs, 3)?,
        })
    }
}

fn load_resnets(
    loader: &Loader,
    config: &VaeConfig,
    name: &str,
    layers: usize,
    inputs: usize,
    outputs: usize,
) -> Result<Vec<ResnetBlock>> {
    (0..layers)
        .map(|layer| {
            let inputs = if layer == 0 { inputs } else { outputs };
            let shape = ResnetShape { inputs, outputs, groups: config.norm_num_groups, eps: EPS };
            ResnetBlock::load(loader, &format!("{name}.resnets.{layer}"), shape)
        })
        .collect()
}

impl Mid {
    fn load(loader: &Loader, config: &VaeConfig, name: &str) -> Result<Mid> {
        let channels = *config.block_out_channels.last().expect("checked");
        let groups = config.norm_num_groups;
        let shape = ResnetShape { inputs: channels, outputs: channels, groups, eps: EPS };
        let attention = format!("{name}.attentions.0");
        let qkv = ["to_q", "to_k", "to_v"].map(|part| (format!("{attention}.{part}"), channels));
        Ok(Mid {
            before: ResnetBlock::load(loader, &format!("{name}.resnets.0"), shape)?,
            norm: Normalisation { norm: loader.norm(&format!("{attention}.group_norm"), channels)?, groups, eps: EPS },
            qkv: loader.stacked(&qkv, channels)?,
            out: loader.linear(&format!("{attention}.to_out.0"), channels, channels, true)?,
            after: ResnetBlock::load(loader, &format!("{name}.resnets.1"), shape)?,
        })
    }

    fn record(&self, plan: &mut Plan, input: &Tensor) -> Result<Tensor> {
        let hidden = self.before.record(plan, input, None, None)?;
        let &[batch, height, width, channels] = hidden.shape() else { panic!("{hidden:?} is no picture") };
        let tokens = [batch, height * width, channels];
        let normed = self.norm.record(plan, &hidden, None, false)?;
        let qkv = self.qkv.record(plan, &normed.reshape(&tokens), Activation::None, None)?;
        let part = |index| Heads { tensor: &qkv, column: index * channels };
        let attention =
            Attention { query: part(0), key: part(1), value: part(2), heads: 1, head_dim: channels, causal: false };
        let attended = attention.record(plan)?;
        let attended = self.out.record(plan, &attended, Activation::None, Some(&hidden.reshape(&tokens)))?;
        self.after.record(plan, &attended.reshape(hidden.shape()), None, None)
    }
}
