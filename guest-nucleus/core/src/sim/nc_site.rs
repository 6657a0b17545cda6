//! The site as a whole, its clock and its devices; and who may make which call (NC-074, NC-279, NC-282).

use super::machine::DEVICE;
use super::scene::{NOWHERE, Party};
use super::site::Site;
use crate::machine::Machine;
use crate::memory::Fault;
use chorus_abi::error::*;
use chorus_abi::table::{CALL_LIMIT, CALLS, Privilege};
use chorus_abi::*;

#[test]
fn calls_for_the_trusted_are_refused_to_users_whatever_they_ask() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let at = site.space(user.actor, 256);
    let trusted = CALLS.iter().filter(|call| call.privilege > Privilege::User);
    let mut tried = 0;
    for call in trusted {
        for arguments in [[0; 6], [at; 6], [NOWHERE; 6], [u64::MAX; 6]] {
            site.refuses(user, call.name, &arguments, K_EPRIV);
        }
        tried += 1;
    }
    assert!(tried >= 14, "{tried}");
    site.end();
}

#[test]
fn numbers_without_a_call_are_refused() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let cpu = site.cpu_of(user.thread).unwrap();
    for number in (0..CALL_LIMIT as u16).chain([256, 1000, u16::MAX]) {
        if table::by_number(number).is_none() {
            let before = site.picture();
            assert_eq!(site.call_on(cpu, number, &[]), Some(K_EINVAL), "{number}");
            site.unchanged(&before, "an unknown call");
        }
    }
    assert_eq!(site.grants(user, "sysNull", &[]), K_OK);
    site.end();
}

#[test]
fn the_clock_goes_on_and_has_a_resolution() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let at = site.space(user.actor, size_of::<KnTimeVal>());
    let time = |site: &mut Site, name| {
        assert_eq!(site.grants(user, name, &[at]), K_OK);
        site.peek::<KnTimeVal>(user.actor, at).to_ns().unwrap()
    };
    let before = time(&mut site, "sysTime");
    site.pass(3_000_000_123);
    assert_eq!(time(&mut site, "sysTime"), before + 3_000_000_123);
    assert!((1..=10_000_000).contains(&time(&mut site, "sysTimeGetRes")));
    for name in ["sysTime", "sysTimeGetRes", "siteStat", "vmStat"] {
        site.refuses(user, name, &[NOWHERE], K_EFAULT);
    }
    site.end();
}

#[test]
fn nc_279_a_line_is_logged_as_far_as_it_is_text_and_not_too_long() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let text = site.arg(user.actor, &[b'x'; 300]);
    let broken = site.arg(user.actor, b"good\xff bad");
    for (at, size, logged) in [
        (text, 3, "xxx"),
        (text, 300, ""),
        (broken, 9, "good"),
        (NOWHERE, 0, ""),
    ] {
        assert_eq!(site.grants(user, "sysLog", &[at, size]), K_OK);
        let line = site.nucleus.machine.log.pop().expect("a line");
        match size {
            300 => assert_eq!(line.len(), 256),
            _ => assert_eq!(line, logged),
        }
    }
    site.refuses(user, "sysLog", &[NOWHERE, 1], K_EFAULT);
    let end = site.at(user.actor, 16 * PAGE_SIZE) - 4;
    site.refuses(user, "sysLog", &[end, 5], K_EFAULT);
    assert!(site.nucleus.machine.log.is_empty());
    site.end();
}

#[test]
fn the_site_counts_what_happens() {
    let mut site = Site::booted(3, 9);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_SUPACTOR));
    let at = site.space(user.actor, size_of::<KnSiteStat>());
    let stat = |site: &mut Site| {
        assert_eq!(site.grants(user, "siteStat", &[at]), K_OK);
        site.peek::<KnSiteStat>(user.actor, at)
    };
    let before = stat(&mut site);
    assert_eq!((before.site, before.epoch, before.cpus), (1, 9, 3));
    assert_eq!((before.actors, before.threads, before.ports), (2, 2, 2));
    let door = site.door(other.actor);
    site.port(user);
    site.send(user, door, b"x");
    site.take(other, K_DEFAULTPORT);
    let fellow = site.fellow(user);
    let cpu = site.cpu_of(fellow.thread).unwrap();
    let end = site.at(user.actor, 15 * PAGE_SIZE);
    let fault = site.nucleus.fault(cpu, end, true, false, true);
    assert_eq!(fault, Fault::Resolved);
    let after = stat(&mut site);
    assert_eq!((after.threads, after.ports), (3, 3));
    assert_eq!(after.calls, before.calls + 4);
    assert_eq!(after.messages, before.messages + 1);
    assert_eq!(after.switches, before.switches + 1);
    assert!(after.faults > before.faults);
    assert_eq!(after.exceptions, before.exceptions);
    site.end();
}

#[test]
fn marks_and_the_end_reach_the_machine() {
    let mut site = Site::new(2);
    let (system, other) = (site.party(K_SYSTEMACTOR), site.party(K_SUPACTOR));
    assert_eq!(site.grants(system, "siteMark", &[100]), K_OK);
    assert_eq!(site.grants(other, "siteMark", &[101]), K_OK);
    assert_eq!(site.nucleus.machine.marks, [100, 101]);
    site.waits(system, "siteHalt", &[0x1ff]);
    assert_eq!(site.nucleus.machine.halted, Some(0xff));
    site.pass(1_000_000_000);
    assert_eq!(site.result(system.thread), None, "it does not return");
    site.end();
}

/// What an out argument of a system actor got.
fn told(site: &mut Site, by: Party, at: u64) -> u64 {
    site.peek::<u64>(by.actor, at)
}

#[test]
fn devices_are_described_and_their_registers_mapped() {
    let mut site = Site::new(1);
    let driver = site.party(K_SYSTEMACTOR);
    let at = site.space(driver.actor, size_of::<KnDevDesc>());
    assert_eq!(site.grants(driver, "devGet", &[0, at]), K_OK);
    assert_eq!(site.peek::<KnDevDesc>(driver.actor, at), DEVICE);
    for index in [2, u64::MAX] {
        site.refuses(driver, "devGet", &[index, at], K_EINVAL);
    }
    site.refuses(driver, "devGet", &[0, NOWHERE], K_EFAULT);
    let (base, size) = (DEVICE.base, DEVICE.size);
    for (base, size) in [
        (base, 0),
        (base - 1, 2),
        (base, size + 1),
        (base + size, 1),
        (0, PAGE_SIZE),
        (u64::MAX, 2),
    ] {
        site.refuses(driver, "devMap", &[base, size, at], K_EINVAL);
    }
    site.refuses(driver, "devMap", &[base, size, NOWHERE], K_EFAULT);
    let pages = site.nucleus.actors.get(driver.actor).unwrap().pages;
    assert_eq!(site.grants(driver, "devMap", &[base + 8, 8, at]), K_OK);
    let registers = told(&mut site, driver, at);
    assert_eq!(registers % PAGE_SIZE, (base + 8) % PAGE_SIZE);
    let space = site.nucleus.actors.get(driver.actor).unwrap().space;
    let (frame, _) = site.nucleus.machine.translate(space, registers).unwrap();
    assert_eq!(u64::from(frame.0) * PAGE_SIZE, base & !(PAGE_SIZE - 1));
    assert_eq!(site.nucleus.actors.get(driver.actor).unwrap().pages, pages);
    // Registers are no memory for calls.
    site.refuses(driver, "sysTime", &[registers], K_EFAULT);
    let region = KnRgnDesc {
        start_addr: registers & !(PAGE_SIZE - 1),
        size: 1,
        ..KnRgnDesc::default()
    };
    let region = site.arg(driver.actor, &region);
    assert_eq!(site.grants(driver, "rgnFree", &[0, region]), K_OK);
    site.end();
}

#[test]
fn memory_for_a_device_is_contiguous_and_zero() {
    let mut site = Site::new(2);
    for kind in [K_SYSTEMACTOR, K_SUPACTOR] {
        let driver = site.party(kind);
        let (at, physical) = (site.arg(driver.actor, &1u64), site.arg(driver.actor, &1u64));
        for (size, error) in [(0, K_ESIZE), ((4 << 20) + 1, K_ESIZE), (4 << 20, K_ENOMEM)] {
            site.refuses(driver, "devMemory", &[size, at, physical], error);
        }
        site.refuses(driver, "devMemory", &[8, NOWHERE, physical], K_EFAULT);
        site.refuses(driver, "devMemory", &[8, at, NOWHERE], K_EFAULT);
        assert_eq!(
            site.grants(driver, "devMemory", &[3 * PAGE_SIZE - 1, at, physical]),
            K_OK
        );
        let (start, first) = (
            told(&mut site, driver, at),
            told(&mut site, driver, physical),
        );
        let space = site.nucleus.actors.get(driver.actor).unwrap().space;
        for page in 0..3 {
            let address = start + page * PAGE_SIZE;
            let (frame, protection) = site.nucleus.machine.translate(space, address).unwrap();
            assert_eq!(u64::from(frame.0) * PAGE_SIZE, first + page * PAGE_SIZE);
            assert!(protection.write && !protection.execute);
            assert!(
                site.bytes(driver.actor, address, 4096)
                    .iter()
                    .all(|&byte| byte == 0)
            );
        }
    }
    assert_eq!(site.held(), 0);
    site.end();
}

#[test]
fn a_machine_that_is_short_of_memory_leaves_no_half_made_things() {
    let mut site = Site::new(2);
    let driver = site.party(K_SYSTEMACTOR);
    let (cap, at) = (
        site.arg(driver.actor, &KnCap::default()),
        site.arg(driver.actor, &[0u64; 2]),
    );
    let region = |options| KnRgnDesc {
        start_addr: 0x100_0000,
        size: 2 * PAGE_SIZE,
        options,
        ..KnRgnDesc::default()
    };
    let (lazy, fixed) = (
        site.arg(driver.actor, &region(K_WRITABLE)),
        site.arg(driver.actor, &region(K_WRITABLE | K_NODEMAND)),
    );
    site.nucleus.machine.short = true;
    site.refuses(driver, "actorCreate", &[0, cap, 0, 0], K_ENOMEM);
    site.refuses(driver, "threadCreate", &[0, 0, 0, 0, 0, 0], K_ENOMEM);
    site.refuses(driver, "rgnAllocate", &[0, fixed], K_ENOMEM);
    site.refuses(driver, "devMap", &[DEVICE.base, 8, at], K_ENOMEM);
    site.refuses(driver, "devMemory", &[2 * PAGE_SIZE, at, at + 8], K_ENOMEM);
    assert_eq!(site.grants(driver, "rgnAllocate", &[0, lazy]), K_OK);
    site.refuses(driver, "sysTime", &[0x100_0000], K_EFAULT);
    site.nucleus.machine.short = false;
    assert_eq!(site.grants(driver, "actorCreate", &[0, cap, 0, 0]), K_OK);
    assert!(site.grants(driver, "threadCreate", &[0, 0, 0, 0, 0, 0]) > 0);
    assert_eq!(site.grants(driver, "sysTime", &[0x100_0000]), K_OK);
    site.end();
}
