//! The UNet's transformer: self-attention over the picture, cross-attention to the prompt, and a GEGLU MLP.

use super::blocks::Normalisation;
use crate::error::Result;
use crate::ops::attention::{Attention, Heads};
use crate::ops::linear::Activation;
use crate::plan::{Plan, Tensor};
use crate::weights::{Linear, Loader, Norm};

/// LayerNorm's epsilon in diffusers' `BasicTransformerBlock`.
const LAYER_NORM_EPS: f32 = 1e-5;

/// GroupNorm's epsilon in diffusers' `Transformer2DModel`: not the ResNets'.
const GROUP_NORM_EPS: f32 = 1e-6;

/// `Transformer2DModel` with one `BasicTransformerBlock`.
#[derive(Clone, Debug)]
pub(super) struct Transformer {
    heads: usize,
    norm: Normalisation,
    proj_in: Linear,
    norm1: Norm,
    /// to_q, to_k and to_v as one.
    self_qkv: Linear,
    self_out: Linear,
    norm2: Norm,
    cross_q: Linear,
    /// to_k and to_v as one, applied to the prompt once, not per step.
    cross_kv: Linear,
    cross_out: Linear,
    norm3: Norm,
    geglu: Linear,
    mlp_out: Linear,
    proj_out: Linear,
}

/// What a transformer is loaded with.
#[derive(Clone, Copy)]
pub(super) struct TransformerShape {
    pub channels: usize,
    pub heads: usize,
    pub context: usize,
    pub groups: usize,
}

impl Transformer {
    pub fn load(loader: &Loader, name: &str, shape: TransformerShape) -> Result<Transformer> {
        let TransformerShape { channels, heads, context, groups } = shape;
        let block = format!("{name}.transformer_blocks.0");
        let names = |attention: &str, parts: &[&str]| -> Vec<String> {
            parts.iter().map(|part| format!("{block}.{attention}.{part}")).collect()
        };
        let linear =
            |part: &str, inputs, outputs, bias| loader.linear(&format!("{block}.{part}"), inputs, outputs, bias);
        let norm = |part: &str| loader.norm(&format!("{block}.{part}"), channels);
        Ok(Transformer {
            heads,
            norm: Normalisation { norm: loader.norm(&format!("{name}.norm"), channels)?, groups, eps: GROUP_NORM_EPS },
            proj_in: loader.linear(&format!("{name}.proj_in"), channels, channels, true)?,
            norm1: norm("norm1")?,
            self_qkv: loader.linears(&names("attn1", &["to_q", "to_k", "to_v"]), channels, channels, false)?,
            self_out: linear("attn1.to_out.0", channels, channels, true)?,
            norm2: norm("norm2")?,
            cross_q: linear("attn2.to_q", channels, channels, false)?,
            cross_kv: loader.linears(&names("attn2", &["to_k", "to_v"]), context, channels, false)?,
            cross_out: linear("attn2.to_out.0", channels, channels, true)?,
            norm3: norm("norm3")?,
            geglu: loader.geglu(&format!("{block}.ff.net.0.proj"), channels, 4 * channels)?,
            mlp_out: linear("ff.net.2", 4 * channels, channels, true)?,
            proj_out: loader.linear(&format!("{name}.proj_out"), channels, channels, true)?,
        })
    }

    /// Keys and values of prompts (prompts, tokens, context): (prompts, tokens, 2 channels), keys first.
    pub fn record_context(&self, plan: &mut Plan, text: &Tensor) -> Result<Tensor> {
        self.cross_kv.record(plan, text, Activation::None, None)
    }

    /// Columns of what [`Transformer::record_context`] gives.
    pub fn context_columns(&self) -> usize {
        self.cross_kv.weight.dim(0)
    }

    /// Over (batch, height, width, channels), with the keys and values of [`Transformer::record_context`].
    pub fn record(&self, plan: &mut Plan, input: &Tensor, context: &Tensor) -> Result<Tensor> {
        let &[batch, height, width, channels] = input.shape() else { panic!("{input:?} is no picture") };
        let tokens = [batch, height * width, channels];
        let hidden = self.norm.record(plan, input, None, false)?;
        let hidden = self.proj_in.record(plan, &hidden.reshape(&tokens), Activation::None, None)?;
        let hidden = self.record_self_attention(plan, &hidden)?;
        let hidden = self.record_cross_attention(plan, &hidden, context)?;
        let hidden = self.record_mlp(plan, &hidden)?;
        let output = self.proj_out.record(plan, &hidden, Activation::None, Some(&input.reshape(&tokens)))?;
        Ok(output.reshape(input.shape()))
    }

    fn record_self_attention(&self, plan: &mut Plan, input: &Tensor) -> Result<Tensor> {
        let channels = input.columns();
        let normed = self.norm1.layer_norm(plan, input, LAYER_NORM_EPS)?;
        let qkv = self.self_qkv.record(plan, &normed, Activation::None, None)?;
        let part = |index| Heads { tensor: &qkv, column: index * channels };
        let attended = self.attention(part(0), part(1), part(2), channels).record(plan)?;
        self.self_out.record(plan, &attended, Activation::None, Some(input))
    }

    fn record_cross_attention(&self, plan: &mut Plan, input: &Tensor, context: &Tensor) -> Result<Tensor> {
        let channels = input.columns();
        let normed = self.norm2.layer_norm(plan, input, LAYER_NORM_EPS)?;
        let query = self.cross_q.record(plan, &normed, Activation::None, None)?;
        let part = |index| Heads { tensor: context, column: index * channels };
        let query = Heads { tensor: &query, column: 0 };
        let attended = self.attention(query, part(0), part(1), channels).record(plan)?;
        self.cross_out.record(plan, &attended, Activation::None, Some(input))
    }

    fn record_mlp(&self, plan: &mut Plan, input: &Tensor) -> Result<Tensor> {
        let normed = self.norm3.layer_norm(plan, input, LAYER_NORM_EPS)?;
        let hidden = self.geglu.record(plan, &normed, Activation::Geglu, None)?;
        self.mlp_out.record(plan, &hidden, Activation::None, Some(input))
    }

    fn attention<'a>(&self, query: Heads<'a>, key: Heads<'a>, value: Heads<'a>, channels: usize) -> Attention<'a> {
        Attention { query, key, value, heads: self.heads, head_dim: channels / self.heads, causal: false }
    }
}
