//! Profiles as text for people.

use std::fmt::Write;

use super::LaunchProfile;
use super::model::{ACCURACY, Accuracy, Parameters};

/// One line a kernel and shape, the launches that agree in both together, the longest first.
pub fn table(profiles: &[LaunchProfile]) -> String {
    let mut rows: Vec<Row> = Vec::new();
    for profile in profiles {
        let seconds = profile.estimate(&Parameters::default()).seconds;
        let alike = |row: &&mut Row| row.profile.kernel == profile.kernel && row.profile.shape == profile.shape;
        match rows.iter_mut().find(alike) {
            Some(row) => {
                row.launches += 1;
                row.seconds += seconds;
            }
            None => rows.push(Row { profile, launches: 1, seconds }),
        }
    }
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let mut text = format!(
        "{:<32} {:>8} {:>16} {:>9} {:>10} {:>8} {:>8} {:>8} {:>9} {:>6}  bound\n",
        "kernel", "launches", "grid x block", "us", "Minstr", "GMAC", "L2 MB", "DRAM MB", "conflicts", "occup."
    );
    rows.iter().for_each(|row| text += &row.line());
    let Accuracy { kernels, mean, worst } = ACCURACY;
    writeln!(
        text,
        "times are predicted: on {kernels} published kernels off by a factor of {:.2} in the mean, {:.2} at worst",
        mean.exp(),
        worst.exp()
    )
    .expect("a string grows");
    text
}

struct Row<'a> {
    profile: &'a LaunchProfile,
    launches: u64,
    seconds: f64,
}

impl Row<'_> {
    fn line(&self) -> String {
        let (profile, counters) = (self.profile, &self.profile.counters);
        let shape = &profile.shape;
        let cache = &counters.cache;
        let megabytes = |sectors: u64| 32.0 * sectors as f64 / 1e6;
        let name: String = profile.kernel.chars().take(32).collect();
        let free = counters.shared.conflict_free_wavefronts.max(1) as f64;
        let mut line = String::new();
        writeln!(
            line,
            "{name:<32} {:>8} {:>16} {:>9.1} {:>10.2} {:>8.2} {:>8.1} {:>8.1} {:>8.2}x {:>5.0}%  {}{}",
            self.launches,
            format!("{} x {}", shape.blocks(), shape.threads()),
            self.seconds * 1e6,
            counters.instructions() as f64 / 1e6,
            counters.matrix_macs() as f64 / 1e9,
            megabytes(cache.l2_read_sectors + cache.l2_written_sectors + cache.l2_atomic_sectors),
            megabytes(cache.dram_read_sectors + cache.dram_written_sectors),
            (counters.shared.wavefronts as f64 / free).max(1.0),
            shape.occupied_share(&profile.device) * 100.0,
            profile.estimate(&Parameters::default()).bound,
            if profile.sampled() { ", sampled" } else { "" },
        )
        .expect("a string grows");
        line
    }
}
