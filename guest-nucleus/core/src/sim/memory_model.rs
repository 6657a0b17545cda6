//! Any operations on the memory of several actors, against a model of bytes (SS-095).

use super::memory_scene::{BASE, PAGE, Scene};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

/// A page of the model: which content, and what may be done with it.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Seen {
    content: usize,
    options: u32,
}

/// The model: contents, and what each actor's pages show.
#[derive(Clone, Default)]
struct Model {
    contents: Vec<u64>,
    pages: [BTreeMap<u64, Seen>; 4],
}

impl Model {
    fn content(&mut self, value: u64) -> usize {
        self.contents.push(value);
        self.contents.len() - 1
    }

    /// The pages of a range, if it has no hole.
    fn range(&self, which: usize, first: u64, count: u64) -> Option<Vec<Seen>> {
        (first..first + count)
            .map(|page| self.pages[which].get(&page).copied())
            .collect()
    }

    fn is_free(&self, which: usize, first: u64, count: u64) -> bool {
        self.pages[which]
            .range(first..first + count)
            .next()
            .is_none()
    }

    fn copy_of(&mut self, seen: &[Seen]) -> Vec<Seen> {
        // Pages that show one content show one copy of it.
        let mut copies = BTreeMap::new();
        let mut all = Vec::new();
        for seen in seen {
            let value = self.contents[seen.content];
            let content = *copies
                .entry(seen.content)
                .or_insert_with(|| self.content(value));
            all.push(Seen { content, ..*seen });
        }
        all
    }
}

/// One operation: what, on which actors, which pages, options, a value.
type Step = (u8, usize, usize, (u64, u64, u64), u8, u64);

fn run(scene: &mut Scene, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    let (what, a, b, (first, other, count), bits, value) = step;
    let at = |page: u64| BASE + page * PAGE;
    let options = [0, K_WRITABLE, K_WRITABLE, K_WRITABLE | K_NODEMAND][bits as usize % 4]
        | [0, K_INHERITCOPY, K_INHERITSHARE][bits as usize / 4 % 3];
    let insert = |model: &mut Model, which: usize, pages: Vec<Seen>| {
        for (index, seen) in pages.into_iter().enumerate() {
            model.pages[which].insert(first + index as u64, seen);
        }
    };
    match what {
        0 => {
            let wanted = if model.is_free(a, first, count) {
                K_OK
            } else {
                K_EOVERLAP
            };
            let result = scene.range("rgnAllocate", a, at(first), count, options);
            if result == K_ENOMEM && wanted == K_OK {
                return Ok(());
            }
            prop_assert_eq!(result, wanted);
            if result == K_OK {
                let pages = (0..count)
                    .map(|_| Seen {
                        content: model.content(0),
                        options,
                    })
                    .collect();
                insert(model, a, pages);
            }
        }
        1 => {
            let result = scene.range("rgnFree", a, at(first), count, 0);
            if result != K_ENOMEM {
                prop_assert_eq!(result, K_OK);
                (first..first + count).for_each(|page| {
                    model.pages[a].remove(&page);
                });
            }
        }
        2..=6 => {
            let done = scene.put(a, at(first), value);
            let seen = model.pages[a].get(&first).copied();
            let may = seen.is_some_and(|seen| seen.options & K_WRITABLE != 0);
            prop_assert!(done == may || may && scene.is_short());
            if let (true, Some(seen)) = (done, seen) {
                model.contents[seen.content] = value;
            }
        }
        7 | 8 => {
            let name = if what == 7 {
                "rgnInitFromActor"
            } else {
                "rgnMapFromActor"
            };
            let result = scene.from(name, (a, at(first), options), (b, at(other)), count);
            let source = model.range(b, other, count);
            let wanted = match &source {
                _ if !model.is_free(a, first, count) => K_EOVERLAP,
                None => K_EADDR,
                Some(_) => K_OK,
            };
            if result == K_ENOMEM && wanted == K_OK {
                return Ok(());
            }
            prop_assert_eq!(result, wanted, "{}", name);
            if let (K_OK, Some(source)) = (result, source) {
                let pages: Vec<Seen> = if what == 7 {
                    // Each piece is copied by itself.
                    source
                        .iter()
                        .map(|seen| {
                            let value = model.contents[seen.content];
                            Seen {
                                content: model.content(value),
                                options,
                            }
                        })
                        .collect()
                } else {
                    source
                        .iter()
                        .map(|seen| Seen { options, ..*seen })
                        .collect()
                };
                insert(model, a, pages);
            }
        }
        9 => {
            let options = options & K_WRITABLE;
            let result = scene.range("rgnSetProtect", a, at(first), count, options);
            let covered = model.range(a, first, count).is_some();
            if result == K_ENOMEM && covered {
                return Ok(());
            }
            prop_assert_eq!(result, if covered { K_OK } else { K_EADDR });
            if covered {
                for (_, seen) in model.pages[a].range_mut(first..first + count) {
                    seen.options = seen.options & !K_WRITABLE | options;
                }
            }
        }
        10 => {
            let flags = [0, K_INHERITCOPY, K_INHERITSHARE][bits as usize % 3];
            let wanted = if a != b && model.pages[a].is_empty() {
                K_OK
            } else {
                K_EINVAL
            };
            let result = scene.dup(a, b, flags);
            if result == K_ENOMEM && wanted == K_OK {
                return Ok(());
            }
            prop_assert_eq!(result, wanted);
            if result == K_OK {
                let (mut places, mut copied) = (Vec::new(), Vec::new());
                for (&page, seen) in &model.pages[b].clone() {
                    let marks = if flags == 0 { seen.options } else { flags };
                    if marks & K_INHERITSHARE != 0 {
                        model.pages[a].insert(page, *seen);
                    } else if marks & K_INHERITCOPY != 0 {
                        places.push(page);
                        copied.push(*seen);
                    }
                }
                for (page, seen) in places.into_iter().zip(model.copy_of(&copied)) {
                    model.pages[a].insert(page, seen);
                }
            }
        }
        11 => {
            // Empties an actor, so that it can become a duplicate.
            if scene.range("rgnFree", a, at(0), 40, 0) == K_OK {
                model.pages[a].clear();
            }
        }
        _ => {
            let result = scene.copy((a, at(first)), (b, at(other)), count * PAGE);
            let (from, to) = (model.range(b, other, count), model.range(a, first, count));
            let writable = |to: &Vec<Seen>| to.iter().all(|seen| seen.options & K_WRITABLE != 0);
            match (from, to) {
                (Some(from), Some(to)) if writable(&to) => {
                    if result == K_ENOMEM && (scene.free() < 2 * count || scene.is_short()) {
                        return Ok(());
                    }
                    prop_assert_eq!(result, K_OK);
                    let values: Vec<u64> = from
                        .iter()
                        .map(|seen| model.contents[seen.content])
                        .collect();
                    // Where memory is shared at other addresses the order of pages counts.
                    let backward = a == b && other < first && first - other < count;
                    let mut order: Vec<usize> = (0..count as usize).collect();
                    if backward {
                        order.reverse();
                    }
                    for index in order {
                        let now = model.contents[from[index].content];
                        let value = if a == b { values[index] } else { now };
                        let aliased = from
                            .iter()
                            .any(|seen| to.iter().any(|other| other.content == seen.content));
                        model.contents[to[index].content] = if aliased { now } else { value };
                    }
                }
                _ => prop_assert!(matches!(result, K_EADDR | K_EPROT | K_ENOMEM)),
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    /// SS-095: any operations over four actors, with much memory and with little, against the model.
    #[test]
    fn ss_095_memory_is_a_map_of_bytes(
        leave in prop_oneof![Just(490u64), 5u64..60],
        effort in prop_oneof![Just((8u32, 24u32)), (0u32..3, 1u32..4)],
        steps in proptest::collection::vec(
            (0u8..13, 0usize..4, 0usize..4, (0u64..24, 0u64..24, 1u64..7), any::<u8>(), 1u64..u64::MAX), 1..80),
    ) {
        let mut scene = Scene::new(4);
        scene.in_steps(effort);
        let mut model = Model::default();
        let hoard = scene.site.hoard(leave);
        for step in steps {
            run(&mut scene, &mut model, step)?;
            scene.site.nucleus.check_memory();
        }
        scene.site.give_back(hoard);
        for which in 0..4 {
            for page in 0..32 {
                let wanted = model.pages[which].get(&page).map(|seen| model.contents[seen.content]);
                prop_assert_eq!(scene.get(which, BASE + page * PAGE), wanted, "actor {} page {}", which, page);
            }
        }
        scene.finish();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    /// NC-254: the same with so few frames that pages leave and come back in the middle of everything.
    #[test]
    fn nc_254_memory_is_a_map_of_bytes_while_pages_leave(
        leave in 26u64..50,
        outside in prop_oneof![Just(400usize), 4usize..60],
        effort in prop_oneof![Just((8u32, 24u32)), (0u32..3, 1u32..4)],
        steps in proptest::collection::vec(
            (0u8..13, 0usize..4, 0usize..4, (0u64..24, 0u64..24, 1u64..7), any::<u8>(), 1u64..u64::MAX), 1..100),
    ) {
        let mut scene = Scene::with_outside(4, outside);
        scene.in_steps(effort);
        let mut model = Model::default();
        let hoard = scene.site.hoard(leave);
        for step in steps {
            run(&mut scene, &mut model, step)?;
            scene.site.nucleus.check_memory();
        }
        for which in 0..4 {
            for page in 0..32 {
                let wanted = model.pages[which].get(&page).map(|seen| model.contents[seen.content]);
                let got = scene.get(which, BASE + page * PAGE);
                prop_assert!(got == wanted || got.is_none() && scene.is_short(), "actor {} page {}: {:?} {:?}", which, page, got, wanted);
            }
        }
        scene.site.give_back(hoard);
        for which in 0..4 {
            for page in 0..32 {
                let wanted = model.pages[which].get(&page).map(|seen| model.contents[seen.content]);
                prop_assert_eq!(scene.get(which, BASE + page * PAGE), wanted, "actor {} page {}", which, page);
            }
        }
        scene.finish();
    }
}
