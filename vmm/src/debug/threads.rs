//! Which vCPU each of gdb's threads is.
//!
//! gdb knows vCPUs as threads, and takes a breakpoint that one of them meets while it steps another for somebody else's. But the Nucleus moves
//! its threads between vCPUs whenever it likes: one that gdb steps over a call may come back from it on another vCPU, and gdb would wait for
//! ever on the first. So the gdb thread that stopped last in user mode follows the Nucleus' thread that it showed: where that one stops next in user mode,
//! the two vCPUs change their names. In the Nucleus nothing is followed: there the vCPU is what one looks at.

use super::inferior::{Error, Inferior};
use super::paging;
use chorus_abi::machine::PROCESSOR_THREAD;

/// The Nucleus' thread that a stopped vCPU runs in user mode: its slot. `None` in the Nucleus, and where the site does not tell.
pub fn in_user_mode(site: &mut dyn Inferior, vcpu: usize) -> Result<Option<u64>, Error> {
    let Some(landmarks) = site.landmarks() else {
        return Ok(None);
    };
    let registers = site.registers(vcpu)?;
    if registers.privilege() != 3 {
        return Ok(None);
    }
    let mut word = [0; 8];
    let place = landmarks.processors + vcpu as u64 * 8;
    if site.read_physical(place, &mut word).is_err() {
        return Ok(None);
    }
    let place = u64::from_le_bytes(word).wrapping_add(PROCESSOR_THREAD);
    let read = paging::read(site, &registers, place, &mut word)?;
    let thread = u64::from_le_bytes(word);
    Ok((read == word.len() && thread != u64::MAX).then_some(thread))
}

/// gdb's threads, by number from 0.
#[derive(Debug)]
pub struct Threads {
    vcpus: Vec<usize>,
    /// The gdb thread that stopped last in user mode or was stepped there, and the Nucleus' thread that it was then.
    followed: Option<(usize, u64)>,
}

impl Threads {
    /// As many as vCPUs, each the one of its number.
    pub fn new(vcpus: usize) -> Self {
        Threads {
            vcpus: (0..vcpus).collect(),
            followed: None,
        }
    }

    /// vCPU of a gdb thread; one that is not there for one that is not there.
    pub fn vcpu(&self, thread: usize) -> usize {
        self.vcpus.get(thread).copied().unwrap_or(thread)
    }

    /// gdb thread of a vCPU.
    pub fn of(&self, vcpu: usize) -> usize {
        let place = self.vcpus.iter().position(|&at| at == vcpu);
        place.unwrap_or(vcpu)
    }

    /// gdb steps a vCPU where `running` is the Nucleus' thread in user mode.
    pub fn steps(&mut self, vcpu: usize, running: Option<u64>) {
        if let Some(running) = running {
            self.followed = Some((self.of(vcpu), running));
        }
    }

    /// A vCPU stopped by itself where `running` is the Nucleus' thread in user mode: the gdb thread that it is from now on.
    pub fn stopped(&mut self, vcpu: usize, running: Option<u64>) -> usize {
        let Some(running) = running else {
            return self.of(vcpu);
        };
        let thread = self.of(vcpu);
        let thread = match self.followed {
            Some((followed, it)) if it == running && followed != thread => {
                self.vcpus.swap(followed, thread);
                followed
            }
            _ => thread,
        };
        self.followed = Some((thread, running));
        thread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_moved_keeps_its_name_and_the_vcpus_change_theirs() {
        let mut threads = Threads::new(3);
        assert_eq!(threads.stopped(1, Some(7)), 1);
        assert_eq!(threads.stopped(0, Some(7)), 1, "it went to vCPU 0");
        assert_eq!([0, 1, 2].map(|thread| threads.vcpu(thread)), [1, 0, 2]);
        assert_eq!(threads.stopped(2, Some(7)), 1);
        assert_eq!([0, 1, 2].map(|thread| threads.vcpu(thread)), [1, 2, 0]);
        for thread in 0..3 {
            assert_eq!(threads.of(threads.vcpu(thread)), thread);
        }
    }

    #[test]
    fn another_thread_and_the_nucleus_are_not_followed() {
        let mut threads = Threads::new(2);
        assert_eq!(threads.stopped(1, Some(7)), 1);
        assert_eq!(threads.stopped(0, None), 0, "in the Nucleus");
        assert_eq!(threads.stopped(0, Some(8)), 0, "another thread");
        assert_eq!(threads.stopped(1, Some(7)), 1, "8 is followed now");
        assert_eq!(threads.stopped(0, Some(7)), 1);
    }

    #[test]
    fn the_thread_that_is_stepped_is_followed() {
        let mut threads = Threads::new(2);
        assert_eq!(threads.stopped(1, Some(7)), 1);
        threads.steps(0, Some(8));
        assert_eq!(threads.stopped(1, Some(8)), 0);
        threads.steps(1, None);
        assert_eq!(
            threads.stopped(0, Some(8)),
            0,
            "a step in the Nucleus ends nothing"
        );
    }
}
