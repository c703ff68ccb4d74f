//! How long an emulated run takes.

use std::time::Duration;

use anyhow::{Result, bail};

/// Multiply-accumulates a second that the emulator does on one core, where kernels are large.
const RATE_OF_A_CORE: f64 = 8e9;

/// Seconds that a launch takes beyond that, however many cores there are: small layers leave most of a tile unused, and
/// have few blocks to share out. Measured on the demo.
const SECONDS_A_LAUNCH: f64 = 0.9e-3;

/// An emulated run that takes longer is not started unless the emulator was asked for by name.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The time that `macs` in `launches` take on `cores`.
pub fn emulated(macs: u64, launches: u64, cores: usize) -> Duration {
    let arithmetic = macs as f64 / (RATE_OF_A_CORE * cores.max(1) as f64);
    Duration::from_secs_f64(arithmetic + launches as f64 * SECONDS_A_LAUNCH)
}

/// Fails if the run is long and the emulator was not `asked` for.
pub fn check_patience(estimate: Duration, asked: bool) -> Result<()> {
    if estimate > PATIENCE && !asked {
        bail!(
            "no NVIDIA driver is installed, and on the CUDA emulator this would take {}; to run it all the same, say \
             --device emulator",
            readable(estimate)
        );
    }
    Ok(())
}

/// "40 seconds", "7 minutes", "3.5 hours".
pub fn readable(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.5 => "a second".into(),
        seconds if seconds < 100.0 => format!("{seconds:.0} seconds"),
        seconds if seconds < 100.0 * 60.0 => format!("{:.0} minutes", seconds / 60.0),
        seconds => format!("{:.1} hours", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_started_only_when_asked_for() {
        assert_eq!(emulated(16_000_000_000, 10_000, 2), Duration::from_secs(10));
        let long = emulated(98_000_000_000_000, 10_000, 2);
        assert_eq!(readable(long), "1.7 hours");
        let message = check_patience(long, false).expect_err("too long").to_string();
        assert!(message.contains("--device emulator") && message.contains("1.7 hours"), "{message}");
        check_patience(long, true).expect("it was asked for");
        check_patience(Duration::from_secs(299), false).expect("it is short");
    }
}
