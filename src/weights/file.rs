//! One safetensors file: mapped or part of the program, its header read and checked once.
//!
//! The format: the header's length as a little-endian u64, the header as a JSON object of name to dtype, shape and byte
//! range, then the bytes, which the ranges cover without gap or overlap.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::foreign;
use crate::error::{Error, Result};

/// Bytes of the header's length.
const LENGTH: usize = size_of::<u64>();

/// The longest header that is read. That of a full Stable Diffusion checkpoint has about 0.3 MB.
const MAX_HEADER: usize = 16 << 20;

/// A tensor as a file stores it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: &'a [usize],
    /// Its elements, row-major and little-endian, at any alignment.
    pub bytes: &'a [u8],
}

/// The tensors of one safetensors file.
pub struct WeightFile {
    path: PathBuf,
    bytes: Bytes,
    tensors: BTreeMap<String, Stored>,
}

enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
}

/// Where a tensor lies in its file.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl WeightFile {
    /// Maps a file and reads its header.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Model`] if it is no whole safetensors file, saying what it is
    /// instead where that can be told.
    pub fn open(path: &Path) -> Result<WeightFile> {
        let wrong = |message: &str| Error::Model { path: path.to_path_buf(), message: message.into() };
        let file_error = |source| Error::File { path: path.to_path_buf(), source };
        if let Some(reason) = foreign::by_name(path) {
            return Err(wrong(reason));
        }
        let metadata = std::fs::metadata(path).map_err(file_error)?;
        if metadata.is_dir() {
            return Err(wrong("is a folder; a safetensors file is wanted here"));
        }
        // Opening a pipe would wait for its other end.
        if !metadata.is_file() {
            return Err(wrong("is neither a file nor a folder"));
        }
        if metadata.len() == 0 {
            return Err(wrong("is empty; download it again"));
        }
        let file = File::open(path).map_err(file_error)?;
        // SAFETY: the file is only read; one that another process truncates under us faults, as any mapped file does.
        let map = unsafe { Mmap::map(&file) }.map_err(file_error)?;
        WeightFile::new(path, Bytes::Mapped(map))
    }

    /// A file that is part of the program; `name` stands for its path in messages.
    pub fn from_static(name: &Path, bytes: &'static [u8]) -> Result<WeightFile> {
        WeightFile::new(name, Bytes::Static(bytes))
    }

    fn new(path: &Path, bytes: Bytes) -> Result<WeightFile> {
        let tensors = parse(bytes.all()).map_err(|message| Error::Model { path: path.to_path_buf(), message })?;
        Ok(WeightFile { path: path.to_path_buf(), bytes, tensors })
    }

    /// What messages call the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by its name in the file.
    pub fn view(&self, name: &str) -> Option<View<'_>> {
        let Stored { dtype, shape, range } = self.tensors.get(name)?;
        Some(View { dtype: *dtype, shape, bytes: &self.bytes.all()[range.clone()] })
    }
}

impl fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ({} tensors)", self.path.display(), self.tensors.len())
    }
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Static(bytes) => bytes,
        }
    }
}

/// The tensors of a file's bytes, or what is wrong with them.
fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Stored>, String> {
    if let Some(reason) = foreign::by_content(bytes) {
        return Err(reason.into());
    }
    let (length, rest) = bytes.split_first_chunk::<LENGTH>().ok_or("is too short for a safetensors file")?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER as u64 {
        return Err(format!("is no safetensors file: its header would have {length} bytes"));
    }
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        return Err(format!(
            "is cut short: its header has {length} bytes, the file {}; download it again",
            bytes.len()
        ));
    };
    let Header(entries) = serde_json::from_slice(header)
        .map_err(|error| format!("is no safetensors file, or a damaged one: its header cannot be read ({error})"))?;
    check_ranges(&entries, data.len(), bytes.len())?;
    let start = bytes.len() - data.len();
    let stored =
        |Entry { dtype, shape, data_offsets: (begin, end) }| Stored { dtype, shape, range: start + begin..start + end };
    Ok(entries.into_iter().map(|(name, entry)| (name, stored(entry))).collect())
}

/// Every range holds its tensor, and together they cover the data, each byte once.
fn check_ranges(entries: &BTreeMap<String, Entry>, data: usize, file: usize) -> Result<(), String> {
    for (name, Entry { dtype, shape, data_offsets: (begin, end) }) in entries {
        let bits = shape.iter().try_fold(dtype.bitsize(), |bits, &dimension| bits.checked_mul(dimension));
        let fits = end.checked_sub(*begin).is_some_and(|bytes| bytes.checked_mul(8) == bits && bits.is_some());
        if !fits {
            return Err(format!(
                "is damaged: {name} of shape {shape:?} and type {dtype:?} does not fill its bytes {begin} to {end}"
            ));
        }
    }
    let mut ordered: Vec<_> = entries.iter().map(|(name, entry)| (entry.data_offsets, name)).collect();
    ordered.sort_unstable();
    let mut next = 0;
    for ((begin, end), name) in ordered {
        if begin != next {
            let what = if begin < next { "overlaps the tensor before it" } else { "follows a gap" };
            return Err(format!("is damaged: {name} at bytes {begin} to {end} {what}, which ends at {next}"));
        }
        next = end;
    }
    match next.cmp(&data) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(format!(
            "is cut short: the file has {file} bytes and its header speaks of {}; download it again",
            file - data + next
        )),
        std::cmp::Ordering::Less => {
            Err(format!("is damaged: {} bytes follow its last tensor; download it again", data - next))
        }
    }
}

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Begin and end from the end of the header.
    data_offsets: (usize, usize),
}

/// The header, whose names must differ: JSON readers otherwise take the last of equals.
struct Header(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if entries.contains_key(&name) {
                        return Err(A::Error::custom(format!("{name} is there twice")));
                    }
                    let entry = map.next_value().map_err(|error| A::Error::custom(format!("{name}: {error}")))?;
                    entries.insert(name, entry);
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Names)
    }
}
