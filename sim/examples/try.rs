use chorus_sim::{harm::Harm, load::Load, plant::Plant, scenario::*};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let cluster = Cluster {
        seed: a[1].parse().unwrap(),
        sites: a[2].parse().unwrap(),
        topology: chorus_fabric::Shape::parse(&a[3]).unwrap(),
        links: chorus_fabric::Change {
            latency: Some(100_000),
            ..Default::default()
        },
        watch: a[7] != "nowatch",
        hello: a[7] != "nowatch",
        plant: Plant::None,
    };
    let load = Load::named(a[4].split('+')).unwrap();
    let harms = a[5]
        .split('+')
        .flat_map(|n| Harm::named(n).unwrap())
        .collect();
    let s = Scenario {
        cluster,
        source: Source::Programs {
            load,
            harms,
            limit: Limit::Events(a[6].parse().unwrap()),
        },
    };
    let t = std::time::Instant::now();
    let r = s.run(Keep::default()).unwrap();
    let e = t.elapsed().as_secs_f64();
    println!(
        "{} events {} frames {} calls {:?} ended, {} messages, {:.1} s virtual, broken {:?}; {:.2} s, {:.0} events/s",
        r.events,
        r.frames,
        r.calls,
        r.ended,
        r.messages,
        r.time as f64 / 1e9,
        r.broken,
        e,
        r.events as f64 / e
    );
}
