//! Bodies whose pages are given (`K_MOVE`, spec 3.6): from one region of this actor through one of its ports to another.

use crate::verdict::{OWN, Verdict, call};
use chorus_abi::*;
use chorus_runtime::port::Port;
use chorus_runtime::{at, at_mut};

const SIZE: u32 = K_CMSGSIZEMAX;

fn region() -> u64 {
    let mut region = KnRgnDesc {
        size: SIZE.into(),
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    match call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region))) {
        K_OK => region.start_addr,
        _ => 0,
    }
}

fn words(start: u64) -> impl Iterator<Item = *mut u64> {
    (start..start + u64::from(SIZE))
        .step_by(512)
        .map(|at| at as *mut u64)
}

fn copied() -> u64 {
    let mut stat = KnSiteStat::default();
    call!(site_stat, Out::new(at_mut(&mut stat)));
    stat.copied
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let (from, to) = (region(), region());
    if from == 0 || to == 0 {
        return verdict.check("rgnAllocate", false);
    }
    let dest = KnIpcDest {
        target: port.ui(),
        co_target: KnUniqueId::NULL,
    };
    let mut least = u64::MAX;
    let (mut came, mut gone) = (true, true);
    // Others may have something copied at the same time, but not for ever.
    for round in 1..=4u64 {
        words(from).enumerate().for_each(|(index, word)| {
            // SAFETY: a word of a region of this test's. So below.
            unsafe { word.write_volatile(round << 32 | index as u64) }
        });
        let sent = KnMsgDesc {
            flags: K_MOVE,
            body_addr: from,
            body_size: SIZE,
            ..KnMsgDesc::default()
        };
        let mut got = KnMsgDesc {
            flags: 0,
            body_addr: to,
            ..sent
        };
        let mut li = port.li();
        let before = copied();
        let out = call!(
            ipc_send,
            In::new(at(&sent)),
            K_DEFAULTPORT,
            In::new(at(&dest))
        );
        let size = call!(
            ipc_receive,
            InOut::new(at_mut(&mut got)),
            InOut::new(at_mut(&mut li)),
            0
        );
        least = least.min(copied() - before);
        came &= (out, size) == (K_OK, SIZE as i32);
        // SAFETY: as above.
        let right = |(index, word): (usize, *mut u64)| unsafe { word.read_volatile() } == round << 32 | index as u64;
        came &= words(to).enumerate().all(right);
        // SAFETY: as above.
        gone &= words(from).all(|word| unsafe { word.read_volatile() } == 0);
    }
    verdict.check("NC-177", came && gone);
    verdict.check("K_MOVE copies nothing", least < u64::from(SIZE) / 4);
    for start in [from, to] {
        let region = KnRgnDesc {
            start_addr: start,
            size: SIZE.into(),
            ..KnRgnDesc::default()
        };
        call!(rgn_free, OWN, In::new(at(&region)));
    }
}
