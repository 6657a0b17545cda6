//! Traces of real sites: names and order of calls, what belongs together, what was lost.

use crate::lab::{Lab, Said, root};
use chorus_abi::table;
use std::collections::HashMap;

/// A line of a trace.
#[derive(Clone, Debug)]
struct Line {
    /// Nanoseconds.
    time: u64,
    site: String,
    place: String,
    actor: String,
    thread: String,
    event: String,
}

impl Line {
    /// One that is written as the documents say.
    fn of(text: &str) -> Line {
        let wrong = || -> ! { panic!("not a line of a trace: {text:?}") };
        let mut words = text.split_whitespace();
        let mut word = || words.next().unwrap_or_else(|| wrong()).to_owned();
        let (time, place) = (word(), word());
        let Some((whole, rest)) = time.split_once('.') else {
            wrong()
        };
        let time = format!("{whole}{rest}").parse().unwrap_or_else(|_| wrong());
        let site = place.split('/').next().unwrap_or("").to_owned();
        let (actor, mut thread) = (word(), word());
        // An actor without a name is "actor 3".
        if actor == "actor" {
            thread = word();
        }
        let event = words.collect::<Vec<_>>().join(" ");
        Line {
            time,
            site,
            place,
            actor,
            thread,
            event,
        }
    }

    /// The call that begins or ends here, and whether it ends.
    fn call(&self) -> Option<(&str, bool)> {
        let end = self
            .event
            .find(|letter: char| !letter.is_ascii_alphanumeric())?;
        let (name, rest) = self.event.split_at(end);
        let returns = rest.starts_with(" = ");
        let known = returns || rest.starts_with('(');
        (known && name != "wake").then_some((name, returns))
    }
}

/// The lines of an exported trace, which are in the order of time.
fn lines(said: &Said) -> Vec<Line> {
    let lines: Vec<Line> = said
        .out
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(Line::of)
        .collect();
    assert!(lines.windows(2).all(|pair| pair[0].time <= pair[1].time));
    lines
}

/// What is written of how much is there and lost, by vCPU.
fn counts(said: &Said) -> Vec<(u64, u64)> {
    let heads = said.out.lines().filter(|line| line.contains(" events, "));
    heads
        .map(|line| {
            assert!(!line.contains("no sense"), "{line}");
            let numbers = line.split([':', ',']).skip(1);
            let mut numbers = numbers.map(|part| {
                let number = part.split_whitespace().next();
                number.and_then(|it| it.parse().ok()).unwrap()
            });
            (numbers.next().unwrap(), numbers.next().unwrap())
        })
        .collect()
}

/// Every call has the name of the table, and a thread's calls end in the order in which they began.
fn calls_are_whole(lines: &[Line]) -> usize {
    let mut open: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
    let mut whole = 0;
    for line in lines {
        let Some((name, returns)) = line.call() else {
            continue;
        };
        assert!(
            table::by_name(name).is_some(),
            "no call of the table: {line:?}"
        );
        let calls = open.entry((&line.site, &line.thread)).or_default();
        if !returns {
            calls.push(name);
        } else if line.event.contains(" after ") {
            assert_eq!(calls.pop(), Some(name), "{line:?}");
            whole += 1;
        } else {
            assert!(calls.is_empty(), "it began before the trace did: {line:?}");
        }
    }
    whole
}

/// A line without its numbers, which differ each time.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let mut shape = String::new();
        for letter in word.chars() {
            let digit = letter.is_ascii_digit() || letter == '.';
            if !(digit && shape.ends_with('N')) {
                shape.push(if digit { 'N' } else { letter });
            }
        }
        // An address, whatever its digits are.
        match shape.split_once("=Nx") {
            Some((name, rest)) => {
                let end = rest.find(|it: char| !it.is_ascii_alphanumeric());
                format!("{name}=ADDRESS{}", end.map_or("", |end| &rest[end..]))
            }
            None => shape,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The example of the documents is what a real site gives.
fn as_the_page_says(said: &Said) {
    let page = std::fs::read_to_string(root().join("docs/tracing.md")).unwrap();
    let shown = page.split("```text\n").nth(1).unwrap();
    let shown: Vec<String> = shown
        .split("```")
        .next()
        .unwrap()
        .lines()
        .map(shape)
        .collect();
    assert!(shown.len() == 8, "{shown:#?}");
    let mut real = said.out.lines().map(shape);
    for line in &shown {
        assert!(
            real.any(|it| it == *line),
            "not in a real trace: {line}\n{}",
            said.out
        );
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_calls_of_an_actor_are_traced_by_name_and_in_order() {
    let lab = Lab::new();
    let words = [
        "--name", "x", "up", "-n", "1", "--vcpus", "2", "-d", "--wait",
    ];
    lab.chorus(&words).with(0);
    let trace = |words: &[&str]| lab.chorus(&[&["--name", "x", "trace"], words].concat());
    trace(&["stop"])
        .with(1)
        .complaining("no site is being traced");
    trace(&["export"]).with(1).complaining("nothing was traced");
    trace(&["start", "s7"])
        .with(2)
        .complaining("there is no site s7");
    trace(&["start", "--classes", "calls"])
        .with(2)
        .complaining("there is no class calls");

    trace(&["start", "--classes", "call"]).with(0);
    let exec = || drop(lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0));
    exec();
    // While it goes on it can be looked at.
    assert!(trace(&["export"]).with(0).out.contains("portUi("));
    trace(&["stop"]).with(0);
    exec();
    let said = trace(&["export"]).with(0);
    let all = lines(&said);
    assert!(
        counts(&said).iter().all(|&(_, lost)| lost == 0),
        "{said:#?}"
    );
    assert!(calls_are_whole(&all) > 20);
    let own: Vec<String> = all
        .iter()
        .filter(|line| line.actor == "hello" && line.call().is_some())
        .map(|line| {
            let values = line.event.split("=0x").next().unwrap();
            values.split(" after").next().unwrap().to_owned()
        })
        .collect();
    // What main does: the text goes to the console, and the actor ends. The second one ran when the trace was over.
    let expected = [
        "portUi(port_ui",
        "portUi = 0",
        "ipcCall(request",
        "ipcCall = 0",
        "actorExit(status=0)",
    ];
    assert_eq!(own, expected);
    as_the_page_says(&said);
    let ends = all.iter().find(|line| line.event == "actorExit(status=0)");
    let thread = ends.map(|line| line.thread.clone());
    assert!(thread.is_some_and(|thread| thread.parse::<u16>().is_ok()));

    // Sixteen records are soon overwritten.
    trace(&["start", "--classes", "call", "--size", "1K"]).with(0);
    exec();
    let said = trace(&["export"]).with(0).complaining("were overwritten");
    let counts = counts(&said);
    assert!(counts.iter().all(|&(there, _)| there < 16), "{counts:?}");
    assert!(counts.iter().any(|&(_, lost)| lost > 20), "{counts:?}");
    assert_eq!(
        lines(&said).len() as u64,
        counts.iter().map(|it| it.0).sum::<u64>()
    );
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_remote_call_is_seen_on_both_sites_and_each_thread_where_it_runs() {
    let lab = Lab::new();
    let words = [
        "--name", "x", "up", "-n", "2", "--vcpus", "2", "-d", "--wait",
    ];
    lab.chorus(&words).with(0);
    let trace = |words: &[&str]| lab.chorus(&[&["--name", "x", "trace"], words].concat());
    trace(&["start", "--classes", "all"]).with(0);
    lab.chorus(&["--name", "x", "exec", "all", "counter", "5"])
        .with(0);
    trace(&["stop"]).with(0);
    let said = trace(&["export"]).with(0);
    let all = lines(&said);
    assert!(calls_are_whole(&all) > 100);

    // A vCPU goes from one thread to the next, and what happens there happens to the one that it runs.
    let mut running: HashMap<&str, &str> = HashMap::new();
    for line in &all {
        let now = running.get(line.place.as_str()).copied();
        if line.event == "runs" {
            running.insert(&line.place, &line.thread);
        } else if let Some(from) = line.event.strip_prefix("switch from ") {
            let from = if from == "idle" { "-" } else { from };
            assert!(now.is_none_or(|now| now == from), "{now:?} ran: {line:?}");
            running.insert(&line.place, &line.thread);
        } else if line.call().is_some() || line.event.starts_with("interrupt ") {
            assert!(
                now.is_none_or(|now| now == line.thread),
                "{now:?} runs: {line:?}"
            );
        }
    }

    // The client on the second site asks the server on the first: five steps each time, in the order of time, with one source and target.
    let counter = |line: &&Line| line.actor == "counter" && line.site == "s2";
    let sends = all
        .iter()
        .filter(counter)
        .filter(|line| line.event.starts_with("send to another site"));
    let ways: Vec<&str> = sends
        .map(|line| line.event.split_once(' ').unwrap().1)
        .filter_map(|event| event.split(" size=").next()?.split_once("transaction="))
        .filter_map(|(_, rest)| Some(rest.split_once(' ')?.1))
        .collect();
    assert!(
        ways.len() >= 5 && ways.iter().all(|way| way.contains(" -> ")),
        "{ways:?}"
    );
    let way = ways[ways.len() - 1];
    let steps: Vec<(&str, &str)> = all
        .iter()
        .filter(|line| {
            let back = line.event.starts_with("reply from another site");
            line.event.contains(way) || back && line.actor == "counter" && line.site == "s2"
        })
        .map(|line| {
            let event = line.event.split([' ']).take(2).collect::<Vec<_>>();
            let verb = match event[..] {
                ["send" | "reply", "to" | "from"] => line.event.split(" another").next().unwrap(),
                _ => event[0],
            };
            (line.site.as_str(), verb)
        })
        .filter(|(_, verb)| *verb != "queue")
        .collect();
    let each = [
        ("s2", "send to"),
        ("s1", "send from"),
        ("s1", "receive"),
        ("s1", "reply to"),
        ("s2", "reply from"),
    ];
    assert!(
        steps.len() >= 25 && steps.len().is_multiple_of(5),
        "{steps:?}"
    );
    assert!(steps.chunks(5).all(|chunk| chunk == each), "{steps:?}");

    // The same as arrows.
    let said = trace(&["export", "--format", "chrome"]).with(0);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let events = json["traceEvents"].as_array().unwrap();
    let phase = |which: &str| {
        let found = events.iter().filter(|event| event["ph"] == which);
        found
            .map(|event| event["pid"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let (begins, ends) = (phase("s"), phase("f"));
    let between = begins.iter().zip(&ends).filter(|(from, to)| from != to);
    assert!(
        between.count() >= steps.len() / 5 * 2,
        "{begins:?} {ends:?}"
    );
    let file = lab.folder().join("trace.pb");
    let words = ["export", "--format", "perfetto", "-o"];
    trace(&[&words[..], &[file.to_str().unwrap()]].concat()).with(0);
    let written = std::fs::read(&file).unwrap();
    // Each packet begins with its field and length: they end where the file does.
    assert!(written.len() > 10_000 && written[0] == 0x0a);
    let holds = |name: &[u8]| written.windows(name.len()).any(|window| window == name);
    assert!(holds(b"counter 2") && holds(b"ipcReplyReceive") && holds(b"vCPU 1"));
    let nowhere = ["export", "-o", "/nowhere/trace"];
    trace(&nowhere).with(1).complaining("/nowhere/trace: ");
    let said = trace(&["export", "--format", "folded"]).with(0);
    assert!(said.out.contains("\ns2;counter;ipcCall "), "{}", said.out);
    lab.chorus(&["--name", "x", "down"]).with(0);
}
