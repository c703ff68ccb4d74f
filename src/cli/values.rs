//! Values of arguments, and the ranges they lie in.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::edit::VaeTiling;
use crate::mask::{MAX_BLUR, MAX_DILATION};
use crate::picture::{SIDE_UNIT, SIDES};

pub fn steps(text: &str) -> Result<usize, String> {
    in_range(number(text)?, 1..=1000)
}

pub fn maps(text: &str) -> Result<usize, String> {
    in_range(number(text)?, 1..=1000)
}

pub fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "not a whole number from 0 to 2^64 - 1".into())
}

pub fn guidance(text: &str) -> Result<f32, String> {
    let value: f32 = number(text)?;
    if value.is_finite() { Ok(value) } else { Err("not a finite number".into()) }
}

pub fn strength(text: &str) -> Result<f64, String> {
    let value: f64 = number(text)?;
    if value > 0.0 && value <= 1.0 { Ok(value) } else { Err("must be above 0 and at most 1".into()) }
}

pub fn threshold(text: &str) -> Result<f32, String> {
    in_range(number(text)?, 0.0..=1.0)
}

pub fn blur(text: &str) -> Result<usize, String> {
    let value = in_range(number(text)?, 1..=MAX_BLUR)?;
    if value % 2 == 1 { Ok(value) } else { Err("must be odd; 1 is no blur".into()) }
}

pub fn dilation(text: &str) -> Result<usize, String> {
    in_range(number(text)?, 0..=MAX_DILATION)
}

pub fn size(text: &str) -> Result<(usize, usize), String> {
    let (width, height) = text.split_once(['x', 'X']).ok_or("say width x height, such as 512x512")?;
    Ok((side(width)?, side(height)?))
}

pub fn side(text: &str) -> Result<usize, String> {
    let value = in_range(number(text)?, SIDES)?;
    if value % SIDE_UNIT == 0 { Ok(value) } else { Err(format!("must be a multiple of {SIDE_UNIT}")) }
}

pub fn vae_tiling(text: &str) -> Result<VaeTiling, String> {
    match text {
        "auto" => Ok(VaeTiling::Auto),
        "on" => Ok(VaeTiling::On),
        "off" => Ok(VaeTiling::Off),
        _ => Err("say auto, on or off".into()),
    }
}

/// `sm_90` as (9, 0).
pub fn architecture(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "say sm_80, sm_86, sm_89, sm_90, sm_100, sm_103, sm_110, sm_120 or sm_121".to_owned();
    let digits: u32 = text.strip_prefix("sm_").and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
    match (digits / 10, digits % 10) {
        known @ ((8, 0 | 6 | 7 | 9) | (9, 0) | (10, 0 | 3) | (11, 0) | (12, 0 | 1)) => Ok(known),
        (0..=7, _) => Err("diffedit needs sm_80 or above (Ampere, 2020)".into()),
        _ => Err(wrong()),
    }
}

pub fn png_path(text: &str) -> Result<PathBuf, String> {
    with_extension(text, &["png"])
}

pub fn map_path(text: &str) -> Result<PathBuf, String> {
    with_extension(text, &["png", "npy"])
}

fn with_extension(text: &str, extensions: &[&str]) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let fits = |wanted: &&str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
    if extensions.iter().any(fits) {
        Ok(path.to_path_buf())
    } else {
        Err(format!("the name must end in .{}", extensions.join(" or .")))
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| "not a number that fits here".into())
}

fn in_range<T: PartialOrd + Display>(value: T, range: RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&value) { Ok(value) } else { Err(format!("must be {} to {}", range.start(), range.end())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_at_their_ends() {
        for (text, valid) in [("0", false), ("1", true), ("1000", true), ("1001", false), ("-1", false), ("x", false)] {
            assert_eq!(steps(text).is_ok(), valid, "steps {text}");
            assert_eq!(maps(text).is_ok(), valid, "maps {text}");
        }
        for (text, valid) in [("0", false), ("1e-9", true), ("1", true), ("1.01", false), ("nan", false)] {
            assert_eq!(strength(text).is_ok(), valid, "strength {text}");
        }
        for (text, valid) in [("0", true), ("1", true), ("1.5", false), ("-0.1", false), ("nan", false)] {
            assert_eq!(threshold(text).is_ok(), valid, "threshold {text}");
        }
        for (text, valid) in [("0", false), ("1", true), ("2", false), ("255", true), ("257", false)] {
            assert_eq!(blur(text).is_ok(), valid, "blur {text}");
        }
        for (text, valid) in [("0", true), ("64", true), ("65", false), ("-1", false)] {
            assert_eq!(dilation(text).is_ok(), valid, "dilation {text}");
        }
        for (text, valid) in [("7.5", true), ("-2", true), ("inf", false), ("NaN", false), ("", false)] {
            assert_eq!(guidance(text).is_ok(), valid, "guidance {text}");
        }
        for (text, valid) in [("0", true), ("18446744073709551615", true), ("18446744073709551616", false)] {
            assert_eq!(seed(text).is_ok(), valid, "seed {text}");
        }
    }

    #[test]
    fn sizes_are_multiples_of_eight() {
        assert_eq!(size("512x768"), Ok((512, 768)));
        for text in ["512", "512x", "510x512", "56x64", "2056x64", "64x-8", "x"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn architectures_and_names_are_checked() {
        assert_eq!(architecture("sm_120"), Ok((12, 0)));
        assert!(architecture("sm_75").expect_err("too old").contains("Ampere"));
        assert!(architecture("90").is_err() && architecture("sm_95").is_err());
        assert!(png_path("a.PNG").is_ok() && png_path("a.jpg").is_err() && map_path("a.npy").is_ok());
    }
}
