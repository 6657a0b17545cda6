//! Calls between sites under faults: 10^5 and more in each run of these tests.

use crate::effort;
use crate::network::Faults;
use crate::workload::{Mix, run};

/// Everything at once, except crashes.
const BUSY: Mix = Mix {
    big: 20,
    slow: 3,
    leave: 20,
    group: 200,
    nowhere: 2,
    replace: 3,
    ..Mix::CALM
};

#[cfg_attr(test, test)]
fn calm_calls_all_succeed() {
    let outcome = run(
        "calm_calls_all_succeed",
        1,
        Mix {
            calls: 10_000,
            ..Mix::CALM
        },
    );
    assert_eq!(outcome.replied, outcome.calls);
}

#[cfg_attr(test, test)]
fn ss_041_loss_duplication_reordering_all_succeed_once() {
    let mix = Mix {
        calls: effort::full(40_000, 1_000_000) as u32,
        sites: 2,
        concurrent: 64,
        faults: Faults::all(100),
        ..Mix::CALM
    };
    let outcome = run(
        "ss_041_loss_duplication_reordering_all_succeed_once",
        41,
        mix,
    );
    assert_eq!(outcome.replied, outcome.calls, "{outcome:?}");
}

/// A thousand calls on a link with one fault; the run checks that each call that was answered was executed once.
fn a_thousand(name: &'static str, faults: Faults) {
    let mix = Mix {
        calls: 1000,
        sites: 2,
        concurrent: 10,
        faults,
        ..Mix::CALM
    };
    let outcome = run(name, 185, mix);
    assert_eq!(
        (outcome.calls, outcome.replied),
        (1000, 1000),
        "{outcome:?}"
    );
}

#[cfg_attr(test, test)]
fn nc_185_a_fifth_of_the_frames_lost_costs_no_request_and_executes_none_twice() {
    let loss = Faults {
        loss: 200,
        ..Faults::NONE
    };
    a_thousand("nc_185_a_fifth_of_the_frames_lost", loss);
}

#[cfg_attr(test, test)]
fn nc_186_a_fifth_of_the_frames_doubled_executes_no_request_twice() {
    let doubled = Faults {
        duplicate: 200,
        late: 20_000_000,
        ..Faults::NONE
    };
    a_thousand("nc_186_a_fifth_of_the_frames_doubled", doubled);
}

#[cfg_attr(test, test)]
fn ss_052_busy_mix_without_crashes_is_truthful() {
    for (seed, sites) in [(52, 2), (53, 3), (54, 5)] {
        let mix = Mix {
            calls: 8_000,
            sites,
            concurrent: 40,
            faults: Faults::all(50),
            ..BUSY
        };
        let outcome = run("ss_052_busy_mix_without_crashes_is_truthful", seed, mix);
        assert!(outcome.replied > outcome.calls * 9 / 10, "{outcome:?}");
    }
}

#[cfg_attr(test, test)]
fn ss_043_045_047_crashes_and_restarts_keep_at_most_once() {
    for (seed, sites) in [(43, 2), (45, 3), (47, 3), (48, 8)] {
        let mix = Mix {
            calls: 8_000,
            sites,
            concurrent: 40,
            faults: Faults::all(30),
            crash: 5,
            ..BUSY
        };
        let outcome = run(
            "ss_043_045_047_crashes_and_restarts_keep_at_most_once",
            seed,
            mix,
        );
        assert!(
            outcome.replied > outcome.calls / 2 && outcome.unknown > 0,
            "{outcome:?}"
        );
    }
}

#[cfg_attr(test, test)]
fn many_short_runs_of_many_seeds() {
    for seed in 0..60 {
        let faults = Faults {
            late: 50_000_000,
            ..Faults::all(seed % 4 * 60)
        };
        let mix = Mix {
            calls: 200,
            sites: 2 + (seed % 3) as u16,
            concurrent: 20,
            faults,
            crash: seed % 3 * 10,
            big: 100,
            ..BUSY
        };
        run("many_short_runs_of_many_seeds", 1000 + seed, mix);
    }
}

#[cfg_attr(test, test)]
fn watched_sites_that_crash_pause_and_are_split_keep_at_most_once() {
    for seed in 0..24 {
        let mix = Mix {
            calls: 2_000,
            sites: 2 + (seed % 6) as u16,
            concurrent: 30,
            faults: Faults::all(seed % 3 * 20),
            crash: 4,
            pause: 4,
            split: 4,
            watch: true,
            ..BUSY
        };
        let name = "watched_sites_that_crash_pause_and_are_split_keep_at_most_once";
        let outcome = run(name, 6300 + seed, mix);
        assert!(outcome.replied > 200 && outcome.unknown > 0, "{outcome:?}");
    }
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    calm_calls_all_succeed,
    ss_041_loss_duplication_reordering_all_succeed_once,
    nc_185_a_fifth_of_the_frames_lost_costs_no_request_and_executes_none_twice,
    nc_186_a_fifth_of_the_frames_doubled_executes_no_request_twice,
    ss_052_busy_mix_without_crashes_is_truthful,
    ss_043_045_047_crashes_and_restarts_keep_at_most_once,
    many_short_runs_of_many_seeds,
    watched_sites_that_crash_pause_and_are_split_keep_at_most_once,
];
