//! The file service: images of the host, read by sites in pieces.
//!
//! A site can open only what a command of the cluster's owner put here, and only read it. Each image is a segment with a
//! random key; whoever knows the key may pull it in. Nothing is copied but the pieces that are asked for.

use chorus_abi::services::{Answer, FILE_OPEN, FILE_PULL_IN, FileRequest};
use chorus_abi::{
    GATEWAY_SITE, K_CMSGSIZEMAX, KError, KnCap, KnUniqueId, STAMP_FILES, name_field, name_text,
};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// One image.
#[derive(Clone)]
struct Segment {
    name: String,
    bytes: Arc<[u8]>,
}

/// The images that sites may read.
pub struct Files {
    segments: Mutex<HashMap<u64, Segment>>,
    keys: RandomState,
}

impl Files {
    /// No images.
    pub fn new() -> Files {
        Files {
            segments: Mutex::default(),
            keys: RandomState::new(),
        }
    }

    /// Puts an image here. The capability names it until [`Files::forget`].
    pub fn register(&self, name: &str, bytes: Arc<[u8]>) -> KnCap {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let mut attempt = (segments.len() as u64, 0u64);
        let key = loop {
            // Keyed with numbers from the system's random source, so that a key tells nothing about another.
            let key = self.keys.hash_one((attempt, bytes.as_ptr() as usize));
            if key != 0 && !segments.contains_key(&key) {
                break key;
            }
            attempt.1 += 1;
        };
        // Two names that are cut to the same one are the same to `FILE_OPEN`.
        let name = name_text(&name_field(name)).to_owned();
        segments.insert(key, Segment { name, bytes });
        KnCap {
            ui: KnUniqueId::well_known_port(GATEWAY_SITE, STAMP_FILES),
            key,
        }
    }

    /// Takes an image away; pieces that are asked for later are refused.
    pub fn forget(&self, cap: KnCap) {
        self.segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&cap.key);
    }

    /// Answers a request: the answer, and the body of the reply.
    pub fn serve(&self, annex: &[u8; 64], body: &[u8]) -> (Answer, Vec<u8>) {
        let request = FileRequest::from_annex(annex);
        let served = match request.service {
            FILE_OPEN => self.open(body).map(|answer| (answer, Vec::new())),
            FILE_PULL_IN => self.pull_in(&request),
            _ => Err(KError::Inval),
        };
        served.unwrap_or_else(|error| {
            (
                Answer {
                    result: error.code(),
                    ..Answer::default()
                },
                Vec::new(),
            )
        })
    }

    fn open(&self, name: &[u8]) -> Result<Answer, KError> {
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name).map_err(|_| KError::Inval)?;
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let (&key, segment) = segments
            .iter()
            .find(|(_, segment)| segment.name == name)
            .ok_or(KError::Unknown)?;
        let ui = KnUniqueId::well_known_port(GATEWAY_SITE, STAMP_FILES);
        let value = segment.bytes.len() as u64;
        Ok(Answer {
            value,
            cap: KnCap { ui, key },
            ..Answer::default()
        })
    }

    fn pull_in(&self, request: &FileRequest) -> Result<(Answer, Vec<u8>), KError> {
        if request.size > K_CMSGSIZEMAX {
            return Err(KError::TooMuch);
        }
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = segments.get(&request.key).cloned().ok_or(KError::Unknown)?;
        drop(segments);
        let start = usize::try_from(request.offset)
            .ok()
            .filter(|start| *start <= segment.bytes.len());
        let start = start.ok_or(KError::Offset)?;
        let end = segment.bytes.len().min(start + request.size as usize);
        let piece = segment.bytes[start..end].to_vec();
        Ok((
            Answer {
                value: piece.len() as u64,
                ..Answer::default()
            },
            piece,
        ))
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pull(files: &Files, key: u64, offset: u64, size: u32) -> (i32, Vec<u8>) {
        let request = FileRequest {
            service: FILE_PULL_IN,
            size,
            key,
            offset,
        };
        let (answer, body) = files.serve(&request.to_annex(), &[]);
        (answer.result, body)
    }

    #[test]
    fn only_what_is_registered_can_be_read() {
        let files = Files::new();
        let cap = files.register("hello", Arc::from(&b"0123456789"[..]));
        assert_eq!(pull(&files, cap.key, 8, 100), (0, b"89".to_vec()));
        assert_eq!(pull(&files, cap.key, 10, 1), (0, vec![]));
        assert_eq!(pull(&files, cap.key, 11, 1).0, KError::Offset.code());
        assert_eq!(
            pull(&files, cap.key, 0, K_CMSGSIZEMAX + 1).0,
            KError::TooMuch.code()
        );
        assert_eq!(pull(&files, cap.key ^ 1, 0, 1).0, KError::Unknown.code());
        let open = FileRequest {
            service: FILE_OPEN,
            ..FileRequest::default()
        }
        .to_annex();
        let (answer, _) = files.serve(&open, b"hello\0");
        assert_eq!((answer.cap, answer.value), (cap, 10));
        assert_eq!(
            files.serve(&open, b"/etc/passwd").0.result,
            KError::Unknown.code()
        );
        files.forget(cap);
        assert_eq!(pull(&files, cap.key, 0, 1).0, KError::Unknown.code());
    }

    proptest! {
        #[test]
        fn any_request_is_answered(annex: [u8; 32], body in proptest::collection::vec(any::<u8>(), 0..50)) {
            let files = Files::new();
            let mut whole = [0; 64];
            whole[..32].copy_from_slice(&annex);
            let (answer, body) = files.serve(&whole, &body);
            prop_assert!(answer.result < 0 && body.is_empty());
        }
    }
}
