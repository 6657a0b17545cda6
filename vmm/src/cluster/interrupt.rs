//! Ctrl-C and the other signals that ask to end.
//!
//! The first signal asks for a clean end: sites stop, the runtime folder goes. The second ends the process at once, as a
//! person who presses Ctrl-C twice means it.

use super::failure::{Failure, Outcome, Status};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody asked to end, and how.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    politely: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes SIGINT, SIGTERM and SIGHUP of this process. Errors: the system refuses handlers.
    pub fn install() -> Outcome<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Order matters: the first handler ends the process only when the flag was set by an earlier signal.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(Status::Interrupted.code()),
                Arc::clone(&asked),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .map_err(|error| {
                Failure::host(format!("cannot take signals: {}", super::reason(&error)))
            })?;
        }
        Ok(Interrupt {
            asked,
            politely: Arc::default(),
        })
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Asks without a signal, as `down` does: an end that is no failure.
    pub fn ask(&self) {
        self.politely.store(true, Ordering::SeqCst);
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Whether it was by [`Interrupt::ask`].
    pub fn politely(&self) -> bool {
        self.politely.load(Ordering::SeqCst)
    }

    /// Fails with status 130 when somebody asked.
    pub fn check(&self) -> Outcome<()> {
        if self.asked() {
            Err(Failure::interrupted())
        } else {
            Ok(())
        }
    }
}
