//! The client's books beside the server's: each kind of datagram, and each fen.
//!
//! Both sides are compared by what changed between a reading before the first log-in and one after the last answer, so
//! what other runs left in the server's counters does not matter. The server counts per client address: each address that
//! this client sends from has an auditor of its own, and no other client may share it.

use rp_core::kind::{KINDS_MAX, Kind};
use rp_core::wire::TOTALS_WORDS;
use serde::{Deserialize, Serialize};

use crate::books::Books;
use crate::report::server::ServerSecond;

/// One reading of the server's totals, summed over our addresses, and our books at that moment.
#[derive(Clone)]
pub struct Reading {
    words: [u64; TOTALS_WORDS],
    books: Books,
}

/// Words 0 .. this are of the address that asks; those after, of the whole server.
const ADDRESS_WORDS: usize = 80;
/// Words from this on, up to 64, are replies by kind.
const REPLY_WORDS: usize = 32;
/// The word that is another one after each start of the server.
const START_WORD: usize = 93;

impl Reading {
    /// Joins what the auditors read, when all have read, with our books.
    pub fn join(readings: &[Option<[u64; TOTALS_WORDS]>], books: &Books) -> Option<Self> {
        let mut words = [0; TOTALS_WORDS];
        for reading in readings {
            let reading = reading.as_ref()?;
            for (word, read) in words[..ADDRESS_WORDS].iter_mut().zip(reading) {
                *word += read;
            }
            words[ADDRESS_WORDS..].copy_from_slice(&reading[ADDRESS_WORDS..]);
        }
        Some(Self { words, books: books.clone() })
    }

    fn since(&self, before: &Reading, word: usize) -> u64 {
        self.words[word].wrapping_sub(before.words[word])
    }

    /// Did the server's money move between two readings?
    pub fn money_moved(&self, before: &Reading) -> bool {
        self.words[ADDRESS_WORDS..] != before.words[ADDRESS_WORDS..]
    }

    /// Was the server started between two readings? Then it counts from zero, and there is nothing to compare.
    pub fn is_of_another_start(&self, before: &Reading) -> bool {
        self.words[START_WORD] != before.words[START_WORD]
    }

    /// What the server counted of our addresses since `before`, which was read `span_us` ago.
    pub fn second_since(&self, before: &Reading, second: u64, span_us: u64) -> ServerSecond {
        let of = |kind: Kind| self.since(before, kind.index());
        let sum = |words: std::ops::Range<usize>| words.map(|word| self.since(before, word)).sum();
        ServerSecond {
            second,
            span_us,
            machines: 1,
            received: sum(0..REPLY_WORDS),
            sent: sum(REPLY_WORDS..64),
            dropped: self.since(before, 64),
            shakes: of(Kind::Shake),
            answered: of(Kind::Nothing) + of(Kind::Prize),
            busy: of(Kind::Busy),
            prizes: self.since(before, 66),
            packets_made: self.since(before, 68),
            shares_taken: self.since(before, 70),
            sessions: self.words[72],
        }
    }

    /// What must be alike of what the server and we counted since `before`.
    pub fn equations(&self, before: &Reading) -> Vec<Equation> {
        let mut all = Vec::new();
        let mut agree = |ours: u64, what: &str, theirs: u64, server: &str| {
            all.push(Equation::new((what, ours), (server, theirs), false));
        };
        for kind in Kind::ALL {
            let at = kind.index();
            let name = kind.name();
            if kind.is_request() {
                let sent = self.books.sent[at] - before.books.sent[at];
                agree(sent, &format!("we sent {name}"), self.since(before, at), "the server received");
            } else {
                let received = self.books.received[at] - before.books.received[at];
                agree(received, &format!("we received {name}"), self.since(before, at), "the server sent");
            }
        }
        agree(0, "not one of our requests", self.since(before, 0), "the server received");
        let thrown: u64 = self.books.discarded.iter().sum::<u64>() - before.books.discarded.iter().sum::<u64>();
        agree(thrown, "we threw away", 0, "it should be");
        let (old, new) = (&before.books, &self.books);
        let false_histories = new.false_histories - old.false_histories;
        agree(false_histories, "histories without what we had sent", 0, "it should be");
        for (name, old, new, word) in [
            ("prizes", old.prizes, new.prizes, 66),
            ("packets made", old.packets, new.packets, 68),
            ("shares taken", old.shares, new.shares, 70),
        ] {
            let theirs = (self.since(before, word), self.since(before, word + 1));
            agree(new.count - old.count, &format!("we count {name}"), theirs.0, "the server");
            agree(new.fen - old.fen, &format!("we count fen of {name}"), theirs.1, "the server");
        }
        all
    }

    /// What must be alike of the sums of the server's money; only true of a server at rest.
    pub fn sums(&self) -> [Equation; 2] {
        let word = |at: usize| self.words[at];
        let held = word(81) + word(82) + word(83) + word(84);
        let ended = word(88) + word(90) + word(92);
        let held = ("users, packets, campaigns and transit hold", held);
        let ended = ("taken, refunded and open are", ended);
        [
            Equation::new(("fen that the server issued", word(80)), held, true),
            Equation::new(("fen of the server's packets", word(86)), ended, true),
        ]
    }
}

/// Two counts that must be alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Equation {
    /// What the first is.
    pub what: String,
    /// Ours, as a rule.
    pub ours: u64,
    /// What the second is.
    pub beside: String,
    /// The server's.
    pub theirs: u64,
    /// Is it of the whole server, and not of our addresses?
    pub of_all: bool,
}

impl Equation {
    fn new((what, ours): (&str, u64), (beside, theirs): (&str, u64), of_all: bool) -> Self {
        Self { what: what.to_string(), ours, beside: beside.to_string(), theirs, of_all }
    }

    /// Are they alike?
    pub fn holds(&self) -> bool {
        self.ours == self.theirs
    }

    /// A sentence, if they are not.
    pub fn difference(&self) -> Option<String> {
        let Self { what, ours, beside, theirs, .. } = self;
        (!self.holds()).then(|| format!("{what}: {ours}, but {beside}: {theirs}"))
    }
}

/// What came of comparing the books.
#[derive(Clone, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// No difference, or not compared.
    pub ok: bool,
    /// Were the books compared?
    pub checked: bool,
    /// The server was started anew meanwhile and counts from zero: only its own sums could be looked at.
    pub restarted: bool,
    /// One sentence per difference.
    pub differences: Vec<String>,
    /// What had to be alike, by the last reading.
    pub equations: Vec<Equation>,
}

// Words by kind number: requests below 32, replies above.
const _: () = assert!(KINDS_MAX <= 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Sum;

    fn reading(change: impl FnOnce(&mut [u64; TOTALS_WORDS], &mut Books)) -> Reading {
        let (mut words, mut books) = ([0; TOTALS_WORDS], Books::default());
        change(&mut words, &mut books);
        Reading::join(&[Some(words)], &books).expect("one auditor, who has read")
    }

    fn differences(equations: &[Equation]) -> Vec<String> {
        equations.iter().filter_map(Equation::difference).collect()
    }

    #[test]
    fn each_kind_of_difference_is_named_once() {
        let before = reading(|_, _| {});
        let rows: [(&str, Reading); 7] = [
            (
                "we sent shake: 3, but the server received: 2",
                reading(|words, books| {
                    (words[4], books.sent[4]) = (2, 3);
                }),
            ),
            ("we received nothing: 0, but the server sent: 1", reading(|words, _| words[36] = 1)),
            ("not one of our requests", reading(|words, _| words[0] = 1)),
            ("we threw away: 1", reading(|_, books| books.discarded[0] = 1)),
            ("histories without what we had sent: 1", reading(|_, books| books.false_histories = 1)),
            (
                "we count prizes: 1, but the server: 2",
                reading(|words, books| {
                    (words[66], words[67]) = (2, 5);
                    books.prizes = Sum { count: 1, fen: 5 };
                }),
            ),
            (
                "we count fen of shares taken: 7, but the server: 8",
                reading(|words, books| {
                    (words[70], words[71]) = (1, 8);
                    books.shares = Sum { count: 1, fen: 7 };
                }),
            ),
        ];
        for (sentence, after) in rows {
            let found = differences(&after.equations(&before));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(sentence), "{found:?}");
        }
        assert!(differences(&before.equations(&before)).is_empty());
    }

    #[test]
    fn a_missing_fen_of_the_server_is_named() {
        let good = |words: &mut [u64; TOTALS_WORDS]| {
            (words[80], words[81], words[82], words[83], words[84]) = (100, 50, 30, 15, 5);
            (words[86], words[88], words[90], words[92]) = (60, 10, 20, 30);
        };
        assert!(differences(&reading(|words, _| good(words)).sums()).is_empty());
        for word in [81, 92] {
            let bad = reading(|words, _| {
                good(words);
                words[word] -= 1;
            });
            assert_eq!(differences(&bad.sums()).len(), 1);
        }
    }

    #[test]
    fn addresses_are_summed_and_the_server_is_not() {
        let mut words = [0; TOTALS_WORDS];
        (words[4], words[80]) = (5, 100);
        let both = Reading::join(&[Some(words), Some(words)], &Books::default()).expect("both have read");
        assert_eq!((both.words[4], both.words[80]), (10, 100));
        assert!(Reading::join(&[Some(words), None], &Books::default()).is_none());
    }
}
