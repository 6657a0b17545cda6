//! Messages in pieces: how content is cut, and how it comes together again.
//!
//! Content is the annex (if there is one) followed by the body, so that both arrive or none (SS-062). All pieces but the last have the
//! same size, which each piece names: sites with frames of different sizes understand each other (SS-061). At most 64 pieces, so
//! that one word says which are there.

use crate::frame::Piece;
use alloc::vec::Vec;
use chorus_abi::{K_CMSGANNEXSIZE, K_CMSGSIZEMAX};

/// Largest content in bytes: annex and body.
pub const CONTENT_MAX: usize = K_CMSGSIZEMAX as usize + K_CMSGANNEXSIZE;
/// Most pieces of a message.
pub const PIECES_MAX: usize = 64;

/// Number of pieces of `size` bytes for `total` bytes; 1 for an empty message.
pub(crate) fn count(total: usize, size: usize) -> usize {
    total.div_ceil(size.max(1)).max(1)
}

/// A word with one bit for each of `count` pieces.
pub(crate) fn all(count: u8) -> u64 {
    if count as usize >= PIECES_MAX {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

/// Piece `index` of `content` cut into pieces of at most `size` bytes; `None` when there is no such piece.
pub fn piece(content: &[u8], size: usize, index: u8) -> Option<Piece<'_>> {
    let size = size.max(1).min(content.len().max(1));
    let count = count(content.len(), size);
    if index as usize >= count || count > PIECES_MAX {
        return None;
    }
    let start = index as usize * size;
    let end = content.len().min(start + size);
    Some(Piece {
        index,
        count: count as u8,
        size: size as u32,
        total: content.len() as u32,
        bytes: content.get(start..end)?,
    })
}

/// A message that is not yet complete.
#[derive(Debug)]
pub struct Assembly {
    content: Vec<u8>,
    received: u64,
    count: u8,
    size: u32,
}

impl Assembly {
    /// Room for the message that `piece` belongs to.
    pub fn new(piece: &Piece<'_>) -> Assembly {
        Assembly {
            content: alloc::vec![0; piece.total as usize],
            received: 0,
            count: piece.count,
            size: piece.size,
        }
    }

    /// Takes a piece; whether the message is complete now. A piece that contradicts the first one is refused with `None`.
    pub fn add(&mut self, piece: &Piece<'_>) -> Option<bool> {
        if piece.count != self.count
            || piece.size != self.size
            || piece.total as usize != self.content.len()
        {
            return None;
        }
        let start = piece.index as usize * self.size as usize;
        self.content
            .get_mut(start..start + piece.bytes.len())?
            .copy_from_slice(piece.bytes);
        self.received |= 1 << piece.index;
        Some(self.received == all(self.count))
    }

    /// One bit for each piece that is there.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that it occupies.
    pub fn bytes(&self) -> usize {
        self.content.len()
    }

    /// The content; whole only once [`Assembly::add`] said so.
    pub fn content(&self) -> &[u8] {
        &self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_order_with_repetitions_gives_the_message(
            content in proptest::collection::vec(any::<u8>(), 0..5000),
            size in 80usize..2000,
            order in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let Some(first) = piece(&content, size, 0) else { return Ok(()) };
            let count = first.count;
            let mut assembly = Assembly::new(&first);
            let mut model = 0u64;
            for index in order.into_iter().map(|n| n % count).chain(0..count) {
                let complete = assembly.add(&piece(&content, size, index).unwrap()).unwrap();
                model |= 1 << index;
                prop_assert_eq!(assembly.received(), model);
                prop_assert_eq!(complete, model.count_ones() == u32::from(count));
            }
            prop_assert_eq!(assembly.content(), &content[..]);
        }
    }

    #[test]
    fn a_piece_of_another_cut_is_refused() {
        let content = [7u8; 3000];
        let mut assembly = Assembly::new(&piece(&content, 1000, 0).unwrap());
        assert_eq!(assembly.add(&piece(&content, 1500, 0).unwrap()), None);
        assert_eq!(assembly.received(), 0);
        assert!(piece(&content, 10, 0).is_none(), "more than 64 pieces");
        assert!(piece(&content, 1000, 3).is_none(), "no such piece");
    }
}
