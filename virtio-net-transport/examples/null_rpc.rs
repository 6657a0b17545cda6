//! Null calls between two endpoints, for counting their instructions:
//!
//!     cargo build --release -p chorus-transport --example null_rpc
//!     valgrind --tool=callgrind target/x86_64-unknown-linux-musl/release/examples/null_rpc sealed 1000
//!
//! The difference between 1000 and 2000 calls is what 1000 calls cost both transports together, the sealing of their two frames each included, without
//! Nuclei and drivers. Guests have no SSE: `RUSTFLAGS='--cfg=chacha20_backend="soft" --cfg=poly1305_backend="soft"'` counts what they execute.

use chorus_abi::net::{KnNetItem, NET_CALL, NET_REPLY};
use chorus_abi::{KnUniqueId, UiType};
use chorus_transport::{Config, Endpoint, Event, Seal, Site};

const SERVER: KnUniqueId = KnUniqueId::from_fields(1, UiType::Port, 1, 7);
/// Calls before the counted ones.
const WARM: u64 = 100;

/// A site whose one port answers every request with nothing.
#[derive(Default)]
struct Plain {
    frames: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    token: u64,
    ended: u64,
    /// The port is here.
    serves: bool,
}

impl Site for Plain {
    fn transmit(&mut self, frame: &[u8]) {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(frame);
        self.frames.push(copy);
    }

    fn deliver(&mut self, item: &KnNetItem, _: &[u8]) -> i32 {
        self.token = item.handle;
        0
    }

    fn complete(&mut self, item: &KnNetItem, _: &[u8]) {
        assert_eq!(item.result, 0);
        self.ended += 1;
    }

    fn query(&mut self, ui: KnUniqueId) -> Option<u32> {
        (self.serves && ui == SERVER).then_some(0)
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let sealed = match words.next().as_deref() {
        Some("sealed") => true,
        Some("clear") => false,
        _ => panic!("null_rpc sealed|clear CALLS"),
    };
    let calls: u64 = words
        .next()
        .and_then(|word| word.parse().ok())
        .expect("CALLS is a number");
    let mut ends = [1, 2].map(|site| {
        let mut config = Config::new(site, 1);
        config.seal = sealed.then(|| Seal::new([3; 32], 1));
        let endpoint = Endpoint::new(config).expect("a configuration");
        let plain = Plain {
            serves: site == SERVER.site(),
            spare: (0..8).map(|_| Vec::with_capacity(2048)).collect(),
            ..Plain::default()
        };
        (endpoint, plain)
    });
    let mut now = 1;
    for handle in 1..=calls + WARM {
        now += 10_000;
        let call = KnNetItem {
            kind: NET_CALL,
            handle,
            target: SERVER,
            ..KnNetItem::default()
        };
        let (endpoint, plain) = &mut ends[1];
        endpoint.on_event(now, Event::Item(&call, &[]), plain);
        // Until nothing moves any more.
        loop {
            let mut moved = false;
            for at in [0, 1] {
                while let Some(frame) = ends[1 - at].1.frames.pop() {
                    moved = true;
                    let (endpoint, plain) = &mut ends[at];
                    endpoint.on_event(now, Event::Frame(&frame), plain);
                    ends[1 - at].1.spare.push(frame);
                }
                let (endpoint, plain) = &mut ends[at];
                let token = std::mem::take(&mut plain.token);
                if token != 0 {
                    let reply = KnNetItem {
                        kind: NET_REPLY,
                        handle: token,
                        ..KnNetItem::default()
                    };
                    endpoint.on_event(now, Event::Item(&reply, &[]), plain);
                }
            }
            if !moved {
                break;
            }
        }
    }
    assert_eq!(ends[1].1.ended, calls + WARM);
    let frames = ends[0].0.counters().frames_out + ends[1].0.counters().frames_out;
    println!("{calls} calls, {frames} frames in all");
}
