//! The Nth request for memory fails, for every N until the workload gets through: errors, and nothing half made.

use super::invariants;
use super::scene::{FOREVER, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

/// Errors that a shortage of memory, or what it kept from coming to be, gives.
const EXPECTED: [i32; 7] = [
    K_ENOMEM, K_EFAULT, K_EINVAL, K_EUNKNOWN, K_ETIMEOUT, K_EBUSY, K_ESIZE,
];

/// Calls that want memory in every way that there is. Results are the errors that one shortage can give, or success.
struct Workload {
    site: Site,
    maker: Party,
    server: Party,
}

impl Workload {
    fn call(&mut self, by: Party, name: &str, arguments: &[u64]) -> i32 {
        if !self.site.runs(by) {
            return K_EABORT;
        }
        let result = self.site.call(by.thread, name, arguments);
        let result = result.or_else(|| self.site.result(by.thread)).unwrap_or(0);
        assert!(
            result >= 0 || EXPECTED.contains(&result),
            "{name} gave {result}"
        );
        invariants::check(&self.site.nucleus);
        result
    }

    fn run(&mut self) {
        let by = self.maker;
        let of = by.actor;
        let cap = self.site.arg(of, &KnCap::default());
        for kind in [K_USERACTOR, K_SYSTEMACTOR] {
            self.call(by, "actorCreate", &[0, cap, kind as u64, K_ACTIVE as u64]);
            let region = KnRgnDesc {
                start_addr: 0x40_0000,
                size: 5 * PAGE_SIZE,
                options: K_WRITABLE | K_NODEMAND,
                ..KnRgnDesc::default()
            };
            let region = self.site.arg(of, &region);
            self.call(by, "rgnAllocate", &[cap, region]);
            let ui = self.site.arg(of, &KnUniqueId::NULL);
            self.call(by, "portCreate", &[cap, ui]);
            let inactive = K_INACTIVE as u64;
            self.call(
                by,
                "threadCreate",
                &[cap, 0, inactive, 0, 0x40_0000, 0x40_1000],
            );
            self.call(by, "rgnFree", &[cap, region]);
            self.call(by, "actorDelete", &[cap]);
        }
        // Bodies: queued, to be fetched, fetched, saved.
        let door = self.site.door(self.server.actor);
        let big = self.site.at(of, 0x2000);
        let desc = KnMsgDesc {
            body_size: 2 * PAGE_SIZE as u32 - 100,
            body_addr: big,
            annex_addr: big,
            ..KnMsgDesc::default()
        };
        let message = self.site.arg(of, &desc);
        let dest = self.site.dest(by, door);
        self.call(by, "ipcSend", &[message, 0, dest]);
        let server = self.server;
        let fetch = self.site.arg(server.actor, &KnMsgDesc::default());
        let li = self.site.arg(server.actor, &K_DEFAULTPORT);
        self.call(server, "ipcReceive", &[fetch, li, 0]);
        let room = self.site.at(server.actor, 0x2000);
        let room = KnMsgDesc {
            body_addr: room,
            ..desc
        };
        let room = self.site.arg(server.actor, &room);
        self.call(server, "ipcGetData", &[room]);
        self.call(server, "ipcSave", &[0]);
        if self.site.runs(server) {
            self.site
                .call(server.thread, "ipcReceive", &[fetch, li, FOREVER]);
        }
        self.call(by, "ipcSend", &[message, 0, dest]);
        self.call(server, "ipcGetData", &[room]);
        // Pages that are touched by calls.
        let region = KnRgnDesc {
            size: 3 * PAGE_SIZE,
            options: K_WRITABLE | K_ANYWHERE,
            ..KnRgnDesc::default()
        };
        let desc = self.site.arg(of, &region);
        if self.call(by, "rgnAllocate", &[0, desc]) == K_OK {
            let region: KnRgnDesc = self.site.peek(of, desc);
            self.call(by, "semInit", &[region.start_addr, 1]);
            self.call(by, "semP", &[region.start_addr + PAGE_SIZE, 0]);
            self.call(by, "threadStat", &[0, region.start_addr + 2 * PAGE_SIZE, 4]);
        }
    }
}

#[test]
fn nc_281_whichever_request_for_memory_fails_nothing_is_half_made() {
    let mut failures = 0;
    loop {
        let mut site = Site::new(4);
        let (maker, server) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
        // The arguments' own pages are there.
        for actor in [maker.actor, server.actor] {
            for page in 0..16 {
                site.put(actor, page * PAGE_SIZE, &0u8);
            }
        }
        let mut workload = Workload {
            site,
            maker,
            server,
        };
        workload.site.nucleus.machine.fails_after = Some(failures);
        workload.run();
        let through = workload.site.nucleus.machine.fails_after.take().is_some();
        workload.site.end();
        if through {
            break;
        }
        failures += 1;
    }
    assert!(failures > 20, "only {failures} requests for memory");
}
