//! Why an assertion was not looked at in a guest.

use chorus_abi::manual::Assertion;
use chorus_abi::{library, table};
use std::ops::RangeInclusive;

/// Assertions whose text does not name the call that they are of.
const NEEDED: &[(RangeInclusive<u16>, &str)] = &[
    (15..=15, "rgnStat"),
    (18..=18, "actorPi"),
    (48..=50, "actorExcept"),
    (52..=52, "actorExcept"),
    (78..=79, "threadContext"),
    (84..=85, "rtMutexGet"),
    (91..=92, "threadSemWait"),
    (93..=96, "eventWait"),
    (124..=124, "svMsgHandler"),
    (203..=203, "svMsgHandler"),
    (220..=223, "svMsgHandler"),
    (225..=225, "rgnSetProtect"),
    (231..=231, "rgnSetProtect"),
    (232..=232, "rgnStat"),
    (233..=235, "rgnInitFromActor"),
    (236..=236, "rgnMapFromActor"),
    (237..=238, "rgnDup"),
    (240..=240, "rgnSetPaging"),
    (242..=251, "rgnMap"),
    (252..=252, "sgStat"),
    (253..=257, "rgnMap"),
    (258..=258, "lcFlush"),
    (263..=263, "threadScheduler"),
    (265..=266, "svTrapConnect"),
    (267..=267, "svTrapTabConnect"),
    (268..=269, "svTrapConnect"),
    (270..=271, "svExcHandler"),
    (272..=274, "timerSet"),
    (275..=275, "svIntrAttach"),
    (276..=276, "lapInvoke"),
    (277..=278, "lapResolve"),
    (280..=280, "svLinkFailure"),
];

/// Assertions that the actor leaves out for another reason.
const OTHERWISE: &[(u16, &str)] = &[
    (3, "a million ports take too long in a guest"),
    (4, "takes a reboot of the site"),
    (188, "takes twenty seconds"),
    (255, "orders to caches do not leave their site"),
    (256, "orders to caches do not leave their site"),
    (257, "orders to caches do not leave their site"),
];

fn there(call: &str) -> bool {
    table::by_name(call).is_some() || library::by_name(call).is_some()
}

/// Why nobody looked at an assertion in a guest, in a few words. `together`: the sites could talk to each other.
pub fn reason(assertion: &Assertion, together: bool) -> String {
    let number = assertion.number;
    let mut needed = NEEDED.iter().filter(|(range, _)| range.contains(&number));
    if let Some((_, call)) = needed.find(|(_, call)| !there(call)) {
        return format!("no {call} yet");
    }
    if let Some((_, why)) = OTHERWISE.iter().find(|(other, _)| *other == number) {
        return (*why).to_owned();
    }
    match assertion.sites {
        2.. if !together => format!("takes {} sites; here each is alone", assertion.sites),
        _ => "nobody has written a check in a guest".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chorus_abi::manual::assertions;

    #[test]
    fn every_assertion_can_be_explained() {
        for assertion in assertions() {
            assert!(!reason(&assertion, true).is_empty());
        }
        let one = assertions().find(|each| each.number == 4).unwrap();
        assert_eq!(reason(&one, true), "takes a reboot of the site");
        let two = assertions().find(|each| each.number == 12).unwrap();
        assert_eq!(reason(&two, false), "takes 2 sites; here each is alone");
    }
}
