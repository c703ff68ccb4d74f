//! The configs of a diffusers folder: what shapes the networks, read and checked, nothing assumed.

use serde::Deserialize;

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
    #[serde(default)]
    pub center_input_sample: bool,
    #[serde(default)]
    pub class_embed_type: Option<String>,
    #[serde(default)]
    pub addition_embed_type: Option<String>,
    #[serde(default)]
    pub only_cross_attention: bool,
    #[serde(default)]
    pub dual_cross_attention: bool,
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

/// One fact a config must meet, and what to say if it does not.
fn require(condition: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}

/// Widths that the kernels take: multiples of 8, of the number of groups, and not absurd.
fn check_widths(widths: &[usize], groups: usize) -> Result<(), String> {
    require(!widths.is_empty(), || "block_out_channels is empty".into())?;
    require(groups > 0, || "norm_num_groups is 0".into())?;
    for &width in widths {
        require(width > 0 && width <= 8192 && width.is_multiple_of(8) && width.is_multiple_of(groups), || {
            format!("a width of {width} is not a multiple of 8 and of {groups} groups, up to 8192")
        })?;
    }
    Ok(())
}

/// Heads must divide the width into dims that attention takes.
fn check_heads(width: usize, heads: usize) -> Result<(), String> {
    let fits = heads > 0 && width.is_multiple_of(heads) && (width / heads).is_multiple_of(8) && width / heads <= 512;
    require(fits, || format!("{heads} heads over {width} channels: head dims must be multiples of 8 up to 512"))
}

impl UNetConfig {
    /// Heads of block `index`.
    pub fn heads(&self, index: usize) -> usize {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).block(index).unwrap_or(0)
    }

    /// Whether the blocks are SD1.x's and everything else is what the kernels compute.
    pub fn check(&self) -> Result<(), String> {
        let blocks = self.block_out_channels.len();
        check_widths(&self.block_out_channels, self.norm_num_groups)?;
        require(self.down_block_types.len() == blocks && self.up_block_types.len() == blocks, || {
            format!(
                "{blocks} widths for {} down and {} up blocks",
                self.down_block_types.len(),
                self.up_block_types.len()
            )
        })?;
        for kind in self.down_block_types.iter().chain(&self.up_block_types) {
            let known = ["CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"];
            require(known.contains(&kind.as_str()), || format!("block type {kind} is not SD1.x's"))?;
        }
        for (index, &width) in self.block_out_channels.iter().enumerate() {
            check_heads(width, self.heads(index))?;
        }
        require(self.in_channels == 4 && self.out_channels == 4, || {
            format!("{} latent channels in, {} out: DiffEdit takes 4 and 4", self.in_channels, self.out_channels)
        })?;
        require(self.cross_attention_dim.is_multiple_of(8), || "cross_attention_dim is no multiple of 8".into())?;
        require((1..=8).contains(&self.layers_per_block), || format!("{} layers a block", self.layers_per_block))?;
        require((1..=1024).contains(&self.sample_size), || format!("sample_size {}", self.sample_size))?;
        require(self.act_fn == "silu", || format!("activation {} is not silu", self.act_fn))?;
        let plain = !self.center_input_sample
            && self.class_embed_type.is_none()
            && self.addition_embed_type.is_none()
            && !self.only_cross_attention
            && !self.dual_cross_attention;
        require(plain, || "class or addition embeddings and other variants of SDXL and SD2 are not supported".into())
    }
}

impl VaeConfig {
    pub fn check(&self) -> Result<(), String> {
        check_widths(&self.block_out_channels, self.norm_num_groups)?;
        check_heads(*self.block_out_channels.last().expect("checked"), 1)?;
        require(self.in_channels == 3 && self.out_channels == 3 && self.latent_channels == 4, || {
            "the VAE must take and give 3 channels through 4 latent channels".into()
        })?;
        require((1..=8).contains(&self.layers_per_block), || format!("{} layers a block", self.layers_per_block))?;
        require(self.act_fn == "silu", || format!("activation {} is not silu", self.act_fn))?;
        require(self.scaling_factor.is_finite() && self.scaling_factor > 0.0, || {
            format!("scaling_factor {} is not positive", self.scaling_factor)
        })
    }

    /// Picture pixels a latent covers on a side.
    pub fn scale(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

impl TextConfig {
    pub fn check(&self) -> Result<(), String> {
        check_heads(self.hidden_size, self.num_attention_heads)?;
        require(self.intermediate_size.is_multiple_of(8) && self.intermediate_size > 0, || {
            "intermediate_size is no multiple of 8".into()
        })?;
        require((3..=1024).contains(&self.max_position_embeddings), || {
            format!("max_position_embeddings {}", self.max_position_embeddings)
        })?;
        require((1..=128).contains(&self.num_hidden_layers), || format!("{} layers", self.num_hidden_layers))?;
        require(["quick_gelu", "gelu"].contains(&self.hidden_act.as_str()), || {
            format!("activation {} is neither quick_gelu nor gelu", self.hidden_act)
        })
    }
}
