"""The networks: Stable Diffusion 1.5's, narrower. Head and group widths of the UNet are those of SD1.5."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

TEXT_WIDTH = 64
LATENT_FACTOR = 8  # pixels a latent cell, in each direction


def make_vae(size):
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[16, 32, 64, 64],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=size,
    )


def make_unet(size):
    """The UNet for pictures of `size` pixels; what ends a block starts at zero, so that blocks start as identities."""
    unet = UNet2DConditionModel(
        sample_size=size // LATENT_FACTOR,
        down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        block_out_channels=[40, 80, 160, 160],
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=1,  # diffusers' name for the number of heads
    )
    for name, module in unet.named_modules():
        if name.endswith(("conv2", "proj_out")) or name == "conv_out":
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
    return unet


def make_text_encoder():
    """CLIP's text encoder with the whole vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=1,
            projection_dim=TEXT_WIDTH,
            bos_token_id=49406,
            eos_token_id=49407,
            pad_token_id=49407,
        )
    )


class MatrixAttention:
    """Attention of one head by plain matrix products: in bfloat16 on a CPU its backward pass is much faster than the
    fused one of PyTorch."""

    def __call__(self, attention, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attention.to_q(hidden_states), attention.to_k(context), attention.to_v(context)
        scores = torch.bmm(query * attention.scale, key.transpose(1, 2))
        with torch.autocast("cpu", enabled=False):  # which would keep the weights in single precision
            weights = scores.softmax(-1)
        return attention.to_out[0](torch.bmm(weights, value))
