//! Notes: the only bridge between SETs, and between SETs and the bank.
//!
//! A note that asks is always answered by one note, and a worker may have only so many unanswered; so a ring that holds
//! both sides' credits never overflows, and no note is ever lost or waited for.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::asks::DetailAsk;
use super::journal::Journal;
use super::projection::{Folded, Unfolding};
use crate::limits::NOTE_CREDITS;
pub use crate::posting::BANK;
use crate::posting::Source;
use crate::wire::Refusal;

/// A note and its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The SET that gets it, or [`BANK`].
    pub to: u16,
    /// The SET that sent it, or [`BANK`].
    pub from: u16,
    /// The posting that it follows from; none when nothing is lost with it.
    pub source: Source,
    /// What it says.
    pub body: Body,
}

impl Note {
    /// A note that follows from no posting.
    pub const fn new(to: u16, from: u16, body: Body) -> Note {
        Note { to, from, source: Source::NONE, body }
    }
}

/// What a note says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A user of another SET wants a share. Answered by `GrabDone`.
    GrabAsk {
        /// The taker.
        user: u64,
        /// The packet.
        packet: u64,
        /// The taker's request number.
        request: u64,
        /// Hash of the request.
        hash: u64,
    },
    /// The owner of the packet decided; a share's money is in transit with this note, which is answered by `Landed`.
    GrabDone {
        /// The taker.
        user: u64,
        /// The packet.
        packet: u64,
        /// The taker's request number.
        request: u64,
        /// Hash of the request.
        hash: u64,
        /// The share, or why not.
        decision: Decision,
    },
    /// A user of another SET reads a packet. The owner sends the page itself and answers by `Heard`: the note carries what
    /// it needs for that, because a page is larger than any note should be.
    DetailAsk(Box<DetailAsk>),
    /// There is a packet for a user of this SET, or for all of them. Answered by `Heard`.
    PacketFor {
        /// The recipient, or every user of the SET.
        user: Option<u64>,
        /// The packet.
        packet: u64,
        /// The sender.
        sender: u64,
        /// What is in it.
        fen: u64,
        /// Milliseconds since 1970 when it was made.
        at_ms: u64,
    },
    /// A `PacketFor` or `DetailAsk` was heard; gives its credit back. The source of what was heard.
    Heard(Source),
    /// The receiver's ledger has what this source brought.
    Landed(Source),
    /// Money for a user, from the bank. Answered by `DepositDone`.
    Deposit {
        /// The user.
        user: u64,
        /// How much, in transit with this note.
        fen: u64,
    },
    /// The deposit was booked, or comes back. `Landed` answers what comes back.
    DepositDone {
        /// The user.
        user: u64,
        /// How much comes back: 0, or all of it when the SET's accounts are full.
        back_fen: u64,
        /// The deposit's source.
        of: Source,
    },
    /// The operator asks a user for money back. Answered by `Withdrawn`.
    Reclaim {
        /// The user.
        user: u64,
        /// How much.
        fen: u64,
    },
    /// The user paid, or has not so much. Answered by `Landed`.
    Withdrawn {
        /// The user.
        user: u64,
        /// How much, in transit with this note: what was asked, or 0.
        fen: u64,
        /// The source of the `Reclaim`.
        of: Source,
    },
    /// A prize to be won, from the bank; its money is in transit with this note.
    Prize(PrizeNote),
    /// A prize that nobody took; its money is in transit with this note.
    PrizeBack(PrizeNote),
    /// The campaign is over: give back what waits. Answered by `CampaignOver`.
    CampaignEnd,
    /// Nothing of the campaign is left here, and what was won is on disk.
    CampaignOver,
}

/// A prize on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrizeNote {
    /// The campaign.
    pub campaign: u32,
    /// The prize's number in the campaign.
    pub number: u32,
    /// How much.
    pub fen: u64,
    /// Prizes one user may win in the campaign.
    pub per_user: u8,
}

/// What became of a grab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// A share, newly taken.
    Share(u64),
    /// Why not; with *already yours*, the share that was taken before.
    No(Refusal, u64),
}

/// Notes on their way out of a shard, or of the bank.
pub struct Outbox {
    /// They follow from nothing that must be on disk first.
    prompt: VecDeque<Note>,
    /// They leave once so many postings are on disk.
    held: VecDeque<(u64, Note)>,
    /// Its ring had no room for it.
    returned: Option<Note>,
    /// Below zero when more were sent again at start than one worker may have out.
    credits: isize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            prompt: VecDeque::with_capacity(1024),
            held: VecDeque::with_capacity(1024),
            returned: None,
            credits: NOTE_CREDITS as isize,
        }
    }
}

impl Outbox {
    /// Asks that may still be sent before answers come.
    pub fn credits(&self) -> usize {
        self.credits.max(0) as usize
    }

    /// Sends a note that will be answered and follows from no posting. The caller has looked at [`Self::credits`].
    pub fn ask(&mut self, note: Note) {
        self.credits -= 1;
        self.prompt.push_back(note);
    }

    /// Sends a note that will be answered, once all that was written is on disk. The caller has looked at
    /// [`Self::credits`].
    pub fn ask_after(&mut self, journal: &Journal, note: Note) {
        self.credits -= 1;
        self.send_after(journal, note);
    }

    /// Sends a note that is an answer, or goes to or comes from the bank, which bounds what it has out; once all that was
    /// written is on disk.
    pub fn send_after(&mut self, journal: &Journal, note: Note) {
        self.held.push_back((journal.written(), note));
    }

    /// An ask was answered.
    pub fn answered(&mut self) {
        self.credits += 1;
        assert!(self.credits <= NOTE_CREDITS as isize, "a note was answered twice");
    }

    /// The next note to carry.
    pub fn pop(&mut self, journal: &Journal) -> Option<Note> {
        let kept = |(after, _): &mut (u64, Note)| journal.is_kept(*after);
        let held = |queue: &mut VecDeque<(u64, Note)>| queue.pop_front_if(kept).map(|(_, note)| note);
        self.returned.take().or_else(|| self.prompt.pop_front()).or_else(|| held(&mut self.held))
    }

    /// Is none to be carried, and every ask answered?
    pub fn is_at_rest(&self) -> bool {
        self.returned.is_none()
            && self.prompt.is_empty()
            && self.held.is_empty()
            && self.credits >= NOTE_CREDITS as isize
    }

    /// Puts a note back that its ring had no room for.
    pub fn unpop(&mut self, note: Note) {
        self.returned = Some(note);
    }
}

/// Notes whose loss would lose money or news: kept until the receiver's ledger has them, and sent again after a crash.
#[derive(Default)]
pub struct Unlanded(VecDeque<(u64, Option<Note>)>);

impl Unlanded {
    /// Keeps a note; its place is above those before it.
    pub fn push(&mut self, note: Note) {
        self.0.push_back((note.source.place(), Some(note)));
    }

    /// It arrived for good; `false` when that was known.
    pub fn land(&mut self, source: Source) -> bool {
        let found = self.0.binary_search_by_key(&source.place(), |(place, _)| *place);
        let is_news = found.is_ok_and(|at| self.0[at].1.take().is_some());
        while self.0.pop_front_if(|(_, note)| note.is_none()).is_some() {}
        is_news
    }

    /// Those that have not arrived, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter().filter_map(|(_, note)| note.as_ref())
    }

    /// Keeps those only that this is true of.
    pub fn retain(&mut self, keeps: impl Fn(&Note) -> bool) {
        self.0.retain(|(_, note)| note.as_ref().is_some_and(&keeps));
    }
}

/// What a SET, or the bank, has seen of the others' notes: the place of the newest, by SET; the bank's is last.
pub struct Cursors(Vec<u64>);

impl Cursors {
    /// Nothing was seen, of so many SETs.
    pub fn new(sets: u32) -> Self {
        Self(alloc::vec![0; sets as usize + 1])
    }

    /// The newest place seen of a SET.
    pub fn of(&self, set: u16) -> u64 {
        self.0[self.row(set)]
    }

    /// Sees a note; `false` when it was seen before.
    pub fn see(&mut self, source: Source) -> bool {
        let row = self.row(source.set());
        let is_new = source.place() > self.0[row];
        self.0[row] = self.0[row].max(source.place());
        is_new
    }

    /// Folds them; see [`projection`](super::projection).
    pub(super) fn fold(&self, out: &mut Folded) {
        self.0.iter().for_each(|place| out.put(*place));
    }

    /// Unfolds them.
    pub(super) fn unfold(&mut self, from: &mut Unfolding<'_>) -> Result<(), &'static str> {
        for place in &mut self.0 {
            *place = from.take()?;
        }
        Ok(())
    }

    fn row(&self, set: u16) -> usize {
        usize::from(set).min(self.0.len() - 1)
    }
}
