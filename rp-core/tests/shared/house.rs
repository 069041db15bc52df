//! A whole server without a socket: workers' shards, the bank and a clock that a test turns by hand.
//!
//! Notes are carried at once, in order; what the engine sends lies in `sent` until it is looked at.

use std::collections::VecDeque;
use std::sync::Arc;

use rp_core::cookie::Baker;
use rp_core::engine::bank::{Bank, BankBooks};
use rp_core::engine::board::Board;
use rp_core::engine::books::{Books, Counter};
use rp_core::engine::notes::{BANK, Note};
use rp_core::engine::{Config, Now, Outcome, Shard, Transmit};
use rp_core::limits::DATAGRAM_MAX;
use rp_core::steer::{set_of, worker_of};
use rp_core::ticket::Realm;
use rp_core::wire::Peer;

pub const START_S: u64 = 1_771_243_200;
pub const REALM_KEY: [u8; 32] = [7; 32];
pub const COOKIE_KEY: [u8; 16] = [5; 16];

/// What went out: the bytes and where to.
pub type Sent = (Vec<u8>, Peer);

pub struct House {
    pub config: Config,
    pub now: Now,
    pub shards: Vec<Shard>,
    pub bank: Bank,
    pub bank_books: Arc<BankBooks>,
    pub books: Vec<Arc<Books>>,
    pub board: Arc<Board>,
    /// Sent on the server's own account, or later than the request: notices, answers that waited for a note.
    pub sent: VecDeque<Sent>,
    wires: Wires,
}

#[derive(Clone)]
struct Wires {
    buffer: [u8; DATAGRAM_MAX],
    out: Vec<Sent>,
}

impl Transmit for Wires {
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.buffer
    }

    fn commit(&mut self, len: usize, to: Peer, _door: u16) {
        self.out.push((self.buffer[..len].to_vec(), to));
        // What a buffer held before must not matter.
        self.buffer = [0xa5; DATAGRAM_MAX];
    }
}

impl House {
    /// Eight SETs on two workers; sessions idle for 300 s, packets live for a day.
    pub fn new() -> Self {
        let (idle_us, packet_life_us) = (300_000_000, 86_400_000_000);
        Self::with(Config { sets: 8, workers: 2, worker: 0, idle_us, packet_life_us, ..Config::default() })
    }

    pub fn with(config: Config) -> Self {
        Self::on(config, Arc::new(Board::own(config.sets)))
    }

    /// A house on a board that a gate may share.
    pub fn on(config: Config, board: Arc<Board>) -> Self {
        let books: Vec<_> = (0..config.workers).map(|_| Arc::new(Books::default())).collect();
        let bank_books = Arc::new(BankBooks::default());
        let shard = |worker| {
            let config = Config { worker, ..config };
            let realms = vec![Realm::new(1, &REALM_KEY)];
            let seed = [worker as u8; 32];
            Shard::new(config, Baker::new(COOKIE_KEY, 0), realms, seed, books.clone(), bank_books.clone(), &board)
        };
        let bank = Bank::new(config.sets, bank_books.clone(), books.clone(), board.clone(), [9; 32], START_S as u32);
        Self {
            config,
            now: Now { mono_us: 1_000_000, unix_us: START_S * 1_000_000 },
            shards: (0..config.workers).map(shard).collect(),
            bank,
            bank_books,
            books,
            board,
            sent: VecDeque::new(),
            wires: Wires { buffer: [0xa5; DATAGRAM_MAX], out: Vec::new() },
        }
    }

    /// The worker that steering would choose hears a datagram; what became of it, and its reply.
    pub fn hear(&mut self, from: Peer, datagram: &[u8]) -> (Outcome, Option<Vec<u8>>) {
        let head = datagram.first_chunk().copied().unwrap_or_default();
        let set = set_of(head, self.config.sets);
        let worker = worker_of(set, self.config.workers);
        let outcome = self.hear_at(worker as usize, from, datagram);
        self.carry(Vec::new());
        outcome
    }

    /// One worker hears a datagram, whether it is its own or not.
    pub fn hear_at(&mut self, worker: usize, from: Peer, datagram: &[u8]) -> (Outcome, Option<Vec<u8>>) {
        let _ = self.shards[worker].touch(datagram);
        let outcome = self.shards[worker].receive(self.now, from, 0, datagram, &mut self.wires);
        let mut out = core::mem::take(&mut self.wires.out);
        assert!(out.len() <= 1, "two answers to one request");
        assert_eq!(out.len() == 1, outcome == Outcome::Replied, "an outcome says whether there is a reply");
        let reply = out.pop().map(|(bytes, to)| {
            assert_eq!(to, from, "a reply goes back to where the request came from");
            bytes
        });
        (outcome, reply)
    }

    /// Carries these notes and all that follow from them.
    pub fn carry(&mut self, mut notes: Vec<Note>) {
        loop {
            for shard in &mut self.shards {
                notes.extend(core::iter::from_fn(|| shard.shared.outbox.pop()));
            }
            if notes.is_empty() {
                break;
            }
            for note in core::mem::take(&mut notes) {
                if note.to == BANK {
                    self.bank.receive(note);
                } else {
                    let worker = worker_of(u32::from(note.to), self.config.workers) as usize;
                    self.shards[worker].note(self.now, note, &mut self.wires);
                }
            }
        }
        self.sent.extend(self.wires.out.drain(..));
    }

    /// Time passes, in steps of 5 ms.
    pub fn pass_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(5) {
            self.now.mono_us += 5_000;
            self.now.unix_us += 5_000;
            let mut notes = Vec::new();
            self.bank.tick(self.now.mono_us, self.now.unix_s(), &mut notes);
            for shard in &mut self.shards {
                shard.tick(self.now, &mut self.wires);
            }
            self.carry(notes);
        }
    }

    pub fn mint(&mut self, user: u64, fen: u64) {
        let mut notes = Vec::new();
        assert!(self.bank.deposit(user, fen, &mut notes), "the bank takes the deposit");
        self.carry(notes);
    }

    pub fn stop_campaign(&mut self) {
        let mut notes = Vec::new();
        assert!(self.bank.stop(&mut notes).is_some(), "a campaign runs");
        self.carry(notes);
    }

    /// A counter over all workers.
    pub fn count(&self, counter: impl Fn(&Books) -> &Counter) -> u64 {
        self.books.iter().map(|books| counter(books).read()).fold(0, u64::wrapping_add)
    }

    /// Every fen is in exactly one account, and every datagram in exactly one place.
    pub fn audit(&self) {
        for shard in &self.shards {
            shard.audit();
            shard.publish();
        }
        let held = self.count(|b| &b.users_fen) + self.count(|b| &b.open.fen) + self.count(|b| &b.campaign_fen);
        let bank = &self.bank_books;
        let out = self.count(|b| &b.transit_out_fen).wrapping_add(bank.transit_out_fen.read());
        let come = self.count(|b| &b.transit_in_fen).wrapping_add(bank.transit_in_fen.read());
        assert_eq!(out, come, "all notes were carried, so no money is on its way");
        assert_eq!(held + bank.campaign_fen.read(), bank.issued_fen.read(), "issued is held");
        let packets = |count: fn(&rp_core::engine::books::Sum) -> &Counter| {
            let of = |sum: fn(&Books) -> &rp_core::engine::books::Sum| self.count(|b| count(sum(b)));
            (of(|b| &b.made), of(|b| &b.open))
        };
        let (made_fen, open_fen) = packets(|sum| &sum.fen);
        let gone_fen = self.count(|b| &b.taken.fen) + self.count(|b| &b.refunded.fen);
        assert_eq!(made_fen, open_fen + gone_fen, "made is taken, refunded or open");
        for books in &self.books {
            let ended = books.replied.read() + books.accepted.read() + books.dropped.total();
            assert_eq!(books.received.total(), ended, "a datagram ends in one place");
        }
    }
}
