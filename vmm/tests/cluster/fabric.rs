//! The fabric of real clusters: topologies, links that people break and mend, sites that boot anew.

use crate::lab::{Lab, root};

fn expected(example: &str) -> String {
    std::fs::read_to_string(root().join(format!("examples/{example}/expected.txt"))).unwrap()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// SS-141, SS-142: frames go hop by hop; a cut link is gone around.
#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn examples_give_their_results_over_topologies() {
    let lab = Lab::new();
    for topo in ["line", "star", "mesh,2,2"] {
        let words = [
            "run",
            "-n",
            "4",
            "--vcpus",
            "2",
            "--topo",
            topo,
            "--link",
            "latency=1ms",
            "ring",
        ];
        let said = lab.chorus(&words).with(0);
        assert_eq!(said.out, expected("ring"), "{topo}: {said:#?}");
    }
    let words = ["run", "-n", "4", "--topo", "mesh,3,3", "ring"];
    lab.chorus(&words)
        .with(2)
        .complaining("mesh,3,3 joins 9 sites, and there are 4");
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn links_are_broken_and_mended_while_a_cluster_runs() {
    let lab = Lab::new();
    let chorus = |words: &str| {
        let words: Vec<&str> = ["--name", "x"]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        lab.chorus(&words)
    };
    chorus("up -n 4 --topo ring -d --wait").with(0);
    chorus("link set s1 s2 cut").with(0);
    chorus("link set all loss=2%").with(0);
    let around = chorus("exec all ring").with(0);
    assert_eq!(around.out, expected("ring"), "{around:#?}");
    let shown = json(&chorus("link show --format json").with(0).out);
    let links = shown["links"].as_array().unwrap();
    assert_eq!(links.len(), 8);
    let of = |from: u64, to: u64| {
        links
            .iter()
            .find(|link| link["from"] == from && link["to"] == to)
            .unwrap()
    };
    assert_eq!(of(1, 2)["parameters"]["cut"], true);
    assert_eq!(of(1, 2)["parameters"]["loss"], 2.0);
    // What the sites said when they booted, before the cut; later frames go around it.
    let before = of(1, 2)["counts"]["frames"].as_u64().unwrap();
    assert!(before < 20, "{shown:#}");
    assert!(
        of(1, 4)["counts"]["frames"].as_u64().unwrap() > 50,
        "{shown:#}"
    );
    chorus("link set s1 s3 loss=1%")
        .with(2)
        .complaining("no link between");
    chorus("link set s1 s9 loss=1%")
        .with(2)
        .complaining("there is no site s9");

    // The gateway reaches everyone; the sites do not reach each other.
    chorus("link reset").with(0);
    chorus("partition s1,s2 s3,s4").with(0);
    chorus("exec s3 hello").with(0);
    chorus("exec --timeout 20 all ring 1").with(124);
    chorus("heal").with(0);
    // Each half held the other for down. Of equal halves that one goes on in new incarnations which does not see the lowest number; what it had under way then is lost.
    let begun = std::time::Instant::now();
    let incarnations = |first: usize| {
        let listed = json(&chorus("ps --format json").with(0).out);
        let sites = &listed["sites"];
        [first, first + 1].map(|site| sites[site]["incarnation"].as_u64().unwrap())
    };
    while incarnations(2).contains(&1) {
        assert!(begun.elapsed().as_secs() < 60, "the halves stay apart");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(incarnations(0), [1, 1]);
    let around = chorus("exec all ring").with(0);
    assert_eq!(around.out, expected("ring"), "{around:#?}");
    chorus("down").with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_site_boots_anew_and_is_found_again() {
    let lab = Lab::new();
    let chorus = |words: &str| {
        let words: Vec<&str> = ["--name", "x"]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        lab.chorus(&words)
    };
    chorus("up -n 3 -d --wait").with(0);
    chorus("exec all ring 5").with(0);
    chorus("site kill s2").with(0);
    chorus("exec s2 hello").with(1).complaining("has ended");
    chorus("site restart s2").with(0);
    chorus("site restart s3").with(0);
    let listed = json(&chorus("ps --format json").with(0).out);
    let incarnations: Vec<u64> = (0..3)
        .map(|site| listed["sites"][site]["incarnation"].as_u64().unwrap())
        .collect();
    assert_eq!(incarnations, [1, 2, 2]);
    assert_eq!(listed["sites"][1]["state"], "ready");
    chorus("exec s2 hello").with(0);
    let around = chorus("exec all ring").with(0);
    assert_eq!(
        around.out,
        "s1/ring | ring: 3 sites, 50 rounds, 150 hops: the token is back\n"
    );
    chorus("down").with(0);
}
