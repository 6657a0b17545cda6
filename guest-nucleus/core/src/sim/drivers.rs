//! Drivers in actors: interrupts that a thread waits for, and ports at second hand.

use super::machine::{DEVICE, SERIAL};
use super::scene::{FOREVER, NOWHERE, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

const IRQ: u64 = SERIAL.irq as u64;

/// A site with the driver of the serial line.
fn driver() -> (Site, Party) {
    let mut site = Site::new(4);
    let driver = site.party(K_SYSTEMACTOR);
    assert_eq!(site.grants(driver, "devAttach", &[IRQ]), K_OK);
    (site, driver)
}

fn interrupt(site: &mut Site, irq: u32) {
    site.nucleus.interrupt(0, irq);
    site.settle();
}

#[test]
fn an_interrupt_has_one_driver_until_that_ends() {
    let (mut site, driver) = driver();
    assert!(site.nucleus.machine.enabled.contains(&SERIAL.irq));
    let (other, user) = (site.party(K_SUPACTOR), site.party(K_USERACTOR));
    site.refuses(other, "devAttach", &[IRQ], K_EBUSY);
    site.refuses(driver, "devAttach", &[IRQ], K_EBUSY);
    for irq in [0, 4, 63, u64::from(u32::MAX)] {
        site.refuses(other, "devAttach", &[irq], K_EINVAL);
    }
    for name in ["devAttach", "devWait", "devIn", "devOut"] {
        site.refuses(user, name, &[IRQ, 0, 0], K_EPRIV);
    }
    site.refuses(other, "devWait", &[IRQ, 0], K_EINVAL);
    let cap = site.cap(driver.actor);
    let cap = site.arg(other.actor, &cap);
    assert_eq!(site.grants(other, "actorDelete", &[cap]), K_OK);
    interrupt(&mut site, SERIAL.irq);
    assert_eq!(site.grants(other, "devAttach", &[IRQ]), K_OK);
    // What came before is not this one's.
    let zero = site.arg(other.actor, &KnTimeVal::default());
    site.refuses(other, "devWait", &[IRQ, zero], K_ETIMEOUT);
    assert_eq!(
        site.grants(other, "nmAttach", &[u64::from(DEVICE.irq)]),
        K_OK
    );
    site.refuses(other, "devAttach", &[u64::from(DEVICE.irq)], K_EBUSY);
    site.end();
}

#[test]
fn interrupts_are_counted_and_none_is_lost() {
    let (mut site, driver) = driver();
    let zero = site.arg(driver.actor, &KnTimeVal::default());
    site.refuses(driver, "devWait", &[IRQ, zero], K_ETIMEOUT);
    for _ in 0..3 {
        interrupt(&mut site, SERIAL.irq);
    }
    interrupt(&mut site, DEVICE.irq);
    assert_eq!(site.grants(driver, "devWait", &[IRQ, zero]), 3);
    site.refuses(driver, "devWait", &[IRQ, zero], K_ETIMEOUT);
    site.refuses(driver, "devWait", &[IRQ, NOWHERE], K_EFAULT);

    // One waits, and only one; the interrupt wakes it.
    let fellow = site.fellow(driver);
    assert_eq!(site.call(driver.thread, "devWait", &[IRQ, 0]), None);
    site.refuses(fellow, "devWait", &[IRQ, 0], K_EBUSY);
    interrupt(&mut site, DEVICE.irq);
    assert_eq!(site.result(driver.thread), None);
    interrupt(&mut site, SERIAL.irq);
    assert_eq!(site.result(driver.thread), Some(1));

    // A limit, an abort: then another may wait.
    let short = site.arg(driver.actor, &KnTimeVal::from_ns(1000));
    assert_eq!(site.call(driver.thread, "devWait", &[IRQ, short]), None);
    site.pass(2000);
    assert_eq!(site.result(driver.thread), Some(K_ETIMEOUT));
    assert_eq!(site.call(driver.thread, "devWait", &[IRQ, 0]), None);
    let li = site.li(driver.thread);
    assert_eq!(site.grants(fellow, "threadAbort", &[0, li]), K_OK);
    assert_eq!(site.result(driver.thread), Some(K_EABORT));
    interrupt(&mut site, SERIAL.irq);
    assert_eq!(site.grants(fellow, "devWait", &[IRQ, zero]), 1);
    site.end();
}

#[test]
fn ports_are_those_of_a_device_and_no_others() {
    let (mut site, driver) = driver();
    let at = site.arg(driver.actor, &0x5555_5555u32);
    let base = SERIAL.base;
    assert_eq!(
        site.grants(driver, "devOut", &[base + 2, 4, 0x8765_4321]),
        K_OK
    );
    for (port, size, value) in [(2, 4, 0x8765_4321), (3, 1, 0x43), (4, 2, 0x8765)] {
        assert_eq!(site.grants(driver, "devIn", &[base + port, size, at]), K_OK);
        assert_eq!(site.peek::<u32>(driver.actor, at), value);
    }
    for (port, size) in [
        (base - 1, 1),
        (base - 1, 2),
        (base + 7, 2),
        (base + 8, 1),
        (0x3f8, 1),
        (0xf4, 1),
        (DEVICE.base, 4),
        (u64::from(u32::MAX), 4),
        (base + 0x1_0000, 1),
    ] {
        site.refuses(driver, "devIn", &[port, size, at], K_EINVAL);
        site.refuses(driver, "devOut", &[port, size, 0], K_EINVAL);
    }
    for size in [0, 3, 8, FOREVER] {
        site.refuses(driver, "devIn", &[base, size, at], K_ESIZE);
        site.refuses(driver, "devOut", &[base, size, 0], K_ESIZE);
    }
    site.refuses(driver, "devIn", &[base, 1, NOWHERE], K_EFAULT);
    // They are no memory.
    site.refuses(driver, "devMap", &[base, 8, at], K_EINVAL);
    site.end();
}
