//! Random runs: clients, servers and mishaps, judged at the end.

use super::effort::seed;
use super::network::Faults;
use super::random::Random;
use super::world::{MS, Plan, SEC, World, pattern};
use chorus_abi::{K_FUNCMODE, KnUniqueId, UiType};

/// What a random run consists of. Rates are in thousandths of the calls.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Sites.
    pub sites: u16,
    /// Calls.
    pub calls: u32,
    /// Calls that wait at once.
    pub concurrent: u32,
    /// What the network does.
    pub faults: Faults,
    /// Requests or replies of many frames.
    pub big: u64,
    /// Servers that take up to three seconds.
    pub slow: u64,
    /// Clients that leave before the end.
    pub leave: u64,
    /// Calls to a functional group.
    pub group: u64,
    /// Calls to names that do not exist.
    pub nowhere: u64,
    /// Calls before which a site crashes; it is back within two seconds.
    pub crash: u64,
    /// Calls before which a server port is replaced by another.
    pub replace: u64,
    /// Sites watch each other.
    pub watch: bool,
    /// Calls before which a site is paused, for up to three seconds.
    pub pause: u64,
    /// Calls before which the network is split, or is whole again.
    pub split: u64,
}

impl Mix {
    /// Small calls on a faultless network.
    pub const CALM: Mix = Mix {
        sites: 3,
        calls: 1000,
        concurrent: 16,
        faults: Faults::NONE,
        big: 0,
        slow: 0,
        leave: 0,
        group: 0,
        nowhere: 0,
        crash: 0,
        replace: 0,
        watch: false,
        pause: 0,
        split: 0,
    };
}

/// What a run came to.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outcome {
    /// Calls made.
    pub calls: u32,
    /// Calls that ended with a reply.
    pub replied: u32,
    /// Calls that ended with an error, by promise: surely not executed.
    pub not_executed: u32,
    /// Calls that ended with another error.
    pub unknown: u32,
    /// Events of the simulation.
    pub steps: u64,
    /// A number for all frames, their times and their bytes.
    pub log: u64,
}

/// The group that random runs use.
pub fn group() -> KnUniqueId {
    KnUniqueId::static_group(false, 77)
}

/// A run. Fails with the seed and the events of the call that broke a promise, or with what was left behind.
///
/// # Panics
/// When a promise is broken; the message says how to repeat the run.
pub fn run(name: &str, default_seed: u64, mix: Mix) -> Outcome {
    let seed = seed(default_seed);
    match attempt(seed, mix) {
        Ok(outcome) => outcome,
        Err(problem) => panic!(
            "{name}: {problem}\nrepeat with: CHORUS_SIM_SEED={seed} cargo test -p chorus-sim {name}"
        ),
    }
}

/// One run with this seed; what went wrong in words.
pub fn attempt(seed: u64, mix: Mix) -> Result<Outcome, String> {
    let mut world = if mix.watch {
        World::watching(seed, mix.sites, mix.faults)
    } else {
        World::new(seed, mix.sites, mix.faults)
    };
    world.log = Some(0);
    let mut random = Random::new(seed ^ 0x5EED);
    let mut ports: Vec<KnUniqueId> = (1..=mix.sites)
        .map(|site| serve(&mut world, site))
        .collect();
    let mut back = vec![0u64; usize::from(mix.sites)];
    let mut runs_again = vec![0u64; usize::from(mix.sites)];
    let mut split = false;
    world.run(2 * SEC);
    let mut waiting: Vec<(u32, u64)> = Vec::new();
    let mut called = 0;
    while called < mix.calls {
        for site in 1..=mix.sites {
            let at = usize::from(site) - 1;
            if back[at] != 0 && back[at] <= world.now {
                back[at] = 0;
                world.restart(site);
                ports[at] = serve(&mut world, site);
            }
        }
        for site in 1..=mix.sites {
            let at = usize::from(site) - 1;
            if runs_again[at] != 0 && runs_again[at] <= world.now {
                runs_again[at] = 0;
                world.resume(site);
            }
        }
        if random.happens(mix.pause) {
            let site = 1 + random.below(mix.sites.into()) as u16;
            if back[usize::from(site) - 1] == 0 {
                world.pause(site);
                runs_again[usize::from(site) - 1] = world.now + 1 + random.below(3 * SEC);
            }
        }
        if random.happens(mix.split) {
            split = !split;
            if split {
                let here = (1..=mix.sites).filter(|_| random.happens(500));
                let parts = [here.collect()];
                world.split(&parts);
            } else {
                world.heal();
            }
        }
        if random.happens(mix.crash) {
            let site = 1 + random.below(mix.sites.into()) as u16;
            if back[usize::from(site) - 1] == 0 {
                world.crash(site);
                runs_again[usize::from(site) - 1] = 0;
                back[usize::from(site) - 1] = world.now + 1 + random.below(2 * SEC);
            }
        }
        if random.happens(mix.replace) {
            let site = 1 + random.below(mix.sites.into()) as u16;
            let at = usize::from(site) - 1;
            if back[at] == 0 && runs_again[at] == 0 {
                let old = ports[at];
                ports[at] = serve(&mut world, site);
                world.close(site, old);
            }
        }
        let from = 1 + random.below(mix.sites.into()) as u16;
        if back[usize::from(from) - 1] == 0 && runs_again[usize::from(from) - 1] == 0 {
            let (target, body, plan) = choose(&mut random, &mix, from, &ports);
            let call = world.call(from, target, &body, plan);
            called += 1;
            let leaves = if random.happens(mix.leave) {
                world.now + random.below(20 * MS)
            } else {
                u64::MAX
            };
            waiting.push((call, leaves));
        }
        // The next call comes soon, or when one of the present ends.
        world.run(random.below(200_000));
        loop {
            for &(call, leaves) in &waiting {
                if leaves <= world.now && !world.is_paused(call) {
                    world.leave(call);
                }
            }
            waiting.retain(|(call, _)| world.waits(*call));
            if waiting.len() < mix.concurrent as usize {
                break;
            }
            world.run(MS);
        }
    }
    world.heal();
    for site in 1..=mix.sites {
        world.resume(site);
    }
    finish(world, &back, mix.watch)
}

/// A port on a site that serves calls and is a member of the group.
fn serve(world: &mut World, site: u16) -> KnUniqueId {
    let port = world.open(site, 64);
    world.join(site, group(), port);
    port
}

fn choose(
    random: &mut Random,
    mix: &Mix,
    from: u16,
    ports: &[KnUniqueId],
) -> (KnUniqueId, Vec<u8>, Plan) {
    let others: Vec<KnUniqueId> = ports
        .iter()
        .copied()
        .filter(|port| port.site() != from)
        .collect();
    let target = if random.happens(mix.nowhere) {
        KnUniqueId::from_fields(
            1 + random.below(mix.sites.into()) as u16,
            UiType::Port,
            9,
            random.word() as u32,
        )
    } else if random.happens(mix.group) {
        group().with_mode(K_FUNCMODE).unwrap_or(group())
    } else {
        others[random.below(others.len() as u64) as usize]
    };
    let length = |random: &mut Random| -> usize {
        if random.happens(mix.big) {
            random.below(65_537) as usize
        } else {
            random.below(200) as usize
        }
    };
    let body = pattern(random.word(), length(random));
    let service = if random.happens(mix.slow) {
        random.below(3 * SEC)
    } else {
        random.below(200_000)
    };
    let plan = Plan {
        queue: random.below(100_000),
        service,
        reply: length(random),
        annex: random.happens(500),
        result: 0,
    };
    (target, body, plan)
}

/// Heals the network, lets all calls end, judges the history, and looks for what was left behind.
fn finish(mut world: World, back: &[u64], watch: bool) -> Result<Outcome, String> {
    world.set_faults(Faults::NONE);
    for (at, time) in back.iter().enumerate() {
        if *time != 0 {
            world.restart(at as u16 + 1);
        }
    }
    world.run(60 * SEC);
    if let Err((call, violation)) = world.history.check() {
        return Err(format!(
            "call {call}: {violation:?}: {:?}",
            world.history.of(call)
        ));
    }
    // Server channels live a minute after their last use, and are looked through every five seconds.
    world.run(70 * SEC);
    for site in 1..=world.sites.len() as u16 {
        let sizes = world.sizes(site);
        let left = sizes.calls + sizes.outbound_bytes + sizes.searches + sizes.waiting_sends;
        let left = left
            + sizes.server_channels
            + sizes.serving
            + sizes.kept_bytes
            + sizes.assembly_bytes
            // A site that watches others has a time for that, and one while it waits for an answer.
            + sizes.timers.saturating_sub(2 * u64::from(watch));
        let requests = world.site(site).nucleus.requests.len();
        if left != 0 || requests != 0 {
            return Err(format!(
                "site {site} left behind: {sizes:?} and {requests} requests"
            ));
        }
    }
    Ok(count(&world))
}

fn count(world: &World) -> Outcome {
    let mut outcome = Outcome {
        calls: world.plans.len() as u32,
        steps: world.steps,
        log: world.log.unwrap_or(0),
        ..Outcome::default()
    };
    for (_, _, happening) in &world.history.events {
        if let super::history::Happening::Ended(result, _) = happening {
            match *result {
                0 => outcome.replied += 1,
                error if super::history::says_not_executed(error) => outcome.not_executed += 1,
                _ => outcome.unknown += 1,
            }
        }
    }
    outcome
}
