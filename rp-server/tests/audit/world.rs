//! SETs, users and a bank as simple as can be, whose doings are written down as postings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_core::SeedableRng as _;
use rp_core::engine::split::{below, draws, share};
use rp_core::kind::Kind;
use rp_core::posting::{Act, BANK, Planned, Posting, Refused, Source, Terms, Told};
use rp_core::steer::set_of_user;
use rp_core::wire::{AUDIENCE_LISTED, AUDIENCE_SET, Refusal};

/// The generator that all draws of a world come from.
pub type Rng = rand_chacha::ChaCha12Rng;

/// SETs of a world.
pub const SETS: u32 = 4;
/// What a posting is before it is filled in.
pub const BLANK: Posting<'static> = Posting {
    set: 0,
    sequence: 0,
    act: Act::Minted,
    debit: 0,
    credit: 0,
    fen: 0,
    about: 0,
    request: 0,
    hash: 0,
    at_ms: 0,
    source: Source::NONE,
    tail: &[],
};

/// A posting with a tail of its own.
#[derive(Clone)]
pub struct Line {
    pub head: Posting<'static>,
    pub tail: Vec<u8>,
}

impl Line {
    pub fn posting(&self) -> Posting<'_> {
        Posting { tail: &self.tail, ..self.head }
    }
}

/// What travels from one SET to another.
#[derive(Clone, Copy)]
enum Letter {
    Deposit { user: u64, fen: u64, order: u64 },
    Bounce { user: u64, fen: u64, order: u64 },
    Reclaim { user: u64, fen: u64, order: u64 },
    Payment { user: u64, fen: u64, order: u64 },
    Share { packet: u64, ask: Ask, fen: u64 },
    News { packet: u64, user: u64 },
}

/// A grab.
#[derive(Clone, Copy)]
pub struct Ask {
    pub user: u64,
    pub packet: u64,
    pub request: u64,
    pub hash: u64,
}

/// For whom a packet is.
pub enum To {
    Set(u16),
    Users(Vec<u64>),
}

#[derive(Default)]
pub struct User {
    pub balance: u64,
    highest: u64,
    used: BTreeSet<u64>,
    notices: u64,
    unseen: Vec<u64>,
    wins: BTreeMap<u64, u8>,
}

pub struct Packet {
    pub sender: u64,
    pub fen: u64,
    pub left: u64,
    terms: Terms,
    made_ms: u64,
    to: To,
    pub takers: Vec<(u64, u64)>,
    pub is_refunded: bool,
}

#[derive(Clone, Copy)]
pub struct Campaign {
    pub number: u64,
    pub left: u64,
    plan: Planned,
    prizes: u32,
    pub stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Running,
    Stopped,
    Closed,
}

pub struct World {
    pub lines: Vec<Line>,
    pub users: BTreeMap<u64, User>,
    pub packets: BTreeMap<u64, Packet>,
    pub asks: Vec<Ask>,
    pub campaigns: Vec<Campaign>,
    pub issued: u64,
    pub rng: Rng,
    /// The operator's order at hand; 0: of a bank that gave them no numbers.
    order: u64,
    /// Request numbers leap and are filled in late.
    pub leaps: bool,
    sequences: BTreeMap<u16, u64>,
    lanes: BTreeMap<(u16, u16), VecDeque<(Source, Letter)>>,
}

/// User `n` of a SET.
pub fn user(set: u16, n: usize) -> u64 {
    (1..).filter(|user| set_of(*user) == set).nth(n).expect("SETs have users without end")
}

pub fn set_of(user: u64) -> u16 {
    set_of_user(user, SETS) as u16
}

pub fn owner_of(packet: u64) -> u16 {
    (packet >> 48) as u16
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            lines: Vec::new(),
            users: BTreeMap::new(),
            packets: BTreeMap::new(),
            asks: Vec::new(),
            campaigns: Vec::new(),
            issued: 0,
            rng: Rng::seed_from_u64(seed),
            order: 0,
            leaps: false,
            sequences: BTreeMap::new(),
            lanes: BTreeMap::new(),
        }
    }

    /// Writes the next posting of a SET; where its first note comes from.
    pub fn write(&mut self, head: Posting<'static>, tail: &[u8]) -> Source {
        let sequence = self.sequences.entry(head.set).or_default();
        *sequence += 1;
        let at_ms = 1_700_000_000_000 + self.lines.len() as u64;
        self.lines.push(Line { head: Posting { sequence: *sequence, at_ms, ..head }, tail: tail.to_vec() });
        Source::new(head.set, *sequence, 0)
    }

    /// A new order of the operator's.
    pub fn order(&mut self) {
        self.order += 1;
    }

    /// Money for a user, by the order at hand.
    pub fn mint(&mut self, user: u64, fen: u64) {
        self.issued += fen;
        let order = self.order;
        let head = Posting { set: BANK, act: Act::Minted, credit: user, fen, request: order, hash: order, ..BLANK };
        let source = self.write(head, &[]);
        self.post(source, set_of(user), Letter::Deposit { user, fen, order });
    }

    pub fn reclaim(&mut self, user: u64, fen: u64) {
        let order = self.order;
        let base = Posting { act: Act::Reclaimed, request: order, hash: order, ..BLANK };
        let source = self.write(Posting { set: BANK, credit: user, about: fen, ..base }, &[]);
        self.post(source, set_of(user), Letter::Reclaim { user, fen, order });
    }

    /// Lanes in which something waits.
    pub fn lanes(&self) -> Vec<(u16, u16)> {
        self.lanes.iter().filter(|(_, waiting)| !waiting.is_empty()).map(|(lane, _)| *lane).collect()
    }

    pub fn deliver_all(&mut self) {
        while let Some(lane) = self.lanes().first() {
            self.deliver(*lane, false);
        }
    }

    /// The first letter of a lane arrives at a SET that may have no room for it.
    pub fn deliver(&mut self, lane: (u16, u16), is_full: bool) {
        let (source, letter) = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front).expect("something waits");
        let blank = Posting { set: lane.1, source, ..BLANK };
        match letter {
            Letter::Deposit { user, fen, order } if is_full => {
                let debit = u64::from(lane.1);
                let back = self.write(Posting { act: Act::Bounced, debit, credit: user, fen, ..blank }, &[]);
                self.post(back, BANK, Letter::Bounce { user, fen, order });
            }
            Letter::Deposit { user, fen, .. } => {
                self.user(user).balance += fen;
                self.write(Posting { act: Act::Deposited, credit: user, fen, ..blank }, &[]);
            }
            Letter::Bounce { user, fen, order } | Letter::Payment { user, fen, order } => {
                self.issued -= fen;
                let head = Posting { act: Act::Redeemed, debit: user, fen, request: order, hash: order, ..blank };
                self.write(head, &[]);
            }
            Letter::Reclaim { user, fen, order } => {
                let balance = &mut self.user(user).balance;
                let fen = if *balance >= fen { fen } else { 0 };
                *balance -= fen;
                let paid = self.write(Posting { act: Act::Withdrawn, debit: user, fen, ..blank }, &[]);
                self.post(paid, BANK, Letter::Payment { user, fen, order });
            }
            Letter::Share { packet, ask: Ask { user, request, hash, .. }, fen } => {
                self.user(user).balance += fen;
                let head = Posting { act: Act::Received, debit: packet, credit: user, fen, request, hash, ..blank };
                self.write(head, &[]);
            }
            Letter::News { packet, user } => self.tell(packet, user, lane.1, source, is_full),
        }
    }

    /// A user asks to make a packet.
    pub fn send(&mut self, sender: u64, fen: u64, shares: u8, split: u8, to: To) -> Option<u64> {
        let (request, hash, set) = (self.number(sender), below(u64::MAX, &mut self.rng), set_of(sender));
        if self.user(sender).balance < fen {
            let ask = Ask { user: sender, packet: 0, request, hash };
            self.refuse(ask, Kind::Send, Refusal::Insufficient, 0);
            return None;
        }
        self.user(sender).balance -= fen;
        let made = self.packets.keys().filter(|id| owner_of(**id) == set).count() as u64 + 1;
        let id = u64::from(set) << 48 | made << 16 | made & 0xf;
        let mut seed = [0; 16];
        seed[..8].copy_from_slice(&below(u64::MAX, &mut self.rng).to_le_bytes());
        let recipients: &[u64] = if let To::Users(users) = &to { users } else { &[] };
        let (audience, to_set) = if let To::Set(set) = to { (AUDIENCE_SET, set) } else { (AUDIENCE_LISTED, 0) };
        let greeting = "恭喜发财".as_bytes();
        let (count, greeting_len) = (recipients.len() as u8, greeting.len() as u8);
        let expires_ms = 86_400_000;
        let terms = Terms { expires_ms, seed, set: to_set, split, audience, shares, recipients: count, greeting_len };
        let mut tail = vec![0; Terms::LEN];
        terms.put(&mut tail);
        tail.extend(recipients.iter().flat_map(|user| user.to_le_bytes()));
        tail.extend(greeting);
        let head = Posting { set, act: Act::Sent, debit: sender, credit: id, fen, request, hash, ..BLANK };
        let source = self.write(head, &tail);
        let made_ms = self.lines.last().expect("it was written").head.at_ms;
        let all: Vec<(u16, u64)> = match &to {
            To::Set(set) => vec![(*set, 0)],
            To::Users(users) => users.iter().map(|user| (set_of(*user), *user)).collect(),
        };
        let packet = Packet { sender, fen, left: fen, terms, made_ms, to, takers: vec![], is_refunded: false };
        self.packets.insert(id, packet);
        let (here, abroad): (Vec<_>, Vec<_>) = all.into_iter().partition(|(to, _)| *to == set);
        for (index, (to, user)) in abroad.into_iter().enumerate() {
            self.post(Source(source.0 + index as u64), to, Letter::News { packet: id, user });
        }
        for (_, user) in here {
            let is_full = below(8, &mut self.rng) == 0;
            self.tell(id, user, set, Source::NONE, is_full);
        }
        Some(id)
    }

    /// A user asks for a share; another SET's owner decides when it is asked.
    pub fn grab(&mut self, user: u64, packet: u64) {
        let (request, hash) = (self.number(user), below(u64::MAX, &mut self.rng));
        let ask = Ask { user, packet, request, hash };
        let owner = owner_of(packet);
        if owner != set_of(user) && u32::from(owner) < SETS {
            return self.asks.push(ask);
        }
        self.decide(ask);
    }

    /// The owner of a packet decides.
    pub fn decide(&mut self, ask: Ask) {
        let Ask { user, packet: id, request, hash } = ask;
        let Some(packet) = self.packets.get_mut(&id) else {
            return self.refuse(ask, Kind::Grab, Refusal::UnknownPacket, 0);
        };
        let is_for = match &packet.to {
            To::Set(set) => *set == set_of(user) || user == packet.sender,
            To::Users(users) => users.contains(&user),
        };
        let (shares, taken) = (packet.terms.shares, packet.takers.len() as u8);
        let why = match packet.takers.iter().find(|(taker, _)| *taker == user) {
            _ if !is_for => Some((Refusal::NotForYou, 0)),
            Some((_, fen)) => Some((Refusal::AlreadyYours, *fen)),
            None if taken == shares => Some((Refusal::Empty, 0)),
            None if packet.is_refunded => Some((Refusal::Expired, 0)),
            None => None,
        };
        if let Some((why, fen)) = why {
            return self.refuse(ask, Kind::Grab, why, fen);
        }
        let fen = share(packet.left, shares - taken, packet.terms.split, &mut draws(&packet.terms.seed, id, taken));
        packet.left -= fen;
        packet.takers.push((user, fen));
        let (set, act) = (owner_of(id), if owner_of(id) == set_of(user) { Act::Taken } else { Act::Handed });
        let source = self.write(Posting { set, act, debit: id, credit: user, fen, request, hash, ..BLANK }, &[]);
        if act == Act::Taken {
            self.user(user).balance += fen;
        } else {
            self.post(source, set_of(user), Letter::Share { packet: id, ask, fen });
        }
    }

    /// What is left of an open packet goes back.
    pub fn refund(&mut self, id: u64) {
        let packet = self.packets.get_mut(&id).expect("the packet was made");
        let (sender, fen) = (packet.sender, std::mem::take(&mut packet.left));
        packet.is_refunded = true;
        self.user(sender).balance += fen;
        self.write(Posting { set: owner_of(id), act: Act::Refunded, debit: id, credit: sender, fen, ..BLANK }, &[]);
        self.notice(sender);
    }

    pub fn start(&mut self, budget: u64, from_fen: u64, to_fen: u64, per_user: u8) {
        let plan = Planned { rate: 83, from_fen, to_fen, per_user };
        let number = 1_700_000_000 + self.campaigns.len() as u64;
        self.issued += budget;
        self.campaigns.push(Campaign { number, left: budget, plan, prizes: 0, stage: Stage::Running });
        let mut tail = [0; Planned::LEN];
        plan.put(&mut tail);
        self.write(Posting { set: BANK, act: Act::Started, credit: number, fen: budget, ..BLANK }, &tail);
    }

    /// The campaign is stopped, or, when it was, closed.
    pub fn stop(&mut self) {
        let campaign = self.campaigns.last_mut().expect("a campaign was started");
        let (number, fen) = (campaign.number, campaign.left);
        if campaign.stage == Stage::Running {
            campaign.stage = Stage::Stopped;
            self.write(Posting { set: BANK, act: Act::Stopped, debit: number, ..BLANK }, &[]);
            return;
        }
        (campaign.left, campaign.stage) = (0, Stage::Closed);
        self.issued -= fen;
        self.write(Posting { set: BANK, act: Act::Closed, debit: number, fen, ..BLANK }, &[]);
    }

    /// A user wins a prize, if the campaign has so much and lets him.
    pub fn win(&mut self, user: u64, fen: u64) {
        let campaign = self.campaigns.last_mut().expect("a campaign was started");
        let Campaign { number, left, plan, prizes, .. } = *campaign;
        let of = self.users.entry(user).or_default();
        let wins = of.wins.entry(number).or_default();
        if *wins == plan.per_user || left < fen || !(plan.from_fen..=plan.to_fen).contains(&fen) {
            return;
        }
        *wins += 1;
        of.balance += fen;
        campaign.left -= fen;
        campaign.prizes += 1;
        // Prizes are won in another order than they are released in.
        let about = number << 32 | u64::from(prizes ^ 1);
        self.write(Posting { set: set_of(user), act: Act::Won, debit: number, credit: user, fen, about, ..BLANK }, &[]);
        self.notice(user);
    }

    /// A user has seen one of his notices.
    pub fn see(&mut self, user: u64) {
        let Some(about) = self.user(user).unseen.pop() else { return };
        self.write(Posting { set: set_of(user), act: Act::Seen, debit: user, about, ..BLANK }, &[]);
    }

    pub fn refuse(&mut self, ask: Ask, kind: Kind, why: Refusal, share_fen: u64) {
        let Ask { user, packet, request, hash } = ask;
        let mut tail = [0; Refused::LEN];
        Refused { kind: kind as u8, refusal: why as u8, share_fen: share_fen as u32 }.put(&mut tail);
        let (set, act) = (set_of(user), Act::Refused);
        self.write(Posting { set, act, debit: user, about: packet, request, hash, ..BLANK }, &tail);
    }

    pub fn user(&mut self, user: u64) -> &mut User {
        self.users.entry(user).or_default()
    }

    /// A request number that the user may use next.
    pub fn number(&mut self, user: u64) -> u64 {
        let leap = if self.leaps { below(16, &mut self.rng) } else { 1 };
        let late = below(63, &mut self.rng) + 1;
        let of = self.users.entry(user).or_default();
        let number = match leap {
            0 => of.highest + 70,
            15 if of.highest > late && !of.used.contains(&(of.highest - late)) => of.highest - late,
            _ => of.highest + 1,
        };
        of.highest = of.highest.max(number);
        of.used.insert(number);
        number
    }

    fn tell(&mut self, id: u64, user: u64, set: u16, source: Source, is_full: bool) {
        let packet = &self.packets[&id];
        let mut tail = [0; Told::LEN];
        Told { fen: packet.fen, made_ms: packet.made_ms }.put(&mut tail);
        let (sender, act) = (packet.sender, if is_full { Act::Untold } else { Act::Told });
        self.write(Posting { set, act, debit: sender, credit: user, about: id, source, ..BLANK }, &tail);
        if is_full {
            return;
        }
        let all: Vec<u64> = self.users.keys().copied().collect();
        for other in all.into_iter().filter(|other| *other == user || user == 0 && set_of(*other) == set) {
            if user != 0 || other != sender {
                self.notice(other);
            }
        }
        // Somebody who has a session, and of whom the ledger knew nothing.
        let stranger = crate::world::user(set, 5 + below(12, &mut self.rng) as usize);
        if user == 0 && !self.users.contains_key(&stranger) {
            self.write(Posting { set, act, debit: sender, credit: stranger, about: id, ..BLANK }, &tail);
            self.notice(stranger);
        }
    }

    fn notice(&mut self, user: u64) {
        let of = self.user(user);
        of.notices += 1;
        of.unseen.push(of.notices);
    }

    fn post(&mut self, source: Source, to: u16, letter: Letter) {
        self.lanes.entry((source.set(), to)).or_default().push_back((source, letter));
    }
}
