//! Traces: what sites wrote down of their work (`chorus_abi::trace`), decoded, and written in the formats that people and programs read.
//!
//! The records come from guests, which may write what they like: every record that makes sense is shown as it is, every other one is counted, and none takes more room than it had.

pub mod chrome;
pub mod decode;
pub mod flows;
pub mod folded;
pub mod perfetto;
pub mod slices;
pub mod text;

use chorus_abi::trace::Class;
use serde::{Deserialize, Serialize};

/// The records of one vCPU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ring {
    /// The vCPU.
    pub vcpu: u32,
    /// Records that were overwritten.
    pub lost: u64,
    /// The others, oldest first.
    pub bytes: Vec<u8>,
}

/// What was recorded of a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// Number of the site.
    pub site: u16,
    /// Its name.
    pub name: String,
    /// Rate of its time stamp counter; 0: unknown.
    pub khz: u64,
    /// Names of actors by slot, when the trace began.
    pub before: Vec<(u16, String)>,
    /// The same now.
    pub now: Vec<(u16, String)>,
    /// The vCPUs.
    pub rings: Vec<Ring>,
}

/// A recording on the control socket: the bytes of the rings follow it, one after another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heading {
    /// As of the recording; so the others.
    pub site: u16,
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub khz: u64,
    #[allow(missing_docs)]
    pub before: Vec<(u16, String)>,
    #[allow(missing_docs)]
    pub now: Vec<(u16, String)>,
    /// Of each ring the vCPU, lost records, and bytes.
    pub rings: Vec<(u32, u64, u64)>,
}

impl Recording {
    /// Heading and bytes.
    pub fn parts(self) -> (Heading, Vec<Vec<u8>>) {
        let size = |ring: &Ring| (ring.vcpu, ring.lost, ring.bytes.len() as u64);
        let heading = Heading {
            site: self.site,
            name: self.name,
            khz: self.khz,
            before: self.before,
            now: self.now,
            rings: self.rings.iter().map(size).collect(),
        };
        let bytes = self.rings.into_iter().map(|ring| ring.bytes);
        (heading, bytes.collect())
    }
}

impl Heading {
    /// The recording, whose bytes `read` gets.
    ///
    /// # Errors
    /// Those of `read`; a ring that is larger than any can be.
    pub fn with<E>(
        self,
        too_large: impl Fn() -> E,
        mut read: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<Recording, E> {
        let mut rings = Vec::new();
        for (vcpu, lost, size) in self.rings {
            if size > chorus_abi::trace::WINDOW_MOST {
                return Err(too_large());
            }
            let mut bytes = vec![0; size as usize];
            read(&mut bytes)?;
            rings.push(Ring { vcpu, lost, bytes });
        }
        Ok(Recording {
            site: self.site,
            name: self.name,
            khz: self.khz,
            before: self.before,
            now: self.now,
            rings,
        })
    }
}

/// A zero-padded name as text that may go to a terminal.
pub fn name(bytes: &[u8]) -> String {
    let used = bytes.split(|&byte| byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(used).replace(char::is_control, "?")
}

/// Bits of the classes with these names. Errors: the name that is none, and those that are.
pub fn classes<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<u32, String> {
    let mut bits = 0;
    for name in names {
        bits |= match Class::ALL.into_iter().find(|class| class.name() == name) {
            Some(class) => class.bit(),
            None if name == "all" => Class::EVERYTHING,
            None => {
                let known: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
                let known = known.join(", ");
                return Err(format!(
                    "there is no class {name}; there are {known}, and all"
                ));
            }
        };
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_names() {
        assert_eq!(classes(["call", "wake"]), Ok(5));
        assert_eq!(classes(["all"]), Ok(Class::EVERYTHING));
        assert!(classes(["calls"]).unwrap_err().contains("call, switch"));
    }

    #[test]
    fn a_recording_survives_the_socket() {
        let recording = Recording {
            site: 3,
            name: "s3".into(),
            khz: 7,
            before: vec![(1, "a".into())],
            now: vec![],
            rings: vec![
                Ring {
                    vcpu: 0,
                    lost: 5,
                    bytes: vec![1, 2],
                },
                Ring {
                    vcpu: 1,
                    lost: 0,
                    bytes: vec![3],
                },
            ],
        };
        let (heading, bytes) = recording.clone().parts();
        let mut bytes = bytes.concat();
        let back = heading.clone().with(String::new, |into| {
            into.copy_from_slice(&bytes.drain(..into.len()).collect::<Vec<u8>>());
            Ok(())
        });
        assert_eq!(back, Ok(recording));
        let large = Heading {
            rings: vec![(0, 0, u64::MAX)],
            ..heading
        };
        assert!(large.with(|| (), |_| Ok(())).is_err());
    }
}
