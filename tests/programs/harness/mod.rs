//! Compiles a file of kernels in every way, loads it, launches its kernels, and brings results back.

mod build;
mod gpu;

pub use build::{Build, Source};
pub use gpu::{ByValue, Program, line, plane, space};

use gpu::Context;

/// Runs `test` on the kernels of `source` (a file in `cuda/`) in each build that it is meant for.
pub fn on_every_build(source: Source, test: impl Fn(&Program)) {
    for build in Build::all().filter(|build| source.fits(build)) {
        on_build(source, build, &test);
    }
}

/// Runs `test` on one build, in a context of its own: a fault of one test does not reach another.
pub fn on_build(source: Source, build: Build, test: impl Fn(&Program)) {
    on_ptx(build, &build.ptx(source.file), test);
}

/// As [`on_build`], on PTX that the build made, however changed since.
pub fn on_ptx<T>(build: Build, ptx: &[u8], test: impl Fn(&Program) -> T) -> T {
    let _name = Named(build);
    let context = Context::new();
    test(&Program::load(&context, build, ptx))
}

/// Says which build a failing test was at.
struct Named(Build);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing build: {}", self.0);
        }
    }
}
