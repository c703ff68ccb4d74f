//! Loading the UNet of Stable Diffusion 1.5 at full size, against plainly reading its file: `cargo bench --bench load`.
//! The files, 1.7 GB in fp16 and 3.4 GB in fp32, are made for the purpose and lie in the page cache.

mod common;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use common::{sized, support};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diffedit::model::{UNet, UNetConfig};
use diffedit::weights::{Checkpoint, Loader, Naming, WeightFile};
use support::checkpoint::{Stored, unet_config, write_unet};

fn load(criterion: &mut Criterion) {
    let config: UNetConfig = serde_json::from_value(unet_config(sized(320, 32))).expect("a config");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for stored in [Stored::F16, Stored::F32] {
        let path = folder.path().join("unet.safetensors");
        group.throughput(Throughput::Bytes(write_unet(&path, &config, stored)));
        group.bench_function(format!("read {stored:?}"), |bencher| bencher.iter(|| read(&path)));
        group.bench_function(format!("load {stored:?}"), |bencher| {
            bencher.iter(|| {
                let file = Arc::new(WeightFile::open(&path).expect("a file"));
                let checkpoint = Checkpoint::of_file(&file, Naming::default()).expect("a checkpoint");
                let loader = Loader::new(support::device(), &checkpoint);
                let unet = UNet::load(&loader, config.clone()).expect("it is described");
                assert_eq!(loader.finish().expect("it loads"), []);
                unet
            });
        });
    }
}

/// Reads a file from front to back.
fn read(path: &Path) -> usize {
    let mut file = File::open(path).expect("a file");
    let mut buffer = vec![0; 4 << 20];
    std::iter::from_fn(|| Some(file.read(&mut buffer).expect("it is read")).filter(|&bytes| bytes > 0)).sum()
}

criterion_group!(benches, load);
criterion_main!(benches);
