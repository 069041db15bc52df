//! A whole server without a network: two workers' engines and the bank, joined by their notes, under a clock of ours.
//!
//! A user here speaks the wire by hand, one datagram at a time, so that each test says exactly what was sent.

use std::collections::VecDeque;
use std::sync::Arc;

use rp_core::cookie::Baker;
use rp_core::engine::bank::{Bank, BankBooks};
use rp_core::engine::books::Books;
use rp_core::engine::notes::{BANK, Note};
use rp_core::engine::{Config, Now, Outcome, Shard, Transmit};
use rp_core::key::{Key, seal, session_key, verifies};
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::steer;
use rp_core::ticket::{Realm, Ticket};
use rp_core::wire::{
    AUDIENCE_LISTED, Balance, BalanceIs, Challenge, Grab, Grabbed, HELLO_LEN, Hello, Login, Notice, NoticeAck, Peer,
    Ping, Pong, Prize, Refusal, Refused, SEAL_LEN, SHAKE_LEN, SPLIT_RANDOM, Send, SendView, Sent as Receipt,
    SessionHead, TICKET_LEN, Welcome,
};

pub const SETS: u32 = 8;
pub const WORKERS: u32 = 2;
pub const IDLE_US: u64 = 60_000_000;
pub const PACKET_LIFE_US: u64 = 3_600_000_000;
const REALM: [u8; 32] = [7; 32];

#[derive(Default)]
pub struct Sent {
    buffer: Option<Box<[u8; DATAGRAM_MAX]>>,
    pub datagrams: VecDeque<(Peer, Vec<u8>)>,
}

impl Transmit for Sent {
    fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        self.buffer.get_or_insert_with(|| Box::new([0xee; DATAGRAM_MAX]))
    }
    fn commit(&mut self, len: usize, to: Peer, _door: u16) {
        let datagram = self.buffer()[..len].to_vec();
        self.datagrams.push_back((to, datagram));
    }
}

pub struct World {
    pub shards: Vec<Shard>,
    pub bank: Bank,
    pub bank_books: Arc<BankBooks>,
    pub books: Vec<Arc<Books>>,
    pub now: Now,
    pub sent: Sent,
    notes: Vec<Note>,
}

impl World {
    pub fn new() -> Self {
        let books: Vec<Arc<Books>> = (0..WORKERS).map(|_| Arc::default()).collect();
        let bank_books = Arc::new(BankBooks::default());
        let shard = |worker| {
            let config =
                Config { sets: SETS, workers: WORKERS, worker, idle_us: IDLE_US, packet_life_us: PACKET_LIFE_US };
            let realms = vec![Realm::new(1, &REALM)];
            let seed = [worker as u8 + 1; 32];
            Shard::new(config, Baker::new([9; 16], 0), realms, seed, books.clone(), bank_books.clone())
        };
        Self {
            shards: (0..WORKERS).map(shard).collect(),
            bank: Bank::new(SETS, bank_books.clone(), books.clone(), [5; 32], 1000),
            bank_books,
            books,
            now: Now { mono_us: 1_000_000, unix_us: 1_700_000_000_000_000 },
            sent: Sent::default(),
            notes: Vec::new(),
        }
    }

    /// Time passes in steps of 10 ms.
    pub fn pass(&mut self, us: u64) {
        let end = self.now.mono_us + us;
        while self.now.mono_us < end {
            self.now.mono_us += 10_000;
            self.now.unix_us += 10_000;
            self.bank.tick(self.now.mono_us, self.now.unix_s(), &mut self.notes);
            self.carry();
            for shard in &mut self.shards {
                shard.tick(self.now, &mut self.sent);
            }
            self.carry();
        }
    }

    /// Carries all notes until none is left.
    pub fn carry(&mut self) {
        loop {
            let mut notes = std::mem::take(&mut self.notes);
            for shard in &mut self.shards {
                notes.extend(std::iter::from_fn(|| shard.shared.outbox.pop()));
            }
            if notes.is_empty() {
                return;
            }
            for note in notes {
                match note.to {
                    BANK => self.bank.receive(note),
                    set => self.shards[(u32::from(set) % WORKERS) as usize].note(self.now, note, &mut self.sent),
                }
            }
        }
    }

    pub fn mint(&mut self, user: u64, fen: u64) {
        assert!(self.bank.deposit(user, fen, &mut self.notes));
        self.carry();
    }

    pub fn stop_campaign(&mut self) {
        self.bank.stop(&mut self.notes).expect("a campaign runs");
        self.carry();
    }

    /// Hands one datagram to the worker that steering chooses.
    pub fn give(&mut self, from: Peer, datagram: &[u8]) -> Outcome {
        let head = datagram.first_chunk().copied().unwrap_or_default();
        let worker = steer::worker_of(steer::set_of(head, SETS), WORKERS);
        self.shards[worker as usize].receive(self.now, from, 0, datagram, &mut self.sent)
    }

    /// Every sum of every account, and the issued money against all that is held.
    pub fn audit(&mut self) {
        self.carry();
        for shard in &self.shards {
            shard.audit();
            shard.publish();
        }
        let all = |part: fn(&Books) -> u64| self.books.iter().map(|books| part(books)).sum::<u64>();
        let held = all(|b| b.users_fen.read())
            + self.books.iter().map(|b| b.open.fen.read()).fold(0, u64::wrapping_add)
            + all(|b| b.campaign_fen.read())
            + self.bank_books.campaign_fen.read();
        let transit = (all(|b| b.transit_out_fen.read()) + self.bank_books.transit_out_fen.read())
            - (all(|b| b.transit_in_fen.read()) + self.bank_books.transit_in_fen.read());
        assert_eq!(transit, 0, "money is on its way though nobody travels");
        assert_eq!(self.bank_books.issued_fen.read(), held);
        let wrapping = |part: fn(&Books) -> u64| self.books.iter().map(|b| part(b)).fold(0, u64::wrapping_add);
        assert_eq!(
            all(|b| b.made.fen.read()),
            all(|b| b.taken.fen.read()) + all(|b| b.refunded.fen.read()) + wrapping(|b| b.open.fen.read())
        );
        for books in &self.books {
            assert_eq!(
                books.received.total(),
                books.replied.read() + books.accepted.read() + books.dropped.total(),
                "each datagram is counted in one place"
            );
        }
    }
}

/// A user with a session, speaking by hand.
pub struct User {
    pub id: u64,
    pub peer: Peer,
    pub session: u32,
    pub key: Key,
    pub sequence: u32,
    pub request: u64,
    pub request_highest: u64,
    pub nonce: u64,
    secret: Key,
}

pub fn peer(host: u8, port: u16) -> Peer {
    let mut ip = [0; 16];
    ip[10..12].fill(0xff);
    ip[12..].copy_from_slice(&[10, 0, 0, host]);
    Peer { ip, port }
}

impl User {
    pub fn stranger(id: u64) -> Self {
        let nonce = 0xabc0_0000 + id;
        let peer = peer(1, id as u16 | 1024);
        Self {
            id,
            peer,
            session: 0,
            key: [0; 16],
            sequence: 0,
            request: 0,
            request_highest: 0,
            nonce,
            secret: [id as u8; 16],
        }
    }

    /// Logs in; panics unless it works.
    pub fn log_in(world: &mut World, id: u64) -> Self {
        let mut user = Self::stranger(id);
        user.try_log_in(world).expect("the log-in works");
        user.ping(world);
        user
    }

    pub fn ticket(&self, world: &World, role: u8) -> [u8; TICKET_LEN] {
        let issued_s = world.now.unix_s();
        let ticket = Ticket { user: self.id, secret: self.secret, issued_s, expires_s: issued_s + 3600, role };
        Realm::new(1, &REALM).seal(&ticket, &[self.id as u8; 24])
    }

    pub fn hello(&self) -> [u8; HELLO_LEN] {
        let mut datagram = [0; HELLO_LEN];
        Hello { flags: 0, set_hash: steer::set_hash(self.id), client_nonce: self.nonce }.put(&mut datagram);
        datagram
    }

    pub fn login(&self, world: &mut World, role: u8) -> Vec<u8> {
        assert_eq!(world.give(self.peer, &self.hello()), Outcome::Replied);
        let (_, challenge) = world.sent.datagrams.pop_back().expect("a challenge");
        assert!(challenge.len() <= HELLO_LEN);
        let cookie = Challenge::take(&challenge).expect("a challenge").cookie;
        let ticket = self.ticket(world, role);
        let mut out = [0; DATAGRAM_MAX];
        let (set_hash, client_nonce) = (steer::set_hash(self.id), self.nonce);
        let len = Login { flags: 0, set_hash, client_nonce, cookie, ticket }.put(&mut out);
        let len = seal(&self.secret, &mut out, len);
        out[..len].to_vec()
    }

    pub fn try_log_in(&mut self, world: &mut World) -> Result<(), Vec<u8>> {
        self.try_log_in_as(world, 0)
    }

    pub fn try_log_in_as(&mut self, world: &mut World, role: u8) -> Result<(), Vec<u8>> {
        let login = self.login(world, role);
        assert_eq!(world.give(self.peer, &login), Outcome::Replied);
        let (_, reply) = world.sent.datagrams.pop_back().expect("an answer");
        if reply[0] != Kind::Welcome.first_byte() {
            return Err(reply);
        }
        let welcome = Welcome::take(&reply).expect("a welcome");
        self.session = welcome.session;
        self.key = session_key(&self.secret, self.nonce, welcome.server_nonce, welcome.session);
        assert!(verifies(&self.key, &reply));
        self.request_highest = welcome.request_highest;
        self.request = welcome.request_highest;
        self.sequence = 0;
        Ok(())
    }

    /// Sends what `write` writes, tagged, and returns the outcome.
    pub fn say(&self, world: &mut World, write: impl FnOnce(&mut [u8]) -> usize) -> Outcome {
        let mut out = [0; DATAGRAM_MAX];
        let len = write(&mut out);
        let len = seal(&self.key, &mut out, len);
        world.give(self.peer, &out[..len])
    }

    pub fn head(&self, world: &mut World, kind: Kind, sequence: u32) -> Outcome {
        self.say(world, |out| SessionHead { flags: 0, session: self.session, sequence }.put_untagged(kind, out))
    }

    /// The newest datagram to this user, if any; its tag must verify.
    pub fn hear(&self, world: &mut World) -> Option<Vec<u8>> {
        let at = world.sent.datagrams.iter().position(|(to, _)| *to == self.peer)?;
        let (_, datagram) = world.sent.datagrams.remove(at).expect("it is there");
        assert!(verifies(&self.key, &datagram), "what the server sends is tagged");
        Some(datagram)
    }

    pub fn ping(&mut self, world: &mut World) {
        self.sequence += 1;
        let (session, sequence) = (self.session, self.sequence);
        let outcome = self.say(world, |out| Ping { flags: 0, session, sequence, client_time_us: 5 }.put(out));
        assert_eq!(outcome, Outcome::Replied);
        let pong = self.hear(world).expect("a pong");
        assert_eq!(Pong::take(&pong).map(|pong| (pong.sequence, pong.client_time_us)), Some((sequence, 5)));
    }

    /// Keeps the session alive, and throws away what the server says.
    pub fn ping_quietly(&mut self, world: &mut World) {
        self.sequence += 1;
        assert_eq!(self.head(world, Kind::Shake, self.sequence), Outcome::Replied);
        while self.hear(world).is_some() {}
    }

    /// A new shake; the answer's kind and the prize, if it is one.
    pub fn shake(&mut self, world: &mut World) -> Option<Prize> {
        self.sequence += 1;
        self.shake_again(world)
    }

    /// The same shake again.
    pub fn shake_again(&self, world: &mut World) -> Option<Prize> {
        assert_eq!(self.head(world, Kind::Shake, self.sequence), Outcome::Replied);
        let answer = self.hear(world).expect("an answer");
        if answer[0] == Kind::Nothing.first_byte() {
            assert_eq!(answer.len(), SHAKE_LEN);
            return None;
        }
        assert_eq!(answer[0], Kind::Prize.first_byte());
        Prize::take(&answer)
    }

    pub fn acknowledge(&self, world: &mut World, notice: u64) {
        let session = self.session;
        let outcome = self.say(world, |out| NoticeAck { flags: 0, session, notice }.put(out));
        assert_eq!(outcome, Outcome::Accepted);
    }

    pub fn money(&self, world: &mut World, write: impl FnOnce(&mut [u8]) -> usize) -> Outcome {
        let outcome = self.say(world, |out| {
            let len = write(out);
            out[len..len + SEAL_LEN].fill(0);
            len + SEAL_LEN
        });
        world.carry();
        outcome
    }

    pub fn send_numbered(&self, world: &mut World, request: u64, fen: u64, shares: u8, to: &[u64]) -> Vec<u8> {
        let fields = Send {
            flags: 0,
            session: self.session,
            counter: request * 10,
            request,
            total_fen: fen,
            split: SPLIT_RANDOM,
            audience: AUDIENCE_LISTED,
            shares,
            recipients: 0,
            set: 0,
            greeting_len: 0,
            reserved: 0,
        };
        self.money(world, |out| SendView::put(fields, to, "恭喜发财", out));
        self.hear(world).expect("an answer")
    }

    /// Sends a packet; its id.
    pub fn send(&mut self, world: &mut World, fen: u64, shares: u8, to: &[u64]) -> u64 {
        self.request += 1;
        let answer = self.send_numbered(world, self.request, fen, shares, to);
        assert_eq!(answer[0], Kind::Sent.first_byte(), "{answer:?}");
        Receipt::take(&answer).expect("a receipt").packet
    }

    pub fn grab_numbered(&self, world: &mut World, request: u64, packet: u64) -> Result<Grabbed, Refused> {
        let session = self.session;
        self.money(world, |out| Grab { flags: 0, session, counter: request, request, packet }.put(out));
        let answer = loop {
            let heard = self.hear(world).expect("an answer");
            if heard[0] != Kind::Notice.first_byte() {
                break heard;
            }
        };
        if answer[0] == Kind::Grabbed.first_byte() {
            Ok(Grabbed::take(&answer).expect("a share"))
        } else {
            assert_eq!(answer[0], Kind::Refused.first_byte());
            Err(Refused::take(&answer).expect("a refusal"))
        }
    }

    /// A new grab.
    pub fn grab(&mut self, world: &mut World, packet: u64) -> Result<Grabbed, Refusal> {
        self.request += 1;
        self.grab_numbered(world, self.request, packet)
            .map_err(|refused| Refusal::of_number(refused.refusal).expect("a reason"))
    }

    pub fn balance(&self, world: &mut World) -> u64 {
        let session = self.session;
        self.money(world, |out| Balance { flags: 0, session, counter: 1, request: 77 }.put(out));
        let answer = self.hear(world).expect("a balance");
        BalanceIs::take(&answer).expect("a balance").balance_fen
    }

    /// Everything that waits for this user, notices among it.
    pub fn hear_notices(&self, world: &mut World) -> Vec<Notice> {
        std::iter::from_fn(|| self.hear(world))
            .filter(|datagram| datagram[0] == Kind::Notice.first_byte())
            .map(|datagram| Notice::take(&datagram).expect("a notice"))
            .collect()
    }
}

/// The first `n` users of a SET.
pub fn users_of(set: u32, n: usize) -> Vec<u64> {
    (1..).filter(|user| steer::set_of_user(*user, SETS) == set).take(n).collect()
}
