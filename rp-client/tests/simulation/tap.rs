//! An auditor who listens at the server's door. He knows the realm's key, so he opens every log-in, derives every session's
//! keys and reads all that bears money, before the road touches it. He holds a model of his own, as plain as can be: what was
//! said must be in the ledger, once, and what is said again must be the same.

use std::collections::{BTreeMap, HashMap, HashSet};

use rp_core::key::{Key, SealingKey, sealing_key, session_key, verifies};
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::posting::{self, Act, Posting};
use rp_core::sealing::open_money;
use rp_core::ticket::Realm;
use rp_core::wire::{FLAG_SEALED, Grabbed, Login, Notice, NoticeType, Prize, Refusal, Refused, Sent, TRAILER, Welcome};
use rp_server::ledger::Reader;

/// An answer to a request that moves money, if it is one that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Sent { packet: u64 },
    Grabbed { packet: u64, fen: u64 },
    Refused { kind: u8, refusal: u8, fen: u64 },
}

/// Something that a user was told without asking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum News {
    Prize { user: u64, about: u64, fen: u64 },
    Packet { user: u64, packet: u64 },
    Refund { user: u64, packet: u64, fen: u64 },
}

struct Session {
    user: u64,
    key: Key,
    sealing: Option<SealingKey>,
}

/// What he heard.
pub struct Tap {
    realm: Realm,
    /// Who logs in, by machine and nonce.
    strangers: HashMap<(usize, u64), Vec<(u64, Key)>>,
    sessions: HashMap<u32, Session>,
    /// By user and request: what was asked.
    asked: HashMap<(u64, u64), Vec<u8>>,
    /// By user and request: what was answered.
    answered: BTreeMap<(u64, u64), Answer>,
    /// Balances that an answer told.
    balances: BTreeMap<(u64, u64), Vec<u64>>,
    news: HashSet<News>,
    /// By user and number of the notice.
    notices: HashMap<(u64, u64), News>,
    /// Answers that were given again.
    pub repeats: u64,
    /// Answers and news that are proven by the ledger.
    pub proven: u64,
}

/// What the ledger says, in his own words.
#[derive(Default)]
struct Account {
    /// The user's balance after each of his postings.
    balances: Vec<u64>,
    /// How many of them there were when a request was answered.
    answered: HashMap<u64, usize>,
}

impl Tap {
    pub fn new(realm: Realm) -> Tap {
        Tap {
            realm,
            strangers: HashMap::new(),
            sessions: HashMap::new(),
            asked: HashMap::new(),
            answered: BTreeMap::new(),
            balances: BTreeMap::new(),
            news: HashSet::new(),
            notices: HashMap::new(),
            repeats: 0,
            proven: 0,
        }
    }

    /// One that knows who speaks, for the server goes on with their sessions, and nothing of what was said.
    pub fn anew(&mut self, realm: Realm) -> Tap {
        let (strangers, sessions) = (std::mem::take(&mut self.strangers), std::mem::take(&mut self.sessions));
        Tap { strangers, sessions, ..Tap::new(realm) }
    }

    /// A client sends this.
    pub fn request(&mut self, machine: usize, bytes: &[u8]) {
        match kind_of(bytes) {
            Kind::Login => {
                let login = Login::take(bytes).expect("a LOGIN is whole");
                let ticket = self.realm.open(&login.ticket).expect("a ticket of our realm");
                self.strangers.entry((machine, login.client_nonce)).or_default().push((ticket.user, ticket.secret));
            }
            Kind::Send | Kind::Grab => {
                let mut room = [0; DATAGRAM_MAX];
                // Of a session that a dead server gave, and a new one gave to somebody else, the server knows nothing.
                let Some((user, opened)) = self.open(bytes, &mut room) else { return };
                let (request, body) = (word(opened, 14), &opened[14..opened.len() - TRAILER]);
                let first = self.asked.entry((user, request)).or_insert_with(|| body.to_vec());
                assert_eq!(first, body, "user {user} asks something else under number {request}");
            }
            _ => {}
        }
    }

    /// The server sends this.
    pub fn reply(&mut self, machine: usize, bytes: &[u8]) {
        match kind_of(bytes) {
            Kind::Welcome => self.welcome(machine, bytes),
            Kind::Sent | Kind::Grabbed | Kind::Refused | Kind::Prize | Kind::Notice => {
                let mut room = [0; DATAGRAM_MAX];
                let (user, opened) = self.open(bytes, &mut room).expect("the server speaks under a session's keys");
                self.hear(user, kind_of(bytes), opened);
            }
            _ => {}
        }
    }

    fn welcome(&mut self, machine: usize, bytes: &[u8]) {
        let Welcome { session, client_nonce, server_nonce, flags, .. } = Welcome::take(bytes).expect("it is whole");
        // A client that begins anew under its old seed draws the nonces of then, for other users: the tag tells whose it is.
        let key_of = |secret: &Key| session_key(secret, client_nonce, server_nonce, session);
        let those = &self.strangers[&(machine, client_nonce)];
        let whose = those.iter().rev().find(|(_, secret)| verifies(&key_of(secret), bytes));
        let (user, secret) = *whose.expect("a WELCOME is for somebody who logged in");
        let key = key_of(&secret);
        let sealing = (flags & FLAG_SEALED != 0).then(|| sealing_key(&secret, client_nonce, server_nonce, session));
        self.sessions.insert(session, Session { user, key, sealing });
    }

    fn open<'a>(&self, bytes: &'a [u8], room: &'a mut [u8; DATAGRAM_MAX]) -> Option<(u64, &'a [u8])> {
        let id = u32::from_le_bytes(*bytes[2..].first_chunk()?);
        let session = self.sessions.get(&id).filter(|session| verifies(&session.key, bytes))?;
        Some((session.user, open_money(session.sealing, bytes, room).expect("what is tagged is sealed")))
    }

    fn hear(&mut self, user: u64, kind: Kind, opened: &[u8]) {
        let whole = "the server's datagrams are whole";
        match kind {
            Kind::Sent => {
                let Sent { request, packet, balance_fen, .. } = Sent::take(opened).expect(whole);
                self.answer(user, request, Answer::Sent { packet });
                self.balances.entry((user, request)).or_default().push(balance_fen);
            }
            Kind::Grabbed => {
                let Grabbed { request, packet, share_fen, balance_fen, .. } = Grabbed::take(opened).expect(whole);
                self.answer(user, request, Answer::Grabbed { packet, fen: share_fen });
                self.balances.entry((user, request)).or_default().push(balance_fen);
            }
            Kind::Refused => {
                let Refused { request, kind, refusal, share_fen, .. } = Refused::take(opened).expect(whole);
                let why = Refusal::of_number(refusal).expect("a refusal that there is");
                assert_ne!(why, Refusal::Conflict, "user {user} asks one thing under number {request}");
                if !matches!(why, Refusal::Busy | Refusal::Full | Refusal::Malformed | Refusal::Stale) {
                    self.answer(user, request, Answer::Refused { kind, refusal, fen: share_fen.into() });
                }
            }
            Kind::Prize => {
                let Prize { notice, about, fen, .. } = Prize::take(opened).expect(whole);
                self.tell(user, notice, News::Prize { user, about, fen });
            }
            _ => {
                let Notice { notice, about_type, about, fen, .. } = Notice::take(opened).expect(whole);
                let news = match NoticeType::of_number(about_type).expect("a type that there is") {
                    NoticeType::Prize => News::Prize { user, about, fen },
                    NoticeType::Packet => News::Packet { user, packet: about },
                    NoticeType::Refund => News::Refund { user, packet: about, fen },
                };
                self.tell(user, notice, news);
            }
        }
    }

    fn tell(&mut self, user: u64, notice: u64, news: News) {
        let first = *self.notices.entry((user, notice)).or_insert(news);
        assert_eq!(first, news, "notice {notice} of user {user} is another");
        self.news.insert(news);
    }

    fn answer(&mut self, user: u64, request: u64, answer: Answer) {
        if let Some(first) = self.answered.insert((user, request), answer) {
            assert_eq!(first, answer, "user {user} gets another answer to number {request}");
            self.repeats += 1;
        }
    }

    /// Holds what was said to what the ledger holds.
    pub fn audit(&mut self, reader: &mut dyn Reader) {
        let mut book = Book::default();
        let read = reader.read(1, &mut |_, posting| {
            book.take(posting);
            Ok(())
        });
        read.unwrap_or_else(|error| panic!("the ledger cannot be read: {error:#}"));
        for ((user, request), answer) in &self.answered {
            let kept = book.answers.get(&(*user, *request));
            assert_eq!(kept, Some(answer), "the answer to number {request} of user {user} in the ledger");
        }
        for news in &self.news {
            assert!(book.tells(news), "{news:?} is not in the ledger");
        }
        for ((user, request), told) in &self.balances {
            let account = &book.accounts[user];
            let from = account.answered[request] - 1;
            for fen in told {
                assert!(
                    account.balances[from..].contains(fen),
                    "user {user} never had {fen} fen after number {request}"
                );
            }
        }
        self.proven = (self.answered.len() + self.news.len()) as u64;
    }
}

/// The ledger, read by rules of his own.
#[derive(Default)]
struct Book {
    accounts: HashMap<u64, Account>,
    answers: HashMap<(u64, u64), Answer>,
    shares: HashSet<(u64, u64)>,
    news: HashSet<News>,
    /// Packets that were made.
    made: HashSet<u64>,
}

impl Book {
    fn take(&mut self, posting: &Posting<'_>) {
        let &Posting { act, debit, credit, fen, about, request, .. } = posting;
        match act {
            Act::Deposited => self.move_fen(credit, fen, 0),
            Act::Withdrawn => self.move_fen(debit, 0, fen),
            Act::Won => {
                self.move_fen(credit, fen, 0);
                let is_first = self.news.insert(News::Prize { user: credit, about, fen });
                assert!(is_first, "prize {about:#x} is won twice");
            }
            Act::Sent => {
                self.move_fen(debit, 0, fen);
                self.answer(debit, request, Answer::Sent { packet: credit });
                self.made.insert(credit);
            }
            Act::Taken | Act::Received => {
                self.move_fen(credit, fen, 0);
                self.answer(credit, request, Answer::Grabbed { packet: debit, fen });
                assert!(self.shares.insert((debit, credit)), "user {credit} has two shares of {debit:#x}");
            }
            Act::Refused => {
                let tail = posting::Refused::take(posting.tail).expect("a refusal has its tail");
                let (kind, refusal, fen) = (tail.kind, tail.refusal, tail.share_fen.into());
                self.answer(debit, request, Answer::Refused { kind, refusal, fen });
            }
            Act::Refunded => {
                self.move_fen(credit, fen, 0);
                self.news.insert(News::Refund { user: credit, packet: debit, fen });
            }
            _ => {}
        }
    }

    fn move_fen(&mut self, user: u64, gets: u64, gives: u64) {
        let balances = &mut self.accounts.entry(user).or_default().balances;
        let before = balances.last().copied().unwrap_or(0);
        let after = (before + gets).checked_sub(gives).unwrap_or_else(|| panic!("user {user} gives what he has not"));
        balances.push(after);
    }

    fn answer(&mut self, user: u64, request: u64, answer: Answer) {
        let account = self.accounts.entry(user).or_default();
        account.answered.insert(request, account.balances.len());
        let before = self.answers.insert((user, request), answer);
        assert_eq!(before, None, "number {request} of user {user} is answered twice");
    }

    fn tells(&self, news: &News) -> bool {
        match news {
            News::Packet { packet, .. } => self.made.contains(packet),
            news => self.news.contains(news),
        }
    }
}

fn kind_of(bytes: &[u8]) -> Kind {
    Kind::of_number(bytes[0] & 0x3f).expect("a kind that there is")
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("it is whole"))
}
