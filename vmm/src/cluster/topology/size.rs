//! Sizes as people write them.
//!
//! `64M`, `1G`, `1536 MiB`: always powers of 1024, as QEMU and every other VMM read them.

/// Reads a size in bytes: a whole number and a unit K, M or G (also KiB, KB, k…). Without a unit it is refused, as "64" is
/// nearly always a slip for "64M". Errors: a sentence that says what is wrong.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("\"{text}\" is not a size such as 64M or 1G"))?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "" => {
            return Err(format!(
                "\"{text}\" needs a unit: {text}M for mebibytes, {text}G for gibibytes"
            ));
        }
        other => return Err(format!("\"{other}\" is not a unit; use K, M or G")),
    };
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("\"{text}\" is too large"))
}

/// Writes a size with the largest unit that divides it.
pub fn format_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}G", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// Reads a delay in nanoseconds: a number and `ns`, `us`, `ms` or `s`. Errors: a sentence that says what is wrong.
pub(super) fn parse_delay(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len()
        - text
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "" => return Err(format!("\"{text}\" needs a unit: {text}ms, {text}us")),
        other => {
            return Err(format!(
                "\"{other}\" is not a unit of time; use ns, us, ms or s"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("\"{text}\" is not a time such as 10ms"))?;
    let ns = number * scale;
    if ns > 60e9 {
        Err(format!(
            "\"{text}\" is more than the 60 s that a link may delay"
        ))
    } else {
        Ok(ns as u64)
    }
}

/// Writes a delay with the largest unit that divides it.
pub(super) fn format_delay(ns: u64) -> String {
    match ns {
        _ if ns.is_multiple_of(1_000_000_000) => format!("{}s", ns / 1_000_000_000),
        _ if ns.is_multiple_of(1_000_000) => format!("{}ms", ns / 1_000_000),
        _ if ns.is_multiple_of(1_000) => format!("{}us", ns / 1_000),
        _ => format!("{ns}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("1 GiB"), Ok(1 << 30));
        for bad in [
            "64",
            "",
            "M",
            "1.5G",
            "-1M",
            "99999999999999999999G",
            "17179869184G",
            "1T",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(units in 1u64..1 << 20, ns in 0u64..60_000_000_000) {
            prop_assert_eq!(parse_size(&format_size(units << 10)), Ok(units << 10));
            prop_assert_eq!(parse_delay(&format_delay(ns)), Ok(ns));
        }
    }
}
