//! What holds between any two calls, whatever was called: counts match, lists hold who waits, queues hold what is queued, the urgent run.

use super::machine::Sim;
use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::ipc::Message;
use crate::lists::List;
use crate::nucleus::Nucleus;
use crate::supervisor::What;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Panics with the first invariant that does not hold.
#[track_caller]
pub fn check(nucleus: &Nucleus<Sim>) {
    actors(nucleus);
    queues(nucleus);
    moves(nucleus);
    messages(nucleus);
    waits(nucleus);
    processors(nucleus);
    super::conversations::check(nucleus);
    inside(nucleus);
}

/// What an actor counts is what there is.
fn actors(nucleus: &Nucleus<Sim>) {
    for (id, actor) in nucleus.actors.iter() {
        let threads = nucleus
            .threads
            .iter()
            .filter(|(_, thread)| thread.actor == id);
        assert_eq!(threads.count(), actor.threads as usize, "threads of {id:?}");
        let owned = nucleus
            .ipc
            .ports
            .iter()
            .filter(|(_, port)| port.owner == id);
        let owned: BTreeSet<_> = owned.map(|(port, _)| port.index()).collect();
        let chained: Vec<_> = nucleus.ports_of(id).map(|(port, _)| port.index()).collect();
        assert_eq!(owned, chained.iter().copied().collect(), "ports of {id:?}");
        assert_eq!(chained.len(), actor.ports as usize, "ports of {id:?}");
        let messages = || nucleus.ipc.messages.iter().map(|(_, message)| message);
        let saved = messages()
            .filter(|message| message.saver == Some(id))
            .count();
        assert_eq!(saved, actor.saved as usize, "saved messages of {id:?}");
        let queued =
            messages().filter(|message| message.sender == Some(id) && message.port.is_some());
        assert_eq!(
            queued.count(),
            actor.queued as usize,
            "queued messages of {id:?}"
        );
    }
    for (id, actor) in nucleus.actors.iter() {
        let lent = nucleus.threads.iter();
        let lent = lent
            .filter(|(_, thread)| thread.works_for == Some(id))
            .count();
        let inside = nucleus.guests_inside(id) as usize;
        assert_eq!(lent + inside, actor.guests as usize, "guests of {id:?}");
    }
    for (id, thread) in nucleus.threads.iter() {
        assert!(
            nucleus.actors.get(thread.actor).is_some(),
            "{id:?} has no home"
        );
    }
}

/// A queue holds the messages that say so, once each, in the order of their arrival; nobody waits for what is there.
fn queues(nucleus: &Nucleus<Sim>) {
    let mut queued = BTreeSet::new();
    for (id, port) in nucleus.ipc.ports.iter() {
        let (mut at, mut last, mut count, mut since) =
            (port.queue.map(|(first, _)| first), None, 0, 0);
        while let Some(message) = at {
            let found = nucleus
                .ipc
                .messages
                .get(message)
                .expect("a message that is gone is queued");
            assert_eq!(
                found.port,
                Some(id),
                "{message:?} is in the queue of another port"
            );
            assert!(
                queued.insert(message.index()),
                "{message:?} is queued twice"
            );
            assert!(
                found.arrived >= since,
                "{message:?} came earlier than the one before it"
            );
            (last, at, since) = (Some(message), found.next, found.arrived);
            count += 1;
        }
        assert_eq!(
            last,
            port.queue.map(|(_, last)| last),
            "the end of the queue of {id:?}"
        );
        assert_eq!(count, port.queued, "the queue of {id:?}");
        assert!(
            count == 0 || nucleus.receiver(id).is_none(),
            "a thread waits for what {id:?} has"
        );
        let members = nucleus.ipc.groups.members.iter();
        let members = members.filter(|(_, member)| member.port() == id).count();
        assert_eq!(members, port.groups as usize, "memberships of {id:?}");
        // One that comes has no name yet, and one that went has none any more.
        let has_name = !port.moves() || nucleus.ipc.moves.is_named(id);
        let named = nucleus.port_by_ui(port.ui) == Some(id);
        assert_eq!(named, has_name, "the name of {id:?} leads elsewhere");
        let owned = nucleus.actors.get(port.owner).is_some();
        assert!(owned || port.moves(), "{id:?} is nobody's");
    }
    let all = nucleus
        .ipc
        .messages
        .iter()
        .filter(|(_, message)| message.port.is_some());
    assert_eq!(
        all.count(),
        queued.len(),
        "a message is in no queue, and says that it is"
    );
}

/// Each port that moves has its move, and memberships hold if their port has a name.
fn moves(nucleus: &Nucleus<Sim>) {
    let ports = nucleus.ipc.ports.iter();
    let moving = ports.filter(|(_, port)| port.moves()).count();
    assert_eq!(moving, nucleus.ipc.moves.len(), "moves of no port");
    let port = |id| nucleus.ipc.ports.get(id);
    nucleus
        .ipc
        .moves
        .check(|id| port(id).is_some_and(|port| port.moves()));
    let groups = &nucleus.ipc.groups;
    let mut held = 0;
    for (id, member) in groups.members.iter() {
        let port = port(member.port()).expect("a port that is gone is a member");
        let named = nucleus.port_by_ui(port.ui) == Some(member.port());
        assert_eq!(member.holds(), named, "{id:?} holds");
        let mut listed = groups.members_of(member.group());
        let listed = listed.any(|listed| listed == member.port());
        assert_eq!(listed, named, "{id:?} is in its list");
        held += usize::from(named);
    }
    assert_eq!(held, groups.count(), "memberships that hold");
}

/// A message is in one place, and what is kept is kept for one.
fn messages(nucleus: &Nucleus<Sim>) {
    let mut kept = BTreeSet::new();
    for (id, message) in nucleus.ipc.messages.iter() {
        let places = [
            message.port.is_some(),
            message.holder.is_some(),
            message.saver.is_some(),
        ];
        let places = places.iter().filter(|there| **there).count();
        assert_eq!(places, 1, "{id:?} is in {places} places: {message:?}");
        if let Some(holder) = message.holder {
            let holder = nucleus
                .threads
                .get(holder)
                .expect("the holder of a message is gone");
            // Inside a handler a thread has one more, which hides the one that it had.
            let hidden = nucleus.ipc.handlings.iter();
            let hidden = hidden.filter(|(_, handling)| handling.before.0 == Some(id));
            assert_eq!(
                usize::from(holder.current.0 == Some(id)) + hidden.count(),
                1,
                "{id:?} is not its holder's current one"
            );
        }
        if let Some(keeps) = message.kept {
            assert!(
                nucleus.ipc.kept.get(keeps).is_some(),
                "what {id:?} kept is gone"
            );
            assert!(
                kept.insert(keeps.index()),
                "something is kept for two messages"
            );
        }
    }
    let handlings = nucleus.ipc.handlings.iter();
    for keeps in handlings.filter_map(|(_, handling)| handling.kept()) {
        assert!(
            nucleus.ipc.kept.get(keeps).is_some() && kept.insert(keeps.index()),
            "what is kept for an answer is gone, or another's"
        );
    }
    assert_eq!(
        kept.len(),
        nucleus.ipc.kept.len(),
        "something is kept for nobody"
    );
    let current = |thread: &Thread| -> Option<Id<Message>> { thread.current.0 };
    for (id, thread) in nucleus.threads.iter() {
        if let Some(message) = current(thread) {
            let message = nucleus
                .ipc
                .messages
                .get(message)
                .expect("a current message is gone");
            assert_eq!(
                message.holder,
                Some(id),
                "the current message of {id:?} has another holder"
            );
        }
    }
}

/// Who waits is in the list of what it waits for, and nobody else is; only who waits has a deadline.
fn waits(nucleus: &Nucleus<Sim>) {
    let mut listed = BTreeMap::new();
    let mut walk = |list: &List, what: Option<usize>| {
        let mut at = list.first();
        while let Some(slot) = at {
            assert!(
                listed.insert(slot, what).is_none(),
                "thread {slot} is in two lists"
            );
            at = nucleus.ipc.links.next(slot);
        }
    };
    for (id, port) in nucleus.ipc.ports.iter() {
        walk(&port.waiters, Some(id.index()));
    }
    nucleus.ipc.any.iter().for_each(|list| walk(list, None));
    for (id, thread) in nucleus.threads.iter() {
        let listed = listed.remove(&id.index());
        let waits = match thread.wait {
            Wait::Receive => Some(thread.receive.port.map(Id::index)),
            Wait::Serve(port) => Some(Some(port.index())),
            _ => None,
        };
        assert_eq!(
            listed, waits,
            "{id:?} is not in the list of what it waits for"
        );
        let waits = thread.wait != Wait::None;
        assert!(
            waits || !nucleus.timeouts.is_set(id.index()),
            "{id:?} has a deadline and does not wait"
        );
    }
    assert!(
        listed.is_empty(),
        "threads that are gone are in lists: {listed:?}"
    );
}

/// Who can run, runs or is queued, and of these the most urgent run.
fn processors(nucleus: &Nucleus<Sim>) {
    // How urgent what each runs is.
    let mut levels = Vec::new();
    for cpu in 0..nucleus.scheduler.processors.len() {
        let Some(current) = nucleus.on_processor(cpu) else {
            let reaps = nucleus.scheduler.reaper == Some(cpu);
            let reaping = i32::from(nucleus.scheduler.reaping);
            levels.push(if reaps { reaping } else { i32::MAX });
            continue;
        };
        let thread = nucleus
            .threads
            .get(current)
            .expect("a thread that is gone runs");
        assert_eq!(thread.cpu, Some(cpu), "{current:?} runs elsewhere");
        levels.push(nucleus.absolute(current));
    }
    for (id, thread) in nucleus.threads.iter() {
        let queued = nucleus.scheduler.level_of(id.index());
        let can = nucleus.runnable(id);
        assert_eq!(
            queued.is_some(),
            can && thread.cpu.is_none(),
            "{id:?} is queued: {queued:?}"
        );
        assert!(thread.cpu.is_none() || can, "{id:?} runs, and cannot");
        if let Some(level) = queued {
            assert_eq!(
                i32::from(level),
                nucleus.absolute(id),
                "{id:?} is queued at another level"
            );
            let mut own = (0..)
                .zip(&levels)
                .filter(|&(cpu, _)| nucleus.may_run_on(id, cpu));
            assert!(
                own.all(|(_, &runs)| runs <= i32::from(level)),
                "{id:?} waits while a less urgent thread runs where it may"
            );
        }
    }
    nucleus.scheduler.check_top();
    nucleus.check_going();
    nucleus.check_restarts();
    let goes = nucleus.going_level();
    let by = nucleus.scheduler.reaper.is_some();
    let waits = nucleus.scheduler.level_of(nucleus.scheduler.reaper_slot());
    assert_eq!(
        goes.is_some(),
        by || waits.is_some(),
        "what goes is nobody's"
    );
    assert!(!(by && waits.is_some()), "what goes is done twice");
    if let Some(level) = waits {
        assert_eq!(Some(level), goes, "what goes is as urgent as it is");
        assert!(
            levels.iter().all(|&runs| runs <= i32::from(level)),
            "a less urgent thread runs than what goes"
        );
    }
}

/// Who is inside a point is counted there, each message inside a handler has its thread, and only open points are handlers of ports.
fn inside(nucleus: &Nucleus<Sim>) {
    let points = &nucleus.supervisor.points;
    let mut handled = BTreeSet::new();
    for (thread, _) in nucleus.threads.iter() {
        for invocation in nucleus.chain(thread) {
            let owner = nucleus.point(invocation.point).map(|point| point.owner);
            assert_eq!(
                owner,
                Some(invocation.actor),
                "{thread:?} is inside another's point"
            );
            if let What::Message(handling) = invocation.what {
                assert!(
                    nucleus.ipc.handlings.get(handling).is_some(),
                    "a message that {thread:?} works on is gone"
                );
                assert!(handled.insert(handling.index()), "two work on one message");
            }
        }
    }
    assert_eq!(
        handled.len(),
        nucleus.ipc.handlings.len(),
        "nobody works on a message"
    );
    for (id, point) in points.points.iter() {
        let all = points.invocations.iter();
        let threads = all.filter(|(_, invocation)| invocation.point == id).count();
        // Routines at interrupt level are nobody's.
        assert!(threads <= point.inside as usize, "who is inside {id:?}");
    }
    visitors(nucleus);
    for (id, port) in nucleus.ipc.ports.iter() {
        let Some(handler) = port.handler() else {
            continue;
        };
        let point = nucleus
            .point(handler)
            .expect("the handler of a port is gone");
        assert_eq!(
            point.owner, port.owner,
            "the handler of {id:?} is another's"
        );
        assert!(
            !point.closed && port.enabled.is_none(),
            "the handler of {id:?}"
        );
    }
}

/// Who is inside without records is where its way leads, and nothing has happened to it.
fn visitors(nucleus: &Nucleus<Sim>) {
    let cpus = 0..nucleus.scheduler.processors.len();
    let visitors = cpus.filter_map(|cpu| Some((cpu, nucleus.visitor(cpu)?)));
    let mut count = 0;
    for (cpu, id) in visitors {
        count += 1;
        assert_eq!(nucleus.running(cpu), None, "{id:?} visits and runs");
        let thread = nucleus.threads.get(id).expect("a visitor is gone");
        let as_it_was = thread.wait == Wait::None && thread.inside.is_none() && !thread.dying;
        assert!(as_it_was && !thread.aborted && !thread.ending, "{id:?}");
        assert_eq!(thread.state(), chorus_abi::THREAD_ACTIVE, "{id:?}");
        let handler = nucleus.visited_handler(id).and_then(|it| nucleus.point(it));
        let handler = handler.expect("a visitor's way does not lead anywhere");
        let owner = nucleus.actors.get(handler.owner);
        let open = owner.is_some_and(|owner| !owner.dying && !owner.stopped);
        assert!(open && !handler.closed, "where {id:?} is");
    }
    assert_eq!(count, nucleus.scheduler.visitors, "visitors");
}
