//! What can be seen of a running server: its counters, summed over workers when somebody asks.

mod status;
mod tally;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use rp_core::clients::{CLIENT_ROWS, Clients as _};
use rp_core::engine::bank::BankBooks;
use rp_core::engine::board::Board;
use rp_core::engine::books::{Books, Counter};
use rp_core::engine::moment;
use rp_core::gate_counters::{ANSWERS, ClientWord};
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_core::timeline::BIN_US;
use rp_net::socket::UdpSocket;
use rp_net::xsk::Watch;

pub use status::{ClientStatus, GateStatus, LedgerStatus, Memory, Money, Second, Status, Sum, WorkerStatus, XskStatus};
pub use tally::Tally;

use crate::clock::Clock;
use crate::gate::counters::CounterMaps;
use crate::gate::xsks::Transport;
use crate::latency::{Histogram, Times};
use crate::librarian::LibrarianFace;
use crate::life::Life;
use crate::run::Durability;
use crate::scribe::ScribeFace;
use crate::worker::{Face, Homes};

/// A worker as others see it.
pub struct WorkerSight {
    /// Its CPU.
    pub cpu: usize,
    /// Its counters.
    pub books: Arc<Books>,
    /// Its thread.
    pub face: Arc<Face>,
    /// Its sockets.
    pub sockets: Arc<[UdpSocket]>,
    /// What each of them did not hold.
    pub overflows: Box<[Tally]>,
}

/// An AF_XDP socket as others see it.
pub struct XskSight {
    /// What it is.
    pub status: XskStatus,
    /// Its losses, as the kernel tells them.
    pub watch: Watch,
    /// Frames that it did not hold.
    pub lost: Tally,
    /// Frames that the kernel refused to send.
    pub refused: Tally,
}

/// Bins of a second in the timeline.
const BINS_PER_SECOND: usize = (1_000_000 / BIN_US) as usize;

/// The whole server as others see it.
pub struct Sight {
    /// Where in its life the server is.
    pub life: Arc<Life>,
    /// SETs.
    pub sets: u32,
    /// How datagrams come in.
    pub gate: GateStatus,
    /// How the workers get what goes up.
    pub transport: Transport,
    /// Is what bears money sealed?
    pub sealing: bool,
    /// Their AF_XDP sockets.
    pub xsks: Vec<XskSight>,
    /// This machine's addresses, as what comes by them is asked for.
    pub homes: Arc<Homes>,
    /// The workers.
    pub workers: Vec<WorkerSight>,
    /// The bank.
    pub bank: Arc<BankBooks>,
    /// Sessions and prizes, as the gate sees them.
    pub board: Arc<Board>,
    /// Where postings are kept.
    pub durability: Durability,
    /// Who keeps them.
    pub scribe: Arc<ScribeFace>,
    /// Who reads them.
    pub librarian: Arc<LibrarianFace>,
    /// The gate's counters, if there is one.
    pub gate_counters: Option<Arc<CounterMaps>>,
    /// Bytes of the kernel's maps, which are all made at the start; read when somebody first asks.
    pub maps_bytes: OnceLock<u64>,
    /// The time.
    pub clock: Clock,
}

impl Sight {
    /// The thread of a worker, or the librarian's, has ended, asked or not.
    pub fn is_a_worker_gone(&self) -> bool {
        self.workers.iter().any(|worker| worker.face.gone.load(Relaxed)) || self.librarian.gone.load(Relaxed)
    }

    /// Datagrams dropped for their checksum: of those past the stack, since it drops the others itself.
    pub fn bad_checksums(&self) -> u64 {
        self.all(|books| &books.dropped[Reason::BadChecksum])
    }

    fn all(&self, counter: impl Fn(&Books) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| counter(&worker.books).read()).fold(0, u64::wrapping_add)
    }

    /// Times that the workers counted, all together.
    pub fn times(&self, of: impl Fn(&Face) -> &Histogram) -> Times {
        self.workers.iter().map(|worker| of(&worker.face).read()).fold(Times::default(), |sum, times| sum.plus(&times))
    }

    /// Sessions open by SET.
    pub fn sessions_by_set(&self) -> Vec<u64> {
        let workers = self.workers.len();
        let of = |set: u32| self.workers[set as usize % workers].books.set_sessions[set as u16].read();
        (0..self.sets).map(of).collect()
    }

    /// Everything about the server.
    pub fn status(&self) -> Status {
        let kinds = Kind::ALL.iter().copied();
        let by_kind = |kind: Kind, count: u64| (kind.name().to_string(), count);
        let mut received: BTreeMap<_, _> = kinds
            .clone()
            .filter(|kind| kind.is_request())
            .map(|kind| by_kind(kind, self.all(|books| &books.received[kind])))
            .collect();
        received.insert("none".to_string(), self.all(|books| books.received.none()));
        let sent = kinds
            .filter(|kind| !kind.is_request())
            .map(|kind| by_kind(kind, self.all(|books| &books.sent[kind])))
            .collect();
        let dropped = Reason::ALL
            .iter()
            .map(|reason| (reason.name().to_string(), self.all(|books| &books.dropped[*reason])))
            .collect();
        let sockets = self.workers.iter().flat_map(|worker| worker.sockets.iter().zip(&worker.overflows));
        Status {
            uptime_s: self.clock.uptime().as_secs_f64(),
            gate: self.gate.clone(),
            transport: self.transport.name().to_string(),
            sealing: self.sealing,
            xsks: self.xsks.iter().map(|xsk| xsk.status.clone()).collect(),
            workers: (0..self.workers.len()).map(|number| self.worker(number)).collect(),
            sessions: self.all(|books| &books.sessions),
            accounts: self.all(|books| &books.accounts),
            logins: self.all(|books| &books.logins),
            logouts: self.all(|books| &books.logouts),
            idle_outs: self.all(|books| &books.idle_outs),
            received,
            sent,
            dropped,
            replied: self.all(|books| &books.replied),
            accepted: self.all(|books| &books.accepted),
            socket_overflow: sockets.map(|(socket, tally)| tally.follow_word(socket.overflow())).sum(),
            from_xsk: self.workers.iter().map(|worker| worker.face.from_xsk.load(Relaxed)).sum(),
            sent_by_xsk: self.workers.iter().map(|worker| worker.face.departures.by_xsk.read()).sum(),
            xsk_lost: self.xsks.iter().map(|xsk| xsk.lost.follow(xsk.watch.lost())).sum(),
            send_failed: self.workers.iter().map(|worker| worker.face.departures.failed.load(Relaxed)).sum::<u64>()
                + self.xsks.iter().map(|xsk| xsk.refused.follow(xsk.watch.refused())).sum::<u64>(),
            notices_refused: self.all(|books| &books.notices_refused),
            money: self.money(),
            ledger: self.ledger(),
            memory: Memory {
                rss_anon_bytes: rp_net::proc::rss_anon_bytes().unwrap_or(0),
                maps_bytes: *self.maps_bytes.get_or_init(|| crate::gate::counters::maps_bytes().unwrap_or(0)),
            },
        }
    }

    fn worker(&self, number: usize) -> WorkerStatus {
        let worker = &self.workers[number];
        let workers = self.workers.len() as u32;
        WorkerStatus {
            cpu: worker.cpu,
            tid: worker.face.thread_id.load(Relaxed),
            sets: (number as u32..self.sets).step_by(workers as usize).count() as u32,
            received: worker.books.received.total(),
            replied: worker.books.replied.read(),
            sent: worker.books.sent.total(),
        }
    }

    fn ledger(&self) -> LedgerStatus {
        let (scribe, commits) = (&self.scribe, self.scribe.commits.load(Relaxed));
        let (librarian, answered) = (&self.librarian, self.librarian.answered.load(Relaxed));
        LedgerStatus {
            durability: self.durability.name().to_string(),
            postings: scribe.position.load(Relaxed),
            commits,
            commit_mean_us: scribe.commit_us.load(Relaxed) / commits.max(1),
            commit_longest_us: scribe.longest_us.load(Relaxed),
            answered,
            answer_mean_us: librarian.answer_us.load(Relaxed) / answered.max(1),
            answer_longest_us: librarian.longest_us.load(Relaxed),
            answers_late: librarian.late.load(Relaxed),
        }
    }

    /// Each worker's part balances by itself, whenever it was left, and so does the bank's: so all of them together do,
    /// while money goes on moving.
    fn money(&self) -> Money {
        let bank = &self.bank;
        let sums = self.workers.iter().map(|worker| sums_of(&worker.books));
        let sums = sums.fold(moment::Sums::default(), |sum, worker| sum.plus(&worker));
        let of = |[count, fen]: [u64; 2]| Sum { count, fen };
        let [made, taken, refunded, open] = [sums.made, sums.taken, sums.refunded, sums.open].map(of);
        let campaign_fen = sums.campaign_fen.wrapping_add(bank.campaign_fen.read());
        let out = sums.transit_out_fen.wrapping_add(bank.transit_out_fen.read());
        let come = sums.transit_in_fen.wrapping_add(bank.transit_in_fen.read());
        let (users_fen, packets_fen, transit_fen) = (sums.users_fen, sums.packets_fen, out.wrapping_sub(come) as i64);
        let issued_fen = bank.issued_fen.read();
        let held = i128::from(users_fen) + i128::from(packets_fen) + i128::from(campaign_fen) + i128::from(transit_fen);
        Money {
            issued_fen,
            users_fen,
            packets_fen,
            campaign_fen,
            transit_fen,
            balanced: held == i128::from(issued_fen) && made.fen == taken.fen + refunded.fen + open.fen,
            made,
            taken,
            refunded,
            open,
            prizes_released: Sum { count: bank.released.count.read(), fen: bank.released.fen.read() },
            prizes_withdrawn: Sum { count: bank.withdrawn.count.read(), fen: bank.withdrawn.fen.read() },
            prizes: of(sums.prizes),
            sums_checked: self.all(|books| &books.sums_checked),
        }
    }

    /// Sessions and traffic by client address, most sessions first.
    pub fn by_client(&self) -> Vec<ClientStatus> {
        let mut clients = Vec::new();
        for row in 0..CLIENT_ROWS as u16 {
            let ip = self.board.clients().address(row.into());
            if ip.is_none() && row != 0 {
                continue;
            }
            let gate = self.board.gate_row(row);
            let answers = ANSWERS.map(|kind| gate[ClientWord::answer(kind).index()]).iter().sum::<u64>();
            let dropped = gate[ClientWord::DROPPED.index()];
            let mut client = ClientStatus {
                client: match ip {
                    None => "others".to_string(),
                    Some(ip) => IpAddr::from(Ipv6Addr::from(ip)).to_canonical().to_string(),
                },
                sessions: 0,
                received: answers + dropped,
                dropped,
                sent: answers,
                prizes: Sum::default(),
            };
            for row in self.workers.iter().map(|worker| &worker.books.clients[row]) {
                client.sessions = client.sessions.wrapping_add(row.sessions.read());
                client.received += row.received.iter().map(Counter::read).sum::<u64>();
                client.dropped += row.dropped.read();
                client.sent += row.sent.iter().map(Counter::read).sum::<u64>();
                client.prizes.count += row.prizes.count.read();
                client.prizes.fen += row.prizes.fen.read();
            }
            if client.received > 0 || client.sessions > 0 {
                clients.push(client);
            }
        }
        clients.sort_by_key(|client| std::cmp::Reverse(client.sessions));
        clients
    }

    /// Shakes first seen, by second and 20 ms, gate and workers together.
    pub fn timeline(&self) -> Vec<Second> {
        let mut seconds: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let workers = self.workers.iter().flat_map(|worker| worker.books.timeline.read());
        for (began_us, count) in workers.chain(self.board.gate_timeline()) {
            let bins = seconds.entry(began_us / 1_000_000).or_insert_with(|| vec![0; BINS_PER_SECOND]);
            bins[(began_us % 1_000_000 / BIN_US) as usize] += count;
        }
        seconds.into_iter().map(|(second, bins)| Second { second, bins }).collect()
    }
}

/// The sums that a worker left last. It leaves them in nanoseconds, unless it loses its CPU meanwhile.
fn sums_of(books: &Books) -> moment::Sums {
    loop {
        if let Some(sums) = books.moment.read() {
            return sums;
        }
        std::thread::yield_now();
    }
}
