//! Sites on KVM: the machine room and the fabric behind the seam of `site`.

use super::failure::{Failure, Outcome};
use super::plan::Plan;
use super::site::Machines;

/// What starts the sites of a plan on this machine's KVM.
pub fn on_kvm(_plan: &Plan) -> Outcome<Box<dyn Machines>> {
    Err(Failure::host("this build has no machine room yet"))
}
