//! Names and ports (spec 1.1, 3.4).

use crate::verdict::{DEFAULT, OWN, Verdict, call, message};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::port::{Port, new_group};
use chorus_runtime::{at, at_mut, site, start_info};

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
    computed(verdict, own, site);
    recognised(verdict, own, site);
    own
}

/// What is computed without the Nucleus.
fn computed(verdict: &mut Verdict, own: KnUniqueId, site: i32) {
    let key = core::mem::offset_of!(KnCap, key);
    let sizes = (size_of::<KnUniqueId>(), size_of::<KnCap>(), key);
    verdict.check("NC-001", sizes == (8, 16, 8));
    let number = site as u32;
    let site_ui = KnUniqueId::of_site(number);
    verdict.check(
        "NC-007",
        site_ui.is_ok() && site_ui == KnUniqueId::build(ui::K_UISITE, number, 0),
    );
    let build = |stamp| KnUniqueId::build(ui::K_UIPORT, number, stamp).err();
    verdict.check(
        "NC-008",
        (build(0x07FF_FFFF), build(0x0800_0000)) == (None, Some(KError::Inval)),
    );
    let null = KnUniqueId::NULL;
    verdict.check("NC-009", null.word() == 0 && !null.is_valid());
    verdict.check("NC-010", own.made_on().map(i32::from) == Ok(site));
    verdict.check("NC-147", own.with_mode(K_FUNCMODE) == Err(KError::Inval));
    let group = KnUniqueId::static_group(false, 7);
    verdict.check("NC-148", group.with_mode(9) == Err(KError::Inval));
    let reserved = (4..8u64).all(|code| {
        let dest = KnIpcDest {
            target: KnUniqueId::from_word(own.word() & !(7 << 48) | code << 48),
            ..KnIpcDest::default()
        };
        let empty = message(&[], None);
        call!(ipc_send, In::new(at(&empty)), DEFAULT, In::new(at(&dest))) == K_EINVAL
    });
    verdict.check("NC-006", reserved);
}

/// What the site recognises.
fn recognised(verdict: &mut Verdict, own: KnUniqueId, number: i32) {
    let site_ui = KnUniqueId::of_site(number as u32).unwrap_or(KnUniqueId::NULL);
    verdict.check("NC-013", site::recognises(site_ui) && site::recognises(own));
    // A name of another site; the site need not be there.
    let name = KnUniqueId::from_fields(8000, UiType::Port, 1, 0x1234);
    let unknown = !site::recognises(name) && site::forget(name) == Err(KError::Inval);
    let declared = site::declare(name).is_ok() && site::declare(name).is_ok();
    let counted = declared && site::forget(name).is_ok() && site::recognises(name);
    verdict.check(
        "uiDeclare, uiForget",
        unknown && counted && site::forget(name).is_ok() && !site::recognises(name),
    );
    let elsewhere = KnUniqueId::of_site(8000).unwrap_or(KnUniqueId::NULL);
    let fixed = site::declare(elsewhere);
    let as_said = if start_info().kind == K_USERACTOR {
        fixed == Err(KError::Priv)
    } else {
        fixed.is_ok() && site::forget(elsewhere).is_ok()
    };
    verdict.check("uiDeclare of a site", as_said);
    let selective = new_group().and_then(|group| {
        let port = Port::create()?;
        port.join(&group)?;
        let target = group.ui.with_mode(K_FUNCUMODE)?;
        let send = || {
            let dest = KnIpcDest {
                target,
                co_target: name,
            };
            let empty = message(&[], None);
            call!(ipc_send, In::new(at(&empty)), DEFAULT, In::new(at(&dest)))
        };
        site::declare(name)?;
        let known = send();
        site::forget(name)?;
        Ok(known)
    });
    verdict.check("uiDeclare, selective mode", selective == Ok(K_OK));
}
