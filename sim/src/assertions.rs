//! The named assertions about many sites, and where those are checked that the simulator does not check.

/// Where an assertion is checked that no function of [`super::checks`] is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Elsewhere {
    /// The simulator checks it.
    Nowhere,
    /// A test on the host: its crate and name.
    HostTest(&'static str),
    /// Guests: the command that checks it there.
    Guest(&'static str),
    /// Nobody checks it: why.
    NotYet(&'static str),
}
use Elsewhere::{Guest, HostTest, NotYet, Nowhere};

/// Number, what it says, where it is checked if not here.
pub type Row = (u16, &'static str, Elsewhere);

/// SS-001 to SS-080 and SS-138 to SS-146.
pub const ASSERTIONS: [Row; 89] = [
    (
        1,
        "A client on site 2 calls a port on site 1 that it has only as a UI read from a message body; the first call succeeds with no configuration.",
        Nowhere,
    ),
    (
        2,
        "The second call to the same port causes no LOCATE frame on the wire.",
        Nowhere,
    ),
    (
        3,
        "With no hint, a port still on its creation site is found by one unicast query and no broadcast.",
        Nowhere,
    ),
    (
        4,
        "A call to a UI that never existed fails as *not-executed: unknown port* within the documented limit (default < 1 s) and sends at most 3 broadcasts.",
        Nowhere,
    ),
    (
        5,
        "100 threads that call the same unknown-located port at once cause one locate exchange, and all succeed.",
        Nowhere,
    ),
    (
        6,
        "A call to a deleted port fails as *not-executed*; no thread hangs.",
        Nowhere,
    ),
    (
        7,
        "After a site reboots 1,000 times in simulation, all UIs it ever issued are distinct.",
        HostTest("chorus-nucleus-core ss_007_a_thousand_boots_give_no_name_twice"),
    ),
    (
        8,
        "A late HERE with an older port epoch, injected by the test, does not change any hint.",
        Nowhere,
    ),
    (
        9,
        "Hint caches stay within their bound when a client talks to 1,000,000 different ports; old entries are dropped and re-found.",
        Nowhere,
    ),
    (
        10,
        "A broadcast locate costs each uninvolved site no more than one table lookup (counter check) and no memory growth.",
        Nowhere,
    ),
    (
        11,
        "A site that joins late (10 min after the others) can reach every existing port without any of them being restarted.",
        Nowhere,
    ),
    (
        12,
        "`uiDeclare` on site 3 makes that UI resolvable from site 1; `uiForget` makes it unresolvable within the documented time.",
        Nowhere,
    ),
    (
        13,
        "A client's calls keep succeeding while the port migrates between sites 100 times; none lost, none executed twice, replies match requests.",
        Nowhere,
    ),
    (
        14,
        "The same with 5 % loss, 5 % duplication and reordering, 10,000 migrations in simulation.",
        Nowhere,
    ),
    (
        15,
        "With option *follow*, 1,000 queued messages arrive at the new actor in the order in which the old queue held them, before any message sent after the move completed.",
        Nowhere,
    ),
    (
        16,
        "With option *drop*, each RPC whose request was queued ends at once with *not-executed*; none is executed later.",
        Nowhere,
    ),
    (
        17,
        "A request already received by the old actor is answered from the old site after the move, and the client accepts it.",
        Nowhere,
    ),
    (
        18,
        "A retransmission of such a request that arrives at the new site is not executed there.",
        Nowhere,
    ),
    (
        19,
        "After migration the port is disabled until enabled, and is still in all its groups.",
        Nowhere,
    ),
    (
        20,
        "The count returned by the move equals the number of messages received at the old place plus one, and the new count starts at zero.",
        Nowhere,
    ),
    (
        21,
        "Moving a default port, a static port or a port with a handler fails with the documented error and changes nothing.",
        Nowhere,
    ),
    (
        22,
        "The destination site crashes before it answered READY: the port is usable at the old site within the failure-detection time, queue intact.",
        Nowhere,
    ),
    (
        23,
        "The source site crashes after hand-over: clients reach the port at the new site within 2 × the failure-detection time.",
        Nowhere,
    ),
    (
        24,
        "Partition during hand-over, healed after 30 s: at every instant at most one site executes requests for the port (log check).",
        Nowhere,
    ),
    (
        25,
        "Two managers that try to move one port at the same moment: exactly one wins, the other gets an error.",
        Nowhere,
    ),
    (
        26,
        "A port that moves every 5 ms is still reached: at least 90 % of calls succeed in < 100 ms, the rest in < 1 s.",
        Nowhere,
    ),
    (
        27,
        "Forwarding records on old sites vanish after their lifetime and clients still find the port.",
        Nowhere,
    ),
    (
        28,
        "Functional mode with one member behaves as unicast and, after the first call, costs the same number of frames per call (± 0).",
        Nowhere,
    ),
    (
        29,
        "Replacing a server (insert new, remove old) under load: no call fails with \"no member\"; each call executes exactly once on one of the two.",
        Nowhere,
    ),
    (
        30,
        "Selective functional with a co-target on site 2 reaches the member on site 2, never another; with no member there it fails as *not-executed: no member*.",
        Nowhere,
    ),
    (
        31,
        "Exclusive functional never picks a member on the co-target's site; with members only there it fails.",
        Nowhere,
    ),
    (
        32,
        "Multicast without loss reaches every member on every site exactly once; a member on the sender's own site included.",
        Nowhere,
    ),
    (
        33,
        "Multicast with 10 % loss delivers no message twice to a member and never delivers a partial or mixed body.",
        Nowhere,
    ),
    (
        34,
        "RPC to a group in broadcast mode is refused locally with the documented error and no frame is sent.",
        Nowhere,
    ),
    (
        35,
        "A crashed site's members leave all groups within the failure-detection time; functional calls after that never time out because of them.",
        Nowhere,
    ),
    (
        36,
        "Insert or remove with a wrong key is refused, locally and remotely; membership is unchanged.",
        Nowhere,
    ),
    (
        37,
        "A group's UI alone suffices to send and does not suffice to insert.",
        Nowhere,
    ),
    (
        38,
        "After a partition heals, the membership views of all sites are equal within 2 s (digest comparison).",
        Nowhere,
    ),
    (
        39,
        "Functional calls with 4 idle equal members spread so that none gets more than 40 % of 10,000 calls (if the spreading policy is on).",
        Nowhere,
    ),
    (
        40,
        "A port in 50 groups that dies is gone from all of them.",
        Nowhere,
    ),
    (
        41,
        "1,000,000 calls with 10 % loss, 10 % duplication, reordering window 8: each executed exactly once, all succeed.",
        Nowhere,
    ),
    (
        42,
        "A server that takes 30 s to answer: the client waits, probes are answered, the request is executed once.",
        Nowhere,
    ),
    (
        43,
        "The server's site is powered off during the call: the client gets *unknown* within the failure-detection time, not before, and never a success.",
        Nowhere,
    ),
    (
        44,
        "The server's *actor* dies during the call: the client gets an error in < 10 ms on an idle system.",
        Nowhere,
    ),
    (
        45,
        "The server's site reboots in < 1 s during the call, before any detector fires: the client gets *unknown*; the new incarnation never executes the old request.",
        Nowhere,
    ),
    (
        46,
        "A reply delayed by the fabric for 60 s is not accepted by a later call on the same thread.",
        Nowhere,
    ),
    (
        47,
        "A client site that reboots during a call: the server thread is told (abort) within the failure-detection time; its reply is discarded.",
        Nowhere,
    ),
    (
        48,
        "Aborting a waiting client thread makes the server thread's abort test true in one-way latency + 1 ms.",
        Nowhere,
    ),
    (
        49,
        "A time limit of 50 ms expires between 50 and 60 ms, and a late reply is dropped.",
        Guest("chorus conformance --filter NC-040"),
    ),
    (
        50,
        "10,000 clients each making one call leave no transaction state on the server after the documented lifetime.",
        Nowhere,
    ),
    (
        51,
        "Calls in both directions at once between two sites never deadlock (100 threads each way, handlers that call back).",
        Nowhere,
    ),
    (
        52,
        "Every error code returned in SS-041…051 is truthful: *not-executed* is never returned for an executed request (log join).",
        Nowhere,
    ),
    (
        53,
        "Asynchronous send to a dead site returns success to the sender at once and delivers nothing; no state remains.",
        Nowhere,
    ),
    (
        54,
        "A local call and a remote call give the same result codes for the same server behaviour (table-driven over all codes except link failure).",
        Nowhere,
    ),
    (
        55,
        "Bodies of every size 0…65,536 arrive unchanged; 65,537 is refused at the sender.",
        Nowhere,
    ),
    (
        56,
        "64 KB bodies with 20 % loss: all arrive; resent bytes ≤ 2 × lost bytes + one bitmap exchange per round.",
        Nowhere,
    ),
    (
        57,
        "One slow receiver does not lower the throughput of another pair on the same two sites by more than 20 %.",
        Nowhere,
    ),
    (
        58,
        "A peer that sends only first fragments cannot make reassembly memory exceed its bound; honest peers still succeed meanwhile.",
        Nowhere,
    ),
    (
        59,
        "A full destination queue delays a remote RPC and does not lose it; asynchronous sends are dropped and counted.",
        Nowhere,
    ),
    (
        60,
        "Mixed small and 64 KB calls: p99 of small calls stays below 3 × its value without the large ones.",
        NotYet("small messages have no priority over large ones"),
    ),
    (
        61,
        "MTU 1500 on one link and 9000 on another: messages cross both and arrive unchanged.",
        Nowhere,
    ),
    (
        62,
        "Header of 64 bytes and body are delivered together or not at all.",
        Nowhere,
    ),
    (
        63,
        "A powered-off site is declared Down everywhere within the configured time (default ≤ 1.5 s), in 1,000 of 1,000 trials.",
        Nowhere,
    ),
    (
        64,
        "No false Down in 24 h on an idle 8-site system; at most one per 24 h at full CPU load.",
        Nowhere,
    ),
    (
        65,
        "A guest paused for 200 ms is not declared Down; one paused for 10 s is, and on resuming it takes a new incarnation before it may talk.",
        Nowhere,
    ),
    (
        66,
        "One-way link loss is noticed by both ends within 3 × the time for a full cut.",
        Nowhere,
    ),
    (
        67,
        "After Down(incarnation i), no frame of incarnation i changes any table.",
        Nowhere,
    ),
    (
        68,
        "With 16 sites and detector traffic only, each site sends < 50 frames/s.",
        Nowhere,
    ),
    (
        69,
        "A partition into 3+3 sites: each half works inside itself; after healing all calls across work within 3 s without restarts.",
        Nowhere,
    ),
    (
        70,
        "Killing and restarting a random site every 2 s for 1 h leaves no leaked ports, hints, groups or calls (table sizes equal a fresh system's ± constants).",
        Nowhere,
    ),
    (
        71,
        "A server sees the PI of the calling actor on another site, unchanged.",
        Nowhere,
    ),
    (
        72,
        "A recorded frame of any type, replayed at any later time (1 ms … after re-keying … after reboot), has no effect (state hash equal).",
        Nowhere,
    ),
    (
        73,
        "Any single flipped bit in any frame makes it be dropped and counted; no crash in 10^7 trials.",
        Nowhere,
    ),
    (
        74,
        "A site without a key cannot obtain an answer to any frame, cannot join a group, cannot learn a port's location.",
        Nowhere,
    ),
    (
        75,
        "A site allowed to speak for domain D that claims a PI of domain E is seen as *nobody*.",
        Nowhere,
    ),
    (
        76,
        "Keys are renewed under load with no failed call and no gap > 10 ms.",
        Nowhere,
    ),
    (
        77,
        "Body bytes of sealed calls do not appear on the wire (search the frame log for a marker).",
        Nowhere,
    ),
    (
        78,
        "A random-bytes fuzzer on the wire for 1 h causes no panic, no memory growth, no wrong delivery.",
        Nowhere,
    ),
    (
        79,
        "A user actor cannot set its PI; a system actor can; children inherit.",
        Guest("chorus conformance --filter NC-131,NC-132"),
    ),
    (
        80,
        "10^6 guesses of a group key are all refused, and refusals are rate-limited.",
        NotYet("guesses of a key are refused, but not limited in rate"),
    ),
    (
        138,
        "The same seed gives a byte-identical frame log in the simulator, 100 of 100 times, on different computers.",
        Nowhere,
    ),
    (
        139,
        "A link set to 10 ms ± 0 and 1 MB/s shows 10 ms ± 0.5 ms and 1 MB/s ± 2 % end to end between guests.",
        Nowhere,
    ),
    (
        140,
        "Loss of 1 % is measured as 1 % ± 0.1 % over 10^6 frames; corruption is always detected by the receivers.",
        Nowhere,
    ),
    (
        141,
        "On a 4×4 mesh, a torus and a hypercube of 16 sites, every pair communicates, and the hop counts match the topology.",
        Nowhere,
    ),
    (
        142,
        "Cutting one link of a mesh reroutes; cutting a node's last link isolates it and triggers Down.",
        Nowhere,
    ),
    (
        143,
        "A scripted fault (\"drop the third hand-over frame\") hits exactly that frame in every run.",
        Nowhere,
    ),
    (
        144,
        "A failing fuzz run can be shrunk to a script that fails again.",
        Nowhere,
    ),
    (
        145,
        "16 guests boot, find each other and pass a smoke test in < 30 s on a 2-core computer.",
        NotYet("the tests boot clusters of up to eight sites; sixteen are not timed"),
    ),
    (
        146,
        "8-hour random-fault soak (kill, pause, partition, loss): all invariants I1–I5, D1–D5, H1–H5, C1–C3 hold.",
        Nowhere,
    ),
];
