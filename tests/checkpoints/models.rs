//! Whole files of wrong models: weights that do not fit, configs that lie, other networks, damaged tokenizers.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use serde_json::{Value, json};

use super::corpus::{Case, folder, single};
use super::stored::{Stored, TEXT, Tensors, UNET, VAE, demo, remove, replace, single_file};

pub fn cases() -> Vec<Case> {
    [values(), weights(), other_networks(), single_files(), configs(), indices(), tokenizers()]
        .into_iter()
        .flatten()
        .collect()
}

/// A case that changes a part's tensors.
fn tensors(
    name: &'static str,
    words: &'static [&'static str],
    file: &'static str,
    change: impl Fn(&mut Tensors) + 'static,
) -> Case {
    folder(name, words, move |path| {
        let mut tensors = Tensors::of_demo(file);
        change(&mut tensors);
        replace(&path.join(file), &tensors.bytes());
    })
}

/// Values that fp16 cannot hold, behind what everything else is right.
fn values() -> Vec<Case> {
    const NAME: &str = "encoder.conv_in.weight";
    fn case(name: &'static str, words: &'static [&'static str], change: fn(&mut Stored)) -> Case {
        Case { values: true, ..tensors(name, words, VAE, move |tensors| change(tensors.get_mut(NAME))) }
    }
    fn set(stored: &mut Stored, bytes: &[u8]) {
        let end = stored.bytes.len();
        stored.bytes[end - bytes.len()..].copy_from_slice(bytes);
    }
    vec![
        case("a weight that is NaN", &[NAME, "NaN or infinity"], |stored| set(stored, &f16::NAN.to_le_bytes())),
        case("a weight that is infinite", &[NAME, "NaN or infinity"], |stored| {
            set(stored, &f16::NEG_INFINITY.to_le_bytes());
        }),
        case("a single that overflows fp16", &[NAME, "65520", "overflows fp16"], |stored| {
            *stored = stored.widened();
            set(stored, &65520_f32.to_le_bytes());
        }),
        case("a bf16 that overflows fp16", &[NAME, "overflows fp16"], |stored| {
            *stored = stored.as_bf16();
            set(stored, &bf16::from_f32(1e30).to_le_bytes());
        }),
        case("a single that is NaN", &[NAME, "NaN or infinity"], |stored| {
            *stored = stored.widened();
            set(stored, &f32::NAN.to_le_bytes());
        }),
    ]
}

/// Weights that are not those of the configs.
fn weights() -> Vec<Case> {
    const NAME: &str = "decoder.conv_out.weight";
    vec![
        tensors("a tensor missing", &["1 missing", "decoder.conv_out.weight [3, 16, 3, 3]"], VAE, |tensors| {
            tensors.0.remove(NAME);
        }),
        tensors("a tensor too many", &["1 unexpected", "decoder.extra [2]"], VAE, |tensors| {
            tensors.0.insert("decoder.extra".into(), Stored::halves(&[2], 0.0));
        }),
        tensors(
            "a tensor of another shape",
            &["1 of another shape", "is [3, 16, 1, 1], wanted [3, 16, 3, 3]"],
            VAE,
            |tensors| {
                *tensors.get_mut(NAME) = Stored::halves(&[3, 16, 1, 1], 0.0);
            },
        ),
        tensors("a kernel channels last", &["is [3, 3, 3, 16], wanted [3, 16, 3, 3]"], VAE, |tensors| {
            tensors.get_mut(NAME).shape = vec![3, 3, 3, 16];
        }),
        tensors("a tensor without dimensions", &["is [], wanted [3]"], VAE, |tensors| {
            *tensors.get_mut("decoder.conv_out.bias") = Stored::halves(&[], 0.0);
        }),
        tensors("a tensor in double precision", &["type other than", "conv_out.weight is F64"], VAE, |tensors| {
            let stored = tensors.get_mut(NAME);
            *stored = Stored { dtype: Dtype::F64, shape: stored.shape.clone(), bytes: vec![0; stored.bytes.len() * 4] };
        }),
        tensors("all tensors in 8 bits", &["184 of a type other than", "quantised"], VAE, |tensors| {
            for stored in tensors.0.values_mut() {
                stored.dtype = Dtype::I8;
                stored.bytes.truncate(stored.bytes.len() / 2);
            }
        }),
        tensors("all of it wrong at once", &["1 missing", "1 of another shape", "1 unexpected"], UNET, |tensors| {
            tensors.0.remove("conv_in.bias");
            tensors.0.insert("conv_in.scale".into(), Stored::halves(&[1], 0.0));
            *tensors.get_mut("conv_out.bias") = Stored::halves(&[5], 0.0);
        }),
        folder("two parts wrong at once", &["cannot be loaded", "unet/", "conv_in.bias", "vae/", NAME], |path| {
            for (file, name) in [(UNET, "conv_in.bias"), (VAE, NAME)] {
                let mut tensors = Tensors::of_demo(file);
                tensors.0.remove(name);
                replace(&path.join(file), &tensors.bytes());
            }
        }),
        folder("parts in each other's place", &["weights of a VAE", "weights of a UNet", "and 4"], |path| {
            for (to, from) in [(UNET, VAE), (VAE, UNET)] {
                replace(&path.join(to), &fs::read(demo().join(from)).expect("a part"));
            }
        }),
        folder("a text encoder in the UNet's place", &["unet/", "weights of a text encoder"], |path| {
            replace(&path.join(UNET), &fs::read(demo().join(TEXT)).expect("a part"));
        }),
        tensors("a prefix before every name", &["missing", "unexpected", "renamed"], VAE, |tensors| {
            *tensors = std::mem::take(tensors).rename(|name| format!("module.{name}"));
        }),
        tensors("half of the tensors", &["missing", "and 86 more", "not whole"], VAE, |tensors| {
            let kept = std::mem::take(&mut tensors.0).into_iter().enumerate();
            tensors.0 = kept.filter(|(index, _)| index % 2 == 0).map(|(_, entry)| entry).collect();
        }),
        tensors("attention under both names", &["same tensor under two names", "query"], VAE, |tensors| {
            let bias = tensors.get_mut("decoder.mid_block.attentions.0.to_q.bias").clone();
            let weight = tensors.get_mut("decoder.mid_block.attentions.0.to_q.weight").clone();
            tensors.0.insert("decoder.mid_block.attentions.0.query.bias".into(), bias);
            tensors.0.insert("decoder.mid_block.attentions.0.query.weight".into(), weight);
        }),
        config(
            "weights of another width",
            &["of another shape", "config is another model's"],
            "vae/config.json",
            |config| {
                config["block_out_channels"] = json!([32, 64, 128, 128]);
            },
        ),
    ]
}

/// Other networks in diffusers' layout, told by their weights.
fn other_networks() -> Vec<Case> {
    const CONTEXT: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight";
    vec![
        tensors("SDXL's UNet", &["Stable Diffusion XL"], UNET, |tensors| {
            tensors.0.insert("add_embedding.linear_1.weight".into(), Stored::halves(&[4, 4], 0.0));
        }),
        tensors("SD2's UNet", &["Stable Diffusion 2"], UNET, |tensors| {
            *tensors.get_mut(CONTEXT) = Stored::halves(&[40, 1024], 0.0);
        }),
        tensors("an inpainting UNet", &["inpainting", "9 channels"], UNET, |tensors| {
            *tensors.get_mut("conv_in.weight") = Stored::halves(&[40, 9, 3, 3], 0.0);
        }),
        tensors("a ControlNet", &["ControlNet"], UNET, |tensors| {
            tensors.0.insert("controlnet_cond_embedding.conv_in.weight".into(), Stored::halves(&[4, 4], 0.0));
        }),
        tensors("a LoRA", &["LoRA"], UNET, |tensors| {
            tensors.0 = [("unet.down_blocks.0.attn1.to_q.lora_A.weight".into(), Stored::halves(&[4, 4], 0.0))].into();
        }),
    ]
}

/// A file of these tensors, each of this shape.
fn file_of(names: &'static [(&'static str, &'static [usize])]) -> impl Fn() -> Vec<u8> {
    move || Tensors(names.iter().map(|(name, shape)| ((*name).into(), Stored::halves(shape, 0.0))).collect()).bytes()
}

/// The miniature as a single file without the tensors whose names begin like this.
fn without(prefix: &'static str) -> impl Fn() -> Vec<u8> {
    move || {
        let mut tensors = single_file();
        tensors.0.retain(|name, _| !name.starts_with(prefix));
        tensors.bytes()
    }
}

/// Single-file checkpoints of other networks, or of less than a model.
fn single_files() -> Vec<Case> {
    const LATENTS: &str = "model.diffusion_model.input_blocks.0.0.weight";
    const CONTEXT: &str = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";
    vec![
        single(
            "SDXL in a file",
            &["this is a Stable Diffusion XL checkpoint"],
            file_of(&[
                ("conditioner.embedders.0.transformer.text_model.final_layer_norm.bias", &[8]),
                (LATENTS, &[320, 4, 3, 3]),
            ]),
        ),
        single(
            "SD2 in a file",
            &["this is a Stable Diffusion 2 checkpoint"],
            file_of(&[("cond_stage_model.model.ln_final.bias", &[8]), (LATENTS, &[320, 4, 3, 3])]),
        ),
        single("SD2 by its shapes", &["this is a Stable Diffusion 2 checkpoint"], file_of(&[(CONTEXT, &[320, 1024])])),
        single(
            "SD3 in a file",
            &["this is a Stable Diffusion 3 checkpoint"],
            file_of(&[("model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight", &[8, 8])]),
        ),
        single(
            "Flux in a file",
            &["this is a Flux checkpoint"],
            file_of(&[("double_blocks.0.img_attn.qkv.weight", &[8, 8])]),
        ),
        single("inpainting in a file", &["this is an inpainting checkpoint"], file_of(&[(LATENTS, &[320, 9, 3, 3])])),
        single("InstructPix2Pix in a file", &["InstructPix2Pix"], file_of(&[(LATENTS, &[320, 8, 3, 3])])),
        single(
            "a ControlNet in a file",
            &["this is a ControlNet"],
            file_of(&[("control_model.input_blocks.0.0.bias", &[8])]),
        ),
        single(
            "a LoRA in a file",
            &["this is a LoRA", "merge it"],
            file_of(&[("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", &[4, 320])]),
        ),
        single("an embedding in a file", &["textual-inversion"], file_of(&[("emb_params", &[1, 768])])),
        single("a VAE in the model's place", &["this is a VAE alone", "--vae"], || {
            fs::read(demo().join(VAE)).expect("a part")
        }),
        single("a UNet in the model's place", &["this is the UNet of a model alone"], || {
            fs::read(demo().join(UNET)).expect("a part")
        }),
        single(
            "a file of something else",
            &["not a Stable Diffusion checkpoint"],
            file_of(&[("bert.pooler.bias", &[8])]),
        ),
        single("a file without a VAE", &["holds no VAE", "--vae FILE"], without("first_stage_model.")),
        single("a file without a text encoder", &["holds no text encoder"], without("cond_stage_model.")),
        single(
            "a file without a tensor",
            &["1 missing", "model.diffusion_model.output_blocks.1.1.conv.weight [160, 160, 3, 3]"],
            without("model.diffusion_model.output_blocks.1.1.conv.weight"),
        ),
        single("a file of another width than its own config", &["of another shape", "another model's"], || {
            single_file().bytes()
        }),
    ]
}

/// A case that changes a config.
fn config(
    name: &'static str,
    words: &'static [&'static str],
    file: &'static str,
    change: impl Fn(&mut Value) + 'static,
) -> Case {
    folder(name, words, move |path| {
        let mut value: Value = serde_json::from_slice(&fs::read(demo().join(file)).expect("a config")).expect("JSON");
        change(&mut value);
        replace(&path.join(file), value.to_string().as_bytes());
    })
}

/// Configs that lie.
fn configs() -> Vec<Case> {
    const UNET: &str = "unet/config.json";
    const VAE: &str = "vae/config.json";
    const TEXT: &str = "text_encoder/config.json";
    const SCHEDULER: &str = "scheduler/scheduler_config.json";
    fn set(
        name: &'static str,
        words: &'static [&'static str],
        file: &'static str,
        (field, value): (&'static str, Value),
    ) -> Case {
        config(name, words, file, move |config| config[field] = value.clone())
    }
    vec![
        folder("no config", &["unet/config.json", "is missing"], |path| remove(&path.join(UNET))),
        folder("a config that is no JSON", &["unet/config.json", "cannot be used"], |path| {
            replace(&path.join(UNET), b"{")
        }),
        folder("an empty config", &["vae/config.json", "cannot be used"], |path| replace(&path.join(VAE), b"")),
        folder("a config without fields", &["vae/config.json", "missing field"], |path| {
            replace(&path.join(VAE), b"{}")
        }),
        set("a config of an inpainting model", &["inpainting model"], UNET, ("in_channels", json!(9))),
        set(
            "a config of SDXL",
            &["addition_embed_type", "text_time"],
            UNET,
            ("addition_embed_type", json!("text_time")),
        ),
        config("a config of SD2", &["this is a Stable Diffusion 2 model"], UNET, |config| {
            config["cross_attention_dim"] = json!(1024);
            config["use_linear_projection"] = json!(true);
        }),
        set("a config of an LCM", &["time_cond_proj_dim"], UNET, ("time_cond_proj_dim", json!(256))),
        set(
            "ten transformers a block",
            &["transformer_layers_per_block"],
            UNET,
            ("transformer_layers_per_block", json!([1, 2, 10, 10])),
        ),
        set(
            "another text encoder's width",
            &["cross_attention_dim is 72", "hidden_size 64"],
            UNET,
            ("cross_attention_dim", json!(72)),
        ),
        set("no layers", &["layers_per_block is 0"], UNET, ("layers_per_block", json!(0))),
        set("a billion layers", &["layers_per_block is 1000000000"], UNET, ("layers_per_block", json!(1_000_000_000))),
        set("negative layers", &["cannot be used", "-1"], UNET, ("layers_per_block", json!(-1))),
        set(
            "ragged widths",
            &["a width of 44 is not a multiple of 8"],
            UNET,
            ("block_out_channels", json!([44, 80, 160, 160])),
        ),
        set(
            "absurd widths",
            &["a width of 1000000000000000000"],
            UNET,
            ("block_out_channels", json!([1_000_000_000_000_000_000_u64, 80, 160, 160])),
        ),
        set("fewer widths than blocks", &["3 widths for 4 down"], UNET, ("block_out_channels", json!([40, 80, 160]))),
        set("no widths", &["number of block_out_channels is 0"], VAE, ("block_out_channels", json!([]))),
        set(
            "a thousand widths",
            &["number of block_out_channels is 1000"],
            VAE,
            ("block_out_channels", json!(vec![16; 1000])),
        ),
        set("heads that do not divide", &["3 heads over 40 channels"], UNET, ("attention_head_dim", json!(3))),
        set("no heads", &["0 heads"], UNET, ("attention_head_dim", json!(0))),
        set("no groups", &["norm_num_groups is 0"], UNET, ("norm_num_groups", json!(0))),
        set(
            "another block",
            &["a down block is \"AttnDownBlock2D\""],
            UNET,
            ("down_block_types", json!(["AttnDownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"])),
        ),
        set("another activation", &["act_fn is \"gelu\""], UNET, ("act_fn", json!("gelu"))),
        set("a VAE of 16 channels", &["[3, 16, 3]"], VAE, ("latent_channels", json!(16))),
        set("a scale of zero", &["scaling_factor is 0"], VAE, ("scaling_factor", json!(0.0))),
        set("a VAE that shifts", &["shift_factor"], VAE, ("shift_factor", json!(0.1))),
        set(
            "another VAE",
            &["up_block_types"],
            VAE,
            ("up_block_types", json!(["UpDecoderBlock2D", "AttnUpDecoderBlock2D"])),
        ),
        set("a text encoder of T5", &["hidden_act is \"relu\""], TEXT, ("hidden_act", json!("relu"))),
        set(
            "a trillion layers of text",
            &["num_hidden_layers is 1000000000000"],
            TEXT,
            ("num_hidden_layers", json!(1_000_000_000_000_u64)),
        ),
        set("a trillion tokens", &["vocab_size is 1000000000000"], TEXT, ("vocab_size", json!(1_000_000_000_000_u64))),
        set(
            "fewer tokens than the tokenizer's",
            &["tokenizer/vocab.json", "token 513", "vocab_size is 500"],
            TEXT,
            ("vocab_size", json!(500)),
        ),
        set("an epsilon of zero", &["layer_norm_eps is 0"], TEXT, ("layer_norm_eps", json!(0.0))),
        set(
            "a scheduler of velocities",
            &["scheduler_config.json", "v_prediction"],
            SCHEDULER,
            ("prediction_type", json!("v_prediction")),
        ),
        set("betas beyond one", &["scheduler_config.json", "beta_end"], SCHEDULER, ("beta_end", json!(1.5))),
        folder("no scheduler", &["scheduler_config.json", "is missing"], |path| remove(&path.join(SCHEDULER))),
        folder("three configs wrong at once", &["unet/config.json", "vae/config.json", SCHEDULER], |path| {
            for file in [UNET, VAE, SCHEDULER] {
                replace(&path.join(file), b"[]");
            }
        }),
        config("all of a config wrong at once", &["act_fn", "sample_size", "norm_eps"], UNET, |config| {
            (config["act_fn"], config["sample_size"], config["norm_eps"]) = (json!("relu"), json!(0), json!(-1.0));
        }),
    ]
}

/// `model_index.json` of other pipelines.
fn indices() -> Vec<Case> {
    fn class(name: &'static str, words: &'static [&'static str]) -> Case {
        config(name, words, "model_index.json", move |index| index["_class_name"] = json!(words[0]))
    }
    vec![
        class("a folder of SDXL", &["StableDiffusionXLPipeline", "only Stable Diffusion 1.x"]),
        class("a folder of Flux", &["FluxPipeline", "only Stable Diffusion 1.x"]),
        class("a folder of SD3", &["StableDiffusion3Pipeline", "only Stable Diffusion 1.x"]),
        class("a folder for inpainting", &["StableDiffusionInpaintPipeline", "only Stable Diffusion 1.x"]),
        folder("an index of a model that is no JSON", &["model_index.json", "cannot be used"], |path| {
            replace(&path.join("model_index.json"), b"<html>");
        }),
    ]
}

/// Tokenizers that are damaged, or not CLIP's: of CLIP's own files.
fn tokenizers() -> Vec<Case> {
    const VOCABULARY: &str = "tokenizer/vocab.json";
    const MERGES: &str = "tokenizer/merges.txt";
    fn damaged(name: &'static str, words: &'static [&'static str], damage: impl Fn(&Path) + 'static) -> Case {
        folder(name, words, move |path| {
            for file in [VOCABULARY, MERGES] {
                remove(&path.join(file));
                std::os::unix::fs::symlink(demo().join(file), path.join(file)).expect("a link");
            }
            damage(path);
        })
    }
    fn merges(change: impl Fn(String) -> String) -> impl Fn(&Path) {
        move |path| {
            let text = fs::read_to_string(demo().join(MERGES)).expect("merges");
            replace(&path.join(MERGES), change(text).as_bytes());
        }
    }
    vec![
        damaged("no vocabulary", &[VOCABULARY, "is missing"], |path| remove(&path.join(VOCABULARY))),
        damaged("no merges", &[MERGES, "is missing"], |path| remove(&path.join(MERGES))),
        damaged("a vocabulary that is no JSON", &[VOCABULARY, "cannot be used"], |path| {
            replace(&path.join(VOCABULARY), b"a: 1");
        }),
        damaged("a vocabulary of one word", &[VOCABULARY, "lacks <|startoftext|>"], |path| {
            replace(&path.join(VOCABULARY), br#"{"a": 0}"#);
        }),
        damaged(
            "a merge of an unknown piece",
            &[MERGES, "damaged", "thx"],
            merges(|text| text.replacen("t h\n", "thx h\n", 1)),
        ),
        damaged("a merge of three pieces", &[MERGES, "damaged"], merges(|text| text.replacen("t h\n", "t h e\n", 1))),
        damaged(
            "a merge of one piece",
            &[MERGES, "damaged", "two pieces"],
            merges(|text| text.replacen("t h\n", "th\n", 1)),
        ),
        damaged(
            "merges cut in a line",
            &[MERGES, "damaged", "two pieces"],
            merges(|text| {
                let middle = &text[..200_001];
                middle[..middle.rfind(' ').expect("a space")].to_owned()
            }),
        ),
        damaged(
            "merges cut behind a line",
            &[MERGES, "cut short", "1000 merges"],
            merges(|text| text.lines().take(1001).collect::<Vec<_>>().join("\n")),
        ),
        damaged("merges that are no text", &[MERGES, "UTF-8"], |path| {
            replace(&path.join(MERGES), b"#version\n\xFF\xFE a\n")
        }),
        damaged("a whole tokenizer that is not one", &["tokenizer/tokenizer.json"], |path| {
            fs::write(path.join("tokenizer/tokenizer.json"), "{}").expect("a file");
        }),
    ]
}
