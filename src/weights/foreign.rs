//! Files that are given for safetensors and are not: told by their names and first bytes, each with what to do.

use std::path::Path;

const PICKLE: &str = "is a pickle, which runs whatever code its author put into it when it is read, so it is refused; take \
                      the .safetensors file of the same model, or convert it with diffusers \
                      (StableDiffusionPipeline.from_single_file, then save_pretrained with safe_serialization=True)";

/// Extensions of torch.save's pickles.
const PICKLED: [&str; 5] = ["ckpt", "bin", "pt", "pth", "pkl"];

/// Why a file of this name is refused unread.
pub fn by_name(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    PICKLED.iter().any(|pickled| extension.eq_ignore_ascii_case(pickled)).then_some(PICKLE)
}

/// Why a file that begins like this is refused.
pub fn by_content(bytes: &[u8]) -> Option<&'static str> {
    const MARKS: &[(&[u8], &str)] = &[
        (b"\x80\x02", PICKLE),
        (b"\x80\x03", PICKLE),
        (b"\x80\x04", PICKLE),
        (b"\x80\x05", PICKLE),
        (
            b"version https://git-lfs",
            "is a pointer of Git LFS, not the file itself; run `git lfs pull` in its folder, or download the file",
        ),
        (b"\x89PNG", "is a picture, not a safetensors file"),
        (b"\xFF\xD8\xFF", "is a picture, not a safetensors file"),
        (b"GIF8", "is a picture, not a safetensors file"),
        (b"RIFF", "is a picture, not a safetensors file"),
        (b"GGUF", "is a GGUF file; the model's .safetensors file is wanted"),
        (b"\x89HDF", "is an HDF5 file; the model's .safetensors file is wanted"),
        (b"\x1F\x8B", "is packed with gzip; unpack it first"),
    ];
    // A header shorter than 4 GB, whose length may begin like any of the marks.
    if bytes.get(4..9) == Some(b"\0\0\0\0{") {
        return None;
    }
    if let Some((_, reason)) = MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return Some(reason);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        // torch.save packs its pickle into a zip archive as `NAME/data.pkl`.
        let head = &bytes[..bytes.len().min(1 << 10)];
        let pickled = head.windows(8).any(|window| window == b"data.pkl");
        return Some(if pickled { PICKLE } else { "is a zip archive; unpack it first" });
    }
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"<") && text.len() > 1 && (text[1] == b'!' || text[1].is_ascii_alphabetic()) {
        return Some(
            "is a web page, not a safetensors file: the download did not get the file itself; download it again",
        );
    }
    let json = text.starts_with(b"{") && text.get(1).is_some_and(|byte| *byte == b'"' || byte.is_ascii_whitespace());
    json.then_some("is a JSON file, not a safetensors file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_any_length_is_no_foreign_mark() {
        // Lengths whose first byte is that of a mark: `<`, `{`, 0x80, `P`, `G`, `R`.
        for first in [b'<', b'{', 0x80, b'P', b'G', b'R', 0xFF, 0x1F] {
            let bytes = [&[first, 0, 0, 0, 0, 0, 0, 0][..], b"{}"].concat();
            assert_eq!(by_content(&bytes), None, "{first:#x}");
        }
    }

    #[test]
    fn pickles_are_told_by_name_and_content() {
        for name in ["v1-5-pruned.ckpt", "pytorch_model.BIN", "a.pt"] {
            assert_eq!(by_name(Path::new(name)), Some(PICKLE), "{name}");
        }
        assert_eq!(by_name(Path::new("model.safetensors")), None);
        assert_eq!(by_content(b"PK\x03\x04........archive/data.pklFB"), Some(PICKLE));
        assert!(by_content(b"PK\x03\x04........readme.txt").is_some_and(|reason| reason.contains("zip")));
    }
}
