//! What stateright is told: states are worlds that were made by doing steps in order.
//!
//! An endpoint is not copied. A state keeps the steps that lead to it and a number for the world that they make; its successors are made by doing them again and one more. Two states with the same
//! number are one, whatever led to them.

use crate::world::{Bounds, Script, Step, World};
use stateright::{Checker, Model, Property};
use std::hash::{Hash, Hasher};

/// What is checked: a scene with bounds on what goes wrong in it.
pub struct Space {
    /// Sites, ports and groups at the beginning, and what clients do in order.
    pub script: Script,
    /// How often what goes wrong.
    pub bounds: Bounds,
    /// Nothing goes wrong and time stands still, so everything that was begun must end.
    pub ends: bool,
}

/// A world, by what led to it.
#[derive(Clone, Debug)]
pub struct State {
    steps: Vec<Step>,
    print: u64,
    broken: Option<String>,
    ended: bool,
    seen: u32,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.print.hash(state);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.print == other.print
    }
}

impl Eq for State {}

impl Space {
    fn world(&self, steps: &[Step]) -> World {
        let mut world = World::new(&self.script, self.bounds);
        for step in steps {
            world.act(*step);
        }
        world
    }

    fn state(&self, steps: Vec<Step>, world: &World) -> State {
        State {
            print: world.print(),
            broken: world.broken.clone(),
            ended: world.is_over(),
            seen: world.seen,
            steps,
        }
    }
}

impl Model for Space {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.state(Vec::new(), &self.world(&[]))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        if state.broken.is_none() {
            *actions = self.world(&state.steps).steps();
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut world = self.world(&state.steps);
        world.act(step);
        let mut steps = state.steps.clone();
        steps.push(step);
        Some(self.state(steps, &world))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![Property::always("promises hold", |_, state: &State| {
            state.broken.is_none()
        })];
        if self.ends {
            let ends = Property::eventually("what was begun ends", |_, state: &State| state.ended);
            properties.push(ends);
        }
        properties
    }
}

/// Whether the bounds of a night are asked for.
pub fn is_large() -> bool {
    std::env::var("CHORUS_MODEL").is_ok_and(|size| size == "large")
}

/// Checks all of a space. `sights` are what must be met in some state of it (bits of [`World::seen`]): a space in which they cannot happen checks nothing.
pub fn check(space: Space, sights: u32) {
    let bounds = space.bounds;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let met = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let look = met.clone();
    let visit = move |path: stateright::Path<State, Step>| {
        let seen = path.last_state().seen;
        look.fetch_or(seen, std::sync::atomic::Ordering::Relaxed);
    };
    let checker = space.checker().threads(threads).visitor(visit).spawn_bfs();
    let checker = checker.join();
    if let Some((name, path)) = checker.discoveries().into_iter().next() {
        let last = path.last_state().clone();
        let steps: Vec<String> = last
            .steps
            .iter()
            .map(|step| format!("  {step:?}"))
            .collect();
        let what = last.broken.unwrap_or_else(|| "it does not end".into());
        panic!("{name}: {what}\n{}", steps.join("\n"));
    }
    let seen = met.load(std::sync::atomic::Ordering::Relaxed);
    println!("{bounds:?}: {} states", checker.unique_state_count());
    assert_eq!(
        seen & sights,
        sights,
        "not everything that should be met was met"
    );
}
