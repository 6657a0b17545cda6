//! Parameters of links as people write them: `latency=10ms loss=5% bandwidth=1MB`.
//!
//! The same keys and values stand in `[fabric]` and `[[link]]` of a topology, after `--link`, and in `chorus link set`.

use super::names::nearest;
use super::size::{format_delay, parse_delay};
use chorus_fabric::{Burst, Chance, Change, Jitter, Parameters};

/// The keys, in the order in which they are shown.
pub const KEYS: [&str; 11] = [
    "latency",
    "jitter",
    "bandwidth",
    "queue",
    "loss",
    "burst",
    "duplicate",
    "reorder",
    "late",
    "corrupt",
    "cut",
];

/// Reads the value of a key. Errors: a sentence that says what is wrong.
pub fn parse_setting(key: &str, value: &str) -> Result<Change, String> {
    let mut change = Change::default();
    match key {
        "latency" => change.latency = Some(parse_delay(value)?),
        "jitter" => change.jitter = Some(parse_jitter(value)?),
        "bandwidth" => change.bandwidth = Some(parse_bandwidth(value)?),
        "queue" => {
            let frames = value.trim().parse().ok().filter(|frames| *frames > 0);
            change.queue = Some(
                frames.ok_or_else(|| format!("\"{value}\" is not a number of frames from 1"))?,
            );
        }
        "loss" => change.loss = Some(parse_chance(value)?),
        "burst" => change.burst = Some(parse_burst(value)?),
        "duplicate" => change.duplicate = Some(parse_chance(value)?),
        "reorder" => change.reorder = Some(parse_chance(value)?),
        "late" => change.late = Some(parse_delay(value)?),
        "corrupt" => change.corrupt = Some(parse_chance(value)?),
        "cut" => {
            change.cut = Some(match value.trim() {
                "true" | "yes" | "on" => true,
                "false" | "no" | "off" => false,
                other => return Err(format!("\"{other}\" is neither yes nor no")),
            });
        }
        other => {
            return Err(match nearest(other, KEYS) {
                Some(meant) => format!("there is no `{other}`; did you mean `{meant}`?"),
                None => format!("there is no `{other}`; there are {}", KEYS.join(", ")),
            });
        }
    }
    Ok(change)
}

/// Reads `KEY=VALUE`; `cut` alone is `cut=yes`. Errors: a sentence that names the key.
pub fn parse_assignment(text: &str) -> Result<Change, String> {
    match text.split_once('=') {
        Some((key, value)) => {
            parse_setting(key.trim(), value).map_err(|why| format!("{text}: {why}"))
        }
        None if text.trim() == "cut" => parse_setting("cut", "yes"),
        None => Err(format!("{text}: write KEY=VALUE, such as loss=5%")),
    }
}

/// Reads percent: `5` or `5%`. Errors: a sentence.
pub fn parse_chance(text: &str) -> Result<Chance, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Chance::percent(percent)),
        _ => Err(format!("\"{text}\" must be 0 to 100 percent")),
    }
}

fn parse_jitter(text: &str) -> Result<Jitter, String> {
    let text = text.trim();
    if matches!(text, "0" | "off") {
        return Ok(Jitter::None);
    }
    match text.strip_prefix("normal") {
        // Where blanks part words, a colon stands for one.
        Some(sigma) => parse_delay(sigma.trim_start_matches([' ', ':'])).map(Jitter::Normal),
        None => parse_delay(text).map(Jitter::Even),
    }
}

fn parse_burst(text: &str) -> Result<Burst, String> {
    if text.trim() == "off" {
        return Ok(Burst::NONE);
    }
    let parts: Vec<Chance> = text
        .split('/')
        .map(parse_chance)
        .collect::<Result<_, _>>()?;
    let (begins, ends, loss) = match parts.as_slice() {
        [begins, ends] => (*begins, *ends, Chance::ALWAYS),
        [begins, ends, loss] => (*begins, *ends, *loss),
        _ => {
            return Err(format!(
                "\"{text}\" must be begins/ends or begins/ends/loss in percent, such as 1%/10%, or off"
            ));
        }
    };
    if ends == Chance::NEVER && begins != Chance::NEVER {
        return Err("a burst that never ends is cut=yes".to_owned());
    }
    Ok(Burst { begins, ends, loss })
}

/// Bytes a second: `1MB` (a million bytes), `10mbit`, `off` (as many as come).
fn parse_bandwidth(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if matches!(text, "off" | "0") {
        return Ok(0);
    }
    let digits = text.len()
        - text
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("/s").unwrap_or(&unit);
    let scale = match unit {
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kbit" => 125.0,
        "mbit" => 125e3,
        "gbit" => 125e6,
        "" => return Err(format!("\"{text}\" needs a unit: {text}MB, {text}mbit")),
        other => {
            return Err(format!(
                "\"{other}\" is not a bandwidth; use kB, MB, GB a second, or kbit, mbit, gbit"
            ));
        }
    };
    match number.parse::<f64>() {
        Ok(number) if (1.0..=1e12).contains(&(number * scale)) => Ok((number * scale) as u64),
        _ => Err(format!(
            "\"{text}\" is not a bandwidth such as 1MB or 10mbit"
        )),
    }
}

/// Every key with its value as it would be written.
pub fn settings(parameters: &Parameters) -> [(&'static str, String); 11] {
    let chance = |chance: Chance| format!("{}%", chance.as_percent());
    let values = [
        format_delay(parameters.latency),
        match parameters.jitter {
            Jitter::None => "off".to_owned(),
            Jitter::Even(span) => format_delay(span),
            Jitter::Normal(sigma) => format!("normal {}", format_delay(sigma)),
        },
        format_bandwidth(parameters.bandwidth),
        parameters.queue.to_string(),
        chance(parameters.loss),
        match parameters.burst {
            Burst::NONE => "off".to_owned(),
            burst => [burst.begins, burst.ends, burst.loss].map(chance).join("/"),
        },
        chance(parameters.duplicate),
        chance(parameters.reorder),
        format_delay(parameters.late),
        chance(parameters.corrupt),
        if parameters.cut { "yes" } else { "no" }.to_owned(),
    ];
    let mut values = values.into_iter();
    KEYS.map(|key| (key, values.next().unwrap_or_default()))
}

fn format_bandwidth(bytes: u64) -> String {
    match bytes {
        0 => "off".to_owned(),
        _ if bytes.is_multiple_of(1_000_000_000) => format!("{}GB", bytes / 1_000_000_000),
        _ if bytes.is_multiple_of(1_000_000) => format!("{}MB", bytes / 1_000_000),
        _ if bytes.is_multiple_of(1_000) => format!("{}kB", bytes / 1_000),
        _ => format!("{bytes}B"),
    }
}

/// The keys that a change names, with their new values.
pub fn changed(change: &Change) -> Vec<(&'static str, String)> {
    let mut parameters = Parameters::PERFECT;
    change.apply(&mut parameters);
    let named = |key: &str| match key {
        "latency" => change.latency.is_some(),
        "jitter" => change.jitter.is_some(),
        "bandwidth" => change.bandwidth.is_some(),
        "queue" => change.queue.is_some(),
        "loss" => change.loss.is_some(),
        "burst" => change.burst.is_some(),
        "duplicate" => change.duplicate.is_some(),
        "reorder" => change.reorder.is_some(),
        "late" => change.late.is_some(),
        "corrupt" => change.corrupt.is_some(),
        _ => change.cut.is_some(),
    };
    settings(&parameters)
        .into_iter()
        .filter(|(key, _)| named(key))
        .collect()
}

/// A time in nanoseconds as people write it: `10ms`. Errors: a sentence that says what is wrong.
pub fn parse_time(text: &str) -> Result<u64, String> {
    parse_delay(text)
}

/// The same, written.
pub fn time(nanoseconds: u64) -> String {
    format_delay(nanoseconds)
}

/// Those that are not as on a link without faults.
pub fn told(parameters: &Parameters) -> String {
    let plain = settings(&Parameters::PERFECT);
    let told = settings(parameters);
    let different = told
        .iter()
        .zip(&plain)
        .filter(|(own, plain)| own != plain)
        .map(|((key, value), _)| format!("{key}={value}"));
    different.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Parameters, String> {
        let mut parameters = Parameters::PERFECT;
        for word in text.split(';') {
            parse_assignment(word)?.apply(&mut parameters);
        }
        Ok(parameters)
    }

    #[test]
    fn settings_are_read() {
        let parameters =
            read("latency=10ms;jitter=normal 1ms;bandwidth=1MB/s;queue=9;loss=5%;burst=1%/10%;cut")
                .unwrap();
        assert_eq!(parameters.latency, 10_000_000);
        assert_eq!(parameters.jitter, Jitter::Normal(1_000_000));
        assert_eq!((parameters.bandwidth, parameters.queue), (1_000_000, 9));
        assert_eq!(parameters.loss, Chance::percent(5.0));
        assert_eq!(parameters.burst.loss, Chance::ALWAYS);
        assert!(parameters.cut);
        assert_eq!(read("bandwidth=8mbit").unwrap().bandwidth, 1_000_000);
        assert_eq!(
            told(&parameters),
            "latency=10ms jitter=normal 1ms bandwidth=1MB queue=9 loss=5% burst=1%/10%/100% cut=yes"
        );
    }

    #[test]
    fn wrong_settings_are_explained() {
        for (text, sentence) in [
            ("los=5", "did you mean `loss`?"),
            ("colour=5", "there are latency"),
            ("loss=101", "0 to 100"),
            ("loss=x", "0 to 100"),
            ("loss", "KEY=VALUE"),
            ("latency=10", "needs a unit"),
            ("bandwidth=10", "needs a unit"),
            ("bandwidth=10furlongs", "not a bandwidth"),
            ("bandwidth=1e99MB", "not a bandwidth"),
            ("queue=0", "from 1"),
            ("burst=1%", "begins/ends"),
            ("burst=1%/0%", "never ends"),
            ("cut=maybe", "neither yes nor no"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(sentence), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(latency in 0u64..60_000_000_000, span in 1u64..1_000_000, loss in 0u32..=100_000, bandwidth in 0u64..10_000_000) {
            let parameters = Parameters {
                latency,
                jitter: Jitter::Even(span),
                loss: Chance::percent(f64::from(loss) / 1000.0),
                bandwidth,
                ..Parameters::PERFECT
            };
            let text: Vec<String> = settings(&parameters).iter().map(|(key, value)| format!("{key}={value}")).collect();
            prop_assert_eq!(read(&text.join(";")), Ok(parameters));
        }

        #[test]
        fn any_text_is_judged(key in "[a-z]{0,10}", value in "\\PC{0,20}") {
            let _ = parse_assignment(&format!("{key}={value}"));
        }
    }
}
