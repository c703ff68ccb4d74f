//! Files that are written whole or not at all.

use std::fs::{self, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::NamedTempFile;

/// Fails unless all the files can be written, so that no long run ends in a message that they cannot: their folders
/// are there and take new files, no two are the same, and none of them is an input.
pub fn check(outputs: &[&Path], inputs: &[&Path]) -> Result<()> {
    let inputs: Vec<PathBuf> = inputs.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut seen: Vec<PathBuf> = Vec::new();
    for &path in outputs {
        ensure!(!path.is_dir(), "{}: is a folder, and a file is to be written", path.display());
        ensure!(path != Path::new("-"), "-: outputs go to files, not to stdout; name one");
        // A finished file takes the name: a pipe or a device such as /dev/null would be gone.
        ensure!(!path.exists() || path.is_file(), "{}: is a pipe or a device; outputs go to files", path.display());
        let folder = folder(path);
        let Ok(real) = folder.canonicalize() else { bail!("{}: there is no such folder", folder.display()) };
        ensure!(real.is_dir(), "{}: is not a folder", folder.display());
        if let Err(error) = temporary(path) {
            bail!("{}: cannot be written: {error}", path.display());
        }
        let real = real.join(path.file_name().unwrap_or_default());
        ensure!(!seen.contains(&real), "{}: two outputs have this name", path.display());
        let target = real.canonicalize().unwrap_or_else(|_| real.clone());
        ensure!(!inputs.contains(&target), "{}: is an input; write the output elsewhere", path.display());
        seen.push(real);
    }
    Ok(())
}

/// The folder that a file lies in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside `path` that vanishes unless it is kept, with its extension, which tells some writers what to write.
fn temporary(path: &Path) -> std::io::Result<NamedTempFile> {
    let suffix = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    tempfile::Builder::new()
        .prefix(".diffedit-")
        .suffix(&suffix)
        // As any new file, less the umask; temporary files are private otherwise.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
}

/// Files under other names until all are written.
#[derive(Default)]
pub struct Outputs {
    written: Vec<(NamedTempFile, PathBuf)>,
}

impl Outputs {
    pub fn new() -> Outputs {
        Outputs::default()
    }

    /// Adds a file that `write` fills.
    pub fn add(&mut self, path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
        let written = || -> std::io::Result<NamedTempFile> {
            let file = temporary(path)?;
            let mut buffered = BufWriter::new(file.as_file());
            write(&mut buffered)?;
            buffered.flush()?;
            drop(buffered);
            Ok(file)
        };
        let file = written().with_context(|| path.display().to_string())?;
        self.written.push((file, path.to_path_buf()));
        Ok(())
    }

    /// Adds a file that `save` writes under the name it is given.
    pub fn add_saved(&mut self, path: &Path, save: impl FnOnce(&Path) -> crate::Result<()>) -> Result<()> {
        let file = temporary(path).with_context(|| path.display().to_string())?;
        save(file.path())?;
        self.written.push((file, path.to_path_buf()));
        Ok(())
    }

    /// Gives all files their names.
    pub fn keep(self) -> Result<()> {
        for (file, path) in self.written {
            file.persist(&path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

/// Makes a folder if it is not there.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("{}: cannot be made", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let mut outputs = Outputs::new();
        outputs.add(&path("a.txt"), |to| to.write_all(b"a")).expect("it is written");
        outputs.add(&path("b.txt"), |_| Err(std::io::Error::other("full"))).expect_err("the writer fails");
        drop(outputs);
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));

        let mut outputs = Outputs::new();
        outputs.add(&path("a.txt"), |to| to.write_all(b"a")).expect("it is written");
        let save = |path: &Path| -> crate::Result<()> {
            fs::write(path, "b").expect("written");
            Ok(())
        };
        outputs.add_saved(&path("b.txt"), save).expect("it is written");
        outputs.keep().expect("they are kept");
        assert_eq!(names(folder.path()), ["a.txt", "b.txt"]);
        let mode = fs::metadata(path("a.txt")).expect("there").permissions().mode();
        assert_eq!(mode & 0o400, 0o400);
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let (here, gone) = (folder.path().join("a.png"), folder.path().join("gone/a.png"));
        check(&[&here], &[]).expect("it can be written");
        assert!(names(folder.path()).is_empty(), "checking leaves nothing");
        let complaint = |outputs: &[&Path], inputs: &[&Path]| check(outputs, inputs).expect_err("refused").to_string();
        assert!(complaint(&[&gone], &[]).contains("no such folder"));
        assert!(complaint(&[folder.path()], &[]).contains("is a folder"));
        assert!(complaint(&[Path::new("-")], &[]).contains("not to stdout"));
        assert!(complaint(&[Path::new("/dev/null")], &[]).contains("a pipe or a device"));
        assert!(complaint(&[&here, &here], &[]).contains("two outputs"));
        fs::write(&here, "x").expect("a file");
        assert!(complaint(&[&here], &[&here]).contains("is an input"));
    }
}
