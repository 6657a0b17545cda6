//! Mutexes against a model of an owner and a queue (NC-080, NC-081).

use super::site::Site;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

proptest! {
    /// Mutexes against a model: an owner and a queue (NC-080, NC-081). Nobody is ever inside with another.
    #[test]
    fn nc_080_mutexes_are_an_owner_and_a_queue(steps in proptest::collection::vec((0usize..4, 0u8..3), 0..120)) {
        let mut site = Site::new(4);
        let actor = site.actor(K_SYSTEMACTOR, 140);
        let threads = [(); 4].map(|()| site.thread(actor));
        let mutex = site.at(actor, 0x700);
        let (mut owner, mut queue): (Option<usize>, Vec<usize>) = (None, Vec::new());
        for (which, what) in steps {
            let thread = threads[which];
            if queue.contains(&which) {
                prop_assert_eq!(site.result(thread), None);
                continue;
            }
            match what {
                0 if owner != Some(which) => {
                    let result = site.call(thread, "mutexGet", &[mutex]);
                    prop_assert_eq!(result, owner.is_none().then_some(K_OK));
                    if owner.is_none() {
                        owner = Some(which);
                    } else {
                        queue.push(which);
                    }
                }
                1 if owner == Some(which) => {
                    prop_assert_eq!(site.call(thread, "mutexRel", &[mutex]), Some(K_OK));
                    owner = if queue.is_empty() { None } else { Some(queue.remove(0)) };
                    if let Some(next) = owner {
                        prop_assert_eq!(site.result(threads[next]), Some(K_OK));
                    }
                }
                2 => {
                    let result = site.call(thread, "mutexTry", &[mutex]);
                    prop_assert_eq!(result, Some(owner.is_some().into()));
                    owner = owner.or(Some(which));
                }
                _ => {}
            }
        }
        site.end();
    }
}
