//! The ledger, read by the auditor at the door by rules of his own: what users must have been told, and may not have been.

use std::collections::{HashMap, HashSet};

use rp_core::limits::{NOTICES_PER_USER_MAX, PACKET_NOTICES_PER_USER_MAX};
use rp_core::posting::{self, Act, NOBODY, Posting, Terms};
use rp_core::steer::set_of_user;
use rp_core::wire::HistoryRow;

use crate::server::SETS;

/// An answer to a request that moves money, if it is one that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Sent { packet: u64 },
    Grabbed { packet: u64, fen: u64 },
    Refused { kind: u8, refusal: u8, fen: u64 },
}

/// Something that a user was told without asking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum News {
    Prize { user: u64, about: u64, fen: u64 },
    Packet { user: u64, packet: u64 },
    Refund { user: u64, packet: u64, fen: u64 },
}

/// What the ledger says of one user.
#[derive(Default)]
pub struct Account {
    /// The balance after each of his postings.
    pub balances: Vec<u64>,
    /// How many of them there were when a request was answered.
    pub answered: HashMap<u64, usize>,
    /// His history, oldest first.
    pub rows: Vec<HistoryRow>,
    /// Notices that he has not said to have seen.
    waiting: usize,
}

/// A packet as it was made.
struct Made {
    fen: u64,
    left_fen: u64,
    expires_ms: u64,
    recipients: Vec<u64>,
}

#[derive(Default)]
pub struct Book {
    pub accounts: HashMap<u64, Account>,
    /// By user and request: the answer, and when it was given.
    pub answers: HashMap<(u64, u64), (Answer, u64)>,
    /// What users must be told, once all is over, and nothing else.
    pub news: HashSet<News>,
    shares: HashSet<(u64, u64)>,
    made: HashMap<u64, Made>,
    /// Packets and users who were told of them, or could not be.
    heard: HashSet<(u64, u64)>,
}

impl Book {
    pub fn take(&mut self, posting: &Posting<'_>) {
        let &Posting { act, debit, credit, fen, about, request, at_ms, .. } = posting;
        match act {
            Act::Deposited => self.move_fen(credit, (fen, 0), (0, posting)),
            Act::Withdrawn => self.move_fen(debit, (0, fen), (0, posting)),
            Act::Won => {
                self.move_fen(credit, (fen, 0), (about, posting));
                let is_told = self.tell(credit, News::Prize { user: credit, about, fen }, NOTICES_PER_USER_MAX);
                assert!(is_told, "prize {about:#x} is won by somebody who cannot be told");
            }
            Act::Sent => {
                self.move_fen(debit, (0, fen), (credit, posting));
                self.answer((debit, request), Answer::Sent { packet: credit }, at_ms);
                let terms = Terms::take(posting.tail).expect("a packet has terms");
                let view = terms.view(fen, &posting.tail[Terms::LEN..]).expect("they are whole");
                let made =
                    Made { fen, left_fen: fen, expires_ms: terms.expires_ms, recipients: view.recipients().collect() };
                assert!(self.made.insert(credit, made).is_none(), "packet {credit:#x} is made twice");
            }
            Act::Taken | Act::Received => {
                self.move_fen(credit, (fen, 0), (debit, posting));
                self.answer((credit, request), Answer::Grabbed { packet: debit, fen }, at_ms);
                assert!(self.shares.insert((debit, credit)), "user {credit} has two shares of {debit:#x}");
                if act == Act::Taken {
                    self.gives(debit, fen, at_ms);
                }
            }
            Act::Handed => self.gives(debit, fen, at_ms),
            Act::Refused => {
                let tail = posting::Refused::take(posting.tail).expect("a refusal has its tail");
                let (kind, refusal, fen) = (tail.kind, tail.refusal, tail.share_fen.into());
                self.answer((debit, request), Answer::Refused { kind, refusal, fen }, at_ms);
            }
            Act::Refunded => {
                self.move_fen(credit, (fen, 0), (debit, posting));
                // Who has too much to hear already finds it in his history.
                self.tell(credit, News::Refund { user: credit, packet: debit, fen }, NOTICES_PER_USER_MAX);
                let made = self.made.get_mut(&debit).expect("it was made");
                // All clocks of the simulation go alike.
                assert!(at_ms >= made.expires_ms, "packet {debit:#x} comes back before its time");
                let left = std::mem::take(&mut made.left_fen);
                assert_eq!(left, fen, "what is left of packet {debit:#x} comes back");
            }
            Act::Told => {
                // The ledger knows everybody, since all got money at the beginning.
                let is_for = |user: u64| set_of_user(user, SETS) == u32::from(posting.set) && user != debit;
                let everyone = self.accounts.keys().copied().filter(|user| credit == NOBODY && is_for(*user));
                let users: Vec<u64> = everyone.chain((credit != NOBODY).then_some(credit)).collect();
                for user in users {
                    let is_told = self.tell(user, News::Packet { user, packet: about }, PACKET_NOTICES_PER_USER_MAX);
                    assert!(is_told || credit == NOBODY, "user {user} has no room to hear of {about:#x}");
                }
                self.heard.insert((about, credit));
            }
            Act::Seen => {
                let account = self.accounts.get_mut(&debit).expect("he was told something");
                account.waiting = account.waiting.checked_sub(1).expect("nothing is seen twice");
            }
            Act::Untold => {
                self.heard.insert((about, credit));
            }
            _ => {}
        }
    }

    fn move_fen(&mut self, user: u64, (gets, gives): (u64, u64), (about, posting): (u64, &Posting<'_>)) {
        if gets + gives == 0 {
            return;
        }
        let account = self.accounts.entry(user).or_default();
        let before = account.balances.last().copied().unwrap_or(0);
        let after = (before + gets).checked_sub(gives).unwrap_or_else(|| panic!("user {user} gives what he has not"));
        account.balances.push(after);
        // A share is taken, wherever its packet is.
        let act = if posting.act == Act::Received { Act::Taken } else { posting.act } as u8;
        account.rows.push(HistoryRow { at_ms: posting.at_ms, act, about, fen: posting.fen });
    }

    /// A notice, if so many at most wait for the user already; whether it is one.
    fn tell(&mut self, user: u64, news: News, most: usize) -> bool {
        let account = self.accounts.entry(user).or_default();
        if account.waiting >= most {
            return false;
        }
        account.waiting += 1;
        assert!(self.news.insert(news), "{news:?} twice");
        true
    }

    fn gives(&mut self, packet: u64, fen: u64, at_ms: u64) {
        let made = self.made.get_mut(&packet).expect("a share is of a packet that was made");
        assert!(at_ms < made.expires_ms, "a share of packet {packet:#x}, whose time is over");
        let left = made.left_fen.checked_sub(fen);
        made.left_fen = left.unwrap_or_else(|| panic!("packet {packet:#x} gives what it has not"));
    }

    fn answer(&mut self, (user, request): (u64, u64), answer: Answer, at_ms: u64) {
        let account = self.accounts.entry(user).or_default();
        account.answered.insert(request, account.balances.len());
        let before = self.answers.insert((user, request), (answer, at_ms));
        assert_eq!(before, None, "number {request} of user {user} is answered twice");
    }

    /// What was put into a packet.
    pub fn fen_of(&self, packet: u64) -> u64 {
        self.made[&packet].fen
    }

    /// Recipients of packets of whom the ledger does not say that they were told, or could not be.
    pub fn forgotten(&self) -> Vec<(u64, u64)> {
        let meant = self.made.iter().flat_map(|(packet, made)| made.recipients.iter().map(|user| (*packet, *user)));
        meant.filter(|one| !self.heard.contains(one)).collect()
    }

    /// Was this a page of the user's history at some time, from its newest row on?
    pub fn has_page(&self, user: u64, page: &[HistoryRow], is_whole: bool) -> bool {
        let oldest_first: Vec<HistoryRow> = page.iter().rev().copied().collect();
        let rows = self.accounts.get(&user).map_or(&[][..], |account| &account.rows);
        if is_whole {
            rows.starts_with(&oldest_first)
        } else {
            oldest_first.is_empty() || rows.windows(page.len()).any(|of| of == oldest_first)
        }
    }
}
