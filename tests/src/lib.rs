//! Tests that need more than one crate are in `tests/`; the simulator that they once shared is a crate of its own, `sim/`.
