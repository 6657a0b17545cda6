//! Names: unique identifiers made here, the table of port names, and names that actors declared.

pub mod declared;
pub mod stamps;
pub mod table;

use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::ui::EPOCH_MAX;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// A UI that no object of this site ever had or will have (NC-002…005).
    pub(crate) fn new_ui(&mut self, kind: UiType) -> KnUniqueId {
        let (stamp, last) = self.stamps.take();
        let ui = KnUniqueId::from_fields(self.configuration.site, kind, self.ui_epoch, stamp);
        if last {
            // 2^32 names are gone: the next epoch (spec 1.1).
            self.ui_epoch = if self.ui_epoch >= EPOCH_MAX {
                1
            } else {
                self.ui_epoch + 1
            };
        }
        ui
    }

    /// `uiLocalSite`.
    pub fn ui_local_site(&mut self, caller: Caller, site: Out<i32>) -> Result<Outcome, KError> {
        let number = i32::from(self.configuration.site);
        self.write(caller, site, &number)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `uiIsLocal` (NC-011…013): the site, its actors and ports, and what was declared here.
    pub fn ui_is_local(&mut self, caller: Caller, ui: In<KnUniqueId>) -> Result<Outcome, KError> {
        let ui = self.read(caller, ui)?;
        Ok(Outcome::Done(self.recognises(ui).into()))
    }

    /// Whether this site recognises a UI (spec 1.7): one of its own names, or one that an actor here declared.
    pub(crate) fn recognises(&self, ui: KnUniqueId) -> bool {
        self.is_own(ui) || self.is_declared(ui)
    }

    /// Whether a UI names this site, or a port on it.
    pub(crate) fn is_own(&self, ui: KnUniqueId) -> bool {
        match ui.kind() {
            Some(UiType::Site) => {
                ui.site() == self.configuration.site && ui.epoch() == 0 && ui.counter() == 0
            }
            Some(UiType::Port) => self.port_by_ui(ui).is_some(),
            _ => false,
        }
    }
}
