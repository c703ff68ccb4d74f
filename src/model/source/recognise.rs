//! What a checkpoint is, told by the names and shapes of its tensors: for refusing what is no Stable Diffusion 1.x by
//! its name, and for saying why a part does not fit.

use std::collections::BTreeMap;

use super::Part;
use crate::weights::{Checkpoint, WeightFile};

/// Names and shapes of a file's or a part's tensors.
pub struct Contents<'a>(BTreeMap<&'a str, &'a [usize]>);

impl<'a> Contents<'a> {
    pub fn of_file(file: &'a WeightFile) -> Contents<'a> {
        Contents(file.names().filter_map(|name| Some((name, file.view(name)?.shape))).collect())
    }

    pub fn of_part(part: &'a Checkpoint) -> Contents<'a> {
        Contents(part.names().filter_map(|name| Some((name, part.view(name)?.shape))).collect())
    }

    fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.0.keys().any(|name| fits(name))
    }

    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.0.range(prefix..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    fn any_part(&self, parts: &[&str]) -> bool {
        self.any(|name| parts.iter().any(|part| name.contains(part)))
    }

    /// Dimension 1 of the first of these tensors that is there.
    fn inputs(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.0.get(name)?.get(1).copied())
    }

    /// What it is, if it is something else than Stable Diffusion 1.x: completes "this is ...".
    pub fn foreign(&self) -> Option<&'static str> {
        if self.any_part(&["lora_up.", "lora_down.", ".lora_A.", ".lora_B.", ".lora.up.", ".lora.down."])
            || self.any_part(&["_lora.up.", "_lora.down."])
            || self.any_part(&["hada_w1", "lokr_w1"])
        {
            return Some("a LoRA, which changes a model but is none; merge it into a checkpoint and give that");
        }
        if self.has_prefix("control_model.")
            || self.any_part(&["controlnet_cond_embedding.", "controlnet_down_blocks.", "input_hint_block."])
        {
            return Some("a ControlNet, which steers a model but is none");
        }
        // LDM's own code leaves such tensors in whole models, behind a prefix.
        if self.has_prefix("string_to_param") || self.has_prefix("emb_params") {
            return Some("a textual-inversion embedding, not a model");
        }
        if self.any_part(&["conditioner.embedders.", "label_emb.0.", "add_embedding.linear_1."]) {
            return Some("a Stable Diffusion XL checkpoint");
        }
        if self.any_part(&["double_blocks.0.img_", "single_transformer_blocks."]) {
            return Some("a Flux checkpoint");
        }
        if self.any_part(&["joint_blocks.0.", ".attn.add_k_proj."]) {
            return Some("a Stable Diffusion 3 checkpoint");
        }
        self.foreign_unet()
    }

    /// As [`Contents::foreign`], of what differs in the UNet's shapes alone.
    fn foreign_unet(&self) -> Option<&'static str> {
        let latents = ["model.diffusion_model.input_blocks.0.0.weight", "conv_in.weight"];
        match self.inputs(&latents) {
            Some(9) => return Some("an inpainting checkpoint, whose UNet takes 9 channels"),
            Some(8) => return Some("an InstructPix2Pix checkpoint, whose UNet takes 8 channels"),
            Some(5) => return Some("a depth-to-image checkpoint, whose UNet takes 5 channels"),
            _ => {}
        }
        let context = [
            "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        ];
        match self.inputs(&context) {
            Some(1024) => Some("a Stable Diffusion 2 checkpoint"),
            Some(2048) => Some("a Stable Diffusion XL checkpoint"),
            _ if self.has_prefix("cond_stage_model.model.") => Some("a Stable Diffusion 2 checkpoint"),
            _ => None,
        }
    }

    /// Which part of a model it is, in diffusers' or LDM's names.
    pub fn part(&self) -> Option<Part> {
        if self.any_part(&["time_embedding.linear_1.", "time_embed.0."]) {
            Some(Part::UNet)
        } else if self.any_part(&["decoder.conv_in.", "encoder.conv_in."]) {
            Some(Part::Vae)
        } else if self.any_part(&["token_embedding."]) {
            Some(Part::TextEncoder)
        } else {
            None
        }
    }
}
