//! A trace of the benchmark cut into its operations.
//!
//! The benchmark actor leaves the addresses of its readings of the clock in its image (`chorus_abi::readings`). Between the first and the second reading of a sample lies one run of the
//! operation, a *window*. What the readings take themselves is measured by readings with nothing between, as the actor does it; so many instructions at the beginning of a window are left out. The
//! record that the actor prints next tells which operation it was.

use super::steps::Step;
use chorus_abi::readings::Reading;
use std::collections::HashMap;

/// One run of an operation: how often each instruction was executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Each instruction and how often.
    pub steps: HashMap<Step, u64>,
    /// All of them.
    pub total: u64,
}

impl Window {
    /// Takes an instruction.
    pub fn add(&mut self, step: Step) {
        *self.steps.entry(step).or_default() += 1;
        self.total += 1;
    }
}

/// Cuts a trace.
#[derive(Default)]
pub struct Cutter {
    readings: HashMap<u64, Reading>,
    /// Instructions of a reading; no sample since it was measured.
    own: Option<u64>,
    sampled: bool,
    /// Instructions since a reading with nothing behind it.
    nothing: Option<u64>,
    /// The run under way, and how many of its instructions are still those of the reading.
    open: Option<(Window, u64)>,
    windows: Vec<Window>,
    records: Vec<Vec<Window>>,
}

impl Cutter {
    /// A cutter for actors whose readings of the clock lie at these addresses.
    pub fn new(readings: HashMap<u64, Reading>) -> Self {
        Cutter {
            readings,
            ..Cutter::default()
        }
    }

    /// Takes an instruction.
    pub fn step(&mut self, step: Step) {
        match self.readings.get(&step.pc) {
            None => {}
            Some(Reading::OwnBegin) => {
                if std::mem::take(&mut self.sampled) {
                    self.own = None;
                }
                self.nothing = Some(0);
            }
            Some(Reading::OwnEnd) => {
                if let Some(took) = self.nothing.take() {
                    self.own = Some(self.own.map_or(took, |own| own.min(took)));
                }
            }
            Some(Reading::Begin) => {
                self.sampled = true;
                self.open = Some((Window::default(), self.own.unwrap_or(0)));
            }
            Some(Reading::End) => {
                let window = self.open.take().map(|(window, _)| window);
                self.windows.extend(window);
            }
            Some(Reading::Report) => self.records.push(std::mem::take(&mut self.windows)),
        }
        if let Some(took) = &mut self.nothing {
            *took += 1;
        }
        match &mut self.open {
            Some((_, left)) if *left > 0 => *left -= 1,
            Some((window, _)) => window.add(step),
            None => {}
        }
    }

    /// The windows of each record that the actor printed, in order.
    pub fn records(self) -> Vec<Vec<Window>> {
        self.records
    }
}

/// The window with the median total, as the actor takes the median of its samples: the first of those.
pub fn median(windows: &[Window]) -> Option<&Window> {
    let mut totals: Vec<u64> = windows.iter().map(|window| window.total).collect();
    totals.sort_unstable();
    let median = totals.get(totals.len() / 2)?;
    windows.iter().find(|window| window.total == *median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_what_lies_between_two_readings_less_the_reading() {
        use Reading::*;
        let readings = [
            (10, OwnBegin),
            (13, OwnEnd),
            (20, Begin),
            (30, End),
            (40, Report),
        ];
        let mut cutter = Cutter::new(readings.into());
        let mut run = |pcs: &[u64]| {
            pcs.iter().for_each(|&pc| cutter.step(Step { ring: 3, pc }));
        };
        // An interrupt made the first reading long; the second says what it takes: 3.
        run(&[1, 10, 99, 11, 12, 13, 14, 10, 11, 12, 13]);
        run(&[20, 21, 22, 50, 51, 30, 31]);
        run(&[20, 21, 22, 50, 51, 51, 30, 40, 41]);
        // What a reading takes is measured anew: 2.
        run(&[10, 11, 13, 20, 21, 60, 30, 40, 40]);
        let records = cutter.records();
        let totals = |windows: &Vec<Window>| windows.iter().map(|window| window.total).collect();
        let totals: Vec<Vec<u64>> = records.iter().map(totals).collect();
        assert_eq!(totals, [vec![2, 3], vec![1], vec![]]);
        let step = |pc| Step { ring: 3, pc };
        let steps = HashMap::from([(step(50), 1), (step(51), 2)]);
        assert_eq!(median(&records[0]), Some(&Window { steps, total: 3 }));
        assert_eq!(median(&records[2]), None);
    }

    #[test]
    fn a_trace_that_begins_or_ends_in_the_middle_is_survived() {
        let readings = [(1, Reading::End), (2, Reading::Begin)];
        let mut cutter = Cutter::new(readings.into());
        for pc in [1, 2, 3] {
            cutter.step(Step { ring: 0, pc });
        }
        assert!(cutter.records().is_empty());
    }
}
