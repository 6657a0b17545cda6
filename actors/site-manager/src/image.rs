//! The image of an actor, fetched from the file service in pieces.

use alloc::vec::Vec;
use chorus_abi::image::IMAGE_MAX;
use chorus_abi::services::{Answer, FILE_PULL_IN, FileRequest};
use chorus_abi::{K_CMSGSIZEMAX, KError, KnCap};
use chorus_runtime::check;
use chorus_runtime::message::{Buffer, Message, call};
use core::time::Duration;

/// How long one piece may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Fetches `size` bytes of a segment from its mapper. Errors: `K_ESIZE`, `K_ENOMEM`, `K_EMAPPER` when the mapper gives less or nonsense,
/// those of `ipcCall`.
pub fn fetch(segment: &KnCap, size: u32) -> Result<Vec<u8>, KError> {
    if u64::from(size) > IMAGE_MAX {
        return Err(KError::Size);
    }
    let mut image = Vec::new();
    image
        .try_reserve_exact(size as usize)
        .map_err(|_| KError::NoMem)?;
    let mut piece = Buffer::with_room(K_CMSGSIZEMAX as usize);
    while image.len() < size as usize {
        let request = FileRequest {
            service: FILE_PULL_IN,
            size: K_CMSGSIZEMAX.min(size - image.len() as u32),
            key: segment.key,
            offset: image.len() as u64,
        };
        let annex = request.to_annex();
        let message = Message {
            annex: Some(&annex),
            body: &[],
        };
        call(segment.ui, message, &mut piece, Some(LIMIT))?;
        check(Answer::from_annex(&piece.annex).result)?;
        let came = piece.body();
        if came.is_empty() || came.len() > request.size as usize {
            return Err(KError::Mapper);
        }
        image.extend_from_slice(came);
    }
    Ok(image)
}
