//! Assertions that take two or three sites: `conformance leader NEAR FAR LOSSY DOUBLING`, with a partner on each of them ([`crate::partner`]); on the last two what links and the
//! host do to them ([`crate::faults`]).

use crate::faults;
use crate::partner::*;
use crate::requests::Client;
use crate::verdict::{DEFAULT, Verdict, call, message};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::message::{Buffer, Message, current, reply, send};
use chorus_runtime::port::{Port, new_group, well_known_group};
use chorus_runtime::{at, at_mut, site, thread, time};
use core::time::Duration;

/// How long a request may take, in milliseconds.
const LIMIT: i32 = 15_000;

/// A request from the default port: its result, and the annex of the reply.
pub fn request(target: KnUniqueId, co_target: KnUniqueId, mut annex: [u8; 64]) -> (i32, [u8; 64]) {
    let question = message(&[], Some(&annex));
    let mut room = KnMsgDesc {
        annex_addr: at_mut(&mut annex),
        ..KnMsgDesc::default()
    };
    let dest = KnIpcDest { target, co_target };
    let result = call!(
        ipc_call,
        In::new(at(&question)),
        DEFAULT,
        In::new(at(&dest)),
        InOut::new(at_mut(&mut room)),
        LIMIT
    );
    // SAFETY: the Nucleus wrote it, if anybody did, before the call ended.
    (result, unsafe { (&raw const annex).read_volatile() })
}

/// Which site answers a request; an error.
pub fn who(target: KnUniqueId, co_target: KnUniqueId) -> Result<u16, i32> {
    match request(target, co_target, [0; 64]) {
        (K_OK, annex) => Ok(u16::from(annex[0])),
        (error, _) => Err(error),
    }
}

/// A partner.
#[derive(Clone, Copy)]
pub struct Partner(pub u16);

impl Partner {
    pub fn port(self) -> KnUniqueId {
        KnUniqueId::well_known_port(self.0, STAMP)
    }

    pub fn order(self, what: u32, ui: KnUniqueId, cap: KnCap) -> Order {
        let order = Order {
            what,
            result: 0,
            ui,
            cap,
        };
        let (result, annex) = request(self.port(), KnUniqueId::NULL, order.annex());
        match result {
            K_OK => Order::of(&annex),
            error => Order {
                result: error,
                ..order
            },
        }
    }

    pub fn ask(self, what: u32, ui: KnUniqueId) -> i32 {
        self.order(what, ui, KnCap::default()).result
    }

    pub fn served(self) -> KnUniqueId {
        self.order(SERVED, KnUniqueId::NULL, KnCap::default()).ui
    }

    /// Whether a served port has got so many messages, soon.
    pub fn counts(self, port: KnUniqueId, wanted: i32) -> bool {
        let seen = || self.ask(COUNT, port) == wanted;
        (0..50).any(|_| {
            seen() || {
                let _ = thread::sleep(Duration::from_millis(20));
                false
            }
        }) && seen()
    }
}

/// Stamp of the port of the supervisor actor on the leader's site.
const BREAKER: u32 = 0x7f_1001;

/// `conformance breaker`: tells the site that the link to another broke, when asked; once.
pub fn break_links() -> i32 {
    let ui = KnUniqueId::well_known_port(site::number(), BREAKER);
    let Ok(port) = Port::declare(ui) else {
        return 1;
    };
    let mut buffer = Buffer::with_room(0);
    if port.receive(&mut buffer, None).is_err() {
        return 1;
    }
    let mut order = Order::of(&buffer.annex);
    order.result = call!(sv_link_failure, order.what, 7);
    let annex = order.annex();
    let answered = reply(Message {
        annex: Some(&annex),
        body: &[],
    });
    i32::from(answered.is_err())
}

/// NC-280: calls to one site end when its link is said to have broken, those to another do not, and later ones are made.
fn links(verdict: &mut Verdict, [near, far]: [Partner; 2]) {
    let left = [near, far].map(|at| at.order(LEFT, KnUniqueId::NULL, KnCap::default()).ui);
    let clients = [left[0], left[0], left[1]].map(|port| Client::start(port, 1, 8000, 0));
    // They have got there.
    let _ = thread::sleep(Duration::from_millis(300));
    let order = Order {
        what: near.0.into(),
        ..Order::default()
    };
    let breaker = KnUniqueId::well_known_port(site::number(), BREAKER);
    let start = time::now();
    let (result, annex) = request(breaker, KnUniqueId::NULL, order.annex());
    let told = result == K_OK && Order::of(&annex).result == K_OK;
    let ends = [0, 1].map(|index| clients[index].end().0);
    let soon = time::now() - start < Duration::from_secs(3);
    let anew = near.ask(GROUP, KnUniqueId::NULL) == 0;
    verdict.check(
        "NC-280",
        told && soon && ends == [K_ELINKFAILURE; 2] && anew && clients[2].end().0 == K_ETIMEOUT,
    );
}

/// Checks them, with partners on these sites.
pub fn check(verdict: &mut Verdict, sites: [u16; 4]) {
    let partners = sites.map(Partner);
    // They come up when they do.
    let up = partners.map(|partner| {
        (0..200).any(|_| {
            let _ = thread::sleep(Duration::from_millis(50));
            partner.ask(GROUP, KnUniqueId::NULL) == 0
        })
    });
    verdict.check("NC-109", up == [true; 4]);
    if up != [true; 4] {
        return;
    }
    let [near, far, lossy, doubling] = partners;
    let both = [near, far];
    names(verdict, both);
    ports(verdict, near);
    selective(verdict, both);
    members(verdict, both);
    links(verdict, both);
    faults::check(verdict, near, lossy, doubling);
    migration(verdict, both);
    for partner in [near, far, lossy] {
        partner.ask(END, KnUniqueId::NULL);
    }
}

/// NC-128: a port goes from one partner's site to the other's, with what is queued; this site knows it at the first.
fn migration(verdict: &mut Verdict, [near, far]: [Partner; 2]) {
    let null = KnUniqueId::NULL;
    let left = near.order(LEFT, null, KnCap::default());
    let sends = || (0..3).all(|_| send(left.ui, Message::default()).is_ok());
    let before = sends();
    let _ = thread::sleep(Duration::from_millis(100));
    let actor = far.order(SELF, null, KnCap::default()).cap;
    let given = near.order(GIVE, left.ui, actor).result;
    let there = KnCap {
        key: given as u64,
        ..KnCap::default()
    };
    let served = given > 0 && far.order(RECEIVED, left.ui, there).result == K_OK;
    let reached = who(left.ui, null) == Ok(far.0);
    verdict.check(
        "NC-128",
        before && served && reached && sends() && far.counts(left.ui, 7),
    );
}

fn names(verdict: &mut Verdict, partners: [Partner; 2]) {
    let null = KnUniqueId::NULL;
    let theirs = partners[0].order(GROUP, null, KnCap::default());
    verdict.check("NC-135", well_known_group(7) == Ok(theirs.cap));
    let actor = partners[0].order(SELF, null, KnCap::default()).cap;
    let mut unused = KnCap::default();
    let made = call!(
        actor_create,
        In::new(at(&actor)),
        Out::new(at_mut(&mut unused)),
        K_USERACTOR,
        K_ACTIVE
    );
    verdict.check("NC-023", made == K_EUNKNOWN);
    let mut seen: Vec<KnUniqueId> = Vec::new();
    for _ in 0..10 {
        seen.extend(partners.map(Partner::served));
        seen.extend(Port::create().map(|port| port.ui()));
    }
    let different = (1..seen.len()).all(|index| !seen[..index].contains(&seen[index]));
    verdict.check("NC-005", seen.len() == 30 && different);
    verdict.check("NC-012", !site::recognises(seen[0]));
    let joined =
        new_group().map(|group| call!(grp_port_insert, In::new(at(&group)), In::new(at(&seen[0]))));
    verdict.check("NC-146", joined == Ok(K_EUNKNOWN));
    for (index, port) in seen.iter().enumerate().filter(|(index, _)| index % 3 < 2) {
        partners[index % 3].ask(DELETE, *port);
    }
}

fn ports(verdict: &mut Verdict, partner: Partner) {
    let null = KnUniqueId::NULL;
    let port = partner.served();
    let sent = send(port, Message::default()).is_ok();
    verdict.check("NC-178", sent && partner.counts(port, 1));
    let deleted = partner.ask(DELETE, port) == K_OK;
    let refused = who(port, null);
    verdict.check(
        "NC-105",
        deleted && matches!(refused, Err(K_EUNKNOWN | K_ENOPORT)),
    );
    let never = KnUniqueId::from_fields(partner.0, UiType::Port, 1, 0xfff_fff1);
    let start = time::now();
    let unknown = who(never, null) == Err(K_EUNKNOWN);
    verdict.check(
        "NC-190",
        unknown && time::now() - start < Duration::from_secs(5),
    );
    let left = partner.order(LEFT, null, KnCap::default());
    let before = (0..3).all(|_| send(left.ui, Message::default()).is_ok());
    let _ = thread::sleep(Duration::from_millis(100));
    let taken = partner.ask(TAKE_OVER, null);
    let after = (0..3).all(|_| send(left.ui, Message::default()).is_ok());
    verdict.check(
        "NC-127",
        left.result == K_OK && before && taken == K_OK && after && partner.counts(left.ui, 6),
    );
    let Ok(own) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let stamped = partner.ask(STAMPED, own.ui()) == K_OK;
    let mut buffer = Buffer::with_room(0);
    let came = own
        .receive(&mut buffer, Some(Duration::from_secs(5)))
        .is_ok();
    let pi = current().map(|head| (head.port_id.uid, head.port_id.gid, head.port_id.did));
    verdict.check("NC-218", stamped && came && pi == Ok((77, 78, 79)));
}

fn selective(verdict: &mut Verdict, [near, far]: [Partner; 2]) {
    let (Ok(group), Ok(own)) = (new_group(), Served::start()) else {
        return verdict.check("grpAllocate", false);
    };
    let member = near.served();
    let joined = near.order(JOIN, member, group).result == K_OK
        && call!(grp_port_insert, In::new(at(&group)), In::new(at(&own.ui))) == K_OK;
    let mode = |mode| group.ui.with_mode(mode).unwrap_or(KnUniqueId::NULL);
    let site_ui = |site: u16| KnUniqueId::of_site(site.into()).unwrap_or(KnUniqueId::NULL);
    let select = |co_target| who(mode(K_FUNCUMODE), co_target);
    verdict.check("NC-155", joined && select(site_ui(near.0)) == Ok(near.0));
    verdict.check("NC-156", select(near.port()) == Ok(near.0));
    let name = KnUniqueId::from_fields(8000, UiType::Port, 1, 0x4321);
    let nobody = select(name) == Err(K_EUNKNOWN);
    let declared = near.ask(DECLARE, name) == K_OK;
    verdict.check(
        "NC-157",
        nobody && declared && (0..3).all(|_| select(name) == Ok(near.0)),
    );
    // It attracts no messages to the name itself.
    let lured = who(name, KnUniqueId::NULL) == Err(K_EUNKNOWN);
    verdict.check("uiDeclare attracts nothing", lured);
    let forgotten = near.ask(FORGET, name) == K_OK;
    verdict.check("NC-158", forgotten && select(name) == Err(K_EUNKNOWN));
    verdict.check("NC-159", select(site_ui(far.0)) == Err(K_EUNKNOWN));
    let exclusive = (0..5).all(|_| who(mode(K_FUNCXMODE), site_ui(site::number())) == Ok(near.0));
    verdict.check("NC-161", exclusive && own.count() == 0);
}

fn members(verdict: &mut Verdict, partners: [Partner; 2]) {
    let Ok(group) = new_group() else {
        return verdict.check("grpAllocate", false);
    };
    let ports = partners.map(Partner::served);
    let join = |index: usize| partners[index].order(JOIN, ports[index], group).result == K_OK;
    let one = group.ui.with_mode(K_FUNCMODE).unwrap_or(KnUniqueId::NULL);
    let first = join(0) && who(one, KnUniqueId::NULL) == Ok(partners[0].0);
    let left = partners[0].order(LEAVE, ports[0], group).result == K_OK;
    let second = join(1) && who(one, KnUniqueId::NULL) == Ok(partners[1].0);
    verdict.check("NC-154", first && left && second);
    let both = join(0) && send(group.ui, Message::default()).is_ok();
    let counted = [0, 1].map(|index| partners[index].counts(ports[index], 2));
    verdict.check("NC-151", both && counted == [true; 2]);
}
