//! Groups and their addressing modes on one site (spec 2.5, 3.5).

use crate::requests::ask;
use crate::verdict::{DEFAULT, Verdict, call, message};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::message::Buffer;
use chorus_runtime::port::{Port, new_group, well_known_group};
use chorus_runtime::{at, at_mut, start_info};
use core::time::Duration;

fn send(target: KnUniqueId, co_target: KnUniqueId) -> i32 {
    let dest = KnIpcDest { target, co_target };
    let empty = message(&[], None);
    call!(ipc_send, In::new(at(&empty)), DEFAULT, In::new(at(&dest)))
}

fn waiting(port: &Port) -> usize {
    let mut buffer = Buffer::with_room(0);
    let mut count = 0;
    while port.receive(&mut buffer, Some(Duration::ZERO)).is_ok() {
        count += 1;
    }
    count
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let (Ok(group), Ok(other), Ok(static7)) = (new_group(), new_group(), well_known_group(7))
    else {
        return verdict.check("grpAllocate", false);
    };
    verdict.check(
        "NC-133",
        group.ui != other.ui && group.ui.kind() == Some(UiType::Group),
    );
    verdict.check("NC-134", well_known_group(7) == Ok(static7));
    let mut system = KnCap::default();
    let answer = call!(grp_allocate, K_STATSYS, Out::new(at_mut(&mut system)), 7);
    if start_info().kind == K_USERACTOR {
        verdict.check("NC-137", answer == K_EPRIV);
        // Whatever the key is, which it cannot know.
        let forged = KnCap {
            ui: KnUniqueId::static_group(true, 7),
            key: static7.key,
        };
        let joined = Port::create().and_then(|port| port.join(&forged));
        verdict.check("NC-141", joined == Err(KError::Priv));
    } else {
        verdict.check("NC-136", answer == K_OK && !system.ui.same(static7.ui));
    }
    let (Ok(a), Ok(b), Ok(c)) = (Port::create(), Port::create(), Port::create()) else {
        return verdict.check("portCreate", false);
    };
    let wrong = KnCap {
        key: group.key ^ 1,
        ..group
    };
    verdict.check("NC-138", a.join(&wrong) == Err(KError::Inval));
    let none = KnUniqueId::NULL;
    verdict.check("NC-163", send(group.ui, none) == K_OK);
    let functional = group.ui.with_mode(K_FUNCMODE).unwrap_or(none);
    verdict.check("NC-162", ask(functional, 1, -1, 0).0 == K_EUNKNOWN);
    let joined = [&a, &b, &c].iter().all(|port| port.join(&group).is_ok());
    verdict.check(
        "NC-150",
        joined
            && send(group.ui, none) == K_OK
            && [&a, &b, &c].iter().all(|port| waiting(port) == 1),
    );
    let plain = group.ui.with_mode(K_BROADMODE) == Ok(group.ui);
    verdict.check(
        "NC-149",
        plain && send(group.ui, none) == K_OK && [&a, &b, &c].iter().all(|port| waiting(port) == 1),
    );
    verdict.check(
        "NC-139",
        a.join(&group).is_ok() && send(group.ui, none) == K_OK && waiting(&a) == 1,
    );
    let _ = waiting(&b) + waiting(&c);
    let sent = (0..30).all(|_| send(functional, none) == K_OK);
    verdict.check(
        "NC-152",
        sent && waiting(&a) + waiting(&b) + waiting(&c) == 30,
    );
    let exclusive = group.ui.with_mode(K_FUNCXMODE).unwrap_or(none);
    let _ = c.leave(&group);
    let sent = (0..10).all(|_| send(exclusive, a.ui()) == K_OK);
    verdict.check("NC-160", sent && waiting(&b) == 10 && waiting(&a) == 0);
    verdict.check("NC-143", waiting(&c) == 0);
    verdict.check("NC-140", c.leave(&group) == Err(KError::Inval));
    verdict.check(
        "NC-145",
        b.join(&other).is_ok()
            && send(other.ui, none) == K_OK
            && send(group.ui, none) == K_OK
            && waiting(&b) == 2,
    );
    waiting(&a);
    send(group.ui, none);
    verdict.check("NC-144", a.leave(&group).is_ok() && waiting(&a) == 1);
    let _ = b.leave(&other);
    let single = other.ui.with_mode(K_FUNCMODE).unwrap_or(none);
    let alone = c.join(&other).is_ok();
    verdict.check(
        "NC-153",
        alone && (0..60).all(|_| send(single, none) == K_OK) && waiting(&c) == 60,
    );
    verdict.check(
        "NC-142",
        call!(grp_port_insert, In::new(at(&group)), In::new(at(&other.ui))) == K_EINVAL,
    );
}
