//! Dumps and noise as safetensors.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::edit::{Dump, DumpData, Noise};

/// Writes a dump, each tensor under its name.
pub fn write_dump(to: &mut dyn Write, dump: &Dump) -> std::io::Result<()> {
    let views = dump.iter().map(|(name, tensor)| {
        let (dtype, bytes): (Dtype, &[u8]) = match &tensor.data {
            DumpData::F32(values) => (Dtype::F32, bytemuck::cast_slice(values)),
            DumpData::I32(values) => (Dtype::I32, bytemuck::cast_slice(values)),
            DumpData::U8(values) => (Dtype::U8, values),
        };
        (name, TensorView::new(dtype, tensor.shape.clone(), bytes).expect("a dump's shapes are those of its data"))
    });
    to.write_all(&serialize(views, None).map_err(std::io::Error::other)?)
}

/// Reads noise: `noise.maps`, `noise.start`, `noise.steps` and `noise.posterior`, as far as they are there, in half or
/// single precision; singles are rounded. Other tensors, such as the rest of a dump, are ignored.
pub fn read_noise(path: &Path) -> Result<Noise> {
    let wrong = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(wrong)?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| anyhow::anyhow!("not a whole safetensors file: {error}"))
        .with_context(wrong)?;
    let part = |name: &str| -> Result<Vec<f16>> {
        let Ok(tensor) = file.tensor(name) else { return Ok(Vec::new()) };
        halves(&tensor).with_context(|| format!("{}: {name}", path.display()))
    };
    let noise = Noise {
        maps: part("noise.maps")?,
        start: part("noise.start")?,
        steps: part("noise.steps")?,
        posterior: part("noise.posterior")?,
    };
    if noise == Noise::default() {
        bail!("{}: holds no noise (wanted: noise.maps, noise.start, noise.steps, noise.posterior)", path.display());
    }
    Ok(noise)
}

/// A tensor's elements in half precision, all finite.
fn halves(tensor: &TensorView) -> Result<Vec<f16>> {
    let data = tensor.data();
    let values: Vec<f16> = match tensor.dtype() {
        Dtype::F16 => data.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect(),
        Dtype::F32 => data.as_chunks().0.iter().map(|&bytes| f16::from_f32(f32::from_le_bytes(bytes))).collect(),
        other => bail!("is {other:?}; F16 and F32 are read"),
    };
    if values.iter().any(|value| !value.is_finite()) {
        bail!("holds values that are not finite");
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::DumpTensor;

    #[test]
    fn the_noise_of_a_dump_reads_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dump.safetensors");
        let mut dump = Dump::new();
        let tensor = DumpTensor { shape: vec![1, 4, 1, 1], data: DumpData::F32(vec![0.5, -1.0, 2.0, 0.1]) };
        dump.insert("noise.start".into(), tensor.clone());
        dump.insert("tokens.source".into(), DumpTensor { shape: vec![2], data: DumpData::I32(vec![7, 8]) });
        let mut bytes = Vec::new();
        write_dump(&mut bytes, &dump).expect("it is written");
        std::fs::write(&path, &bytes).expect("a file");
        let noise = read_noise(&path).expect("noise");
        assert_eq!(noise.start, [0.5, -1.0, 2.0, 0.1].map(f16::from_f32));
        assert!(noise.maps.is_empty());

        std::fs::write(&path, &bytes[..bytes.len() - 3]).expect("a file");
        assert!(read_noise(&path).expect_err("truncated").to_string().contains("dump.safetensors"));
    }

    #[test]
    fn files_without_noise_or_with_nan_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dump.safetensors");
        for (name, part) in [("latents", "holds no noise"), ("noise.maps", "not finite")] {
            let tensor = DumpTensor { shape: vec![1], data: DumpData::F32(vec![f32::NAN]) };
            let mut bytes = Vec::new();
            write_dump(&mut bytes, &Dump::from([(name.to_owned(), tensor)])).expect("it is written");
            std::fs::write(&path, &bytes).expect("a file");
            let message = format!("{:#}", read_noise(&path).expect_err("refused"));
            assert!(message.contains(part), "{message}");
        }
    }
}
