//! Client machines, the road and the server under one virtual clock.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rp_client::books::Sum;
use rp_client::conductor::{Conductor, Plan};
use rp_client::fleet::{Config, Fleet, Outbox};
use rp_client::population::Population;
use rp_client::realm::Mint;
use rp_client::record::PhaseRecord;
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::wire::Peer;
use rp_net::{address_of, peer_of};

use crate::road::{Faults, Road, parcel};
use crate::server::{Habits, Server, realm};
use crate::tap::Tap;

/// When the world begins, in seconds since 1970.
pub const START_S: u64 = 1_771_243_200;
/// The grain of virtual time.
const STEP_US: u64 = 250;
/// Longer than any run.
const RUN_MAX_US: u64 = 400_000_000;
/// The server repeats a notice after 32 seconds at the latest.
const SETTLE_US: u64 = 70_000_000;
/// Pings of a gathering, one a second: longer than the longest wait of a notice.
#[allow(dead_code, reason = "for crashes")]
const GATHERINGS: u32 = 40;
#[allow(dead_code, reason = "for crashes")]
const GATHER_US: u64 = 1_000_000;
const SOCKETS: usize = 2;
const MACHINES: u64 = 2;
/// Users of all machines.
pub const USERS: u64 = 300;

/// What a fleet wants to send, by socket.
struct Out {
    buffer: [u8; DATAGRAM_MAX],
    sent: Vec<(usize, Vec<u8>)>,
}

impl Outbox for Out {
    fn slot(&mut self, _socket: usize) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.buffer
    }

    fn commit(&mut self, socket: usize, len: usize) {
        self.sent.push((socket, self.buffer[..len].to_vec()));
    }
}

pub struct Machine {
    pub fleet: Fleet,
    pub conductor: Conductor,
    out: Out,
    ports: [u16; SOCKETS],
}

pub struct World {
    pub now_us: u64,
    pub machines: Vec<Machine>,
    pub server: Server,
    pub road: Road,
    pub tap: Tap,
    users: u64,
    /// Sessions that had ended in silence when the last machine was done.
    pub idle_at_end: u64,
}

fn ip(machine: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, machine as u8 + 1).into()
}

fn machines(users: u64, seed: u64, outlasts: bool, plan: impl Fn(Population) -> Plan) -> Vec<Machine> {
    let machine = |m: u64| {
        let range = (1 + m * users / MACHINES)..=((m + 1) * users / MACHINES);
        let population = Population::new(range, Some(users)).expect("within the total");
        let plan = plan(population);
        let auditors = usize::from(plan.reconcile);
        let config = Config { population, sockets: SOCKETS, auditors, seed: seed ^ m << 32, bare: false, outlasts };
        let mut fleet = Fleet::new(config, Mint::new(&realm()));
        fleet.told = Some(Vec::new());
        Machine {
            fleet,
            conductor: Conductor::new(plan),
            out: Out { buffer: [0; DATAGRAM_MAX], sent: Vec::new() },
            ports: [10_000, 10_001],
        }
    };
    (0..MACHINES).map(machine).collect()
}

impl World {
    pub fn new(seed: u64, faults: Faults, idle_s: u64, plan: impl Fn(Population) -> Plan) -> Self {
        Self::with(USERS, seed, faults, (Habits::idle_s(idle_s), false), plan)
    }

    /// One of so many users, whose fleets outlast their server, or not.
    pub fn with(
        users: u64,
        seed: u64,
        faults: Faults,
        (habits, outlasts): (Habits, bool),
        plan: impl Fn(Population) -> Plan,
    ) -> Self {
        let now_us = START_S * 1_000_000;
        Self {
            now_us,
            machines: machines(users, seed, outlasts, plan),
            server: Server::new(seed, habits, now_us),
            road: Road::new(seed, faults),
            tap: Tap::new(realm().realm()),
            users,
            idle_at_end: 0,
        }
    }

    /// All client machines are killed and begin anew, under this seed.
    pub fn begin_anew(&mut self, seed: u64, plan: impl Fn(Population) -> Plan) {
        self.machines = machines(self.users, seed, false, plan);
        // They may give a number that was lost to another request.
        self.tap = self.tap.anew(realm().realm());
    }

    /// Gives every user money.
    pub fn mint(&mut self, fen: u64) {
        (1..=self.users).for_each(|user| self.server.mint(user, fen, self.now_us));
        self.server_alone(1_000 * STEP_US);
    }

    pub fn start_campaign(&mut self) {
        self.server.start_campaign(self.now_us);
    }

    /// Until all machines are done; then the road is calm and time enough that the server's last notice arrives.
    pub fn run(&mut self) {
        self.run_while(|world| !world.is_done());
        self.idle_at_end = self.server.count(|books| &books.idle_outs);
        self.calm();
        self.server.stop_campaign(self.now_us);
        // Whoever moved after his last word says where he is; else the server's notices go where he was.
        self.ping();
        self.run_until(self.now_us + SETTLE_US);
        self.run_while(|world| !world.road.is_empty() || !world.server.is_still());
    }

    pub fn is_done(&self) -> bool {
        self.machines.iter().all(|machine| machine.conductor.is_done())
    }

    /// On a calm road everybody says again and again that he is there, and is told what he has not seen.
    #[allow(dead_code, reason = "for crashes")]
    pub fn gather(&mut self) {
        self.calm();
        self.server.stop_campaign(self.now_us);
        for _ in 0..GATHERINGS {
            self.ping();
            self.run_until(self.now_us + GATHER_US);
        }
        self.run_while(|world| !world.road.is_empty() || !world.server.is_still());
    }

    fn calm(&mut self) {
        self.road.faults = Faults { loss: 0.0, repeat: 0.0, detour: 0.0, move_every_us: 0, mangle: 0.0 };
    }

    /// Everybody says that he is there.
    fn ping(&mut self) {
        for machine in &mut self.machines {
            for index in 0..machine.fleet.count() {
                machine.fleet.ping(index, self.now_us, &mut machine.out);
            }
        }
    }

    fn run_while(&mut self, lasts: impl Fn(&World) -> bool) {
        let end_us = self.now_us + RUN_MAX_US;
        while lasts(self) {
            assert!(self.now_us < end_us, "it does not end");
            self.step();
        }
    }

    pub fn run_until(&mut self, until_us: u64) {
        while self.now_us < until_us {
            self.step();
        }
    }

    /// Time passes at the server only.
    pub fn server_alone(&mut self, us: u64) {
        let until_us = self.now_us + us;
        while self.now_us < until_us {
            self.now_us += STEP_US;
            self.server.step(self.now_us);
        }
    }

    /// The server dies; its ledger does not.
    pub fn restart_server(&mut self) {
        self.server.crash(true);
        self.server.start(self.now_us).expect("a crash is nothing to refuse");
        // A new process draws other keys, so its counters begin again.
        self.road.sealed.clear();
    }

    pub fn step(&mut self) {
        self.now_us += STEP_US;
        while let Some(parcel) = self.road.arrived(self.now_us) {
            if parcel.to_server {
                let from = peer_of(SocketAddr::new(ip(parcel.machine), parcel.port));
                self.server.hear(self.now_us, from, &parcel.bytes);
            } else {
                let machine = &mut self.machines[parcel.machine];
                // Who moved does not hear what was sent to where he was.
                if machine.ports[parcel.socket] == parcel.port {
                    machine.fleet.receive(self.now_us, &parcel.bytes, &mut machine.out);
                } else {
                    self.road.surplus[usize::from(parcel.bytes[0] & 0x3f)] -= 1;
                }
            }
            self.send_replies();
        }
        self.server.step(self.now_us);
        self.send_replies();
        for machine in 0..self.machines.len() {
            self.drive(machine);
        }
    }

    fn drive(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        let every_us = self.road.faults.move_every_us;
        if every_us > 0 && self.now_us.is_multiple_of(every_us) {
            machine.ports.iter_mut().for_each(|port| *port += 2);
        }
        machine.conductor.poll(self.now_us, &mut machine.fleet, &mut machine.out).expect("the server answers");
        machine.fleet.poll(self.now_us, &mut machine.out);
        for (socket, bytes) in std::mem::take(&mut machine.out.sent) {
            let port = machine.ports[socket];
            self.tap.request(number, &bytes);
            self.road.send(self.now_us, parcel(true, number, socket, port, bytes));
        }
    }

    fn send_replies(&mut self) {
        for (to, bytes) in std::mem::take(&mut self.server.wires.out) {
            let (machine, socket, port) = self.door(&to);
            self.tap.reply(self.now_us, machine, &bytes);
            self.road.send(self.now_us, parcel(false, machine, socket, port, bytes));
        }
    }

    /// Whose address this is, or was.
    fn door(&self, to: &Peer) -> (usize, usize, u16) {
        let address = address_of(to);
        let machine = (0..self.machines.len()).find(|m| ip(*m) == address.ip()).expect("replies go to clients");
        (machine, usize::from(address.port() % 2), address.port())
    }

    pub fn records(&self) -> impl Iterator<Item = &PhaseRecord> {
        self.machines.iter().flat_map(|machine| &machine.fleet.records)
    }

    /// All machines together were due exactly `total` shakes, and none has two ends or none.
    pub fn all_shakes_end(&self, total: u64) {
        let due: u64 = self.records().map(|record| record.shakes.due).sum();
        assert_eq!(due, total);
    }

    /// Both sides' books, with what the road did between them.
    pub fn audit(&mut self) {
        self.audit_money();
        self.audit_datagrams();
    }

    /// What users asked, were told and counted, beside what the server holds and what its ledger says.
    pub fn audit_money(&mut self) {
        assert_eq!(self.server.life, Ok(()), "the server serves");
        self.server.audit();
        let figures = self.server.agrees(self.now_us);
        self.tap.audit(&mut self.server.store.reader());
        for record in self.records() {
            for ends in [record.shakes, record.sends, record.grabs, record.histories] {
                assert_eq!(ends.outstanding(), 0, "{}: {ends:?}", record.name);
                assert_eq!(ends.due, ends.answered + ends.refused + ends.lost, "{}: {ends:?}", record.name);
            }
            let answered: u64 = record.per_second.iter().map(|second| second.answered).sum();
            assert_eq!(answered, record.shakes.answered);
            assert_eq!(
                record.sends.lost + record.grabs.lost + record.histories.lost,
                0,
                "{}: money was given up",
                record.name
            );
        }
        let sum = |of: fn(&rp_client::books::Books) -> Sum| {
            self.machines
                .iter()
                .map(|machine| of(&machine.fleet.books))
                .fold(Sum::default(), |a, b| Sum { count: a.count + b.count, fen: a.fen + b.fen })
        };
        let told = |count: u64, fen: u64| Sum { count, fen };
        if self.server.count(|books| &books.sessions) > 0 {
            self.tap.audit_news();
        }
        let (prizes, won) = (sum(|books| books.prizes), told(figures.prizes.count, figures.prizes.fen));
        let lost: u64 = self.records().map(|record| record.shakes.lost).sum();
        // Who logged out before he was told, since his shake was lost, is told when he is back.
        let is_told = self.server.count(|books| &books.sessions) > 0;
        assert!(prizes == won || !is_told && won.count - prizes.count <= lost, "{prizes:?} told of {won:?}");
        let lines = self.machines.iter().flat_map(|machine| machine.fleet.told.iter().flatten());
        let counted = [sum(|books| books.packets), sum(|books| books.shares), sum(|books| books.refunded)];
        assert_eq!(counted, self.tap.moved(lines), "packets, shares and refunds that users were told of");
        let false_histories: u64 = self.machines.iter().map(|machine| machine.fleet.books.false_histories).sum();
        assert_eq!(false_histories, 0, "histories without what was sent");
    }

    fn audit_datagrams(&self) {
        for kind in Kind::ALL {
            let surplus = self.road.surplus[kind.index()];
            let of = |counts: fn(&rp_client::books::Books, Kind) -> u64| -> i64 {
                self.machines.iter().map(|machine| counts(&machine.fleet.books, *kind) as i64).sum()
            };
            if kind.is_request() {
                let received = self.server.count(|books| &books.received[*kind]) as i64;
                assert_eq!(of(|books, kind| books.sent_of(kind)) + surplus, received, "{}", kind.name());
            }
        }
        // What clients throw away keeps no kind, so replies are summed.
        let sent: u64 = Kind::ALL.iter().map(|kind| self.server.count(|books| &books.sent[*kind])).sum();
        let surplus: i64 = Kind::ALL.iter().filter(|k| !k.is_request()).map(|k| self.road.surplus[k.index()]).sum();
        let received: u64 = self.machines.iter().map(|machine| machine.fleet.books.received_in_all()).sum();
        assert_eq!(sent as i64 + surplus, received as i64, "replies");
    }
}
