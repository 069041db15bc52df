//! An operator who gives money, takes it back, starts campaigns and stops them, at any moment of a server's life.
//!
//! What he was told must be in the ledger, once; of an order that the server's end cut off, each user has had his part once or
//! not at all. He gives orders again under their numbers, those above all that were cut off: what they then come to is the
//! whole of it, once. And under the number of one that is done he gives another, which must not be.

use std::collections::{HashMap, HashSet};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rp_core::engine::Now;
use rp_core::engine::bank::{Bank, ORDERS_KEPT, Plan};
use rp_core::posting::{Act, BANK, Posting, Source};
use rp_server::admin::Answer;
use rp_server::control::{MintOrder, Minted, Mints};
use rp_server::ledger::Reader;

use crate::server::Server;

/// Orders move this and their number, so that each has a sum of its own.
const FEN: u64 = 40_000;
/// More than there are orders in an evening.
const ORDERS_MAX: u64 = 10_000;
pub const PLAN: Plan = Plan { budget_fen: 1_000_000, rate: 40, from_fen: 10, to_fen: 309, per_user: 3 };

/// What the operator is told.
pub enum Told {
    /// What became of the order that he asked for then.
    Minted(usize, Minted),
    /// Nothing did.
    Refused(usize),
    Started(u32),
    Closed(u32),
}

/// The control plane's part in it, which goes with the process.
#[derive(Default)]
pub struct Desk {
    mints: Mints<usize>,
    /// The campaign that is being stopped.
    stopping: Option<u32>,
    /// What waits until so many postings of the bank are on disk.
    late: Vec<(u64, Told)>,
    told: Vec<Told>,
}

impl Desk {
    pub fn order(&mut self, asking: usize, order: &MintOrder) {
        let refused = self.mints.begin(order, asking);
        assert!(refused.is_none(), "a small order is taken");
    }

    /// Stops the campaign that runs, or starts one.
    pub fn turn_campaign(&mut self, bank: &mut Bank, now: Now) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = bank.stop(now);
        if self.stopping.is_none()
            && let Ok(number) = bank.start(PLAN, now)
        {
            self.late.push((bank.journal().written(), Told::Started(number)));
        }
    }

    pub fn push(&mut self, bank: &mut Bank, now: Now) {
        self.mints.push(bank, now);
    }

    /// Tells what is done and on disk.
    pub fn end(&mut self, bank: &mut Bank) {
        match self.mints.end(bank) {
            Some((asking, Answer::Minted(minted))) => self.told.push(Told::Minted(asking, minted)),
            Some((asking, _)) => self.told.push(Told::Refused(asking)),
            None => {}
        }
        let is_over = |number: &mut u32| bank.campaign().is_none_or(|(running, ..)| running != *number);
        if let Some(number) = self.stopping.take_if(is_over) {
            self.late.push((bank.journal().written(), Told::Closed(number)));
        }
        let kept = self.late.extract_if(.., |(after, _)| bank.journal().is_kept(*after));
        self.told.extend(kept.map(|(_, told)| told));
    }

    pub fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    UnderWay,
    Done {
        booked: u64,
        refused: u64,
    },
    /// The server ended before it answered.
    CutOff,
}

/// Something that he asked for.
struct Asking {
    /// Which of his orders.
    order: usize,
    /// It is another, under that one's number.
    is_other: bool,
    /// It is answered, or never will be.
    is_over: bool,
}

pub struct Operator {
    rng: ChaCha8Rng,
    users: u64,
    next_us: u64,
    orders: Vec<(MintOrder, Standing)>,
    askings: Vec<Asking>,
    started: HashSet<u64>,
    closed: HashSet<u64>,
    /// Orders of which he was told.
    pub answered: u64,
    pub cut_off: u64,
    /// Orders that were cut off and brought to their end.
    pub resumed: u64,
}

/// What the ledger says of one order, by user: asked, served, and answered at all.
#[derive(Default)]
struct Trace {
    asked: HashSet<u64>,
    served: HashSet<u64>,
    refused: HashSet<u64>,
}

impl Operator {
    /// Of so many users; the orders follow from the seed.
    pub fn new(users: u64, seed: u64) -> Operator {
        Operator {
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x09e7_a704),
            users,
            next_us: 0,
            orders: Vec::new(),
            askings: Vec::new(),
            started: HashSet::new(),
            closed: HashSet::new(),
            answered: 0,
            cut_off: 0,
            resumed: 0,
        }
    }

    /// Hears what he was told, and perhaps orders something.
    pub fn beat(&mut self, server: &mut Server, now_us: u64) {
        self.hear(server);
        self.order(server, now_us);
    }

    pub fn hear(&mut self, server: &mut Server) {
        for told in server.told() {
            match told {
                Told::Minted(asking, minted) => self.is_done(asking, minted),
                Told::Refused(asking) => self.is_refused(asking),
                Told::Started(number) => assert!(self.started.insert(number.into()), "{number} starts once"),
                Told::Closed(number) => assert!(self.closed.insert(number.into()), "{number} ends once"),
            }
        }
    }

    /// An order, or what was left of it, is done.
    fn is_done(&mut self, asking: usize, minted: Minted) {
        let (order, is_other) = self.answered(asking);
        assert!(!is_other, "another order is given under the number of order {order}");
        let Minted { booked, refused, turned_away, booked_before, refused_before } = minted;
        assert_eq!(turned_away, 0, "there is money enough");
        let standing = &mut self.orders[order].1;
        if let Standing::Done { .. } = standing {
            assert_eq!(booked + refused, 0, "order {order} was done, and moves more");
        }
        let done = Standing::Done { booked: booked + booked_before, refused: refused + refused_before };
        let before = std::mem::replace(standing, done);
        assert!(!matches!(before, Standing::Done { .. }) || before == done, "order {order}: {before:?}, then {done:?}");
        self.answered += 1;
        self.resumed += u64::from(booked_before + refused_before > 0 && booked + refused > 0);
    }

    /// It is not done: its number is another's, or too low.
    fn is_refused(&mut self, asking: usize) {
        let (order, is_other) = self.answered(asking);
        let is_old = order + ORDERS_KEPT < self.orders.len();
        assert!(is_other || is_old, "order {order} of {} is refused", self.orders.len());
    }

    fn answered(&mut self, asking: usize) -> (usize, bool) {
        let Asking { order, is_other, is_over } = &mut self.askings[asking];
        assert!(!std::mem::replace(is_over, true), "order {order} is answered once");
        (*order, *is_other)
    }

    fn order(&mut self, server: &mut Server, now_us: u64) {
        if now_us < self.next_us || server.life.is_err() {
            return;
        }
        self.next_us = now_us + self.below(400_000);
        match self.below(6) {
            0 => server.turn_campaign(now_us),
            1 if !self.orders.is_empty() => self.order_again(server),
            2 if self.orders.iter().any(|(_, standing)| *standing == Standing::CutOff) => self.order_again(server),
            _ => self.order_more(server),
        }
    }

    fn order_more(&mut self, server: &mut Server) {
        let first = 1 + self.below(self.users);
        let last = first + self.below(self.users + 1 - first);
        let number = self.orders.len() as u64 + 1;
        let order = MintOrder { number, first, last, fen: FEN + number, takes_back: self.below(2) == 0 };
        self.orders.push((order, Standing::UnderWay));
        self.ask(server, self.orders.len() - 1, false);
    }

    /// Gives the newest order that was cut off once more, or any of late; or another under the number of that.
    fn order_again(&mut self, server: &mut Server) {
        let cut_off = self.orders.iter().rposition(|(_, standing)| *standing == Standing::CutOff);
        let lately = self.orders.len() - 1 - self.below(self.orders.len().min(2 * ORDERS_KEPT) as u64) as usize;
        let order = cut_off.filter(|_| self.below(4) > 0).unwrap_or(lately);
        let is_done = matches!(self.orders[order].1, Standing::Done { .. });
        let is_other = is_done && self.below(3) == 0;
        self.ask(server, order, is_other);
    }

    fn ask(&mut self, server: &mut Server, order: usize, is_other: bool) {
        let mut asked = self.orders[order].0;
        if is_other {
            asked.fen += ORDERS_MAX / 2;
        }
        self.askings.push(Asking { order, is_other, is_over: false });
        server.order(self.askings.len() - 1, &asked);
    }

    /// The server has ended: what it has not answered it never will.
    pub fn is_cut_off(&mut self) {
        for asking in self.askings.iter_mut().filter(|asking| !asking.is_over) {
            asking.is_over = true;
            let standing = &mut self.orders[asking.order].1;
            if *standing == Standing::UnderWay {
                *standing = Standing::CutOff;
                self.cut_off += 1;
            }
        }
    }

    /// He is there as soon as it serves again: that is when orders meet what the last one left.
    pub fn hurry(&mut self) {
        self.next_us = 0;
    }

    fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }

    /// Holds what he was told to the ledger; once all is over, nothing that he ordered is on its way.
    pub fn audit(&self, reader: &mut dyn Reader, is_over: bool) {
        let mut book = Book::default();
        let read = reader.read(1, &mut |_, posting| {
            book.take(posting);
            Ok(())
        });
        read.unwrap_or_else(|error| panic!("the ledger cannot be read: {error:#}"));
        for (number, (order, standing)) in self.orders.iter().enumerate() {
            let trace = book.orders.remove(&(order.fen, order.takes_back)).unwrap_or_default();
            let [asked, served, refused] = [&trace.asked, &trace.served, &trace.refused].map(HashSet::len);
            let is_for = |user: &u64| (order.first..=order.last).contains(user);
            assert!(trace.asked.iter().all(is_for), "order {number} is for others");
            assert!(!is_over || asked == served + refused, "order {number}: {asked} asked, {served} and {refused}");
            match standing {
                Standing::UnderWay | Standing::CutOff => {}
                Standing::Done { booked, refused: not } => {
                    assert_eq!((served as u64, refused as u64), (*booked, *not), "order {number}: served and not");
                    assert_eq!(asked as u64, order.last - order.first + 1, "order {number} is for all of them");
                }
            }
        }
        let strange: Vec<_> = book.orders.keys().filter(|(fen, _)| *fen >= FEN && *fen < FEN + ORDERS_MAX).collect();
        assert!(strange.is_empty(), "nobody ordered {strange:?}");
        assert!(self.started.is_subset(&book.started), "{:?} started, {:?}", self.started, book.started);
        assert!(self.closed.is_subset(&book.closed), "{:?} closed, {:?}", self.closed, book.closed);
    }
}

/// The bank's side of the ledger, by his own rules.
#[derive(Default)]
struct Book {
    /// What was asked, by source: user, sum, and whether it is taken back.
    asks: HashMap<Source, (u64, (u64, bool))>,
    orders: HashMap<(u64, bool), Trace>,
    started: HashSet<u64>,
    closed: HashSet<u64>,
}

impl Book {
    fn take(&mut self, posting: &Posting<'_>) {
        let &Posting { act, debit, credit, fen, about, source, sequence, .. } = posting;
        let here = Source::new(BANK, sequence, 0);
        match act {
            Act::Minted => self.ask(here, credit, (fen, false)),
            Act::Reclaimed => self.ask(here, credit, (about, true)),
            Act::Deposited => self.end(source, credit, fen),
            Act::Bounced => self.end(source, credit, 0),
            Act::Withdrawn => self.end(source, debit, fen),
            Act::Started => assert!(self.started.insert(credit), "campaign {credit} starts twice"),
            Act::Closed => assert!(self.closed.insert(debit), "campaign {debit} is over twice"),
            Act::Won => assert!(!self.closed.contains(&debit), "a prize of campaign {debit}, which is over"),
            _ => {}
        }
    }

    fn ask(&mut self, source: Source, user: u64, order: (u64, bool)) {
        self.asks.insert(source, (user, order));
        let is_first = self.orders.entry(order).or_default().asked.insert(user);
        assert!(is_first, "user {user} is asked for {order:?} twice");
    }

    /// The user got or gave it; or, with nothing moved, not.
    fn end(&mut self, source: Source, user: u64, fen: u64) {
        let (asked, order) = self.asks.remove(&source).expect("money moves once for each time that it is ordered");
        assert!(asked == user && (fen == 0 || fen == order.0), "{asked} was to move {order:?}, not {user} {fen}");
        let trace = self.orders.get_mut(&order).expect("it was asked for");
        if fen > 0 {
            trace.served.insert(user)
        } else {
            trace.refused.insert(user)
        };
    }
}
