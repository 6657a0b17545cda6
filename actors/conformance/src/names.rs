//! Names and ports (spec 1.1, 3.4).

use crate::verdict::{DEFAULT, OWN, Verdict, call, message};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{at, at_mut};

/// Checks them; the default port's name.
pub fn check(verdict: &mut Verdict) -> KnUniqueId {
    let mut ui = KnUniqueId::default();
    let li = call!(port_create, OWN, Out::new(at_mut(&mut ui)));
    let mut site = 0i32;
    call!(ui_local_site, Out::new(at_mut(&mut site)));
    verdict.check(
        "NC-002",
        ui.kind() == Some(UiType::Port) && i32::from(ui.site()) == site,
    );
    verdict.check("NC-097", li > 0 && call!(port_li, In::new(at(&ui))) == li);
    verdict.check("NC-011", call!(ui_is_local, In::new(at(&ui))) == 1);
    call!(port_delete, OWN, li);
    verdict.check("NC-011 deleted", call!(ui_is_local, In::new(at(&ui))) == 0);
    verdict.check("NC-103", call!(port_delete, OWN, DEFAULT) == K_EINVAL);
    let dest = KnIpcDest {
        target: ui,
        ..KnIpcDest::default()
    };
    let empty = message(&[], None);
    verdict.check(
        "NC-104",
        call!(ipc_send, In::new(at(&empty)), DEFAULT, In::new(at(&dest))) == K_EUNKNOWN,
    );
    let mut own = KnUniqueId::default();
    call!(port_ui, Out::new(at_mut(&mut own)), DEFAULT);
    own
}
