//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::values;
use crate::device::DeviceChoice;
use crate::edit::VaeTiling;
use crate::picture::Resize;

/// Edits part of a picture by two prompts.
///
/// Name what is in the picture and what should be there instead: DiffEdit finds the part where the two names make a
/// difference to Stable Diffusion, and repaints that part alone. Without --model the miniature model that is part of the
/// program is used; it draws emoji at 256x256.
#[derive(Debug, Parser)]
#[command(name = "diffedit", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  diffedit demo
  diffedit edit --image farm.jpg --from horse --to zebra --model sd15 -o out.png
  diffedit mask --image farm.jpg --from horse --to zebra --model sd15 -o mask.png --map-out map.npy
  diffedit mask --map map.npy --threshold 0.2 --fill-holes -o mask.png
  diffedit edit --image farm.jpg --to zebra --mask mask.png --model sd15.safetensors -o out.png
  diffedit remove --image farm.jpg --what horse --background grass --model sd15 -o out.png
sd15 stands for a Stable Diffusion 1.x model: its folder, its .safetensors file, or its id on the Hugging Face hub.

Settings that are not given come from the model folder's diffedit.json, and then from the article \
\"DiffEdit: Editing Images using Generative AI\" (J. Spruce, 2023): 50 steps, guidance 7.5, strength 0.75, seed 3; \
10 maps at strength 0.5, threshold 0.1, blur 7. The miniature has its own: see `diffedit demo`'s edit.json.

Environment: DIFFEDIT_NVRTC names NVRTC's file or folder, DIFFEDIT_OFFLINE=1 forbids fetching it, \
DIFFEDIT_KERNELS is as --kernels, XDG_CACHE_HOME holds the cache; models of the hub lie in HF_HOME, HF_TOKEN is for \
those that take one, HF_HUB_OFFLINE=1 forbids fetching them.";

#[derive(Debug, Subcommand)]
pub enum Command {
    Edit(Box<EditArgs>),
    Remove(Box<RemoveArgs>),
    Mask(Box<MaskArgs>),
    Plan(PlanArgs),
    Compile(CompileArgs),
    Devices(DevicesArgs),
    Demo(DemoArgs),
}

/// Edit a picture: find the mask, repaint what is under it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  diffedit edit --image farm.jpg --from horse --to zebra -o out.png --mask-out mask.png --sheet sheet.png")]
pub struct EditArgs {
    /// The picture to edit: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,

    /// What is in the picture; not needed with --mask or --map
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["mask", "map"])]
    pub from: Option<String>,

    /// What should be there instead
    #[arg(long, value_name = "TEXT")]
    pub to: String,

    #[command(flatten)]
    pub repaint: RepaintArgs,
}

/// What `edit` and `remove` share: all but the picture and what the prompts are called.
#[derive(Debug, Args)]
pub struct RepaintArgs {
    #[command(flatten)]
    pub files: EditFiles,

    #[command(flatten)]
    pub denoising: DenoisingArgs,

    #[command(flatten)]
    pub maps: MapsArgs,

    #[command(flatten)]
    pub cut: CutArgs,

    #[command(flatten)]
    pub picture: PictureArgs,

    #[command(flatten)]
    pub common: CommonArgs,

    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Remove a thing from a picture: find it, and repaint what is behind it.
///
/// An edit in which --what is there and --background alone should be: no mask is needed. It paints what the model knows
/// as empty ground. A lower --threshold or a larger --dilate helps where remains are left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  diffedit remove --image farm.jpg --what horse --background grass -o out.png
  diffedit remove --image farm.jpg --what \"a horse on grass\" --background grass -o out.png --mask-out mask.png")]
pub struct RemoveArgs {
    /// The picture: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,

    /// What is to go; not needed with --mask or --map
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["mask", "map"])]
    pub what: Option<String>,

    /// What remains, such as grass or a beach; without it the result is only led away from --what, as by
    /// --negative-prompt, and may show another thing in its place
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub background: String,

    #[command(flatten)]
    pub repaint: RepaintArgs,
}

/// Find the mask alone. From a saved map this needs neither model nor device.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  diffedit mask --image farm.jpg --from horse --to zebra -o mask.png --map-out map.npy --overlay seen.png
  diffedit mask --map map.npy --threshold 0.3 --blur 3 -o mask.png")]
pub struct MaskArgs {
    /// The picture; not needed with --map
    #[arg(long, value_name = "FILE", required_unless_present = "map")]
    pub image: Option<PathBuf>,

    /// What is in the picture; not needed with --map
    #[arg(long, value_name = "TEXT", required_unless_present = "map")]
    pub from: Option<String>,

    /// What should be there instead; not needed with --map
    #[arg(long, value_name = "TEXT", required_unless_present = "map")]
    pub to: Option<String>,

    /// Where the mask goes, white where the edit goes
    #[arg(short, long, value_name = "FILE.png", value_parser = values::png_path)]
    pub out: PathBuf,

    /// Make the mask from this saved map, with the settings of --model where none are given
    #[arg(long, value_name = "FILE.png|FILE.npy")]
    pub map: Option<PathBuf>,

    /// Write the map: exact values as .npy, or 16 bits deep as .png
    #[arg(long, value_name = "FILE.png|FILE.npy", value_parser = values::map_path, conflicts_with = "map")]
    pub map_out: Option<PathBuf>,

    /// Write the picture with the mask laid over it
    #[arg(long, value_name = "FILE.png", value_parser = values::png_path, requires = "image")]
    pub overlay: Option<PathBuf>,

    /// Steps of the schedule of which --mask-strength are noised, 1 to 1000
    #[arg(long, value_name = "N", value_parser = values::steps, allow_negative_numbers = true)]
    pub steps: Option<usize>,

    #[command(flatten)]
    pub maps: MapsArgs,

    #[command(flatten)]
    pub cut: CutArgs,

    #[command(flatten)]
    pub picture: PictureArgs,

    #[command(flatten)]
    pub common: CommonArgs,

    #[command(flatten)]
    pub device: DeviceArgs,
}

/// What an edit reads beside the picture, and what it writes.
#[derive(Debug, Args)]
pub struct EditFiles {
    /// Where the edited picture goes (PNG, with its settings inside)
    #[arg(short, long, value_name = "FILE.png", value_parser = values::png_path)]
    pub out: PathBuf,

    /// Take this mask instead of finding one: white where the edit goes, at any size; latent cells at least half white
    /// are edited
    #[arg(long, value_name = "FILE", conflicts_with = "map")]
    pub mask: Option<PathBuf>,

    /// Take this map instead of computing one, and cut it at --threshold
    #[arg(long, value_name = "FILE.png|FILE.npy")]
    pub map: Option<PathBuf>,

    /// Write the mask, as large as the edited picture
    #[arg(long, value_name = "FILE.png", value_parser = values::png_path)]
    pub mask_out: Option<PathBuf>,

    /// Write the map: exact values as .npy, or 16 bits deep as .png
    #[arg(long, value_name = "FILE.png|FILE.npy", value_parser = values::map_path, conflicts_with = "mask")]
    pub map_out: Option<PathBuf>,

    /// Write a labelled sheet of every stage, from the latents to the result; not with --mask or --map
    #[arg(long, value_name = "FILE.png", value_parser = values::png_path, conflicts_with_all = ["mask", "map"])]
    pub sheet: Option<PathBuf>,
}

/// How the part under the mask is repainted.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Repainting")]
pub struct DenoisingArgs {
    /// What the result should not show
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,

    /// Steps of the whole schedule, 1 to 1000, of which --strength are run [the article: 50]
    #[arg(long, value_name = "N", value_parser = values::steps, allow_negative_numbers = true)]
    pub steps: Option<usize>,

    /// How strongly the prompt leads; 1 is not at all [the article: 7.5]
    #[arg(long, visible_alias = "cfg-scale", value_name = "X", value_parser = values::guidance, allow_negative_numbers = true)]
    pub guidance: Option<f32>,

    /// How much noise the repainting starts from, above 0 and up to 1: little keeps the shape [the article: 0.75]
    #[arg(long, value_name = "X", value_parser = values::strength, allow_negative_numbers = true)]
    pub strength: Option<f64>,

    /// Seed of the noise, as torch's CPU generator takes it, 0 to 2^64 - 1 [the article: 3]
    #[arg(long, value_name = "N", value_parser = values::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
}

/// How the map of differences is computed.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Finding the mask")]
pub struct MapsArgs {
    /// Noise draws that are averaged, 1 to 1000; draw i has the seed 3 i [the article: 10]
    #[arg(long, value_name = "N", value_parser = values::maps, allow_negative_numbers = true)]
    pub maps: Option<usize>,

    /// How much noise the prompts are compared under, above 0 and up to 1 [the article: 0.5]
    #[arg(long, value_name = "X", value_parser = values::strength, allow_negative_numbers = true)]
    pub mask_strength: Option<f64>,

    /// Noise draws that share a call of the UNet, 1 to 1000: more take more memory, and change no bit [default: as many
    /// as fill a GPU]
    #[arg(long, value_name = "N", value_parser = values::maps, allow_negative_numbers = true)]
    pub batch: Option<usize>,
}

/// How a map becomes a mask.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "From map to mask")]
pub struct CutArgs {
    /// The mask is where the map is over this, 0 to 1 [the article: 0.1]
    #[arg(long, value_name = "X", value_parser = values::threshold, allow_negative_numbers = true)]
    pub threshold: Option<f32>,

    /// Smooth the mask by a Gaussian this many latent cells wide: odd, 1 (none) to 255 [the article: 7]
    #[arg(long, value_name = "N", value_parser = values::blur, allow_negative_numbers = true)]
    pub blur: Option<usize>,

    /// Fill holes in the mask
    #[arg(long)]
    pub fill_holes: bool,

    /// Grow the mask by this many latent cells in every direction, 0 to 64 [the article: 0; for remove 2, so that little
    /// of the thing's rim is left]
    #[arg(long, value_name = "N", value_parser = values::dilation, allow_negative_numbers = true)]
    pub dilate: Option<usize>,
}

/// Which model.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Model and files")]
pub struct ModelArgs {
    /// Stable Diffusion 1.x: a folder in diffusers' layout, a single .safetensors file, or a model of the Hugging Face hub
    /// as owner/name[@revision], fetched once [default: the miniature]
    #[arg(long, value_name = "DIR|FILE|ID")]
    pub model: Option<PathBuf>,

    /// Take this VAE in place of the model's own: a folder in diffusers' layout or a .safetensors file
    #[arg(long, value_name = "DIR|FILE")]
    pub vae: Option<PathBuf>,

    /// Configs of a single .safetensors file that has not Stable Diffusion 1.5's shape: a folder in diffusers' layout
    #[arg(long, value_name = "DIR", requires = "model")]
    pub config: Option<PathBuf>,
}

impl ModelArgs {
    /// What settings and reports call the model.
    pub fn name(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_deref().map(|path| path.display().to_string());
        let model = path(&self.model).unwrap_or_else(|| "demo".into());
        path(&self.vae).map_or(model.clone(), |vae| format!("{model} with VAE {vae}"))
    }
}

/// How the picture comes to the size it is edited at, and the edit back into the picture.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Size")]
pub struct PictureArgs {
    /// How a picture comes to a size of another shape: stretch; fit, all of it in the middle, its border continued
    /// around it; fill, its middle alone, the rest is not edited
    #[arg(long, value_name = "stretch|fit|fill", default_value_t)]
    pub resize: Resize,

    /// Write picture and mask at the size it is edited at, the picture as the model made it. Otherwise they have the
    /// picture's own size and the edit is laid back into it: outside the mask every pixel stays, and inside the edit fades
    /// in over half a latent cell
    #[arg(long)]
    pub raw: bool,
}

/// Model, size, noise, and what to keep.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Model and files")]
pub struct CommonArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Size to edit at: multiples of 8 from 64 to 2048 [default: the picture's shape, with the pixels of the model's size]
    #[arg(long, value_name = "WxH", value_parser = values::size, conflicts_with_all = ["width", "height"])]
    pub size: Option<(usize, usize)>,

    /// Width, in place of --size
    #[arg(short = 'W', long, value_name = "N", value_parser = values::side, requires = "height", allow_negative_numbers = true)]
    pub width: Option<usize>,

    /// Height, in place of --size
    #[arg(short = 'H', long, value_name = "N", value_parser = values::side, requires = "width", allow_negative_numbers = true)]
    pub height: Option<usize>,

    /// Sample the picture's latents with this seed instead of taking their mean
    #[arg(long, value_name = "SEED", value_parser = values::seed, allow_negative_numbers = true)]
    pub posterior_seed: Option<u64>,

    /// Whether the VAE computes the picture in parts, which takes less memory and more time and changes nothing: auto is
    /// where memory is short
    #[arg(long, value_name = "auto|on|off", value_parser = values::vae_tiling, default_value = "auto")]
    pub vae_tiling: VaeTiling,

    /// Take the noise from this file, whose tensors are named as those of --dump
    #[arg(long, value_name = "FILE.safetensors")]
    pub noise: Option<PathBuf>,

    /// Write every stage's tensors, to compare with another implementation
    #[arg(long, value_name = "FILE.safetensors")]
    pub dump: Option<PathBuf>,

    /// Write settings, timings, device and versions
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl CommonArgs {
    /// The size that was asked for, in either way.
    pub fn size(&self) -> Option<(usize, usize)> {
        self.size.or(self.width.zip(self.height))
    }
}

/// Where kernels run and come from.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Device")]
pub struct DeviceArgs {
    /// auto, cuda:N, emulator or emulator:NAME; auto is the first GPU, and the emulator where no NVIDIA driver is
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub device: DeviceChoice,

    /// Take compiled kernels from this folder, made by `diffedit compile`, and compile nothing
    #[arg(long, value_name = "DIR", env = "DIFFEDIT_KERNELS")]
    pub kernels: Option<PathBuf>,

    /// Fetch nothing: fail if NVRTC or the model is not on this machine
    #[arg(long)]
    pub offline: bool,
}

/// Say how much device memory an edit takes, without running it. Needs no GPU, and of the model only its configs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  diffedit plan --model sd15 --size 768x512
  diffedit plan --model sd15 --maps 40 --device emulator:rtx4090 --json plan.json")]
pub struct PlanArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Size of the picture: multiples of 8 from 64 to 2048 [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = values::size)]
    pub size: Option<(usize, usize)>,

    /// Noise draws that are averaged for the mask, 1 to 1000 [the article: 10]
    #[arg(long, value_name = "N", value_parser = values::maps, allow_negative_numbers = true)]
    pub maps: Option<usize>,

    /// Noise draws that share a call of the UNet, 1 to 1000: more take more memory, and change no bit [default: as many
    /// as fill a GPU]
    #[arg(long, value_name = "N", value_parser = values::maps, allow_negative_numbers = true)]
    pub batch: Option<usize>,

    /// Steps of the whole schedule, 1 to 1000 [the article: 50]
    #[arg(long, value_name = "N", value_parser = values::steps, allow_negative_numbers = true)]
    pub steps: Option<usize>,

    /// As for an edit: auto, on or off
    #[arg(long, value_name = "auto|on|off", value_parser = values::vae_tiling, default_value = "auto")]
    pub vae_tiling: VaeTiling,

    /// Plan for an edit with --sheet
    #[arg(long)]
    pub sheet: bool,

    /// The device to plan for: auto, cuda:N, emulator or emulator:NAME
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub device: DeviceChoice,

    /// Fetch nothing: fail if the model is not on this machine
    #[arg(long)]
    pub offline: bool,

    /// Write the plan, in bytes
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Compile all kernels of a model for machines that lack NVRTC. Needs no GPU.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  diffedit compile --arch sm_90 --arch sm_89 --model sd15 --out kernels
  diffedit edit --kernels kernels ...")]
pub struct CompileArgs {
    /// A GPU architecture; may be repeated: sm_80, sm_86, sm_89, sm_90, sm_100, sm_120, ...
    #[arg(long, value_name = "ARCH", required = true, value_parser = values::architecture)]
    pub arch: Vec<(u32, u32)>,

    /// The folder to fill; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Size that will be edited at [default: those of usual shapes, from 1:2 to 2:1, with the pixels of the model's size]
    #[arg(long, value_name = "WxH", value_parser = values::size)]
    pub size: Option<(usize, usize)>,

    /// Fetch nothing: fail if NVRTC or the model is not on this machine
    #[arg(long)]
    pub offline: bool,
}

/// List the GPUs and the devices that the emulator can be.
#[derive(Debug, Args)]
pub struct DevicesArgs {}

/// Edit the picture that is part of the program: a horse becomes a zebra.
///
/// Writes the picture, the mask, the mask over the picture, the result and a sheet of every stage.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The folder for the pictures; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = "diffedit-demo")]
    pub out: PathBuf,

    #[command(flatten)]
    pub device: DeviceArgs,
}
