//! SEND and GRAB, once each; BALANCE.
//!
//! A request that moves money is looked up by its number first, done only when that is new, and its answer is kept. What
//! is refused for lack of room consumes no number: nothing was decided, and the client tries again.

use super::ledger::Account;
use super::notes::{Body, Decision, Note};
use super::notices::{AT_ONCE, Content};
use super::packets::set_of_packet;
use super::requests::{Answer, Standing};
use super::set::Set;
use super::slots::NONE;
use super::split;
use super::{Asked, Now, Outcome, Shared, Transmit};
use crate::key::sip;
use crate::kind::Kind;
use crate::limits::{ACCOUNTS_PER_SET_MAX, SET_WIDE_OPEN_MAX};
use crate::reason::Reason;
use crate::steer::set_of_user;
use crate::wire::{
    AUDIENCE_LISTED, AUDIENCE_SET, Balance, BalanceIs, Grab, Grabbed, NoticeType, Refusal, Refused, SendView, Sent,
    TRAILER, close_money,
};

/// How long a client waits that found too many notes or packets under way.
const BUSY_RETRY_MS: u16 = 100;
/// Where the request number stands in every datagram that carries one, and where what it asks begins.
const REQUEST_AT: usize = 14;
const BODY_AT: usize = REQUEST_AT + 8;

/// A request that moves money, on its way.
struct Request {
    slot: u16,
    account: u16,
    kind: Kind,
    number: u64,
    hash: u64,
}

impl Set {
    pub(super) fn money(
        &mut self,
        slot: u16,
        kind: Kind,
        datagram: &[u8],
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let account = self.slots.cold(slot).account;
        match kind {
            Kind::Balance => self.balance(slot, account, datagram, asked, shared, tx),
            Kind::Detail => self.detail(slot, account, datagram, asked, shared, tx),
            Kind::Send | Kind::Grab => {
                let (Some(number), Some(body)) =
                    (datagram[REQUEST_AT..].first_chunk(), datagram.get(BODY_AT..datagram.len() - TRAILER))
                else {
                    return Outcome::Dropped(Reason::BadLength);
                };
                let hash = sip(&[0; 16], body) ^ kind as u64;
                let request = Request { slot, account, kind, number: u64::from_le_bytes(*number), hash };
                self.once(&request, datagram, asked, shared, tx)
            }
            _ => Outcome::Dropped(Reason::UnknownKind),
        }
    }

    fn once(
        &mut self,
        request: &Request,
        datagram: &[u8],
        asked: &Asked,
        shared: &mut Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let requests = &self.accounts[request.account].requests;
        let answer = match requests.standing(&self.blocks, request.number, request.hash) {
            Standing::Pending => return Outcome::Accepted,
            Standing::Answered(answer) => Some(answer),
            Standing::Conflict => Some(refusal(request.kind, Refusal::Conflict)),
            Standing::Stale => Some(refusal(request.kind, Refusal::Stale)),
            Standing::New if request.kind == Kind::Send => self.send(request, datagram, asked, shared),
            Standing::New => self.grab(request, datagram, asked, shared),
        };
        let Some(answer) = answer else { return Outcome::Accepted };
        let len = self.put_answer(request.slot, request.number, answer, tx);
        shared.reply(asked, tx, len)
    }

    fn send(&mut self, request: &Request, datagram: &[u8], asked: &Asked, shared: &mut Shared) -> Option<Answer> {
        let refuse = |why| Some(refusal(Kind::Send, why));
        let sets = shared.config.sets;
        let Some(view) = SendView::take(datagram).filter(|view| is_well_formed(view, sets)) else {
            return refuse(Refusal::Malformed);
        };
        let fields = view.fields;
        let is_set_wide = fields.audience == AUDIENCE_SET;
        let abroad = |user: &u64| set_of_user(*user, sets) != u32::from(self.number);
        let asks = match is_set_wide {
            true => usize::from(fields.set != self.number),
            false => view.recipients().filter(abroad).count(),
        };
        if asks > shared.outbox.credits() {
            return refuse(Refusal::Busy);
        }
        if is_set_wide && self.packets.set_wide_open() >= SET_WIDE_OPEN_MAX || !self.packets.make_room(&mut self.blocks)
        {
            return refuse(Refusal::Full);
        }
        let account = &mut self.accounts[request.account];
        if !account.requests.begin(&mut self.blocks, request.number, request.hash) {
            return refuse(Refusal::Busy);
        }
        if account.balance < fields.total_fen {
            return self.finish(request.account, request.number, refusal(Kind::Send, Refusal::Insufficient));
        }
        let now = asked.now;
        let expires_us = now.mono_us + shared.config.packet_life_us;
        let user = account.user;
        let packet = self.packets.make(&view, user, now.unix_ms(), expires_us, &mut self.blocks);
        let id = packet.id;
        self.sums
            .post(Account::User(&mut account.balance), Account::Packet(&mut packet.left_fen), fields.total_fen)
            .expect("the balance covers it");
        let answer = Answer::Sent { packet: id, balance_fen: account.balance };
        let client = self.slots.cold(request.slot).client;
        for sum in [&shared.books.made, &shared.books.open, &shared.books.clients[client].packets] {
            sum.add(fields.total_fen);
        }
        self.tell_all(&view, id, user, now, shared);
        self.finish(request.account, request.number, answer)
    }

    /// Tells the recipients of a packet, here and elsewhere.
    fn tell_all(&mut self, view: &SendView<'_>, packet: u64, sender: u64, now: Now, shared: &mut Shared) {
        let (fen, at_ms) = (view.fields.total_fen, now.unix_ms());
        let set_wide = (view.fields.audience == AUDIENCE_SET).then_some((view.fields.set, None));
        let listed = view.recipients().map(|user| (set_of_user(user, shared.config.sets) as u16, Some(user)));
        for (to, user) in set_wide.into_iter().chain(listed) {
            if to == self.number {
                self.tell(user, packet, sender, fen, at_ms, now, shared);
            } else {
                let body = Body::PacketFor { user, packet, sender, fen, at_ms };
                shared.outbox.ask(Note { to, from: self.number, body });
            }
        }
    }

    /// There is a packet for a user of this SET, or for all of them but the sender.
    #[expect(clippy::too_many_arguments, reason = "the fields of one note")]
    pub(super) fn tell(
        &mut self,
        user: Option<u64>,
        packet: u64,
        sender: u64,
        fen: u64,
        at_ms: u64,
        now: Now,
        shared: &Shared,
    ) {
        let content =
            Content { number: 0, about_type: NoticeType::Packet, about: packet, from: sender, fen, at_ms, sequence: 0 };
        let Some(user) = user else {
            return self.tell_everyone(sender, content, now, shared);
        };
        // A stranger gets an account to hear of it, as long as every free slot can still become a session.
        let has_room = self.accounts.len() + self.slots.free() < ACCOUNTS_PER_SET_MAX;
        let at = if has_room { self.account_of(user, shared) } else { self.accounts.find(user) };
        match at {
            Some(at) => self.add_notice(at, content, now, shared),
            None => shared.books.notices_refused.add(1),
        }
    }

    /// Tells every user of the SET but the sender, if not too many packets for all of them came in this second.
    fn tell_everyone(&mut self, sender: u64, content: Content, now: Now, shared: &Shared) {
        if !self.may_tell_everyone() {
            return shared.books.notices_refused.add(1);
        }
        for at in 0..self.accounts.end() {
            if self.accounts.is_used(at) && self.accounts[at].user != sender {
                self.add_notice(at, content, now, shared);
            }
        }
    }

    /// Tells a sender that what was left of a packet came back.
    pub(super) fn tell_refund(&mut self, at: u16, packet: u64, fen: u64, now: Now, shared: &Shared) {
        let about_type = NoticeType::Refund;
        let content = Content { number: 0, about_type, about: packet, from: 0, fen, at_ms: now.unix_ms(), sequence: 0 };
        self.add_notice(at, content, now, shared);
    }

    fn add_notice(&mut self, at: u16, content: Content, now: Now, shared: &Shared) {
        if self.notices.add(&mut self.accounts, at, content, (AT_ONCE, now.mono_us), &mut self.blocks).is_none() {
            shared.books.notices_refused.add(1);
        }
    }

    fn grab(&mut self, request: &Request, datagram: &[u8], asked: &Asked, shared: &mut Shared) -> Option<Answer> {
        let packet = Grab::take(datagram)?.packet;
        let owner = set_of_packet(packet);
        let is_abroad = owner != u32::from(self.number) && owner < shared.config.sets;
        let account = &mut self.accounts[request.account];
        if is_abroad && shared.outbox.credits() == 0
            || !account.requests.begin(&mut self.blocks, request.number, request.hash)
        {
            return Some(refusal(Kind::Grab, Refusal::Busy));
        }
        let user = account.user;
        if is_abroad {
            let body = Body::GrabAsk { user, packet, request: request.number };
            shared.outbox.ask(Note { to: owner as u16, from: self.number, body });
            return None;
        }
        let decision = self.decide(packet, (user, self.number), asked.now, shared, Some(request.account));
        let answer = self.apply(request.account, packet, decision, shared);
        self.finish(request.account, request.number, answer)
    }

    /// Decides a grab as the packet's owner; the share's money goes to the account `taker` here, or into transit.
    pub(super) fn decide(
        &mut self,
        packet: u64,
        taker: (u64, u16),
        now: Now,
        shared: &mut Shared,
        account: Option<u16>,
    ) -> Decision {
        let credit = match account {
            Some(at) => Account::User(&mut self.accounts[at].balance),
            None => Account::Transit,
        };
        let when = (now.mono_us, now.unix_ms());
        let rng = &mut shared.rng;
        let decision = self.packets.grab(packet, taker, when, rng, &mut self.blocks, &mut self.sums, credit);
        if let Decision::Share(fen) = decision {
            shared.books.taken.add(fen);
            shared.books.open.fen.sub(fen);
            let is_finished = self.packets.find(packet).is_some_and(|p| p.state != crate::wire::PacketState::Open);
            shared.books.open.count.sub(u64::from(is_finished));
        }
        decision
    }

    /// The owner of a packet decided a grab by a user of this SET.
    pub(super) fn grab_done(
        &mut self,
        user: u64,
        packet: u64,
        number: u64,
        decision: Decision,
        shared: &Shared,
        tx: &mut impl Transmit,
    ) {
        let at = self.accounts.find(user).expect("who asked has used a request number, and is kept");
        if let Decision::Share(fen) = decision {
            let account = &mut self.accounts[at];
            self.sums
                .post(Account::Transit, Account::User(&mut account.balance), fen)
                .expect("a balance fits 64 bits as the money issued does");
        }
        let answer = self.apply(at, packet, decision, shared);
        self.finish(at, number, answer);
        let slot = self.accounts[at].session;
        if slot != NONE {
            let len = self.put_answer(slot, number, answer, tx);
            let cold = self.slots.cold(slot);
            let (door, client) = (cold.door, cold.client);
            shared.send(tx, len, self.slots.entry(slot).peer(), door, client);
        }
    }

    /// The answer that a decision is to the taker, whose balance has it already.
    fn apply(&mut self, at: u16, packet: u64, decision: Decision, shared: &Shared) -> Answer {
        match decision {
            Decision::Share(share_fen) => {
                let slot = self.accounts[at].session;
                if slot != NONE {
                    let client = self.slots.cold(slot).client;
                    shared.books.clients[client].shares.add(share_fen);
                }
                Answer::Grabbed { packet, share_fen, balance_fen: self.accounts[at].balance }
            }
            Decision::No(refusal, share_fen) => Answer::Refused { kind: Kind::Grab as u8, refusal, share_fen },
        }
    }

    fn finish(&mut self, at: u16, number: u64, answer: Answer) -> Option<Answer> {
        let kept = self.accounts[at].requests.finish(&mut self.blocks, number, answer);
        assert!(kept, "only a pending request is finished");
        Some(answer)
    }

    /// Writes an answer, sealed afresh; returns its length.
    pub(super) fn put_answer(&mut self, slot: u16, request: u64, answer: Answer, tx: &mut impl Transmit) -> usize {
        let session = self.session_of(slot);
        let counter = self.slots.cold(slot).next_counter();
        let out = tx.buffer();
        let flags = 0;
        let len = match answer {
            Answer::Sent { packet, balance_fen } => {
                Sent { flags, session, counter, request, packet, balance_fen }.put(out)
            }
            Answer::Grabbed { packet, share_fen, balance_fen } => {
                Grabbed { flags, session, counter, request, packet, share_fen, balance_fen }.put(out)
            }
            Answer::Refused { kind, refusal, share_fen } => {
                let retry_after_ms = if refusal == Refusal::Busy { BUSY_RETRY_MS } else { 0 };
                let (refusal, share_fen) = (refusal as u8, share_fen as u32);
                Refused { flags, session, counter, request, refusal, kind, retry_after_ms, share_fen }.put(out)
            }
        };
        close_money(&self.slots.entry(slot).key(), out, len)
    }

    fn balance(
        &mut self,
        slot: u16,
        account: u16,
        datagram: &[u8],
        asked: &Asked,
        shared: &Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let Some(Balance { request, .. }) = Balance::take(datagram) else {
            return Outcome::Dropped(Reason::BadLength);
        };
        let balance_fen = self.accounts[account].balance;
        let counter = self.slots.cold(slot).next_counter();
        let session = self.session_of(slot);
        let out = tx.buffer();
        let len = BalanceIs { flags: 0, session, counter, request, balance_fen }.put(out);
        let len = close_money(&self.slots.entry(slot).key(), out, len);
        shared.reply(asked, tx, len)
    }
}

/// The answer that refuses a request of this kind.
pub(super) fn refusal(kind: Kind, refusal: Refusal) -> Answer {
    Answer::Refused { kind: kind as u8, refusal, share_fen: 0 }
}

fn is_well_formed(view: &SendView<'_>, sets: u32) -> bool {
    let fields = &view.fields;
    let audience = match fields.audience {
        AUDIENCE_LISTED => fields.recipients > 0 && fields.set == 0,
        AUDIENCE_SET => fields.recipients == 0 && u32::from(fields.set) < sets,
        _ => false,
    };
    audience && fields.reserved == 0 && split::is_allowed(fields.total_fen, fields.shares, fields.split)
}
