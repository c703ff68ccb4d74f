//! The configs of a diffusers folder: what shapes the networks, read and checked, nothing assumed.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

/// A number for all blocks, or one a block.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum PerBlock {
    All(usize),
    Each(Vec<usize>),
}

impl PerBlock {
    fn block(&self, index: usize) -> Option<usize> {
        match self {
            PerBlock::All(value) => Some(*value),
            PerBlock::Each(values) => values.get(index).copied(),
        }
    }
}

/// `unet/config.json`. Fields without a default must be there.
#[derive(Clone, Debug, Deserialize)]
pub struct UNetConfig {
    pub sample_size: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub cross_attention_dim: usize,
    pub down_block_types: Vec<String>,
    pub up_block_types: Vec<String>,
    /// Despite its name the number of heads.
    pub attention_head_dim: PerBlock,
    #[serde(default)]
    pub num_attention_heads: Option<PerBlock>,
    #[serde(default = "defaults::groups")]
    pub norm_num_groups: usize,
    #[serde(default = "defaults::norm_eps")]
    pub norm_eps: f32,
    #[serde(default = "defaults::yes")]
    pub flip_sin_to_cos: bool,
    #[serde(default)]
    pub freq_shift: f32,
    #[serde(default = "defaults::silu")]
    pub act_fn: String,
    #[serde(flatten)]
    rest: Rest,
}

/// `vae/config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct VaeConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub latent_channels: usize,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    #[serde(default = "defaults::groups")]
    pub norm_num_groups: usize,
    /// SD1.5's own config lacks it.
    #[serde(default = "defaults::scaling_factor")]
    pub scaling_factor: f32,
    #[serde(default = "defaults::silu")]
    pub act_fn: String,
    #[serde(flatten)]
    rest: Rest,
}

/// `text_encoder/config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub max_position_embeddings: usize,
    pub hidden_act: String,
    #[serde(default = "defaults::norm_eps")]
    pub layer_norm_eps: f32,
}

/// The fields that have no place of their own: whatever else is there must not ask for another network.
type Rest = HashMap<String, Value>;

mod defaults {
    pub fn groups() -> usize {
        32
    }
    pub fn norm_eps() -> f32 {
        1e-5
    }
    pub fn yes() -> bool {
        true
    }
    pub fn silu() -> String {
        "silu".into()
    }
    pub fn scaling_factor() -> f32 {
        0.18215
    }
}

/// The widest layer, the most blocks, layers and tokens of a config that is not taken for nonsense.
const MAX_WIDTH: usize = 8192;
const MAX_BLOCKS: usize = 8;
const MAX_LAYERS: usize = 128;
const MAX_TOKENS: usize = 1 << 20;

/// What is wrong with a config, all of it.
#[derive(Default)]
struct Checks(Vec<String>);

impl Checks {
    /// One fact that a config must meet, and what to say if it does not.
    fn require(&mut self, condition: bool, message: impl FnOnce() -> String) {
        if !condition {
            self.0.push(message());
        }
    }

    fn within(&mut self, name: &str, value: usize, range: std::ops::RangeInclusive<usize>) {
        self.require(range.contains(&value), || {
            format!("{name} is {value}, not within {} to {}", range.start(), range.end())
        });
    }

    fn is(&mut self, name: &str, value: &str, known: &[&str]) {
        self.require(known.contains(&value), || format!("{name} is {value:?}, not {}", known.join(" or ")));
    }

    fn positive(&mut self, name: &str, value: f32) {
        self.require(value.is_finite() && value > 0.0, || format!("{name} is {value}, not a positive number"));
    }

    /// Widths that the kernels take: multiples of 8 and of the number of groups.
    fn widths(&mut self, widths: &[usize], groups: usize) {
        self.within("the number of block_out_channels", widths.len(), 1..=MAX_BLOCKS);
        self.require(groups > 0, || "norm_num_groups is 0".into());
        for &width in widths {
            let fits =
                (1..=MAX_WIDTH).contains(&width) && width.is_multiple_of(8) && width.is_multiple_of(groups.max(1));
            self.require(fits, || {
                format!("a width of {width} is not a multiple of 8 and of {groups} groups, up to {MAX_WIDTH}")
            });
        }
    }

    /// Heads must divide the width into dims that attention takes.
    fn heads(&mut self, width: usize, heads: usize) {
        let dim = width.checked_div(heads).unwrap_or(0);
        let fits = width.checked_rem(heads) == Some(0) && dim > 0 && dim.is_multiple_of(8) && dim <= 512;
        self.require(fits, || {
            format!("{heads} heads over {width} channels: head dims must be multiples of 8 up to 512")
        });
    }

    /// Fields that may be absent, and null or one of these where they are there.
    fn fixed(&mut self, rest: &Rest, fields: &[(&str, &[&str])]) {
        for (name, allowed) in fields {
            let Some(found) = rest.get(*name) else { continue };
            // A list says the same for each block.
            let each = found.as_array().map_or(std::slice::from_ref(found), Vec::as_slice);
            let fits = each.iter().all(|value| value.is_null() || allowed.contains(&value.to_string().as_str()));
            self.require(fits, || {
                format!("{name} is {found}, which Stable Diffusion 1.x has not and is not supported")
            });
        }
    }
}

impl UNetConfig {
    /// Heads of block `index`.
    pub fn heads(&self, index: usize) -> usize {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).block(index).unwrap_or(0)
    }

    /// What is not SD1.x's, or not what the kernels compute; nothing if all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut checks = Checks::default();
        let blocks = self.block_out_channels.len();
        let (down, up) = (self.down_block_types.len(), self.up_block_types.len());
        checks.widths(&self.block_out_channels, self.norm_num_groups);
        checks
            .require(down == blocks && up == blocks, || format!("{blocks} widths for {down} down and {up} up blocks"));
        for kind in &self.down_block_types {
            checks.is("a down block", kind, &["CrossAttnDownBlock2D", "DownBlock2D"]);
        }
        for kind in &self.up_block_types {
            checks.is("an up block", kind, &["CrossAttnUpBlock2D", "UpBlock2D"]);
        }
        for (index, &width) in self.block_out_channels.iter().enumerate() {
            checks.heads(width, self.heads(index));
        }
        checks.require(self.in_channels == 4 && self.out_channels == 4, || {
            let kind = match self.in_channels {
                9 => " (this is an inpainting model)",
                8 => " (this is an InstructPix2Pix model)",
                _ => "",
            };
            format!("in_channels is {} and out_channels {}, not 4 and 4{kind}", self.in_channels, self.out_channels)
        });
        checks.within("cross_attention_dim", self.cross_attention_dim, 8..=MAX_WIDTH);
        checks.require(self.cross_attention_dim.is_multiple_of(8), || "cross_attention_dim is no multiple of 8".into());
        checks.within("layers_per_block", self.layers_per_block, 1..=8);
        checks.within("sample_size", self.sample_size, 1..=1024);
        checks.positive("norm_eps", self.norm_eps);
        checks.is("act_fn", &self.act_fn, &["silu"]);
        checks.fixed(&self.rest, UNET_FIXED);
        let linear = self.rest.get("use_linear_projection").is_some_and(|value| value == true);
        checks.require(!(linear && self.cross_attention_dim == 1024), || "this is a Stable Diffusion 2 model".into());
        checks.0
    }
}

impl VaeConfig {
    /// What is not SD1.x's, or not what the kernels compute; nothing if all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut checks = Checks::default();
        checks.widths(&self.block_out_channels, self.norm_num_groups);
        if let Some(&deepest) = self.block_out_channels.last() {
            checks.heads(deepest, 1);
        }
        let channels = [self.in_channels, self.latent_channels, self.out_channels];
        checks.require(channels == [3, 4, 3], || {
            format!("in_channels, latent_channels and out_channels are {channels:?}, not [3, 4, 3]")
        });
        checks.within("layers_per_block", self.layers_per_block, 1..=8);
        checks.is("act_fn", &self.act_fn, &["silu"]);
        checks.positive("scaling_factor", self.scaling_factor);
        checks.fixed(&self.rest, VAE_FIXED);
        checks.0
    }

    /// Picture pixels a latent covers on a side.
    pub fn scale(&self) -> usize {
        1 << (self.block_out_channels.len().clamp(1, MAX_BLOCKS) - 1)
    }
}

impl TextConfig {
    /// What is not CLIP's, or not what the kernels compute; nothing if all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut checks = Checks::default();
        checks.within("hidden_size", self.hidden_size, 8..=MAX_WIDTH);
        checks.heads(self.hidden_size, self.num_attention_heads);
        checks.within("intermediate_size", self.intermediate_size, 8..=4 * MAX_WIDTH);
        checks.require(self.intermediate_size.is_multiple_of(8), || "intermediate_size is no multiple of 8".into());
        checks.within("vocab_size", self.vocab_size, 3..=MAX_TOKENS);
        checks.within("max_position_embeddings", self.max_position_embeddings, 3..=1024);
        checks.within("num_hidden_layers", self.num_hidden_layers, 1..=MAX_LAYERS);
        checks.is("hidden_act", &self.hidden_act, &["quick_gelu", "gelu"]);
        checks.positive("layer_norm_eps", self.layer_norm_eps);
        checks.0
    }
}

/// Fields of diffusers' `UNet2DConditionModel` with the values they have in SD1.x, as JSON, beside null.
const UNET_FIXED: &[(&str, &[&str])] = &[
    ("addition_embed_type", &[]),
    ("center_input_sample", &["false"]),
    ("class_embed_type", &[]),
    ("conv_in_kernel", &["3"]),
    ("conv_out_kernel", &["3"]),
    ("cross_attention_norm", &[]),
    ("downsample_padding", &["1"]),
    ("dual_cross_attention", &["false"]),
    ("encoder_hid_dim", &[]),
    ("mid_block_only_cross_attention", &["false"]),
    ("mid_block_scale_factor", &["1", "1.0"]),
    ("mid_block_type", &["\"UNetMidBlock2DCrossAttn\""]),
    ("num_class_embeds", &[]),
    ("only_cross_attention", &["false"]),
    ("resnet_out_scale_factor", &["1", "1.0"]),
    ("resnet_skip_time_act", &["false"]),
    ("resnet_time_scale_shift", &["\"default\""]),
    ("time_cond_proj_dim", &[]),
    ("time_embedding_act_fn", &[]),
    ("time_embedding_dim", &[]),
    ("time_embedding_type", &["\"positional\""]),
    ("timestep_post_act", &[]),
    ("transformer_layers_per_block", &["1"]),
];

/// Fields of diffusers' `AutoencoderKL` with the values they have in SD1.x, as JSON, beside null.
const VAE_FIXED: &[(&str, &[&str])] = &[
    ("down_block_types", &["\"DownEncoderBlock2D\""]),
    ("latents_mean", &[]),
    ("latents_std", &[]),
    ("mid_block_add_attention", &["true"]),
    ("shift_factor", &[]),
    ("up_block_types", &["\"UpDecoderBlock2D\""]),
    ("use_post_quant_conv", &["true"]),
    ("use_quant_conv", &["true"]),
];
