//! The words of the kernel command line (docs/contracts.md, "Boot").
//!
//! A word that is not understood is ignored: other VMMs put words of their own there.

use chorus_abi::machine::PORT_CONSOLE;

/// Most devices that are looked at.
pub const DEVICES_MAX: usize = 32;

/// How much is logged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Log {
    /// Only what failed.
    Quiet,
    /// What people want to know.
    Normal,
    /// Everything.
    Debug,
}

/// A virtio-mmio device as announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Announced {
    /// Physical address of its registers.
    pub base: u64,
    /// Bytes of its registers.
    pub size: u64,
    /// Interrupt number.
    pub irq: u32,
}

/// How frames between the sites are sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fabric {
    /// Nothing was said: with a key that only this boot has, or all that have its seed.
    Untold,
    /// With this key.
    Key([u8; 32]),
    /// Not at all.
    Clear,
}

/// The key stays unsaid.
impl core::fmt::Debug for Fabric {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Fabric::Untold => "Untold",
            Fabric::Key(_) => "Key",
            Fabric::Clear => "Clear",
        })
    }
}

/// 64 hexadecimal digits.
fn key_of(text: &str) -> Option<[u8; 32]> {
    let (front, back) = text.split_at_checked(32)?;
    let mut key = [0; 32];
    for (place, digits) in key.chunks_exact_mut(16).zip([front, back]) {
        let plain = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(digits, 16).ok().filter(|_| plain)?;
        place.copy_from_slice(&number.to_be_bytes());
    }
    Some(key)
}

/// What the command line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandLine {
    /// Number of the site.
    pub site: u16,
    /// Sites configured.
    pub sites: u16,
    /// Processors.
    pub vcpus: usize,
    /// Incarnation.
    pub epoch: u16,
    /// Seed of the random source.
    pub seed: Option<u64>,
    /// What the sites of the cluster have in common and nobody else knows.
    pub secret: Option<(u64, u64)>,
    /// How frames between the sites are sealed.
    pub fabric: Fabric,
    /// Generation of the cluster in which this site starts.
    pub generation: u32,
    /// Clock of the time-stamp counter.
    pub tsc_khz: Option<u64>,
    /// All processors come through the 64-bit door.
    pub direct: bool,
    /// Device interrupts come as messages.
    pub msi: bool,
    /// Memory that holds neither the image, the records of the boot nor the archive is full of zeros.
    pub zeroed: bool,
    /// Pages that may be in temporary segments of the default mapper.
    pub outside: usize,
    /// How much is logged.
    pub log: Log,
    /// A second serial line, which is for actors.
    pub serial: Option<Announced>,
    /// Devices.
    pub devices: [Announced; DEVICES_MAX],
    /// How many of them.
    pub device_count: usize,
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn size(text: &str) -> Option<u64> {
    for (suffix, shift) in [("K", 10), ("k", 10), ("M", 20), ("m", 20)] {
        if let Some(digits) = text.strip_suffix(suffix) {
            return number(digits)?.checked_mul(1 << shift);
        }
    }
    number(text)
}

fn device(text: &str) -> Option<Announced> {
    let (bytes, rest) = text.split_once('@')?;
    let mut fields = rest.split(':');
    let device = Announced {
        size: size(bytes)?,
        base: number(fields.next()?)?,
        irq: u32::try_from(number(fields.next()?)?).ok()?,
    };
    (device.size > 0 && device.irq < 64).then_some(device)
}

/// A 16550: its first port and its interrupt. The console's ports are the Nucleus' own.
fn serial(text: &str) -> Option<Announced> {
    let (port, irq) = text.split_once(':')?;
    let line = Announced {
        base: number(port)?,
        size: 8,
        irq: u32::try_from(number(irq)?).ok()?,
    };
    let console = u64::from(PORT_CONSOLE);
    let apart = line.base + 8 <= console || line.base >= console + 8;
    ((0x100..0xfff8).contains(&line.base) && apart && line.irq < 48).then_some(line)
}

/// Reads the line. Numbers out of range count as absent.
pub fn parse(line: &str) -> CommandLine {
    let mut result = CommandLine {
        site: 1,
        sites: 1,
        vcpus: 1,
        epoch: 1,
        seed: None,
        secret: None,
        fabric: Fabric::Untold,
        generation: 1,
        tsc_khz: None,
        direct: false,
        msi: false,
        zeroed: false,
        outside: 0,
        log: Log::Normal,
        serial: None,
        devices: [Announced::default(); DEVICES_MAX],
        device_count: 0,
    };
    let within = |text: &str, range: core::ops::RangeInclusive<u64>| {
        number(text).filter(|value| range.contains(value))
    };
    for word in line.split_ascii_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "chorus.site" => {
                result.site = within(value, 1..=8190).map_or(result.site, |n| n as u16)
            }
            "chorus.sites" => {
                result.sites = within(value, 1..=8190).map_or(result.sites, |n| n as u16)
            }
            "chorus.vcpus" => {
                result.vcpus = within(value, 1..=64).map_or(result.vcpus, |n| n as usize)
            }
            "chorus.epoch" => {
                result.epoch = within(value, 1..=0x3FFD).map_or(result.epoch, |n| n as u16)
            }
            "chorus.seed" => result.seed = u64::from_str_radix(value, 16).ok().or(result.seed),
            "chorus.secret" => {
                let halves = u128::from_str_radix(value, 16)
                    .map(|secret| ((secret >> 64) as u64, secret as u64));
                result.secret = halves.ok().or(result.secret);
            }
            "chorus.fabric" if value == "clear" => result.fabric = Fabric::Clear,
            "chorus.fabric" => result.fabric = key_of(value).map_or(result.fabric, Fabric::Key),
            "chorus.generation" => {
                let generation = within(value, 1..=u32::MAX.into());
                result.generation = generation.map_or(result.generation, |n| n as u32)
            }
            "chorus.tsc_khz" => result.tsc_khz = within(value, 1..=100_000_000).or(result.tsc_khz),
            "chorus.swap" => {
                let pages = size(value).map(|bytes| (bytes / 4096) as usize);
                result.outside = pages.filter(|&pages| pages <= 1 << 24).unwrap_or(0)
            }
            "chorus.direct" => result.direct = true,
            "chorus.msi" => result.msi = true,
            "chorus.zeroed" => result.zeroed = true,
            "chorus.log" if value == "quiet" => result.log = Log::Quiet,
            "chorus.log" if value == "debug" => result.log = Log::Debug,
            "chorus.serial" => result.serial = serial(value).or(result.serial),
            "virtio_mmio.device" => {
                if let (Some(found), Some(slot)) =
                    (device(value), result.devices.get_mut(result.device_count))
                {
                    *slot = found;
                    result.device_count += 1;
                }
            }
            _ => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_words_are_read() {
        let line = parse(
            "chorus.site=7 chorus.seed=ff chorus.secret=20000000000000003 chorus.direct chorus.msi chorus.vcpus=4 virtio_mmio.device=4K@0xd0000000:5 quiet",
        );
        assert_eq!(
            (line.site, line.seed, line.direct, line.msi, line.vcpus),
            (7, Some(255), true, true, 4)
        );
        assert_eq!(line.secret, Some((2, 3)));
        assert_eq!(
            &line.devices[..line.device_count],
            &[Announced {
                base: 0xd000_0000,
                size: 4096,
                irq: 5
            }]
        );
    }

    #[test]
    fn the_fabric_s_key_is_read_whole_or_not_at_all() {
        let text = "00112233445566778899aabbccddeeff0102030405060708090a0b0c0d0e0f10";
        let Fabric::Key(key) = parse(&std::format!("chorus.fabric={text}")).fabric else {
            panic!("no key")
        };
        assert_eq!((key[0], key[15], key[16], key[31]), (0, 0xFF, 1, 0x10));
        assert_eq!(parse("chorus.fabric=clear").fabric, Fabric::Clear);
        for wrong in [
            "",
            "+",
            &text[1..],
            &std::format!("{text}0"),
            &text.replace("aa", "+a"),
        ] {
            let line = parse(&std::format!("chorus.fabric={wrong}"));
            assert_eq!(line.fabric, Fabric::Untold, "{wrong}");
        }
        let generation = |word: &str| parse(&std::format!("chorus.generation={word}")).generation;
        assert_eq!(
            [generation("7"), generation("0"), generation("x")],
            [7, 1, 1]
        );
    }

    #[test]
    fn a_serial_line_is_not_the_console() {
        let line = Announced {
            base: 0x2f8,
            size: 8,
            irq: 3,
        };
        assert_eq!(parse("chorus.serial=0x2f8:3").serial, Some(line));
        for bad in [
            "0x3f8:4", "0x3f1:3", "0x2f8", "0x2f8:48", "0xf4:3", "0xffff:3", ":",
        ] {
            assert_eq!(
                parse(&std::format!("chorus.serial={bad}")).serial,
                None,
                "{bad}"
            );
        }
    }

    #[test]
    fn numbers_out_of_range_and_broken_words_change_nothing() {
        assert_eq!(
            parse(
                "chorus.site=8191 chorus.vcpus=0 chorus.epoch=x chorus.secret=g virtio_mmio.device=4K@:5 = =1"
            ),
            parse("")
        );
    }
}
