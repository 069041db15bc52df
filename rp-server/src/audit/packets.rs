//! Packets: on which terms they were made, who was told, who took what, what went back.

use std::collections::{HashMap, HashSet};

use rp_core::engine::split::{draws, is_allowed, share};
use rp_core::limits::{GREETING_MAX, RECIPIENTS_MAX, SHARE_MAX_FEN, SHARE_MIN_FEN};
use rp_core::posting::{Act, Posting, Refused, Terms, Told};
use rp_core::steer::set_of_user;
use rp_core::wire::{AUDIENCE_LISTED, AUDIENCE_SET, Field, Refusal, SPLIT_EQUAL};

use super::fault::{Breach, Rule};
use super::figures::Sum;

/// The SET of a packet, which may be one that there is not.
pub fn set_of_packet(id: u64) -> u32 {
    (id >> 48) as u32
}

/// What is told by the note of a packet, or at once: for whom, 0 meaning all of a SET.
pub struct News {
    /// The SET that tells.
    pub set: u16,
    /// The user.
    pub user: u64,
}

struct Packet {
    sender: u64,
    fen: u64,
    left_fen: u64,
    made_ms: u64,
    terms: Terms,
    recipients: Box<[u64]>,
    takers: Vec<(u64, u64)>,
    /// Those of the sender's own SET who were not told yet.
    untold: Vec<u64>,
    /// All users of a SET were told whom the ledger knew.
    is_told_to_all: bool,
    refunded_fen: Option<u64>,
}

impl Packet {
    fn is_for(&self, user: u64, sets: u32) -> bool {
        match self.terms.audience {
            AUDIENCE_SET => set_of_user(user, sets) == u32::from(self.terms.set) || user == self.sender,
            _ => self.recipients.contains(&user),
        }
    }

    fn share_of(&self, user: u64) -> Option<u64> {
        self.takers.iter().find(|(taker, _)| *taker == user).map(|(_, fen)| *fen)
    }

    fn is_finished(&self) -> bool {
        self.takers.len() == usize::from(self.terms.shares)
    }

    /// What the next taker gets.
    fn next_share(&self, id: u64) -> u64 {
        let (taken, shares) = (self.takers.len() as u8, self.terms.shares);
        if self.terms.split == SPLIT_EQUAL {
            let people = u64::from(shares);
            return self.fen / people + u64::from(u64::from(taken) < self.fen % people);
        }
        share(self.left_fen, shares - taken, self.terms.split, &mut draws(&self.terms.seed, id, taken))
    }
}

/// All packets that were ever made.
#[derive(Default)]
pub struct Packets {
    packets: HashMap<u64, Packet>,
    /// Users, beside a packet for all of their SET, whom the ledger got to know by being told of it.
    named: HashSet<(u64, u64)>,
}

/// What became of all packets.
#[derive(Default)]
pub struct Fates {
    /// Packets and what was put in.
    pub made: Sum,
    /// Packets of which all shares are taken, and the money of all shares.
    pub taken: Sum,
    /// Packets whose rest went back, and that rest.
    pub refunded: Sum,
    /// Packets that can be taken of, and what is left in them.
    pub open: Sum,
    /// Shares taken.
    pub shares: u64,
}

impl Packets {
    /// A packet is made; whom to tell in other SETs, in the order of their notes.
    pub fn make(&mut self, posting: &Posting<'_>, sets: u32) -> Result<Vec<News>, Breach> {
        let (terms, recipients) = read_terms(posting, sets)?;
        let news: Vec<News> = match terms.audience {
            AUDIENCE_SET => vec![News { set: terms.set, user: 0 }],
            _ => recipients.iter().map(|user| News { set: set_of_user(*user, sets) as u16, user: *user }).collect(),
        };
        let (here, abroad): (Vec<News>, Vec<News>) = news.into_iter().partition(|news| news.set == posting.set);
        let packet = Packet {
            sender: posting.debit,
            fen: posting.fen,
            left_fen: posting.fen,
            made_ms: posting.at_ms,
            terms,
            recipients,
            takers: Vec::new(),
            untold: here.iter().map(|news| news.user).collect(),
            is_told_to_all: false,
            refunded_fen: None,
        };
        let id = posting.credit;
        Rule::PacketId.demand(self.packets.insert(id, packet).is_none(), || format!("packet {id} was made before"))?;
        Ok(abroad)
    }

    /// A user takes a share.
    pub fn take(&mut self, posting: &Posting<'_>, sets: u32) -> Result<(), Breach> {
        let (id, user, fen) = (posting.debit, posting.credit, posting.fen);
        let packet = self.find(id)?;
        Rule::Audience.demand(packet.is_for(user, sets), || format!("packet {id} is not for user {user}"))?;
        if let Some(before) = packet.share_of(user) {
            return Rule::TakenOnce.broken(format!("user {user} took {before} fen of packet {id} before"));
        }
        let is_open = !packet.is_finished() && packet.refunded_fen.is_none();
        Rule::Closed.demand(is_open, || {
            format!("{} of {} shares of packet {id} are taken", packet.takers.len(), packet.terms.shares)
        })?;
        let due = packet.next_share(id);
        let is_within = (SHARE_MIN_FEN..=SHARE_MAX_FEN).contains(&fen);
        Rule::Share.demand(is_within && fen == due, || {
            format!("{fen} fen, where share {} of packet {id} is {due}", packet.takers.len())
        })?;
        packet.takers.push((user, fen));
        packet.left_fen -= fen;
        Ok(())
    }

    /// What is left goes back.
    pub fn refund(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let (id, fen) = (posting.debit, posting.fen);
        let packet = self.find(id)?;
        if let Some(before) = packet.refunded_fen {
            return Rule::Refund.broken(format!("{before} fen of packet {id} went back before"));
        }
        let (left, sender) = (packet.left_fen, packet.sender);
        Rule::Refund.demand(left > 0 && fen == left && posting.credit == sender, || {
            format!("{fen} fen to user {}, where packet {id} of user {sender} holds {left}", posting.credit)
        })?;
        packet.refunded_fen = Some(fen);
        packet.left_fen = 0;
        Ok(())
    }

    /// A user hears of a packet, or does not for want of room; `by_note` when the news came from another SET.
    pub fn tell(&mut self, posting: &Posting<'_>, told: Told, by_note: bool) -> Result<(), Breach> {
        let (id, user) = (posting.about, posting.credit);
        let packet = self.find(id)?;
        let said = (posting.debit, told.fen, told.made_ms);
        let is = (packet.sender, packet.fen, packet.made_ms);
        Rule::Told
            .demand(said == is, || format!("sender, fen and time of packet {id} are {is:?}, told is {said:?}"))?;
        let is_to_all = packet.terms.audience == AUDIENCE_SET && user == 0;
        packet.is_told_to_all |= is_to_all && posting.act == Act::Told;
        if by_note {
            return Ok(());
        }
        let is_here = set_of_packet(id) == u32::from(posting.set);
        if let Some(at) = packet.untold.iter().position(|untold| is_here && *untold == user) {
            packet.untold.swap_remove(at);
            return Ok(());
        }
        let is_one_of_all =
            packet.is_told_to_all && packet.terms.set == posting.set && ![0, packet.sender].contains(&user);
        Rule::Told.demand(is_one_of_all && self.named.insert((id, user)), || {
            format!("user {user} is not among those to be told of packet {id}, or was told before")
        })
    }

    /// A user is refused a share for good.
    pub fn refuse(&mut self, posting: &Posting<'_>, refused: Refused, sets: u32) -> Result<(), Breach> {
        let (id, user) = (posting.about, posting.debit);
        let why = Refusal::of_number(refused.refusal);
        if why == Some(Refusal::UnknownPacket) {
            return Ok(());
        }
        let packet = self.find(id)?;
        let share = packet.share_of(user);
        let is_true = match why {
            Some(Refusal::AlreadyYours) => share == Some(u64::from(refused.share_fen)),
            Some(Refusal::NotForYou) => !packet.is_for(user, sets),
            Some(Refusal::Empty) => packet.is_finished() && share.is_none(),
            Some(Refusal::Expired) => !packet.is_finished() && share.is_none(),
            _ => return Rule::Refusal.broken(format!("number {} of packet {id}", refused.refusal)),
        };
        let why = why.map_or("", Refusal::name);
        Rule::Refusal.demand(is_true, || {
            let (taken, shares) = (packet.takers.len(), packet.terms.shares);
            format!("{why}: {taken} of {shares} shares of packet {id} are taken, by user {user} {share:?}")
        })
    }

    /// Adds up all packets.
    pub fn fates(&self) -> Fates {
        let mut fates = Fates::default();
        for packet in self.packets.values() {
            fates.made.add(packet.fen);
            fates.shares += packet.takers.len() as u64;
            fates.taken.fen += packet.takers.iter().map(|(_, fen)| fen).sum::<u64>();
            match packet.refunded_fen {
                Some(fen) => fates.refunded.add(fen),
                None if packet.is_finished() => fates.taken.count += 1,
                None => fates.open.add(packet.left_fen),
            }
        }
        fates
    }

    /// Users of a sender's own SET who were not told of a packet yet.
    pub fn untold(&self) -> u64 {
        self.packets.values().map(|packet| packet.untold.len() as u64).sum()
    }

    fn find(&mut self, id: u64) -> Result<&mut Packet, Breach> {
        match self.packets.get_mut(&id) {
            Some(packet) => Ok(packet),
            None => Rule::PacketMade.broken(format!("packet {id} was never made")),
        }
    }
}

/// Terms and recipients as they may be asked for.
fn read_terms(posting: &Posting<'_>, sets: u32) -> Result<(Terms, Box<[u64]>), Breach> {
    let Some(terms) = Terms::take(posting.tail) else {
        return Rule::Form.broken(format!("a tail of {} bytes", posting.tail.len()));
    };
    let (recipients, greeting) = (usize::from(terms.recipients), usize::from(terms.greeting_len));
    let tail = &posting.tail[Terms::LEN..];
    Rule::Form.demand(tail.len() == 8 * recipients + greeting, || {
        format!("{recipients} recipients and a greeting of {greeting} bytes in {} bytes", tail.len())
    })?;
    let (ids, greeting) = tail.split_at(8 * recipients);
    let is_addressed = match terms.audience {
        AUDIENCE_LISTED => (1..=RECIPIENTS_MAX).contains(&recipients) && terms.set == 0,
        AUDIENCE_SET => recipients == 0 && u32::from(terms.set) < sets,
        _ => false,
    };
    let is_greeting = greeting.len() <= GREETING_MAX && std::str::from_utf8(greeting).is_ok();
    let is_split = is_allowed(posting.fen, terms.shares, terms.split);
    Rule::Terms.demand(is_addressed && is_greeting && is_split, || format!("{} fen by {terms:?}", posting.fen))?;
    Ok((terms, ids.chunks_exact(8).map(<u64 as Field>::take).collect()))
}
