//! Kernels to images: NVRTC with a cache on disk.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use sha2::{Digest, Sha256};

use super::nvrtc::{Failure, Nvrtc};
use crate::error::{Error, Result};
use crate::kernels;
use crate::plan::Unit;

/// A compiled unit: both forms a driver may want, and the compiler's log with ptxas's figures.
#[derive(Clone)]
pub struct Image {
    pub ptx: Vec<u8>,
    pub cubin: Vec<u8>,
    pub log: String,
}

/// What ptxas says of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    pub entry: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes spilled to local memory: stores and loads.
    pub spill_bytes: u32,
    /// Local memory of a thread, bytes.
    pub stack_bytes: u32,
    /// Static shared memory of a block, bytes.
    pub shared_bytes: u32,
}

/// NVRTC and the folder where its images are kept. Without NVRTC only what the folder holds can be had.
pub struct Compiler {
    nvrtc: Option<Nvrtc>,
    folder: Option<PathBuf>,
    identity: String,
}

impl Compiler {
    /// A compiler that keeps its images in `folder`, if given.
    pub fn new(nvrtc: Option<Nvrtc>, folder: Option<PathBuf>) -> Result<Compiler> {
        let identity = match &nvrtc {
            Some(nvrtc) => identity(nvrtc)?,
            None => String::new(),
        };
        Ok(Compiler { nvrtc, folder, identity })
    }

    /// Whether `unit` is in the cache.
    pub fn is_cached(&self, unit: &Unit, arch: &str) -> bool {
        self.cached(unit, arch).is_some()
    }

    /// The images of `units` for `arch` (`sm_80`), in their order: from the cache, or compiled on all cores.
    /// `progress` is told how many of them are done whenever one is, from any thread.
    pub fn images(&self, units: &[Unit], arch: &str, progress: &(dyn Fn(usize) + Sync)) -> Result<Vec<Image>> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let slots: Vec<Mutex<Option<Result<Image>>>> = units.iter().map(|_| Mutex::new(None)).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(units.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(unit) = units.get(index) else { break };
                        *slots[index].lock().expect("no panics under it") = Some(self.image(unit, arch));
                        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                    }
                });
            }
        });
        slots
            .into_iter()
            .map(|slot| slot.into_inner().expect("no panics under it").expect("every unit was visited"))
            .collect()
    }

    /// One image, from the cache or compiled and cached.
    fn image(&self, unit: &Unit, arch: &str) -> Result<Image> {
        if let Some(image) = self.cached(unit, arch) {
            return Ok(image);
        }
        let Some(nvrtc) = &self.nvrtc else {
            let folder = self.folder.as_deref().map_or("no folder".into(), |folder| folder.display().to_string());
            return Err(Error::Nvrtc(format!(
                "kernel {} for {arch} is not in {folder}, and nothing is there to compile it; make the folder by \
                 `diffedit compile --arch {arch} --out DIR`, for this model and size",
                unit.file
            )));
        };
        let compiled = nvrtc
            .compile(kernels::source(unit.file), &format!("{}.cu", unit.file), &options(unit, arch))
            .map_err(|failure| match failure {
                Failure::Nvrtc(error) => error,
                Failure::Source(log) => Error::Compile { kernel: unit.file.into(), arch: arch.into(), log },
            })?;
        let image = Image { ptx: compiled.ptx, cubin: compiled.cubin, log: compiled.log };
        if let Some(folder) = &self.folder {
            store(folder, &self.file_name(unit, arch), &image)?;
        }
        Ok(image)
    }

    fn cached(&self, unit: &Unit, arch: &str) -> Option<Image> {
        let folder = self.folder.as_deref()?;
        if self.nvrtc.is_some() {
            return read(&folder.join(self.file_name(unit, arch)));
        }
        let prefix = format!("{}-", key(unit, arch));
        let mut names: Vec<_> =
            fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names.iter().filter(|name| name.starts_with(&prefix)).find_map(|name| read(&folder.join(name)))
    }

    fn file_name(&self, unit: &Unit, arch: &str) -> String {
        format!("{}-{}.safetensors", key(unit, arch), self.identity)
    }
}

impl Image {
    /// ptxas's figures for every kernel of the image.
    pub fn resources(&self) -> Vec<Resources> {
        let mut kernels: HashMap<String, Resources> = HashMap::new();
        let mut current = String::new();
        for line in self.log.lines() {
            if let Some((_, rest)) = line.split_once("Compiling entry function '") {
                current = rest.split('\'').next().unwrap_or_default().to_string();
            } else if let Some((_, name)) = line.split_once("Function properties for ") {
                current = name.trim().to_string();
            }
            let entry = kernels.entry(current.clone()).or_insert_with(|| Resources {
                entry: current.clone(),
                registers: 0,
                spill_bytes: 0,
                stack_bytes: 0,
                shared_bytes: 0,
            });
            let number = |unit: &str| number_before(line, unit);
            entry.registers = entry.registers.max(number(" registers").unwrap_or(0));
            entry.stack_bytes = entry.stack_bytes.max(number(" bytes stack frame").unwrap_or(0));
            entry.shared_bytes = entry.shared_bytes.max(number(" bytes smem").unwrap_or(0));
            let spills = number(" bytes spill stores").unwrap_or(0) + number(" bytes spill loads").unwrap_or(0);
            entry.spill_bytes = entry.spill_bytes.max(spills);
        }
        let mut resources: Vec<Resources> = kernels.into_values().filter(|entry| entry.registers > 0).collect();
        resources.sort_by(|a, b| a.entry.cmp(&b.entry));
        resources
    }
}

/// The number that stands right before `unit` in `line`.
fn number_before(line: &str, unit: &str) -> Option<u32> {
    let head = &line[..line.find(unit)?];
    head.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The options a unit is compiled with.
fn options(unit: &Unit, arch: &str) -> Vec<String> {
    let mut options =
        vec![format!("-arch={arch}"), "--std=c++17".into(), "-lineinfo".into(), "--ptxas-options=-v".into()];
    options.extend(unit.defines.iter().map(|(name, value)| format!("-D{name}={value}")));
    options
}

/// Names what is compiled: the flattened source, the options and the architecture.
fn key(unit: &Unit, arch: &str) -> String {
    let mut hash = Sha256::new();
    for part in options(unit, arch).iter().map(String::as_str).chain([kernels::source(unit.file)]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    format!("{}-{}", unit.file, hex(&hash.finalize()[..12]))
}

/// Names the compiler: its version, and a sample of the bytes of its files.
fn identity(nvrtc: &Nvrtc) -> Result<String> {
    let mut hash = Sha256::new();
    let (major, minor) = nvrtc.version();
    hash.update(format!("{major}.{minor}"));
    // The builtins lie beside the library; a bare name was found by the system's loader, and its version must do.
    let folder = nvrtc.path().parent().filter(|folder| folder.is_dir());
    let mut files: Vec<PathBuf> = folder
        .and_then(|folder| fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libnvrtc")))
        .collect();
    files.sort();
    for file in files {
        sample(&file, &mut hash).map_err(|source| Error::File { path: file.clone(), source })?;
    }
    Ok(hex(&hash.finalize()[..8]))
}

/// Hashes the length of a file and 64 of its pages, evenly spread: its identity without reading 100 MB.
fn sample(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    const PAGES: u64 = 64;
    let file = fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    hash.update(bytes.to_le_bytes());
    let mut page = [0; 4096];
    for index in 0..PAGES {
        let read = file.read_at(&mut page, bytes / PAGES * index)?;
        hash.update(&page[..read]);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes an image so that no reader ever sees half of it.
fn store(folder: &Path, name: &str, image: &Image) -> Result<()> {
    let parts = [("ptx", image.ptx.as_slice()), ("cubin", &image.cubin), ("log", image.log.as_bytes())];
    let views = parts.map(|(name, bytes)| {
        (name, TensorView::new(Dtype::U8, vec![bytes.len()], bytes).expect("the shape is the number of bytes"))
    });
    let bytes = serialize(views, None).expect("names are distinct");
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(folder.join(name)).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| Error::File { path: folder.join(name), source })
}

/// Reads an image; `None` where there is none or it is damaged.
fn read(path: &Path) -> Option<Image> {
    let bytes = fs::read(path).ok()?;
    let parts = SafeTensors::deserialize(&bytes).ok()?;
    let part = |name| Some(parts.tensor(name).ok()?.data().to_vec());
    Some(Image { ptx: part("ptx")?, cubin: part("cubin")?, log: String::from_utf8(part("log")?).ok()? })
}
