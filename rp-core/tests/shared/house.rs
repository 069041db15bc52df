//! A whole server without a socket: workers' shards, the bank and a clock that a test turns by hand.
//!
//! Notes are carried at once, in order; what the engine sends lies in `sent` until it is looked at.

use std::collections::VecDeque;
use std::sync::Arc;

use rp_core::cookie::Baker;
use rp_core::engine::asks::{Ask, Reader};
use rp_core::engine::bank::{Bank, BankBooks};
use rp_core::engine::board::Board;
use rp_core::engine::books::{Books, Counter};
use rp_core::engine::notes::{BANK, Body, Note};
use rp_core::engine::{Config, Now, Outcome, Shard, Transmit};
use rp_core::limits::{DATAGRAM_MAX, SETS_MAX};
use rp_core::posting;
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
    /// Every posting, in the order of the ledger.
    pub ledger: Vec<u8>,
    /// Notes that bear money are carried twice.
    pub repeats: bool,
    /// Nobody answers from the ledger.
    pub is_unread: bool,
    /// Answers from the ledger that met no session.
    pub late: u64,
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
            ledger: Vec::new(),
            repeats: false,
            is_unread: false,
            late: 0,
            wires: Wires { buffer: [0xa5; DATAGRAM_MAX], out: Vec::new() },
        }
    }

    /// The worker that steering would choose hears a datagram; what became of it, and its reply.
    pub fn hear(&mut self, from: Peer, datagram: &[u8]) -> (Outcome, Option<Vec<u8>>) {
        let head = datagram.first_chunk().copied().unwrap_or_default();
        let set = set_of(head, self.config.sets);
        let worker = worker_of(set, self.config.workers);
        let outcome = self.hear_at(worker as usize, from, datagram);
        self.carry();
        outcome
    }

    /// One worker hears a datagram, whether it is its own or not.
    pub fn hear_at(&mut self, worker: usize, from: Peer, datagram: &[u8]) -> (Outcome, Option<Vec<u8>>) {
        let _ = self.shards[worker].touch(datagram);
        let outcome = self.shards[worker].receive(self.now, from, 0, datagram, &mut self.wires);
        let before = self.wires.out.len();
        self.keep();
        assert!(before == 0 || self.wires.out.len() == before, "what is sent at once leaves nothing to wait");
        let mut out = core::mem::take(&mut self.wires.out);
        assert!(out.len() <= 1, "two answers to one request");
        assert_eq!(out.len() == 1, outcome == Outcome::Replied, "an outcome says whether there is a reply");
        let reply = out.pop().map(|(bytes, to)| {
            assert_eq!(to, from, "a reply goes back to where the request came from");
            bytes
        });
        (outcome, reply)
    }

    /// One worker hears a datagram, and then sends its notices, while nothing gets to the disk: what leaves nevertheless.
    pub fn hear_unkept(&mut self, worker: usize, from: Peer, datagram: &[u8]) -> Vec<Sent> {
        self.shards[worker].receive(self.now, from, 0, datagram, &mut self.wires);
        self.shards[worker].tick(self.now, &mut self.wires);
        core::mem::take(&mut self.wires.out)
    }

    /// Everything that was written is on disk; what waited for it leaves.
    pub fn keep(&mut self) {
        for shard in &mut self.shards {
            self.ledger.extend(shard.journal().take());
            let written = shard.journal().written();
            shard.durable_to(written, &mut self.wires);
        }
        let journal = self.bank.journal();
        self.ledger.extend(journal.take());
        journal.durable_to(journal.written());
    }

    /// Carries all notes, and all that follow from them.
    pub fn carry(&mut self) {
        loop {
            self.keep();
            let mut notes: Vec<Note> = Vec::new();
            for shard in &mut self.shards {
                notes.extend(core::iter::from_fn(|| shard.pop_note()));
            }
            notes.extend(core::iter::from_fn(|| self.bank.pop_note()));
            if notes.is_empty() {
                break;
            }
            let again = |note: &Note| match note.body {
                Body::Deposit { .. } | Body::Reclaim { .. } | Body::GrabDone { .. } | Body::Withdrawn { .. } => {
                    self.repeats
                }
                _ => false,
            };
            let notes = notes.into_iter().flat_map(|note| {
                let times = 1 + usize::from(again(&note));
                std::iter::repeat_n(note, times)
            });
            for note in notes.collect::<Vec<_>>() {
                if note.to == BANK {
                    self.bank.receive(note, self.now);
                } else {
                    let worker = worker_of(u32::from(note.to), self.config.workers) as usize;
                    self.shards[worker].note(self.now, note, &mut self.wires);
                }
            }
        }
        self.look_up();
        self.sent.extend(self.wires.out.drain(..));
    }

    /// Answers what only the ledger can, by looking at all of it.
    fn look_up(&mut self) {
        for shard in &mut self.shards {
            while !self.is_unread
                && let Some(ask) = shard.pop_ask()
            {
                let mut answer = [0; DATAGRAM_MAX];
                let found = (1..).zip(posting::each(&self.ledger)).filter(|(_, posting)| ask.is_about(posting));
                let len = match &ask {
                    Ask::Detail(ask) => ask.answer(found.map(|(_, posting)| posting), &mut answer),
                    Ask::History(ask) => {
                        let is_older = |position: u64| ask.before == 0 || position < ask.before;
                        let mut older: Vec<_> = found.filter(|(position, _)| is_older(*position)).collect();
                        older.reverse();
                        ask.answer(older.into_iter(), 0, &mut answer)
                    }
                };
                let Reader { session, peer, door, .. } = *ask.reader();
                self.late += u64::from(!shard.deliver(&answer[..len], session, peer, door, &mut self.wires));
            }
        }
    }

    /// Time passes, in steps of 5 ms.
    pub fn pass_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(5) {
            self.now.mono_us += 5_000;
            self.now.unix_us += 5_000;
            self.bank.tick(self.now);
            for shard in &mut self.shards {
                shard.tick(self.now, &mut self.wires);
            }
            self.carry();
        }
    }

    pub fn mint(&mut self, user: u64, fen: u64) {
        assert!(self.bank.deposit(user, fen, self.now), "the bank takes the deposit");
        self.carry();
    }

    pub fn stop_campaign(&mut self) {
        assert!(self.bank.stop(self.now).is_some(), "a campaign runs");
        self.carry();
    }

    /// The server dies and starts again from its ledger, with as many workers as told: sessions are gone, money and answers
    /// are not.
    pub fn restarted(&self, workers: u32) -> House {
        let mut house = House::with(Config { workers, ..self.config });
        house.now = self.now;
        house.ledger = self.ledger.clone();
        for posting in posting::each(&self.ledger) {
            let restored = match posting.set {
                BANK => house.bank.restore(&posting, house.now),
                set => house.shards[worker_of(set.into(), workers) as usize].restore(&posting, house.now),
            };
            restored.unwrap_or_else(|why| panic!("{why}: {posting:?}"));
        }
        house.resume();
        house
    }

    /// Everything was read back: what nobody has seen goes out again.
    fn resume(&mut self) {
        let (shards, workers) = (&self.shards, self.config.workers);
        let by_sets = |to, from| shards[worker_of(u32::from(to), workers) as usize].seen_of(to, from).expect("its SET");
        let winnings: Vec<_> = shards.iter().flat_map(rp_core::engine::Shard::winnings).collect();
        let of_bank = |set| by_sets(set, BANK);
        self.bank.restored(of_bank, winnings.into_iter(), self.now).expect("the bank's books are whole");
        let seen: Vec<Vec<u64>> = (0..self.config.sets as u16)
            .map(|from| {
                (0..self.config.sets as u16).map(|to| by_sets(to, from)).chain([self.bank.seen_of(from)]).collect()
            })
            .collect();
        for shard in &mut self.shards {
            shard.restored(|to, from| seen[usize::from(from)][usize::from(to).min(self.config.sets as usize)]);
        }
        self.carry();
    }

    /// The same, from projections taken now and no posting since.
    pub fn unfolded(&self) -> House {
        let mut house = House::with(self.config);
        house.now = self.now;
        for (shard, again) in self.shards.iter().zip(&mut house.shards) {
            for (set, sequence, bytes) in (0..shard.count()).map(|at| shard.fold(at)) {
                again.unfold(set, sequence, &bytes, self.now).expect("what was folded unfolds");
            }
        }
        let (sequence, bytes) = self.bank.fold();
        house.bank.unfold(sequence, &bytes, self.now).expect("what was folded unfolds");
        house.resume();
        house
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
        for sums in self.books.iter().map(|books| books.moment.read().expect("nobody is leaving any")) {
            assert_eq!(sums.packets_fen, sums.open[1], "what is left in open packets");
            let held = sums.users_fen.wrapping_add(sums.packets_fen).wrapping_add(sums.campaign_fen);
            let own = held.wrapping_add(sums.transit_out_fen).wrapping_sub(sums.transit_in_fen);
            assert_eq!(own, 0, "a worker's part balances by itself: {sums:?}");
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
            let by_set = (0..SETS_MAX as u16).map(|set| books.set_sessions[set].read()).fold(0, u64::wrapping_add);
            assert_eq!(books.sessions.read(), by_set, "a session is in one SET");
        }
        let again = self.restarted(1);
        let sums = |house: &House| {
            let bank = &house.bank_books;
            let sum = |sum: fn(&Books) -> &rp_core::engine::books::Sum| {
                (house.count(|b| &sum(b).count), house.count(|b| &sum(b).fen))
            };
            let waits = house.count(|b| &b.campaign_fen) + bank.campaign_fen.read();
            let held = (house.count(|b| &b.users_fen), waits, bank.issued_fen.read());
            (held, [sum(|b| &b.made), sum(|b| &b.taken), sum(|b| &b.refunded), sum(|b| &b.open), sum(|b| &b.prizes)])
        };
        assert_eq!(sums(&again), sums(self), "what the ledger restores is what was there");
        let unfolded = self.unfolded();
        assert_eq!(sums(&unfolded), sums(self), "what projections restore is what was there");
        assert_eq!(folds(&unfolded), folds(&unfolded.unfolded()), "what was unfolded folds alike");
    }
}

/// Every SET's projection.
pub fn folds(house: &House) -> Vec<(u16, u64, Vec<u8>)> {
    house.shards.iter().flat_map(|shard| (0..shard.count()).map(|at| shard.fold(at))).collect()
}
