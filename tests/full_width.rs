//! A UNet of Stable Diffusion 1.5's widths, with one layer a block and random weights, on small latents against the
//! reference in torch and diffusers. `benches/full_size.rs` does it at full size.

mod goldens;
mod support;
#[path = "support/weights.rs"]
mod weights;

use std::collections::BTreeMap;

use diffedit::model::{Time, UNet, UNetConfig};
use diffedit::plan::Plan;
use diffedit::weights::Loader;
use goldens::Goldens;
use serde::Deserialize;
use support::{channels_first, channels_last, device, relative_rms, run_for, upload, upload_f32, widen};
use weights::{random_checkpoint, random_weights};

/// What `tools/full_size.py` says of its golden.
#[derive(Deserialize)]
struct About {
    config: UNetConfig,
    /// Shapes of the weights by name.
    tensors: BTreeMap<String, Vec<usize>>,
    timestep: u32,
    /// The prediction's relative RMS error in half precision at its best.
    yardstick: f64,
}

#[test]
fn a_unet_of_full_width_matches_the_reference() {
    let goldens = Goldens::open("full-width");
    let about: About = goldens.about();
    let expected = goldens.f32("prediction");
    let &[prompts, channels, height, width] = &goldens.shape("prediction")[..] else { panic!("four dimensions") };

    let checkpoint = random_checkpoint(&about.tensors);
    let loader = Loader::new(device(), &checkpoint);
    let unet = UNet::load(&loader, about.config).expect("the weights load");
    assert!(loader.finish().expect("loads").is_empty());

    let mut plan = Plan::new(device().capabilities());
    let text_shape = [prompts, 77, unet.config().cross_attention_dim];
    let text = upload(&text_shape, &random_weights("text_model.embeddings", &text_shape));
    let context = unet.record_context(&mut plan, &text).expect("fits");
    let table = unet.record_time(&mut plan, &upload_f32(&[1], &[about.timestep as f32])).expect("fits");
    let latents = widen(&random_weights("text_model.embeddings.latents", &[channels, height, width]));
    let rows = support::halves(&channels_last(&latents, channels, height * width, 8));
    let input = upload(&[prompts, height, width, 8], &rows.repeat(prompts));
    let output = unet.record(&mut plan, &input, Time { table: &table, step: None }, &context).expect("fits");
    let prediction = channels_first(&run_for(&mut plan, &output), channels, height * width);

    let error = relative_rms(&prediction, &expected);
    println!("relative RMS error {error:.3e}, yardstick {:.3e}", about.yardstick);
    assert!(error <= 2.0 * about.yardstick, "relative RMS error {error:.3e}, yardstick {:.3e}", about.yardstick);
}
