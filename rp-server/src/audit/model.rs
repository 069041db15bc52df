//! The ledger once more, from its postings alone: plain tables, in the order in which the postings stand.
//!
//! It shares no state and, but for the rule by which a split draws, no decision with the engine whose doings it checks.

use std::collections::HashMap;

use rp_core::kind::Kind;
use rp_core::posting::{Account, Act, BANK, Posting, Refused, Side, Source, Told};
use rp_core::steer::set_of_user;
use rp_core::wire::Refusal;

use super::balances::Balances;
use super::campaigns::Campaigns;
use super::fault::{Breach, Fault, Place, Rule, name_of};
use super::figures::{Figures, Sum, Waiting};
use super::notes::{Content, Notes};
use super::orders::Orders;
use super::packets::{Packets, set_of_packet};
use super::users::Users;

/// All that postings have told so far.
pub struct Model {
    sets: u32,
    postings: u64,
    sequences: HashMap<u16, u64>,
    balances: Balances,
    notes: Notes,
    packets: Packets,
    campaigns: Campaigns,
    users: Users,
    orders: Orders,
}

impl Model {
    /// Nothing was told yet, of a ledger of `sets` SETs.
    pub fn new(sets: u32) -> Self {
        Self {
            sets,
            postings: 0,
            sequences: HashMap::new(),
            balances: Balances::default(),
            notes: Notes::default(),
            packets: Packets::default(),
            campaigns: Campaigns::default(),
            users: Users::default(),
            orders: Orders::default(),
        }
    }

    /// Takes the next posting.
    ///
    /// # Errors
    /// The first rule that it breaks; what follows it means nothing any more.
    pub fn take(&mut self, position: u64, posting: &Posting<'_>) -> Result<(), Fault> {
        let fault = |breach| Fault { place: Some(Place::of(position, posting)), breach };
        self.postings += 1;
        self.follow(posting).map_err(fault)
    }

    /// The figures, and the last check: every account and packet is added up anew.
    ///
    /// # Errors
    /// The rule that is broken, though no posting by itself breaks one.
    pub fn figures(&self) -> Result<Figures, Fault> {
        self.add_up().map_err(|breach| Fault { place: None, breach })
    }

    fn follow(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let last = self.sequences.entry(posting.set).or_default();
        let (expected, found) = (*last + 1, posting.sequence);
        Rule::Sequence.demand(found == expected, || format!("{found}, where {expected} is next"))?;
        *last = expected;
        self.is_in_place(posting)?;
        is_in_form(posting)?;
        self.act(posting)?;
        if let Some((debit, credit)) = posting.accounts() {
            self.balances.post(debit, credit, posting.fen)?;
        }
        let (transit, waiting) = (self.balances.sums().transit, self.notes.fen());
        Rule::Balanced.demand(transit == waiting, || format!("{transit} fen in transit, {waiting} in notes"))
    }

    fn act(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let &Posting { debit, credit, fen, about, request, hash, .. } = posting;
        match posting.act {
            Act::Minted => {
                self.orders.ask(posting)?;
                let deposit = Content::Deposit { user: credit, fen, order: request };
                self.send(posting, 0, self.set_of(credit), deposit);
            }
            Act::Reclaimed => {
                self.orders.ask(posting)?;
                let reclaim = Content::Reclaim { user: credit, asked_fen: about, order: request };
                self.send(posting, 0, self.set_of(credit), reclaim);
            }
            Act::Deposited => self.arrive(posting).map(drop)?,
            Act::Bounced => {
                let order = self.arrive(posting)?;
                self.send(posting, 0, BANK, Content::Bounce { user: credit, fen, order });
            }
            Act::Withdrawn => self.withdraw(posting)?,
            Act::Redeemed => self.redeem(posting)?,
            Act::Started => self.campaigns.start(posting)?,
            Act::Stopped => self.campaigns.stop(posting)?,
            Act::Closed => self.campaigns.close(posting)?,
            Act::Won => {
                self.campaigns.win(posting)?;
                self.users.notice(credit);
            }
            Act::Sent => {
                self.users.answer(debit, request, true)?;
                for (index, news) in self.packets.make(posting, self.sets)?.into_iter().enumerate() {
                    self.send(posting, index as u8, news.set, Content::News { packet: credit, user: news.user });
                }
            }
            Act::Refused => self.refuse(posting)?,
            Act::Taken => {
                self.users.answer(credit, request, true)?;
                self.packets.take(posting, self.sets)?;
            }
            Act::Handed => {
                self.packets.take(posting, self.sets)?;
                let share = Content::Share { packet: debit, taker: credit, fen, request, hash };
                self.send(posting, 0, self.set_of(credit), share);
            }
            Act::Received => {
                self.answers(posting, Content::Share { packet: debit, taker: credit, fen, request, hash })?;
                self.users.answer(credit, request, false)?;
            }
            Act::Refunded => {
                self.packets.refund(posting)?;
                self.users.notice(credit);
            }
            Act::Told | Act::Untold => self.tell(posting)?,
            Act::Seen => self.users.see(debit, about, posting.set)?,
        }
        Ok(())
    }

    /// A deposit arrives; of which order it is.
    fn arrive(&mut self, posting: &Posting<'_>) -> Result<u64, Breach> {
        match self.notes.answer(posting.source, posting.set)? {
            Content::Deposit { user, fen, order } if (user, fen) == (posting.credit, posting.fen) => Ok(order),
            other => other_note(posting, other),
        }
    }

    fn withdraw(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let (user, fen) = (posting.debit, posting.fen);
        let (asked, order) = match self.notes.answer(posting.source, posting.set)? {
            Content::Reclaim { user: of, asked_fen, order } if of == user => (asked_fen, order),
            other => return other_note(posting, other),
        };
        let held = self.balances.of(Account::User(user));
        let is_due = fen == asked || fen == 0 && held < i128::from(asked);
        Rule::Withdrawal
            .demand(is_due, || format!("{fen} fen of user {user}, who holds {held} and was asked for {asked}"))?;
        self.send(posting, 0, BANK, Content::Payment { user, fen, order });
        Ok(())
    }

    fn redeem(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let is_of = |fen, order| (fen, order) == (posting.fen, posting.request);
        match self.notes.answer(posting.source, posting.set)? {
            // A bounced deposit is nobody's, or named after whom it was for.
            Content::Bounce { user, fen, order } if is_of(fen, order) && [0, user].contains(&posting.debit) => Ok(()),
            Content::Payment { user, fen, order } if is_of(fen, order) && user == posting.debit => Ok(()),
            other => other_note(posting, other),
        }
    }

    fn tell(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let Some(told) = Told::take(posting.tail) else {
            return Rule::Form.broken(format!("a tail of {} bytes", posting.tail.len()));
        };
        let by_note = posting.source.is_some();
        if by_note {
            self.answers(posting, Content::News { packet: posting.about, user: posting.credit })?;
        }
        self.packets.tell(posting, told, by_note)?;
        match (posting.act, posting.credit) {
            (Act::Untold, _) => {}
            (_, 0) => self.users.notice_all(posting.set),
            (_, user) => self.users.notice(user),
        }
        Ok(())
    }

    fn refuse(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let Some(refused) = Refused::take(posting.tail) else {
            return Rule::Form.broken(format!("a tail of {} bytes", posting.tail.len()));
        };
        let owner = set_of_packet(posting.about);
        let is_send = refused.kind == Kind::Send as u8;
        let is_abroad = !is_send && owner != u32::from(posting.set) && owner < self.sets;
        self.users.answer(posting.debit, posting.request, !is_abroad)?;
        if is_send {
            let is_kept = refused.refusal == Refusal::Insufficient as u8;
            return Rule::Refusal.demand(is_kept, || format!("number {} of a SEND", refused.refusal));
        }
        Rule::Refusal.demand(refused.kind == Kind::Grab as u8, || format!("a request of kind {}", refused.kind))?;
        self.packets.refuse(posting, refused, self.sets)
    }

    /// The posting answers its note, which must be this one.
    fn answers(&mut self, posting: &Posting<'_>, expected: Content) -> Result<(), Breach> {
        let content = self.notes.answer(posting.source, posting.set)?;
        if content == expected { Ok(()) } else { other_note(posting, content) }
    }

    fn send(&mut self, posting: &Posting<'_>, index: u8, to: u16, content: Content) {
        self.notes.send(Source::new(posting.set, posting.sequence, index), to, content);
    }

    fn set_of(&self, user: u64) -> u16 {
        set_of_user(user, self.sets) as u16
    }

    /// Each act has its place: with the bank, with the user, with the packet's sender.
    fn is_in_place(&self, posting: &Posting<'_>) -> Result<(), Breach> {
        let &Posting { set, debit, credit, .. } = posting;
        let is_set = u32::from(set) < self.sets;
        let is_of = |user| is_set && self.set_of(user) == set;
        let holds = |packet| is_set && set_of_packet(packet) == u32::from(set);
        let is_right = match posting.act {
            Act::Minted | Act::Redeemed | Act::Reclaimed | Act::Started | Act::Stopped | Act::Closed => set == BANK,
            Act::Deposited | Act::Won | Act::Received => is_of(credit),
            Act::Bounced => is_of(credit) && debit == u64::from(set),
            Act::Withdrawn | Act::Refused | Act::Seen => is_of(debit),
            Act::Sent => is_of(debit) && holds(credit),
            Act::Taken | Act::Refunded => is_of(credit) && holds(debit),
            Act::Handed => !is_of(credit) && holds(debit),
            Act::Told | Act::Untold => is_set && (credit == 0 || is_of(credit)),
        };
        Rule::Place.demand(is_right, || format!("{debit} and {credit} in {} of {} SETs", name_of(set), self.sets))
    }

    fn add_up(&self) -> Result<Figures, Breach> {
        self.balances.recount()?;
        let sums = self.balances.sums();
        let fates = self.packets.fates();
        let (campaigns, prizes) = (self.campaigns.left(), self.campaigns.won());
        let waiting: Vec<Waiting> = self.notes.waiting().map(|(to, note)| Waiting::new(to, note)).collect();
        let carried = waiting.iter().map(|note| i128::from(note.fen)).sum::<i128>();
        let held = [sums.packets, sums.campaigns, sums.transit];
        let told = [i128::from(fates.open.fen), i128::from(campaigns.fen), carried];
        Rule::Balanced
            .demand(held == told, || format!("packets, campaigns, transit hold {held:?}, postings make {told:?}"))?;
        let ended = (
            fates.taken.count + fates.refunded.count + fates.open.count,
            fates.taken.fen + fates.refunded.fen + fates.open.fen,
        );
        let made = (fates.made.count, fates.made.fen);
        Rule::Balanced
            .demand(made == ended, || format!("{made:?} packets and fen made, {ended:?} taken, refunded and open"))?;
        Ok(Figures {
            postings: self.postings,
            writers: self.sequences.len() as u64,
            users_known: self.users.count(),
            issued_fen: whole(-sums.mint)?,
            users: Sum { count: self.balances.holders(), fen: whole(sums.users)? },
            campaigns,
            transit: Sum { count: waiting.len() as u64, fen: whole(sums.transit)? },
            made: fates.made,
            taken: fates.taken,
            refunded: fates.refunded,
            open: fates.open,
            shares: fates.shares,
            prizes,
            untold: self.packets.untold(),
            waiting,
        })
    }
}

/// A sum that all of what was issued bounds.
fn whole(fen: i128) -> Result<u64, Breach> {
    u64::try_from(fen).or_else(|_| Rule::Balanced.broken(format!("a sum of {fen} fen")))
}

fn other_note<T>(posting: &Posting<'_>, found: Content) -> Result<T, Breach> {
    let Posting { debit, credit, fen, request, .. } = posting;
    let number = if *request > 0 { format!(", number {request}") } else { String::new() };
    Rule::NoteContent.broken(format!("{debit} to {credit}, {fen} fen{number}, answers {found:?}"))
}

/// Tail, request number, source and money are there where the act has them, and nowhere else.
fn is_in_form(posting: &Posting<'_>) -> Result<(), Breach> {
    let &Posting { act, fen, about, request, source, tail, .. } = posting;
    let is_tail = match act {
        // Their rooms look closer.
        Act::Sent | Act::Started => !tail.is_empty(),
        Act::Refused => tail.len() == Refused::LEN,
        Act::Told | Act::Untold => tail.len() == Told::LEN,
        _ => tail.is_empty(),
    };
    let is_numbered = match act {
        Act::Sent | Act::Refused | Act::Taken | Act::Handed | Act::Received => request > 0,
        // Those of before orders had numbers have none.
        Act::Minted | Act::Reclaimed | Act::Redeemed => true,
        _ => request == 0,
    };
    let has_source = match act {
        Act::Told | Act::Untold => source.is_some(),
        _ => matches!(act, Act::Deposited | Act::Bounced | Act::Redeemed | Act::Withdrawn | Act::Received),
    };
    let is_money = match act {
        Act::Withdrawn | Act::Redeemed | Act::Closed => true,
        Act::Reclaimed => fen == 0 && about > 0,
        _ => (act.sides().0 != Side::None) == (fen > 0),
    };
    let holds = is_tail && is_numbered && has_source == source.is_some() && is_money;
    Rule::Form.demand(holds, || {
        let tail = tail.len();
        format!("{fen} fen, about {about}, request {request}, source {:#x}, a tail of {tail} bytes", source.0)
    })
}
