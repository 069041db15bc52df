//! A whole server: two workers' shards, the bank and the ledger they stand on. The notes of a step arrive in the next.
//!
//! It can end at any moment, by a crash of its own or of the machine, and starts again from what its disk then holds.

use std::sync::Arc;

use anyhow::Result;
use rp_core::cookie::Baker;
use rp_core::engine::bank::{Bank, BankBooks};
use rp_core::engine::board::Board;
use rp_core::engine::books::{Books, Counter};
use rp_core::engine::notes::{BANK, Note};
use rp_core::engine::{Config, Now, Shard, Transmit};
use rp_core::limits::DATAGRAM_MAX;
use rp_core::steer::{set_of, worker_of};
use rp_core::ticket::RealmKey;
use rp_core::wire::Peer;
use rp_server::audit::figures::Figures;
use rp_server::control::MintOrder;
use rp_server::recovery::{self, Recovery};

use crate::operator::{Desk, PLAN, Told};
use crate::store::Store;

pub const SETS: u32 = 8;
const WORKERS: u32 = 2;
/// The bank's number among the writers.
const BANKER: usize = WORKERS as usize;

/// What a server is told at start.
#[derive(Clone, Copy)]
pub struct Habits {
    /// Silent time after which a session ends.
    pub idle_us: u64,
    pub packet_life_us: u64,
}

impl Habits {
    /// Silent sessions end after so long, packets after a day.
    pub fn idle_s(seconds: u64) -> Habits {
        Habits { idle_us: seconds * 1_000_000, packet_life_us: 86_400_000_000 }
    }
}

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

/// What goes with the process.
struct Engine {
    shards: Vec<Shard>,
    bank: Bank,
    desk: Desk,
    bank_books: Arc<BankBooks>,
    books: Vec<Arc<Books>>,
}

pub struct Server {
    engine: Engine,
    notes: Vec<Note>,
    pub wires: Wires,
    pub store: Store,
    seed: u64,
    habits: Habits,
    /// It serves; else it has ended, and why.
    pub life: Result<(), String>,
    /// A SET is folded so often: one step in so many.
    pub folds_one_in: u64,
}

pub fn realm() -> RealmKey {
    RealmKey { id: 3, key: [0x5a; 32] }
}

fn now(now_us: u64) -> Now {
    Now { mono_us: now_us, unix_us: now_us }
}

impl Engine {
    fn new(seed: u64, Habits { idle_us, packet_life_us }: Habits, now_us: u64) -> Engine {
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
                    packet_life_us,
                    keeps_postings: true,
                    ..Config::default()
                };
                let seed = [seed as u8 ^ worker as u8; 32];
                let baker = Baker::new([seed[0]; 16], 1);
                Shard::new(config, baker, vec![realm().realm()], seed, books.clone(), bank_books.clone(), &board)
            })
            .collect();
        let unix_s = (now_us / 1_000_000) as u32;
        let bank = Bank::new(SETS, bank_books.clone(), books.clone(), board, [seed as u8; 32], unix_s);
        Engine { shards, bank, desk: Desk::default(), bank_books, books }
    }

    fn publish(&self) {
        self.shards.iter().for_each(Shard::publish);
    }

    fn count(&self, counter: impl Fn(&Books) -> &Counter) -> u64 {
        self.books.iter().map(|books| counter(books).read()).sum()
    }
}

impl Server {
    pub fn new(seed: u64, habits: Habits, now_us: u64) -> Self {
        let wires = Wires { buffer: [0; DATAGRAM_MAX], out: Vec::new() };
        let mut server = Self {
            engine: Engine::new(seed, habits, now_us),
            notes: Vec::new(),
            wires,
            store: Store::new(seed, BANKER + 1),
            seed,
            habits,
            life: Ok(()),
            folds_one_in: 2_000,
        };
        server.start(now_us).expect("an empty folder is a ledger");
        server
    }

    /// A new process: everything is as the ledger says, and nothing else is known.
    pub fn start(&mut self, now_us: u64) -> Result<()> {
        // Every start draws other keys, as a real one does.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.engine = Engine::new(self.seed >> 32, self.habits, now_us);
        self.store.forget();
        let Engine { shards, bank, .. } = &mut self.engine;
        let mut recovery = Recovery::new(shards, bank, SETS, now(now_us));
        let mark = self.store.open(&mut recovery)?;
        recovery.complete()?;
        let ledger_ms = recovery::clock_ms(&mark, &self.store.time(now_us, 0), now(now_us));
        shards.iter_mut().for_each(|shard| shard.set_clock(ledger_ms));
        recovery::place(shards, bank, &Arc::new(Board::own(SETS)), false);
        self.life = Ok(());
        Ok(())
    }

    /// The process is gone, and perhaps the power.
    pub fn crash(&mut self, is_power_out: bool) {
        self.store.crash(is_power_out);
        self.notes.clear();
        self.wires.out.clear();
        self.life = Err("it crashed".to_owned());
    }

    /// Everything that is written is brought to disk, and told.
    fn drain(&mut self, now_us: u64) {
        while self.life.is_ok() {
            self.store.hurry();
            self.keep(now_us);
            let is_durable = self.engine.shards.iter_mut().all(|shard| shard.journal().is_durable());
            if is_durable && self.engine.bank.journal().is_durable() && self.store.is_idle() {
                return;
            }
        }
    }

    /// Ends as it is meant to: what is written is brought to disk first.
    pub fn stop(&mut self, now_us: u64) -> Result<()> {
        self.drain(now_us);
        for writer in 0..=BANKER {
            self.fold_all(writer);
        }
        self.store.close()
    }

    pub fn hear(&mut self, now_us: u64, from: Peer, bytes: &[u8]) {
        if self.life.is_err() {
            return;
        }
        let head = bytes.first_chunk().copied().unwrap_or_default();
        let worker = worker_of(set_of(head, SETS), WORKERS) as usize;
        self.engine.shards[worker].receive(now(now_us), from, 0, bytes, &mut self.wires);
    }

    /// Carries the notes of the last step, and lets time pass.
    pub fn step(&mut self, now_us: u64) {
        if self.life.is_err() {
            return;
        }
        let time = now(now_us);
        let Engine { shards, bank, desk, .. } = &mut self.engine;
        for note in std::mem::take(&mut self.notes) {
            let worker = worker_of(note.to.into(), WORKERS) as usize;
            if note.to == BANK {
                bank.receive(note, time);
            } else if shards[worker].has_room() {
                shards[worker].note(time, note, &mut self.wires);
            } else {
                self.notes.push(note);
            }
        }
        bank.tick(time);
        desk.push(bank, time);
        for shard in shards {
            shard.tick(time, &mut self.wires);
        }
        self.keep(now_us);
        self.look_up();
        if self.store.one_in(self.folds_one_in) {
            let writer = self.store.below(BANKER as u64 + 1) as usize;
            self.fold(writer);
        }
        let Engine { shards, bank, desk, .. } = &mut self.engine;
        desk.end(bank);
        for shard in shards {
            self.notes.extend(std::iter::from_fn(|| shard.pop_note()));
        }
        self.notes.extend(std::iter::from_fn(|| bank.pop_note()));
    }

    /// Brings what was written towards the ledger, and lets go what waited for what is on disk.
    fn keep(&mut self, now_us: u64) {
        let Engine { shards, bank, .. } = &mut self.engine;
        for (writer, shard) in shards.iter_mut().enumerate() {
            let durable = self.store.carry(writer, shard.journal());
            shard.durable_to(durable, &mut self.wires);
        }
        let durable = self.store.carry(BANKER, bank.journal());
        bank.journal().durable_to(durable);
        self.life = self.store.work(now_us).map_err(|error| format!("{error:#}"));
    }

    /// Answers what only the ledger can.
    fn look_up(&mut self) {
        if self.life.is_err() {
            return;
        }
        for shard in &mut self.engine.shards {
            while let Some(ask) = shard.pop_ask() {
                let mut answer = [0; DATAGRAM_MAX];
                // A disk that fails is told by the next commit; its client asks again.
                if let Ok(len) = self.store.answer(&ask, &mut answer) {
                    let reader = ask.reader();
                    shard.deliver(&answer[..len], reader.session, reader.peer, reader.door, &mut self.wires);
                }
            }
        }
    }

    /// Hands the archivist one SET of a writer's.
    fn fold(&mut self, writer: usize) {
        let rows = self.engine.shards.get(writer).map_or(1, Shard::count);
        let row = self.store.below(rows as u64) as usize;
        self.fold_row(writer, row);
    }

    fn fold_all(&mut self, writer: usize) {
        let rows = self.engine.shards.get(writer).map_or(1, Shard::count);
        (0..rows).for_each(|row| self.fold_row(writer, row));
    }

    fn fold_row(&mut self, writer: usize, row: usize) {
        let (folded, written) = match self.engine.shards.get_mut(writer) {
            Some(shard) => (shard.fold(row), shard.journal().written()),
            None => {
                let (sequence, bytes) = self.engine.bank.fold();
                ((BANK, sequence, bytes), self.engine.bank.journal().written())
            }
        };
        self.store.fold(folded, writer, written);
    }

    pub fn mint(&mut self, user: u64, fen: u64, now_us: u64) {
        assert!(self.engine.bank.deposit(user, fen, now(now_us)), "the bank takes the deposit");
    }

    pub fn start_campaign(&mut self, now_us: u64) {
        self.engine.bank.start(PLAN, now(now_us)).expect("no campaign runs");
    }

    /// The operator gives an order.
    pub fn order(&mut self, asking: usize, order: &MintOrder) {
        self.engine.desk.order(asking, order);
    }

    pub fn turn_campaign(&mut self, now_us: u64) {
        self.engine.desk.turn_campaign(&mut self.engine.bank, now(now_us));
    }

    /// What the operator is told.
    pub fn told(&mut self) -> Vec<Told> {
        self.engine.desk.told()
    }

    /// Is no note on its way? The bank's prizes are always on their way.
    pub fn is_still(&self) -> bool {
        self.notes.is_empty()
    }

    pub fn stop_campaign(&mut self, now_us: u64) {
        self.engine.bank.stop(now(now_us));
    }

    pub fn count(&self, counter: impl Fn(&Books) -> &Counter) -> u64 {
        self.engine.count(counter)
    }

    pub fn books(&self) -> &[Arc<Books>] {
        &self.engine.books
    }

    /// Every fen is in one account and every datagram in one place.
    pub fn audit(&self) {
        let Engine { shards, books, bank_books, .. } = &self.engine;
        shards.iter().for_each(Shard::audit);
        self.engine.publish();
        let held = self.count(|b| &b.users_fen) + self.count(|b| &b.open.fen) + self.count(|b| &b.campaign_fen);
        assert_eq!(held + bank_books.campaign_fen.read(), bank_books.issued_fen.read(), "issued is held");
        for books in books {
            let ended = books.replied.read() + books.accepted.read() + books.dropped.total();
            assert_eq!(books.received.total(), ended, "a datagram ends in one place");
        }
    }

    /// Once everything is on disk, what the server holds is what `rp-server audit` finds in its ledger.
    pub fn agrees(&mut self, now_us: u64) -> Figures {
        self.drain(now_us);
        let figures = self.store.figures(SETS);
        self.engine.shards.iter().for_each(Shard::audit);
        self.engine.publish();
        let held = [self.count(|b| &b.users_fen), self.count(|b| &b.open.fen), self.count(|b| &b.open.count)];
        let found = [figures.users.fen, figures.open.fen, figures.open.count];
        assert_eq!(held, found, "fen of users and in open packets, open packets: the server's and the ledger's");
        assert_eq!(self.engine.bank_books.issued_fen.read(), figures.issued_fen, "issued");
        figures
    }
}
