//! The UNet: predicts the noise in latents at a time, given a prompt. diffusers' `UNet2DConditionModel` as SD1.x
//! configures it.

use super::blocks::{Normalisation, ResnetBlock, ResnetShape};
use super::config::UNetConfig;
use super::transformer::{Transformer, TransformerShape};
use crate::error::Result;
use crate::ops::conv2d::{Conv2d, Geometry, TimeRow};
use crate::ops::linear::Activation;
use crate::ops::time_embedding::TimeEmbedding;
use crate::plan::{DType, Plan, Tensor};
use crate::weights::{Conv, Linear, Loader};

/// The network's weights on a device.
pub struct UNet {
    config: UNetConfig,
    weight_bytes: usize,
    conv_in: Conv,
    time_hidden: Linear,
    time_out: Linear,
    /// The time projections of all ResNets, stacked.
    time_projections: Linear,
    down: Vec<Block>,
    mid: Block,
    up: Vec<Block>,
    norm_out: Normalisation,
    conv_out: Conv,
}

/// ResNets, each followed by a transformer where the block has attention, and the change of resolution at the end.
struct Block {
    resnets: Vec<TimedResnet>,
    transformers: Vec<Transformer>,
    /// Down blocks: stride 2. Up blocks: nearest x2 before it.
    resample: Option<Conv>,
}

/// A ResNet and where its time projection lies in the table.
struct TimedResnet {
    block: ResnetBlock,
    time_column: usize,
}

/// Where one call finds its step: the table of all steps' projections, and the device's step counter.
#[derive(Clone, Copy)]
pub struct Time<'a> {
    /// (steps, total) of [`UNet::record_time`].
    pub table: &'a Tensor,
    /// i32 (1); without it row 0.
    pub step: Option<&'a Tensor>,
}

impl Time<'_> {
    fn row(&self, column: usize) -> TimeRow<'_> {
        TimeRow { table: self.table, column, step: self.step }
    }
}

impl UNet {
    /// Loads the weights that the config asks for.
    pub fn load(loader: &Loader, config: UNetConfig) -> Result<UNet> {
        let unet = Builder { loader, config: &config, projections: Vec::new(), total: 0 }.build()?;
        Ok(UNet { config, weight_bytes: loader.bytes(), ..unet })
    }

    /// Device memory of the weights.
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The time projections of every ResNet for timesteps f32 (steps): (steps, total). Depends on nothing else, so
    /// that one call serves all steps.
    pub fn record_time(&self, plan: &mut Plan, timesteps: &Tensor) -> Result<Tensor> {
        let embedding = TimeEmbedding {
            timesteps,
            dim: self.config.block_out_channels[0],
            flip_sin_to_cos: self.config.flip_sin_to_cos,
            freq_shift: self.config.freq_shift,
        }
        .record(plan)?;
        let hidden = self.time_hidden.record(plan, &embedding, Activation::Silu, None)?;
        // Every ResNet applies SiLU before its projection: once here serves them all.
        let activated = self.time_out.record(plan, &hidden, Activation::Silu, None)?;
        self.time_projections.record(plan, &activated, Activation::None, None)
    }

    /// The keys and values of every cross-attention for prompts (prompts, tokens, cross_attention_dim), in the
    /// network's order: once a prompt, not once a step.
    pub fn record_context(&self, plan: &mut Plan, text: &Tensor) -> Result<Vec<Tensor>> {
        self.blocks().flat_map(|block| &block.transformers).map(|layer| layer.record_context(plan, text)).collect()
    }

    /// Shapes of what [`UNet::record_context`] gives for prompts of `[prompts, tokens, _]`.
    pub fn context_shapes(&self, &[prompts, tokens, _]: &[usize; 3]) -> Vec<[usize; 3]> {
        let layers = self.blocks().flat_map(|block| &block.transformers);
        layers.map(|layer| [prompts, tokens, layer.context_columns()]).collect()
    }

    /// Columns of the table that [`UNet::record_time`] gives.
    pub fn time_columns(&self) -> usize {
        self.time_projections.weight.dim(0)
    }

    /// The predicted noise fp32 (batch, h, w, 4) in latents fp16 (batch, h, w, 8), the upper 4 channels zero.
    /// Sample s is given the prompt s % prompts of `context`.
    pub fn record(&self, plan: &mut Plan, latents: &Tensor, time: Time, context: &[Tensor]) -> Result<Tensor> {
        let mut context = context.iter();
        let mut hidden = self.conv_in.record(plan, latents, Geometry::Same)?;
        let mut skips = vec![hidden.clone()];
        for block in &self.down {
            for (index, resnet) in block.resnets.iter().enumerate() {
                hidden = resnet.record(plan, &hidden, None, time)?;
                hidden = block.attend(plan, index, hidden, &mut context)?;
                skips.push(hidden.clone());
            }
            if let Some(downsample) = &block.resample {
                hidden = downsample.record(plan, &hidden, Geometry::Downsample)?;
                skips.push(hidden.clone());
            }
        }
        for (index, resnet) in self.mid.resnets.iter().enumerate() {
            hidden = resnet.record(plan, &hidden, None, time)?;
            hidden = self.mid.attend(plan, index, hidden, &mut context)?;
        }
        for block in &self.up {
            for (index, resnet) in block.resnets.iter().enumerate() {
                let skip = skips.pop().expect("as many skips as the loader counted");
                hidden = resnet.record(plan, &hidden, Some(&skip), time)?;
                hidden = block.attend(plan, index, hidden, &mut context)?;
            }
            if let Some(upsample) = &block.resample {
                // Odd sizes were rounded up on the way down: the skip knows.
                let skip = skips.last().expect("the next block has skips");
                let geometry = Geometry::Upsample { height: skip.dim(1), width: skip.dim(2) };
                hidden = upsample.record(plan, &hidden, geometry)?;
            }
        }
        let normed = self.norm_out.record(plan, &hidden, None, true)?;
        Conv2d { output: DType::F32, ..self.conv_out.with(&normed, Geometry::Same) }.record(plan)
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.down.iter().chain([&self.mid]).chain(&self.up)
    }
}

impl TimedResnet {
    fn record(&self, plan: &mut Plan, input: &Tensor, skip: Option<&Tensor>, time: Time) -> Result<Tensor> {
        self.block.record(plan, input, skip, Some(time.row(self.time_column)))
    }
}

impl Block {
    /// The transformer after ResNet `index`, where there is one.
    fn attend<'a>(
        &self,
        plan: &mut Plan,
        index: usize,
        hidden: Tensor,
        context: &mut impl Iterator<Item = &'a Tensor>,
    ) -> Result<Tensor> {
        match self.transformers.get(index) {
            Some(layer) => layer.record(plan, &hidden, context.next().expect("a context a transformer")),
            None => Ok(hidden),
        }
    }
}

/// Loads the blocks in the network's order, handing every ResNet its columns of the time table.
struct Builder<'b, 'a> {
    loader: &'b Loader<'a>,
    config: &'b UNetConfig,
    projections: Vec<(String, usize)>,
    total: usize,
}

impl Builder<'_, '_> {
    fn build(mut self) -> Result<UNet> {
        let widths = &self.config.block_out_channels;
        let time_width = 4 * widths[0];
        let conv_in = self.loader.conv("conv_in", self.config.in_channels, widths[0], 3)?;
        // Channels of the skips, in the order in which the way down leaves them.
        let mut skips = vec![widths[0]];
        let down = self.down_blocks(&mut skips)?;
        let mid = self.mid_block()?;
        let up = self.up_blocks(&mut skips)?;
        let norm = self.loader.norm("conv_norm_out", widths[0])?;
        Ok(UNet {
            config: self.config.clone(),
            weight_bytes: 0,
            conv_in,
            time_hidden: self.loader.linear("time_embedding.linear_1", widths[0], time_width, true)?,
            time_out: self.loader.linear("time_embedding.linear_2", time_width, time_width, true)?,
            time_projections: self.loader.stacked(&self.projections, time_width)?,
            down,
            mid,
            up,
            norm_out: Normalisation { norm, groups: self.config.norm_num_groups, eps: self.config.norm_eps },
            conv_out: self.loader.conv("conv_out", widths[0], self.config.out_channels, 3)?,
        })
    }

    fn down_blocks(&mut self, skips: &mut Vec<usize>) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        let widths = &self.config.block_out_channels;
        let mut channels = widths[0];
        for (index, &width) in widths.iter().enumerate() {
            let name = format!("down_blocks.{index}");
            let mut block = Block { resnets: Vec::new(), transformers: Vec::new(), resample: None };
            for layer in 0..self.config.layers_per_block {
                block.resnets.push(self.resnet(&format!("{name}.resnets.{layer}"), channels, width)?);
                if self.config.down_block_types[index] == "CrossAttnDownBlock2D" {
                    block.transformers.push(self.transformer(&format!("{name}.attentions.{layer}"), index)?);
                }
                channels = width;
                skips.push(width);
            }
            if index + 1 < widths.len() {
                block.resample = Some(self.loader.conv(&format!("{name}.downsamplers.0.conv"), width, width, 3)?);
                skips.push(width);
            }
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn mid_block(&mut self) -> Result<Block> {
        let last = self.config.block_out_channels.len() - 1;
        let width = self.config.block_out_channels[last];
        Ok(Block {
            resnets: vec![
                self.resnet("mid_block.resnets.0", width, width)?,
                self.resnet("mid_block.resnets.1", width, width)?,
            ],
            transformers: vec![self.transformer("mid_block.attentions.0", last)?],
            resample: None,
        })
    }

    fn up_blocks(&mut self, skips: &mut Vec<usize>) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        let widths = &self.config.block_out_channels;
        let mut channels = *widths.last().expect("checked");
        for (index, &width) in widths.iter().rev().enumerate() {
            let name = format!("up_blocks.{index}");
            let mut block = Block { resnets: Vec::new(), transformers: Vec::new(), resample: None };
            for layer in 0..=self.config.layers_per_block {
                let skip = skips.pop().expect("the way down left one a ResNet");
                block.resnets.push(self.resnet(&format!("{name}.resnets.{layer}"), channels + skip, width)?);
                if self.config.up_block_types[index] == "CrossAttnUpBlock2D" {
                    let level = widths.len() - 1 - index;
                    block.transformers.push(self.transformer(&format!("{name}.attentions.{layer}"), level)?);
                }
                channels = width;
            }
            if index + 1 < widths.len() {
                block.resample = Some(self.loader.conv(&format!("{name}.upsamplers.0.conv"), width, width, 3)?);
            }
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn resnet(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<TimedResnet> {
        let shape = ResnetShape { inputs, outputs, groups: self.config.norm_num_groups, eps: self.config.norm_eps };
        let time_column = self.total;
        self.projections.push((format!("{name}.time_emb_proj"), outputs));
        self.total += outputs;
        Ok(TimedResnet { block: ResnetBlock::load(self.loader, name, shape)?, time_column })
    }

    /// The transformer of resolution `level`, counted from the finest.
    fn transformer(&self, name: &str, level: usize) -> Result<Transformer> {
        let shape = TransformerShape {
            channels: self.config.block_out_channels[level],
            heads: self.config.heads(level),
            context: self.config.cross_attention_dim,
            groups: self.config.norm_num_groups,
        };
        Transformer::load(self.loader, name, shape)
    }
}
