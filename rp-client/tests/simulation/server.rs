//! A whole server: two workers' shards and the bank. The notes of a step arrive in the next.

use std::sync::Arc;

use rp_core::cookie::Baker;
use rp_core::engine::bank::{Bank, BankBooks, Plan};
use rp_core::engine::board::Board;
use rp_core::engine::books::{Books, Counter};
use rp_core::engine::notes::{BANK, Note};
use rp_core::engine::{Config, Now, Shard, Transmit};
use rp_core::limits::DATAGRAM_MAX;
use rp_core::posting;
use rp_core::steer::{set_of, worker_of};
use rp_core::ticket::RealmKey;
use rp_core::wire::Peer;

const SETS: u32 = 8;
const WORKERS: u32 = 2;
const PACKET_LIFE_US: u64 = 86_400_000_000;

/// What the engine sent, and where to.
pub struct Wires {
    buffer: [u8; DATAGRAM_MAX],
    pub out: Vec<(Peer, Vec<u8>)>,
}

impl Transmit for Wires {
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.buffer
    }

    fn commit(&mut self, len: usize, to: Peer, _door: u16) {
        self.out.push((to, self.buffer[..len].to_vec()));
    }
}

pub struct Server {
    shards: Vec<Shard>,
    bank: Bank,
    bank_books: Arc<BankBooks>,
    pub books: Vec<Arc<Books>>,
    notes: Vec<Note>,
    pub wires: Wires,
    /// Every posting, in order; what is written in a step is on disk at its end.
    ledger: Vec<u8>,
    seed: u64,
    idle_us: u64,
}

pub fn realm() -> RealmKey {
    RealmKey { id: 3, key: [0x5a; 32] }
}

fn now(now_us: u64) -> Now {
    Now { mono_us: now_us, unix_us: now_us }
}

impl Server {
    pub fn new(seed: u64, idle_us: u64, now_us: u64) -> Self {
        let books: Vec<_> = (0..WORKERS).map(|_| Arc::new(Books::default())).collect();
        let bank_books = Arc::new(BankBooks::default());
        let board = Arc::new(Board::own(SETS));
        let shards = (0..WORKERS)
            .map(|worker| {
                let config = Config {
                    sets: SETS,
                    workers: WORKERS,
                    worker,
                    idle_us,
                    packet_life_us: PACKET_LIFE_US,
                    ..Config::default()
                };
                let seed = [seed as u8 ^ worker as u8; 32];
                let baker = Baker::new([seed[0]; 16], 1);
                Shard::new(config, baker, vec![realm().realm()], seed, books.clone(), bank_books.clone(), &board)
            })
            .collect();
        let unix_s = (now_us / 1_000_000) as u32;
        let bank = Bank::new(SETS, bank_books.clone(), books.clone(), board.clone(), [seed as u8; 32], unix_s);
        let wires = Wires { buffer: [0; DATAGRAM_MAX], out: Vec::new() };
        let (notes, ledger) = (Vec::new(), Vec::new());
        Self { shards, bank, bank_books, books, notes, wires, ledger, seed, idle_us }
    }

    /// Dies, with all that was not on disk, and starts again from its ledger.
    pub fn restart(&mut self, now_us: u64) {
        let mut again = Self::new(self.seed + 1, self.idle_us, now_us);
        again.ledger = std::mem::take(&mut self.ledger);
        let now = now(now_us);
        for posting in posting::each(&again.ledger) {
            let restored = match posting.set {
                BANK => again.bank.restore(&posting, now),
                set => again.shards[worker_of(set.into(), WORKERS) as usize].restore(&posting, now),
            };
            restored.unwrap_or_else(|why| panic!("{why}: {posting:?}"));
        }
        let shards = &again.shards;
        let seen_of =
            |to: u16, from| shards[worker_of(to.into(), WORKERS) as usize].seen_of(to, from).expect("its SET");
        let winnings: Vec<_> = shards.iter().flat_map(Shard::winnings).collect();
        let sets = 0..SETS as u16;
        let seen: Vec<Vec<u64>> =
            sets.clone().map(|to| sets.clone().chain([BANK]).map(|from| seen_of(to, from)).collect()).collect();
        let of_bank = |set: u16| seen[usize::from(set)][SETS as usize];
        again.bank.restored(of_bank, winnings.into_iter(), now).expect("the bank's books are whole");
        let bank = &again.bank;
        for shard in &mut again.shards {
            shard.restored(|to, from| match to {
                BANK => bank.seen_of(from),
                to => seen[usize::from(to)][usize::from(from)],
            });
        }
        *self = again;
    }

    pub fn hear(&mut self, now_us: u64, from: Peer, bytes: &[u8]) {
        let head = bytes.first_chunk().copied().unwrap_or_default();
        let worker = worker_of(set_of(head, SETS), WORKERS) as usize;
        self.shards[worker].receive(now(now_us), from, 0, bytes, &mut self.wires);
    }

    /// Carries the notes of the last step, and lets time pass.
    pub fn step(&mut self, now_us: u64) {
        let now = now(now_us);
        for note in std::mem::take(&mut self.notes) {
            if note.to == BANK {
                self.bank.receive(note, now);
            } else {
                let worker = worker_of(note.to.into(), WORKERS) as usize;
                self.shards[worker].note(now, note, &mut self.wires);
            }
        }
        self.bank.tick(now);
        for shard in &mut self.shards {
            shard.tick(now, &mut self.wires);
        }
        self.keep();
        for shard in &mut self.shards {
            self.notes.extend(std::iter::from_fn(|| shard.pop_note()));
        }
        self.notes.extend(std::iter::from_fn(|| self.bank.pop_note()));
    }

    /// Everything that was written is on disk.
    fn keep(&mut self) {
        for shard in &mut self.shards {
            self.ledger.extend(shard.journal().take());
            let written = shard.journal().written();
            shard.durable_to(written, &mut self.wires);
        }
        self.ledger.extend(self.bank.journal().take());
        let written = self.bank.journal().written();
        self.bank.journal().durable_to(written);
    }

    pub fn mint(&mut self, user: u64, fen: u64, now_us: u64) {
        assert!(self.bank.deposit(user, fen, now(now_us)), "the bank takes the deposit");
    }

    pub fn start_campaign(&mut self, now_us: u64) {
        let plan = Plan { budget_fen: 1_000_000, rate: 40, from_fen: 10, to_fen: 309, per_user: 3 };
        self.bank.start(plan, now(now_us)).expect("no campaign runs");
    }

    /// Is no note on its way? The bank's prizes are always on their way.
    pub fn is_still(&self) -> bool {
        self.notes.is_empty()
    }

    pub fn stop_campaign(&mut self, now_us: u64) {
        self.bank.stop(now(now_us));
    }

    pub fn count(&self, counter: impl Fn(&Books) -> &Counter) -> u64 {
        self.books.iter().map(|books| counter(books).read()).sum()
    }

    /// Every fen is in one account and every datagram in one place.
    pub fn audit(&self) {
        for shard in &self.shards {
            shard.audit();
            shard.publish();
        }
        let held = self.count(|b| &b.users_fen) + self.count(|b| &b.open.fen) + self.count(|b| &b.campaign_fen);
        assert_eq!(held + self.bank_books.campaign_fen.read(), self.bank_books.issued_fen.read(), "issued is held");
        for books in &self.books {
            let ended = books.replied.read() + books.accepted.read() + books.dropped.total();
            assert_eq!(books.received.total(), ended, "a datagram ends in one place");
        }
    }
}
