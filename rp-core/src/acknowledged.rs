//! What a client was told of money, as one line of text each: clients write them down, and an audit holds the ledger to them.

use core::fmt;
use core::str::FromStr;

use crate::kind::Kind;
use crate::posting::{Act, Posting, Refused};
use crate::wire::Refusal;

/// Something that a user was told once and for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// Who was told.
    pub user: u64,
    /// What.
    pub told: Told,
    /// How much: into the packet, of the share, of the prize, back from the packet.
    pub fen: u64,
}

/// What a user was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// His request made a packet.
    Sent {
        /// The request's number.
        request: u64,
        /// The packet's id.
        packet: u64,
    },
    /// His request took a share.
    Grabbed {
        /// The request's number.
        request: u64,
        /// The packet's id.
        packet: u64,
    },
    /// His request was refused for good.
    Refused {
        /// The request's number.
        request: u64,
        /// What he asked.
        kind: Kind,
        /// Why not.
        refusal: Refusal,
    },
    /// He won a prize.
    Prize {
        /// Campaign in the high half, number in the low.
        about: u64,
    },
    /// What was left of his packet came back.
    Refund {
        /// The packet's id.
        packet: u64,
    },
}

/// What there is one of for each user: two lines of one topic that differ contradict each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// The answer to a request, by number.
    Answer(u64),
    /// A prize.
    Prize(u64),
    /// The refund of a packet.
    Refund(u64),
}

impl Acknowledged {
    /// Whose and what it is.
    pub fn topic(&self) -> (u64, Topic) {
        let topic = match self.told {
            Told::Sent { request, .. } | Told::Grabbed { request, .. } | Told::Refused { request, .. } => {
                Topic::Answer(request)
            }
            Told::Prize { about } => Topic::Prize(about),
            Told::Refund { packet } => Topic::Refund(packet),
        };
        (self.user, topic)
    }

    /// Must the ledger have it? Of a refusal that used up no number, or says that the number is of no use, it knows nothing.
    pub fn is_kept(&self) -> bool {
        use Refusal::{Busy, Conflict, Full, Malformed, Stale};
        !matches!(self.told, Told::Refused { refusal: Full | Malformed | Busy | Conflict | Stale, .. })
    }

    /// What a user may be told once this posting is on disk.
    pub fn by(posting: &Posting<'_>) -> Option<Self> {
        let &Posting { debit, credit, fen, about, request, .. } = posting;
        let (user, told, fen) = match posting.act {
            Act::Sent => (debit, Told::Sent { request, packet: credit }, fen),
            Act::Taken | Act::Received => (credit, Told::Grabbed { request, packet: debit }, fen),
            Act::Refused => {
                let Refused { kind, refusal, share_fen } = Refused::take(posting.tail)?;
                let (kind, refusal) = (Kind::of_number(kind)?, Refusal::of_number(refusal)?);
                (debit, Told::Refused { request, kind, refusal }, share_fen.into())
            }
            Act::Won => (credit, Told::Prize { about }, fen),
            Act::Refunded => (credit, Told::Refund { packet: debit }, fen),
            _ => return None,
        };
        Some(Self { user, told, fen })
    }
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Acknowledged { user, told, fen } = self;
        match told {
            Told::Sent { request, packet } => write!(f, "sent {user} {request} {packet} {fen}"),
            Told::Grabbed { request, packet } => write!(f, "grabbed {user} {request} {packet} {fen}"),
            Told::Refused { request, kind, refusal } => {
                write!(f, "refused {user} {request} {} {} {fen}", kind.name(), refusal.name())
            }
            Told::Prize { about } => write!(f, "prize {user} {about} {fen}"),
            Told::Refund { packet } => write!(f, "refund {user} {packet} {fen}"),
        }
    }
}

/// The text is no line of this sort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotOne;

impl FromStr for Acknowledged {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        read(text).ok_or(NotOne)
    }
}

fn read(text: &str) -> Option<Acknowledged> {
    let mut words = text.split(' ');
    let name = words.next()?;
    let user = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse().ok();
    let told = match name {
        "sent" => Told::Sent { request: number()?, packet: number()? },
        "grabbed" => Told::Grabbed { request: number()?, packet: number()? },
        "prize" => Told::Prize { about: number()? },
        "refund" => Told::Refund { packet: number()? },
        "refused" => {
            let request = number()?;
            let (kind, refusal) = (words.next()?, words.next()?);
            let kind = *Kind::ALL.iter().find(|known| known.name() == kind)?;
            Told::Refused { request, kind, refusal: Refusal::ALL.into_iter().find(|known| known.name() == refusal)? }
        }
        _ => return None,
    };
    let fen = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Acknowledged { user, told, fen })
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let (request, packet) = (7, u64::MAX);
        for (told, text) in [
            (Told::Sent { request, packet }, "sent 5 7 18446744073709551615 300"),
            (Told::Grabbed { request, packet }, "grabbed 5 7 18446744073709551615 300"),
            (
                Told::Refused { request, kind: Kind::Grab, refusal: Refusal::AlreadyYours },
                "refused 5 7 grab already_yours 300",
            ),
            (Told::Prize { about: 1 << 32 | 9 }, "prize 5 4294967305 300"),
            (Told::Refund { packet: 1 }, "refund 5 1 300"),
        ] {
            let line = Acknowledged { user: 5, told, fen: 300 };
            assert_eq!(line.to_string(), text);
            assert_eq!(text.parse(), Ok(line));
        }
    }

    #[test]
    fn what_is_no_line_is_none() {
        for text in
            ["", "sent", "sent 1 2 3", "sent 1 2 3 4 5", "sent 1 2 3 x", "refused 1 2 grab luck 0", "paid 1 2 3"]
        {
            assert_eq!(text.parse::<Acknowledged>(), Err(NotOne), "{text}");
        }
    }
}
