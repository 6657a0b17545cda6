//! The list of tests on the host that check assertions is that of the sources.

#[path = "../examples/host_tests/scan.rs"]
mod scan;

use chorus_abi::manual;

#[test]
fn the_list_is_what_the_sources_have() {
    let written = std::fs::read_to_string(scan::list_file()).unwrap();
    assert!(
        written == scan::list().unwrap(),
        "abi/src/manual/host_tests.txt is out of step; make it anew with: cargo run -p chorus-abi --example host_tests"
    );
    assert_eq!(manual::host_tests().count(), written.lines().count());
}

#[test]
fn names_say_which_assertions() {
    assert_eq!(scan::numbers("nc_029_a_server_that_is_deleted"), [29]);
    assert_eq!(scan::numbers("nc_147_148_target_refuses_ports"), [147, 148]);
    assert_eq!(scan::numbers("nc_182_and_183_a_client"), [182, 183]);
    assert_eq!(scan::numbers("nc_007_stamp_and_nc_008_limit"), [7, 8]);
    assert_eq!(scan::numbers("nc_093_to_096_flags"), [93, 94, 95, 96]);
    assert_eq!(scan::numbers("nc_151_ss_032_a_multicast"), [151]);
    assert_eq!(scan::numbers("nc_004_what_goes_to_005"), [4]);
    assert_eq!(scan::numbers("nc_173_of_100_ports_and_200_more"), [173]);
}
