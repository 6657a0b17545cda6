//! Layout of unique identifiers (spec 1.1): 13 bits creation site, 3 bits type, 16 bits epoch, 32 bits counter.
//!
//! Pure computations that need no Nucleus: what `uiBuild`, `uiSite`, `uiGetSite`, `uiEqual` and `ipcTarget` do.

use crate::constants::*;
use crate::error::KError;
use crate::types::KnUniqueId;

/// Type field of a unique identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UiType {
    /// A site.
    Site = 1,
    /// A port (an actor is named by its default port).
    Port = 2,
    /// A port group.
    Group = 3,
}

/// `K_UISITE`: type code of a site.
pub const K_UISITE: u32 = 1;
/// `K_UIPORT`: type code of a port.
pub const K_UIPORT: u32 = 2;
/// `K_UIGROUP`: type code of a group.
pub const K_UIGROUP: u32 = 3;

/// Epoch of static port names.
pub const EPOCH_STATIC: u16 = 0x3FFF;
/// Epoch field of static user groups.
pub const EPOCH_STATIC_USER_GROUP: u16 = 0x3FFE;
/// Last epoch that a site may take for dynamic names.
pub const EPOCH_MAX: u16 = 0x3FFD;

const MODE_SHIFT: u32 = 46;
const MODE_MASK: u64 = 0b11 << MODE_SHIFT;

/// Which kind of group a group UI names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupKind {
    /// Made by `grpAllocate(K_DYNAMIC)`.
    Dynamic,
    /// Well-known, user class.
    StaticUser,
    /// Well-known, system class.
    StaticSystem,
}

/// A group UI taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// The UI with addressing mode 0: the group's identity.
    pub identity: KnUniqueId,
    /// Addressing mode, `K_BROADMODE`…`K_FUNCXMODE`.
    pub mode: i32,
    /// Dynamic or static.
    pub kind: GroupKind,
}

impl KnUniqueId {
    /// The null identifier.
    pub const NULL: KnUniqueId = KnUniqueId {
        ui_head: 0,
        ui_tail: 0,
    };

    /// From the 64-bit word (site in the top bits).
    pub const fn from_word(word: u64) -> Self {
        KnUniqueId {
            ui_head: (word >> 32) as u32,
            ui_tail: word as u32,
        }
    }

    /// The 64-bit word.
    pub const fn word(self) -> u64 {
        (self.ui_head as u64) << 32 | self.ui_tail as u64
    }

    /// The identifier as one word as it lies in memory.
    pub const fn memory_word(self) -> u64 {
        (self.ui_tail as u64) << 32 | self.ui_head as u64
    }

    /// From the fields. `epoch` may carry group mode bits in its upper two bits.
    pub const fn from_fields(site: u16, kind: UiType, epoch: u16, counter: u32) -> Self {
        Self::from_word(
            (site as u64 & 0x1FFF) << 51
                | (kind as u64) << 48
                | (epoch as u64) << 32
                | counter as u64,
        )
    }

    /// Creation site, 0 for "no hint" (NC-002, NC-010).
    pub const fn site(self) -> u16 {
        (self.word() >> 51) as u16
    }

    /// Type field; `None` for null and reserved codes (NC-006).
    pub const fn kind(self) -> Option<UiType> {
        match self.word() >> 48 & 7 {
            1 => Some(UiType::Site),
            2 => Some(UiType::Port),
            3 => Some(UiType::Group),
            _ => None,
        }
    }

    /// Epoch field without the group mode bits.
    pub const fn epoch(self) -> u16 {
        (self.word() >> 32) as u16 & 0x3FFF
    }

    /// Counter or stamp.
    pub const fn counter(self) -> u32 {
        self.ui_tail
    }

    /// Whether it is not null (`uiValid`).
    pub const fn is_valid(self) -> bool {
        self.word() != 0
    }

    /// Equality that ignores the addressing mode of groups (`uiEqual`).
    pub const fn same(self, other: KnUniqueId) -> bool {
        self.identity().word() == other.identity().word()
    }

    /// The identifier with the addressing mode of a group cleared; others unchanged.
    pub const fn identity(self) -> KnUniqueId {
        match self.kind() {
            Some(UiType::Group) => Self::from_word(self.word() & !MODE_MASK),
            _ => self,
        }
    }

    /// A group UI taken apart; `None` when it names no group.
    pub const fn group(self) -> Option<Group> {
        if !matches!(self.kind(), Some(UiType::Group)) {
            return None;
        }
        let kind = match self.epoch() {
            EPOCH_STATIC => GroupKind::StaticSystem,
            EPOCH_STATIC_USER_GROUP => GroupKind::StaticUser,
            _ => GroupKind::Dynamic,
        };
        Some(Group {
            identity: self.identity(),
            mode: (self.word() >> MODE_SHIFT & 3) as i32,
            kind,
        })
    }

    /// `ipcTarget`: the group UI with an addressing mode. Errors: `K_EINVAL` (NC-147, NC-148).
    pub const fn with_mode(self, mode: i32) -> Result<KnUniqueId, KError> {
        if !matches!(self.kind(), Some(UiType::Group)) || mode < K_BROADMODE || mode > K_FUNCXMODE {
            return Err(KError::Inval);
        }
        Ok(Self::from_word(
            self.word() & !MODE_MASK | (mode as u64) << MODE_SHIFT,
        ))
    }

    /// The UI of a well-known group with this stamp.
    pub const fn static_group(system: bool, stamp: u32) -> KnUniqueId {
        let epoch = if system {
            EPOCH_STATIC
        } else {
            EPOCH_STATIC_USER_GROUP
        };
        Self::from_fields(0, UiType::Group, epoch, stamp)
    }

    /// `uiGetSite`: the site that it was made on, 0 for "no hint". Errors: `K_EINVAL` null (NC-010).
    pub const fn made_on(self) -> Result<u16, KError> {
        if self.is_valid() {
            Ok(self.site())
        } else {
            Err(KError::Inval)
        }
    }

    /// `uiSite`: the predefined UI of a site. Errors: `K_EINVAL` for a number above 8191 (NC-007).
    pub const fn of_site(site: u32) -> Result<KnUniqueId, KError> {
        Self::build(K_UISITE, site, 0)
    }

    /// `uiBuild`: a static UI. Errors: `K_EINVAL` for a bad type, a site above 8191 or a stamp above 0x07FFFFFF, and for a group with a
    /// site: well-known groups belong to none (NC-008).
    pub const fn build(kind: u32, site: u32, stamp: u32) -> Result<KnUniqueId, KError> {
        if site > SITE_MAX as u32 || stamp > UI_STAMP_MAX {
            return Err(KError::Inval);
        }
        match kind {
            K_UISITE => Ok(Self::from_fields(site as u16, UiType::Site, 0, stamp)),
            K_UIPORT => Ok(Self::from_fields(
                site as u16,
                UiType::Port,
                EPOCH_STATIC,
                stamp,
            )),
            K_UIGROUP if site == 0 => Ok(Self::static_group(false, stamp)),
            _ => Err(KError::Inval),
        }
    }

    /// The well-known port `stamp` of a site (`uiBuild(K_UIPORT, site, stamp)` that cannot fail).
    pub const fn well_known_port(site: u16, stamp: u32) -> KnUniqueId {
        Self::from_fields(site, UiType::Port, EPOCH_STATIC, stamp)
    }

    /// Whether the Nucleus of a site made it: nobody knew it before. Static names are those that anybody can compute.
    pub const fn is_dynamic(self) -> bool {
        match self.kind() {
            Some(UiType::Port) | Some(UiType::Group) => {
                self.epoch() >= 1 && self.epoch() <= EPOCH_MAX
            }
            _ => false,
        }
    }

    /// Whether the UI was made by `uiBuild` rather than by the Nucleus.
    pub const fn is_static_port(self) -> bool {
        matches!(self.kind(), Some(UiType::Port)) && self.epoch() == EPOCH_STATIC
    }
}

impl core::fmt::Display for KnUniqueId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:08x}:{:08x}", self.ui_head, self.ui_tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nc_007_site_ui_is_stamp_zero_and_nc_008_stamp_limit() {
        assert_eq!(
            KnUniqueId::build(K_UISITE, 5, 0).map(KnUniqueId::site),
            Ok(5)
        );
        assert!(KnUniqueId::build(K_UIPORT, 5, UI_STAMP_MAX).is_ok());
        assert_eq!(
            KnUniqueId::build(K_UIPORT, 5, UI_STAMP_MAX + 1),
            Err(KError::Inval)
        );
        assert_eq!(KnUniqueId::build(K_UIPORT, 8192, 0), Err(KError::Inval));
        for kind in [0, 4, 5, 6, 7] {
            assert_eq!(KnUniqueId::build(kind, 1, 0), Err(KError::Inval));
        }
        assert_eq!(KnUniqueId::of_site(5), KnUniqueId::build(K_UISITE, 5, 0));
        assert_eq!(KnUniqueId::of_site(8192), Err(KError::Inval));
        assert_eq!(KnUniqueId::build(K_UIGROUP, 1, 7), Err(KError::Inval));
        let group = KnUniqueId::build(K_UIGROUP, 0, 7);
        assert_eq!(group, Ok(KnUniqueId::static_group(false, 7)));
    }

    #[test]
    fn nc_009_null_is_all_zero_and_nc_010_has_no_site() {
        assert_eq!(KnUniqueId::NULL.word(), 0);
        assert!(!KnUniqueId::NULL.is_valid());
        assert_eq!(KnUniqueId::NULL.made_on(), Err(KError::Inval));
        assert_eq!(KnUniqueId::well_known_port(77, 1).made_on(), Ok(77));
    }

    #[test]
    fn nc_002_site_and_type_lead() {
        let port = KnUniqueId::from_fields(0x1234, UiType::Port, 1, 2);
        assert_eq!(port.word() >> 51, 0x1234);
        assert_eq!(port.word() >> 48 & 7, u64::from(K_UIPORT));
    }

    #[test]
    fn nc_006_reserved_types_are_none() {
        for code in [0u64, 4, 5, 6, 7] {
            assert_eq!(KnUniqueId::from_word(1 << 51 | code << 48 | 1).kind(), None);
        }
    }

    #[test]
    fn nc_147_148_target_refuses_ports_and_unknown_modes() {
        let port = KnUniqueId::well_known_port(3, 16);
        assert_eq!(port.with_mode(K_FUNCMODE), Err(KError::Inval));
        let group = KnUniqueId::static_group(false, 7);
        assert_eq!(group.with_mode(9), Err(KError::Inval));
        assert_eq!(
            group.with_mode(K_FUNCMODE).unwrap().group().unwrap().mode,
            K_FUNCMODE
        );
        assert!(group.same(group.with_mode(K_FUNCXMODE).unwrap()));
    }

    proptest! {
        #[test]
        fn fields_round_trip(site in 0u16..=SITE_MAX, epoch in 1u16..=EPOCH_MAX, counter: u32) {
            let ui = KnUniqueId::from_fields(site, UiType::Port, epoch, counter);
            prop_assert_eq!((ui.site(), ui.epoch(), ui.counter()), (site, epoch, counter));
            prop_assert_eq!(KnUniqueId::from_word(ui.word()), ui);
            prop_assert_eq!(ui.kind(), Some(UiType::Port));
        }
    }
}
