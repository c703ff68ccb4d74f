//! What loading weights takes of the host's memory. Alone in its process, whose memory it measures.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use diffedit::model::{UNet, UNetConfig};
use diffedit::weights::{Checkpoint, Loader, Naming, WeightFile};
use support::checkpoint::{Stored, unet_config, write_unet};

/// Host memory beyond mapped files and the emulated device's, bytes: staging buffers, and what goes with threads.
const MOST: usize = 64 << 20;

/// Memory of the process that no file lies behind, bytes.
fn anonymous_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("since Linux 4.5");
    let kilobytes: usize = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kilobytes << 10
}

#[test]
fn loading_takes_little_memory_beyond_the_mapped_file() {
    let config: UNetConfig = serde_json::from_value(unet_config(96)).expect("a config");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("unet.safetensors");
    let bytes = write_unet(&path, &config, Stored::F32) as usize;
    assert!(bytes > 4 * MOST, "{bytes} bytes would not show");

    let device = support::device();
    let file = Arc::new(WeightFile::open(&path).expect("a file"));
    let checkpoint = Checkpoint::of_file(&file, Naming::default()).expect("a checkpoint");
    let before = anonymous_bytes();
    let (done, peak) = (AtomicBool::new(false), AtomicUsize::new(0));
    let unet = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let loader = Loader::new(device, &checkpoint);
        let unet = UNet::load(&loader, config).expect("it is described");
        let problems = loader.finish();
        done.store(true, Ordering::Relaxed);
        assert_eq!(problems.expect("it loads"), []);
        unet
    });
    assert_eq!(device.allocated_bytes(), unet.weight_bytes(), "weights are one allocation, and nothing else is");
    let taken = peak.into_inner().saturating_sub(before).saturating_sub(device.allocated_bytes());
    println!("{bytes} bytes of file, {} on the device, {taken} on the host", unet.weight_bytes());
    assert!(taken <= MOST, "{taken} bytes of host memory for a file of {bytes}");
}
