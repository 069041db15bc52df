//! SEND and GRAB, once each; BALANCE.
//!
//! A request that moves money is looked up by its number first, done only when that is new, and its answer is kept. What
//! is refused for lack of room consumes no number: nothing was decided, and the client tries again.

use rand_core::RngCore as _;

use super::ledger::Account;
use super::notes::{Body, Decision, Note};
use super::packets::set_of_packet;
use super::requests::{Answer, Standing};
use super::set::Set;
use super::slots::NONE;
use super::split;
use super::{Asked, Now, Outcome, Shared, Transmit};
use crate::key::sip;
use crate::kind::Kind;
use crate::limits::SET_WIDE_OPEN_MAX;
use crate::posting::{self, Act, NOBODY, Posting, TAIL_MAX, Terms};
use crate::reason::Reason;
use crate::sealing::close_money;
use crate::wire::{
    AUDIENCE_LISTED, AUDIENCE_SET, Balance, BalanceIs, Field, Grab, Grabbed, Refusal, Refused, Send, SendView, Sent,
    TRAILER,
};

/// How long a client waits that found too many notes or packets under way.
const BUSY_RETRY_MS: u16 = 100;
/// Where the request number stands in every datagram that carries one, and where what it asks begins.
const REQUEST_AT: usize = 14;
const BODY_AT: usize = REQUEST_AT + 8;

/// A request that moves money, on its way.
pub(super) struct Request {
    pub slot: u16,
    pub account: u16,
    pub kind: Kind,
    pub number: u64,
    pub hash: u64,
}

impl Request {
    /// The posting that answers it.
    fn posting(&self, act: Act, now: Now) -> Posting<'static> {
        Posting { request: self.number, hash: self.hash, ..Posting::new(act, now.unix_ms()) }
    }
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
        // Full means busy: what cannot be written down is not done, and what cannot wait is not said.
        if !shared.journal.has_room() {
            let Some(number) = datagram[REQUEST_AT..].first_chunk() else {
                return Outcome::Dropped(Reason::BadLength);
            };
            return self.refuse_busy(slot, kind, u64::from_le_bytes(*number), asked, shared, tx);
        }
        match kind {
            Kind::Balance => self.balance(slot, account, datagram, asked, shared, tx),
            Kind::Detail => self.detail(slot, account, datagram, asked, shared, tx),
            Kind::History => self.history(slot, account, datagram, asked, shared, tx),
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
        shared.reply_durably(asked, tx, len)
    }

    /// Answers *busy*: nothing is done, and no number is used up.
    pub(super) fn refuse_busy(
        &mut self,
        slot: u16,
        kind: Kind,
        number: u64,
        asked: &Asked,
        shared: &Shared,
        tx: &mut impl Transmit,
    ) -> Outcome {
        let len = self.put_answer(slot, number, refusal(kind, Refusal::Busy), tx);
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
        if Self::recipients_abroad(self.number, &view, sets).count() > shared.outbox.credits() {
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
            return self.refuse(request, 0, (Refusal::Insufficient, 0), asked.now, shared);
        }
        let now = asked.now;
        let expires_ms = shared.ledger_ms(now.mono_us + shared.config.packet_life_us);
        let user = account.user;
        let mut seed = [0; 16];
        shared.rng.fill_bytes(&mut seed);
        let packet = self.packets.make(&view, user, seed, now.unix_ms(), expires_ms, &mut self.blocks);
        let id = packet.id;
        self.sums
            .post(Account::User(&mut account.balance), Account::Packet(&mut packet.left_fen), fields.total_fen)
            .expect("the balance covers it");
        let balance_fen = account.balance;
        let client = self.slots.cold(request.slot).client;
        self.count_made(fields.total_fen, &shared.books);
        shared.books.clients[client].packets.add(fields.total_fen);
        let mut tail = [0; TAIL_MAX];
        let len = put_terms(&view, seed, expires_ms, &mut tail);
        let sent = Posting {
            debit: user,
            credit: id,
            fen: fields.total_fen,
            tail: &tail[..len],
            ..request.posting(Act::Sent, now)
        };
        let source = self.write(shared, sent);
        self.tell_all(&view, source, (id, user), now, shared);
        self.keep(request.account, request.number, Answer::Sent { packet: id, balance_fen })
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
        let (number, hash) = (request.number, request.hash);
        if is_abroad {
            let body = Body::GrabAsk { user, packet, request: number, hash };
            shared.outbox.ask(Note::new(owner as u16, self.number, body));
            return None;
        }
        let decision = self.decide(packet, (user, self.number), asked.now, shared, Some(request.account));
        match decision {
            Decision::Share(fen) => {
                let taken = Posting { debit: packet, credit: user, fen, ..request.posting(Act::Taken, asked.now) };
                self.write(shared, taken);
                self.grabbed(request.account, number, (packet, fen), shared)
            }
            Decision::No(why, fen) => self.refuse(request, packet, (why, fen), asked.now, shared),
        }
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
        let when = (shared.ledger_ms(now.mono_us), now.unix_ms());
        let decision = self.packets.grab(packet, taker, when, &mut self.blocks, &mut self.sums, credit);
        if let Decision::Share(fen) = decision {
            self.count_taken(packet, fen, &shared.books);
        }
        decision
    }

    /// A share that the taker's balance has already: its answer, kept.
    pub(super) fn grabbed(
        &mut self,
        at: u16,
        number: u64,
        (packet, share_fen): (u64, u64),
        shared: &Shared,
    ) -> Option<Answer> {
        let slot = self.accounts[at].session;
        if slot != NONE {
            let client = self.slots.cold(slot).client;
            shared.books.clients[client].shares.add(share_fen);
        }
        let balance_fen = self.accounts[at].balance;
        self.keep(at, number, Answer::Grabbed { packet, share_fen, balance_fen })
    }

    /// Refuses a pending request for good.
    pub(super) fn refuse(
        &mut self,
        request: &Request,
        about: u64,
        (why, share_fen): (Refusal, u64),
        now: Now,
        shared: &mut Shared,
    ) -> Option<Answer> {
        let answer = Answer::Refused { kind: request.kind as u8, refusal: why, share_fen };
        let mut tail = [0; posting::Refused::LEN];
        let (kind, refusal, share_fen) = (request.kind as u8, why as u8, share_fen as u32);
        posting::Refused { kind, refusal, share_fen }.put(&mut tail);
        let debit = self.accounts[request.account].user;
        let refused = Posting { debit, about, tail: &tail, ..request.posting(Act::Refused, now) };
        self.write(shared, refused);
        self.keep(request.account, request.number, answer)
    }

    /// Keeps the answer to a pending request; from now on the ledger knows the user.
    fn keep(&mut self, at: u16, number: u64, answer: Answer) -> Option<Answer> {
        let account = &mut self.accounts[at];
        account.is_known = true;
        assert!(account.requests.finish(&mut self.blocks, number, answer), "only a pending request is finished");
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
        close_money(&self.slots.entry(slot).key(), self.slots.sealing(slot), out, len)
    }

    fn balance(
        &mut self,
        slot: u16,
        account: u16,
        datagram: &[u8],
        asked: &Asked,
        shared: &mut Shared,
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
        let len = close_money(&self.slots.entry(slot).key(), self.slots.sealing(slot), out, len);
        shared.reply_durably(asked, tx, len)
    }
}

/// The answer that refuses a request of this kind.
pub(super) fn refusal(kind: Kind, refusal: Refusal) -> Answer {
    Answer::Refused { kind: kind as u8, refusal, share_fen: 0 }
}

/// Writes the terms of a packet, as the ledger keeps them; returns their length.
fn put_terms(view: &SendView<'_>, seed: [u8; 16], expires_ms: u64, out: &mut [u8; TAIL_MAX]) -> usize {
    let Send { set, split, audience, shares, recipients, greeting_len, .. } = view.fields;
    let mut at = Terms { expires_ms, seed, set, split, audience, shares, recipients, greeting_len }.put(out);
    for user in view.recipients() {
        user.put(&mut out[at..]);
        at += <u64 as Field>::LEN;
    }
    out[at..at + view.greeting.len()].copy_from_slice(view.greeting.as_bytes());
    at + view.greeting.len()
}

fn is_well_formed(view: &SendView<'_>, sets: u32) -> bool {
    let fields = &view.fields;
    let audience = match fields.audience {
        AUDIENCE_LISTED => fields.recipients > 0 && fields.set == 0 && view.recipients().all(|user| user != NOBODY),
        AUDIENCE_SET => fields.recipients == 0 && u32::from(fields.set) < sets,
        _ => false,
    };
    audience && fields.reserved == 0 && split::is_allowed(fields.total_fen, fields.shares, fields.split)
}
