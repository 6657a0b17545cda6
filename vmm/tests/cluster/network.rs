//! `chorus net`: what the Network Managers of real sites say of themselves.

use crate::lab::Lab;
use serde_json::Value;
use std::time::{Duration, Instant};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a site is for another.
fn standing(end: &Value, site: u16) -> &str {
    let peers = end["peers"]["rows"].as_array().unwrap();
    let peer = peers.iter().find(|peer| peer["site"] == site);
    peer.map_or("unknown", |peer| peer["standing"].as_str().unwrap())
}

/// Asks again and again until it is so, for a minute.
fn until(ask: impl Fn() -> Value, so: impl Fn(&Value) -> bool) {
    let begin = Instant::now();
    loop {
        let said = ask();
        if so(&said) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{said:#}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn network_managers_say_how_they_stand() {
    let lab = Lab::new();
    let chorus = |words: &str| {
        let words: Vec<&str> = ["--name", "n"]
            .into_iter()
            .chain(words.split_whitespace())
            .collect();
        lab.chorus(&words)
    };
    let net = |words: &str| json(&chorus(&format!("net {words} --format json")).with(0).out);
    chorus("up -n 3 -d --wait").with(0);
    let number = |end: &Value, what: &str| end["counters"][what].as_u64().unwrap();
    let before = net("s2");
    chorus("exec all ring").with(0);
    let after = net("s2");
    assert_eq!(after["site"], 2);
    assert_eq!(after["incarnation"], 1);
    assert_eq!(after["sealed"], true);
    for counter in [
        "frames_out",
        "frames_in",
        "sealed",
        "opened",
        "delivered_calls",
    ] {
        let (before, after) = (number(&before, counter), number(&after, counter));
        assert!(after > before, "{counter}: {before}, then {after}");
    }
    assert_eq!(number(&after, "frames_out"), number(&after, "sealed"));
    assert_eq!(number(&after, "refused_tag"), 0, "{after:#}");
    // A site is up when it has answered a probe, and then it is for all.
    until(
        || net("s2"),
        |end| (standing(end, 1), standing(end, 3)) == ("up", "up"),
    );
    // The question is a request of the gateway in service.
    let services = after["services"]["rows"].as_array().unwrap();
    assert!(services.iter().any(|one| one["site"] == 8191), "{after:#}");
    // The site has called the gateway's services, and knows where they are.
    let places = after["locations"]["rows"].as_array().unwrap();
    assert!(places.iter().any(|one| one["site"] == 8191), "{after:#}");

    let all = net("");
    let sites: Vec<u64> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|end| end["site"].as_u64().unwrap())
        .collect();
    assert_eq!(sites, [1, 2, 3, 8191]);
    let table = chorus("net").with(0).out;
    assert!(
        table.starts_with("SITE ") && table.lines().count() == 5,
        "{table}"
    );
    let whole = chorus("net gateway").with(0).out;
    assert!(
        whole.starts_with("gateway, incarnation 1, frames sealed\n"),
        "{whole}"
    );
    assert!(whole.contains("calls of its clients: none"), "{whole}");
    chorus("net s7").with(2).complaining("there is no site s7");

    // Who cannot answer is not waited for without end, and the others say what they think of him.
    chorus("site kill s3").with(0);
    chorus("net s3").with(1).complaining("has ended");
    until(|| net("s2"), |end| standing(end, 3) == "down");
    assert_eq!(net("").as_array().unwrap().len(), 3);
    chorus("down").with(0);

    chorus("up -n 2 --insecure-fabric -d --wait").with(0);
    let clear = net("s1");
    assert_eq!(clear["sealed"], false);
    assert_eq!(number(&clear, "sealed"), 0);
    chorus("down").with(0);
}

/// A site whose clock is slow has less time, and is none the worse for it.
#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_slow_clock_is_slow_and_its_site_stays_with_the_others() {
    let lab = Lab::new();
    let file = lab.folder().join("slow.toml");
    let text =
        "version = 1\n[cluster]\nname = \"slow\"\n[[site]]\n[[site]]\nclock = \"25%\"\n[[site]]\n";
    std::fs::write(&file, text).unwrap();
    let chorus = |words: &[&str]| lab.chorus(&[&["--name", "slow"], words].concat());
    chorus(&["up", "-f", file.to_str().unwrap(), "-d", "--wait"]).with(0);
    let now = |site: &str| {
        let said = json(&chorus(&["net", site, "--format", "json"]).with(0).out);
        said["now_ns"].as_u64().unwrap()
    };
    // Asked inside out, so that what the questions take is on both sides.
    let before = (now("s1"), now("s2"), now("s3"));
    std::thread::sleep(Duration::from_secs(8));
    let after = (now("s1"), now("s2"), now("s3"));
    let passed = [after.0 - before.0, after.1 - before.1, after.2 - before.2];
    let ratio = passed[1] as f64 / (passed[0] + passed[2]) as f64 * 2.0;
    assert!((0.2..0.3).contains(&ratio), "{passed:?}");
    let said = chorus(&["exec", "all", "pairs"]).with(0);
    assert!(said.out.contains("3 sites, 6 calls"), "{said:#?}");
    let first = json(&chorus(&["net", "s1", "--format", "json"]).with(0).out);
    assert_eq!(standing(&first, 2), "up", "{first:#}");
    chorus(&["down"]).with(0);
}
