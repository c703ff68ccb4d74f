//! The text encoder: token ids to embeddings. transformers' `CLIPTextModel`, its last hidden state after the final norm.

use super::config::TextConfig;
use crate::error::Result;
use crate::ops::attention::{Attention, Heads};
use crate::ops::linear::Activation;
use crate::ops::text_embedding::TextEmbedding;
use crate::plan::{Plan, Tensor};
use crate::weights::{Linear, Loader, Norm};

/// The encoder's weights on a device.
pub struct TextEncoder {
    config: TextConfig,
    weight_bytes: usize,
    tokens: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    final_norm: Norm,
}

/// One pre-norm transformer layer.
struct Layer {
    norm1: Norm,
    qkv: Linear,
    out: Linear,
    norm2: Norm,
    fc1: Linear,
    fc2: Linear,
}

impl TextEncoder {
    /// Loads the weights that the config asks for.
    pub fn load(loader: &Loader, config: TextConfig) -> Result<TextEncoder> {
        let root = "text_model";
        let width = config.hidden_size;
        let embeddings = format!("{root}.embeddings");
        Ok(TextEncoder {
            tokens: loader.tensor(&format!("{embeddings}.token_embedding.weight"), &[config.vocab_size, width])?,
            positions: loader
                .tensor(&format!("{embeddings}.position_embedding.weight"), &[config.max_position_embeddings, width])?,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::load(loader, &format!("{root}.encoder.layers.{index}"), &config))
                .collect::<Result<_>>()?,
            final_norm: loader.norm(&format!("{root}.final_layer_norm"), width)?,
            config,
            weight_bytes: loader.bytes(),
        })
    }

    /// Device memory of the weights.
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// Embeddings fp16 (prompts, tokens, hidden_size) of token ids i32 (prompts, tokens).
    pub fn record(&self, plan: &mut Plan, ids: &Tensor) -> Result<Tensor> {
        let mut hidden = TextEmbedding { ids, tokens: &self.tokens, positions: &self.positions }.record(plan)?;
        for layer in &self.layers {
            hidden = layer.record(plan, &hidden, &self.config)?;
        }
        self.final_norm.layer_norm(plan, &hidden, self.config.layer_norm_eps)
    }
}

impl Layer {
    fn load(loader: &Loader, name: &str, config: &TextConfig) -> Result<Layer> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let qkv = ["q_proj", "k_proj", "v_proj"].map(|part| format!("{name}.self_attn.{part}"));
        Ok(Layer {
            norm1: loader.norm(&format!("{name}.layer_norm1"), width)?,
            qkv: loader.linears(&qkv, width, width, true)?,
            out: loader.linear(&format!("{name}.self_attn.out_proj"), width, width, true)?,
            norm2: loader.norm(&format!("{name}.layer_norm2"), width)?,
            fc1: loader.linear(&format!("{name}.mlp.fc1"), width, inner, true)?,
            fc2: loader.linear(&format!("{name}.mlp.fc2"), inner, width, true)?,
        })
    }

    fn record(&self, plan: &mut Plan, input: &Tensor, config: &TextConfig) -> Result<Tensor> {
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        let normed = self.norm1.layer_norm(plan, input, config.layer_norm_eps)?;
        let qkv = self.qkv.record(plan, &normed, Activation::None, None)?;
        let part = |index| Heads { tensor: &qkv, column: index * width };
        let attention =
            Attention { query: part(0), key: part(1), value: part(2), heads, head_dim: width / heads, causal: true };
        let attended = attention.record(plan)?;
        let hidden = self.out.record(plan, &attended, Activation::None, Some(input))?;
        let normed = self.norm2.layer_norm(plan, &hidden, config.layer_norm_eps)?;
        let activation = if config.hidden_act == "gelu" { Activation::Gelu } else { Activation::QuickGelu };
        let inner = self.fc1.record(plan, &normed, activation, None)?;
        self.fc2.record(plan, &inner, Activation::None, Some(&hidden))
    }
}
