//! Who is told what of a packet: its recipients that it is there, here and in other SETs; its sender that it came back.
//!
//! What a user is told of is written to the ledger, so that it is told again after a crash until the user has seen it.

use super::notes::{Body, Note};
use super::notices::{AT_ONCE, Content};
use super::set::Set;
use super::slots::NONE;
use super::{Now, Shared, Transmit};
use crate::limits::ACCOUNTS_PER_SET_MAX;
use crate::posting::{Act, NOBODY, Posting, Source, Told};
use crate::steer::set_of_user;
use crate::wire::{AUDIENCE_SET, NoticeType, SendView};

/// Notices that one visit sends at most: a packet for a whole SET must not hold up the shakes.
const NOTICES_PER_VISIT: usize = 32;

/// What somebody is told of a packet.
#[derive(Clone, Copy)]
pub(super) struct News {
    /// The user, or every user of the SET.
    pub user: Option<u64>,
    /// The packet.
    pub packet: u64,
    /// The sender.
    pub sender: u64,
    /// What was put in.
    pub told: Told,
    /// The note that brought the news.
    pub source: Source,
}

impl News {
    fn content(&self) -> Content {
        Content {
            number: 0,
            about_type: NoticeType::Packet,
            about: self.packet,
            from: self.sender,
            fen: self.told.fen,
            at_ms: self.told.made_ms,
            sequence: 0,
        }
    }
}

impl Set {
    /// Whom a packet is for: SETs and users, or every user of the SET.
    fn recipients(view: &SendView<'_>, sets: u32) -> impl Iterator<Item = (u16, Option<u64>)> {
        let set_wide = (view.fields.audience == AUDIENCE_SET).then_some((view.fields.set, None));
        let listed = view.recipients().map(move |user| (set_of_user(user, sets) as u16, Some(user)));
        set_wide.into_iter().chain(listed)
    }

    /// Those in other SETs, each of whom costs a note.
    pub(super) fn recipients_abroad(
        here: u16,
        view: &SendView<'_>,
        sets: u32,
    ) -> impl Iterator<Item = (u16, Option<u64>)> {
        Self::recipients(view, sets).filter(move |(to, _)| *to != here)
    }

    /// The notes by which other SETs hear of a packet of SET `from`, numbered from `source` on.
    pub(super) fn news_abroad(
        from: u16,
        view: &SendView<'_>,
        source: Source,
        (packet, sender): (u64, u64),
        at_ms: u64,
        sets: u32,
    ) -> impl Iterator<Item = Note> {
        let fen = view.fields.total_fen;
        Self::recipients_abroad(from, view, sets).zip(0..).map(move |((to, user), index)| {
            let body = Body::PacketFor { user, packet, sender, fen, at_ms };
            Note { to, from, source: Source(source.0 + index), body }
        })
    }

    /// Tells the recipients of a packet, here and elsewhere.
    pub(super) fn tell_all(
        &mut self,
        view: &SendView<'_>,
        source: Source,
        (packet, sender): (u64, u64),
        now: Now,
        shared: &mut Shared,
    ) {
        let (sets, made_ms) = (shared.config.sets, now.unix_ms());
        for note in Self::news_abroad(self.number, view, source, (packet, sender), made_ms, sets) {
            self.unlanded.push(note.clone());
            shared.outbox.ask_after(&shared.journal, note);
        }
        let told = Told { fen: view.fields.total_fen, made_ms };
        for (to, user) in Self::recipients(view, sets) {
            if to == self.number {
                self.tell(&News { user, packet, sender, told, source: Source::NONE }, now, shared);
            }
        }
    }

    /// There is a packet for a user of this SET, or for all of them but the sender.
    pub(super) fn tell(&mut self, news: &News, now: Now, shared: &mut Shared) {
        let is_told = match news.user {
            Some(user) => self.tell_user(user, news, now, shared),
            None => self.tell_everyone(news, now, shared),
        };
        if !is_told {
            shared.books.notices_refused.add(1);
            self.write_news(Act::Untold, news, news.user, now, shared);
        }
    }

    fn tell_user(&mut self, user: u64, news: &News, now: Now, shared: &mut Shared) -> bool {
        // A stranger gets an account to hear of it, as long as every free slot can still become a session.
        let has_room = self.accounts.len() + self.slots.free() < ACCOUNTS_PER_SET_MAX;
        let at = if has_room { self.account_of(user, shared) } else { self.accounts.find(user) };
        let Some(at) = at.filter(|at| self.add_notice(*at, news.content(), now)) else { return false };
        self.accounts[at].is_known = true;
        self.write_news(Act::Told, news, Some(user), now, shared);
        true
    }

    /// Tells every user of the SET but the sender, if there is room to tell all, and not too many packets for all of them
    /// came in this second.
    fn tell_everyone(&mut self, news: &News, now: Now, shared: &mut Shared) -> bool {
        if !self.may_tell_everyone() || !self.notices.has_room_for(self.accounts.len()) {
            return false;
        }
        // One posting tells all whom the ledger knows; the others it gets to know now.
        self.write_news(Act::Told, news, None, now, shared);
        for at in 0..self.accounts.end() {
            let user = self.accounts[at].user;
            if !self.accounts.is_used(at) || user == news.sender {
                continue;
            }
            let is_told = self.add_notice(at, news.content(), now);
            if !is_told {
                shared.books.notices_refused.add(1);
            } else if !core::mem::replace(&mut self.accounts[at].is_known, true) {
                let known = News { source: Source::NONE, ..*news };
                self.write_news(Act::Told, &known, Some(user), now, shared);
            }
        }
        true
    }

    fn write_news(&mut self, act: Act, news: &News, user: Option<u64>, now: Now, shared: &mut Shared) {
        let mut tail = [0; Told::LEN];
        news.told.put(&mut tail);
        let News { packet, sender, source, .. } = *news;
        let credit = user.unwrap_or(NOBODY);
        let posting =
            Posting { debit: sender, credit, about: packet, source, tail: &tail, ..Posting::new(act, now.unix_ms()) };
        self.write(shared, posting);
    }

    /// What the ledger says was told.
    pub(super) fn told_before(&mut self, news: &News, now: Now, shared: &Shared) {
        if let Some(user) = news.user {
            let at = self.account_of(user, shared).expect("the ledger knows no more users than a SET holds");
            self.accounts[at].is_known = true;
            self.add_notice(at, news.content(), now);
            return;
        }
        for at in 0..self.accounts.end() {
            if self.accounts.is_used(at) && self.accounts[at].user != news.sender {
                self.add_notice(at, news.content(), now);
            }
        }
    }

    /// Tells a sender that what was left of a packet came back at `at_ms`; whether there was room for it.
    pub(super) fn tell_refund(&mut self, at: u16, packet: u64, fen: u64, at_ms: u64, now: Now) -> bool {
        let about_type = NoticeType::Refund;
        self.add_notice(at, Content { number: 0, about_type, about: packet, from: 0, fen, at_ms, sequence: 0 }, now)
    }

    fn add_notice(&mut self, at: u16, content: Content, now: Now) -> bool {
        self.notices.add(&mut self.accounts, at, content, (AT_ONCE, now.mono_us), &mut self.blocks).is_some()
    }

    /// Sends what is due; `true` when more is.
    pub(super) fn send_notices(&mut self, now: Now, shared: &mut Shared, tx: &mut impl Transmit) -> bool {
        for _ in 0..NOTICES_PER_VISIT {
            if !shared.journal.has_room() {
                return true;
            }
            let Some((account, block, content)) = self.notices.due(now.mono_us, &self.accounts, &self.blocks) else {
                return false;
            };
            let slot = self.accounts[account].session;
            if slot == NONE {
                self.notices.dormant(block, &mut self.blocks);
            } else {
                self.send_notice(slot, &content, shared, tx);
                self.notices.sent(block, now.mono_us, &self.accounts, &mut self.blocks);
            }
        }
        true
    }
}
