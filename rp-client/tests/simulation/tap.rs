//! An auditor who listens at the server's door. He knows the realm's key, so he opens every log-in, derives every session's
//! keys and reads all that bears money, before the road touches it. He holds a model of his own, as plain as can be: what was
//! said must be in the ledger, once, and what is said again must be the same.

use std::collections::{BTreeMap, HashMap, HashSet};

use rp_client::books::Sum;
use rp_core::acknowledged::{Acknowledged, Told};
use rp_core::key::{Key, SealingKey, sealing_key, session_key, verifies};
use rp_core::kind::Kind;
use rp_core::limits::{ANSWERS_KEPT, DATAGRAM_MAX, REQUEST_WINDOW};
use rp_core::sealing::open_money;
use rp_core::ticket::Realm;
use rp_core::wire::{
    FLAG_SEALED, Grabbed, HistoryPage, HistoryRow, Login, Notice, NoticeType, Prize, Refusal, Refused, Sent, TRAILER,
    Welcome,
};
use rp_server::ledger::Reader;

use crate::book::{Answer, Book, News};

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
    /// By user and request: when it was first called stale, in milliseconds since 1970.
    stale: HashMap<(u64, u64), u64>,
    /// Pages of histories not held to the ledger yet: whose, and whether it is his whole history.
    pages: Vec<(u64, Vec<HistoryRow>, bool)>,
    news: HashSet<News>,
    /// By user and number of the notice.
    notices: HashMap<(u64, u64), News>,
    /// Answers that were given again.
    pub repeats: u64,
    /// Answers and news that are proven by the ledger.
    pub proven: u64,
    /// Pages of histories that are.
    pub pages_proven: u64,
    /// The ledger as it was last read.
    book: Book,
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
            stale: HashMap::new(),
            pages: Vec::new(),
            news: HashSet::new(),
            notices: HashMap::new(),
            repeats: 0,
            proven: 0,
            pages_proven: 0,
            book: Book::default(),
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
    pub fn reply(&mut self, now_us: u64, machine: usize, bytes: &[u8]) {
        match kind_of(bytes) {
            Kind::Welcome => self.welcome(machine, bytes),
            Kind::Sent | Kind::Grabbed | Kind::Refused | Kind::Prize | Kind::Notice | Kind::HistoryPage => {
                let mut room = [0; DATAGRAM_MAX];
                let (user, opened) = self.open(bytes, &mut room).expect("the server speaks under a session's keys");
                self.hear(user, now_us, kind_of(bytes), opened);
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

    fn hear(&mut self, user: u64, now_us: u64, kind: Kind, opened: &[u8]) {
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
                if why == Refusal::Stale {
                    self.call_stale(user, request, now_us / 1000);
                } else if !matches!(why, Refusal::Busy | Refusal::Full | Refusal::Malformed) {
                    self.answer(user, request, Answer::Refused { kind, refusal, fen: share_fen.into() });
                }
            }
            Kind::Prize => {
                let Prize { notice, about, fen, .. } = Prize::take(opened).expect(whole);
                self.tell(user, notice, News::Prize { user, about, fen });
            }
            Kind::HistoryPage => {
                let HistoryPage { next, count, .. } = HistoryPage::take(opened).expect(whole);
                let rows = opened[HistoryPage::LEN..].chunks_exact(HistoryRow::LEN).take(count.into());
                let rows: Vec<_> = rows.map(|row| HistoryRow::take(row).expect(whole)).collect();
                self.pages.push((user, rows, next == 0));
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

    /// A number is stale only below the window, or once as many later ones were asked as answers are kept.
    fn call_stale(&mut self, user: u64, request: u64, now_ms: u64) {
        let others = self.asked.keys().filter(|(whose, number)| *whose == user && *number != request);
        let (count, highest) = others.fold((0, 0), |(count, highest), (_, number)| (count + 1, highest.max(*number)));
        let is_below = highest.saturating_sub(request) >= REQUEST_WINDOW;
        assert!(count >= ANSWERS_KEPT || is_below, "number {request} of user {user} is called stale");
        self.stale.entry((user, request)).or_insert(now_ms);
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
            let kept = book.answers.get(&(*user, *request)).map(|(kept, _)| kept);
            assert_eq!(kept, Some(answer), "the answer to number {request} of user {user} in the ledger");
        }
        for news in &self.news {
            assert!(book.news.contains(news), "{news:?} is not in the ledger");
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
        for ((user, request), said_ms) in &self.stale {
            let decided = book.answers.get(&(*user, *request));
            assert!(
                decided.is_none_or(|(_, at_ms)| at_ms <= said_ms),
                "number {request} of user {user} is decided after it was called stale: {decided:?}"
            );
        }
        for (user, rows, is_whole) in self.pages.drain(..) {
            assert!(book.has_page(user, &rows, is_whole), "user {user} never had the history {rows:?}, {is_whole}");
            self.pages_proven += 1;
        }
        self.proven = (self.answered.len() + self.news.len()) as u64;
        self.book = book;
    }

    /// Numbers that were called stale.
    pub fn stale(&self) -> u64 {
        self.stale.len() as u64
    }

    /// Nothing is on its way any more: all news was told, of every packet to all whom it is for.
    pub fn audit_news(&self) {
        let untold: Vec<_> = self.book.news.difference(&self.news).collect();
        assert!(untold.is_empty(), "nobody was told of {untold:?}");
        let forgotten = self.book.forgotten();
        assert!(forgotten.is_empty(), "packets of which users were not told: {forgotten:?}");
    }

    /// Packets made, shares taken and refunds of which the clients know: all that there are, but for requests that were
    /// called stale.
    pub fn moved<'a>(&self, lines: impl Iterator<Item = &'a Acknowledged>) -> [Sum; 3] {
        let request_of = |line: &Acknowledged| match line.told {
            Told::Sent { request, .. } | Told::Grabbed { request, .. } => Some((line.user, request)),
            _ => None,
        };
        let told: HashSet<(u64, u64)> = lines.filter_map(request_of).collect();
        let [mut made, mut taken, mut refunded] = [Sum::default(); 3];
        for news in &self.book.news {
            if let News::Refund { fen, .. } = news {
                refunded.add(*fen);
            }
        }
        for (key, (answer, _)) in &self.book.answers {
            let sum = match answer {
                Answer::Sent { packet } => (&mut made, self.book.fen_of(*packet)),
                Answer::Grabbed { fen, .. } => (&mut taken, *fen),
                Answer::Refused { .. } => continue,
            };
            if told.contains(key) {
                sum.0.add(sum.1);
            } else {
                assert!(self.stale.contains_key(key), "nobody was told of {answer:?} to {key:?}");
            }
        }
        [made, taken, refunded]
    }
}

fn kind_of(bytes: &[u8]) -> Kind {
    Kind::of_number(bytes[0] & 0x3f).expect("a kind that there is")
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("it is whole"))
}
