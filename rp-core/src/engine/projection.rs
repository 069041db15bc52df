//! What a SET holds, folded into bytes from which a start unfolds it: what its postings so far have come to.
//!
//! Sessions, requests that wait for a note and prizes that nobody has won are no part of it, as they are of no posting.

use alloc::vec::Vec;

use super::ledger::Account;
use super::notes::{BANK, Body, Decision, Note};
use super::packets::Packet;
use super::set::Set;
use super::tally::{Count, Tally};
use super::{Now, Shard, Shared};
use crate::posting::{Source, Terms};
use crate::wire::{Field, PacketState, ShareRow};

/// The bytes are not what was folded.
const BROKEN: &str = "its projection is broken; run `rp-server audit`, which needs none, and remove the projections";

/// Fields one after another.
#[derive(Default)]
pub(super) struct Folded(pub Vec<u8>);

impl Folded {
    /// Adds a field.
    pub(super) fn put(&mut self, value: impl Field) {
        self.bytes(value_len(&value), |out| value.put(out));
    }

    /// Adds fields of one type.
    pub(super) fn put_all<const N: usize>(&mut self, values: [impl Field; N]) {
        values.into_iter().for_each(|value| self.put(value));
    }

    fn bytes(&mut self, len: usize, put: impl FnOnce(&mut [u8])) {
        let at = self.0.len();
        self.0.resize(at + len, 0);
        put(&mut self.0[at..]);
    }
}

fn value_len<T: Field>(_: &T) -> usize {
    T::LEN
}

/// The same, read back.
pub(super) struct Unfolding<'a>(pub &'a [u8]);

impl<'a> Unfolding<'a> {
    /// Takes a field.
    pub(super) fn take<T: Field>(&mut self) -> Result<T, &'static str> {
        self.bytes(T::LEN).map(T::take)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(BROKEN)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl Shard {
    /// The SETs of this shard.
    pub fn count(&self) -> usize {
        self.sets.len()
    }

    /// Folds the SET in row `at`, below [`Self::count`]: its number, its last posting, and the bytes.
    pub fn fold(&self, at: usize) -> (u16, u64, Vec<u8>) {
        let set = &self.sets[at];
        (set.number, set.sequence, set.fold().0)
    }

    /// Unfolds a SET that is as new.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn unfold(&mut self, set: u16, sequence: u64, bytes: &[u8], now: Now) -> Result<(), &'static str> {
        let at = self.row_of(set).ok_or("it is of a SET that the server does not have")?;
        self.sets[at].unfold(sequence, bytes, now, &mut self.shared)
    }
}

impl Set {
    fn fold(&self) -> Folded {
        let mut out = Folded::default();
        let Tally { made, taken, refunded, prizes } = self.tally;
        for Count { count, fen } in [made, taken, refunded, prizes] {
            out.put(count);
            out.put(fen);
        }
        self.winnings.fold(&mut out);
        self.cursors.fold(&mut out);
        self.fold_notes(&mut out);
        self.fold_accounts(&mut out);
        self.fold_packets(&mut out);
        out
    }

    fn unfold(&mut self, sequence: u64, bytes: &[u8], now: Now, shared: &mut Shared) -> Result<(), &'static str> {
        let from = &mut Unfolding(bytes);
        self.sequence = sequence;
        let mut count = || Ok::<_, &'static str>(Count { count: from.take()?, fen: from.take()? });
        let tally = Tally { made: count()?, taken: count()?, refunded: count()?, prizes: count()? };
        self.winnings.unfold(from)?;
        self.cursors.unfold(from)?;
        self.unfold_notes(from)?;
        self.unfold_accounts(from, now, shared)?;
        let open = self.unfold_packets(from)?;
        self.resume(tally, open, &shared.books);
        if from.0.is_empty() { Ok(()) } else { Err(BROKEN) }
    }

    fn fold_notes(&self, out: &mut Folded) {
        out.put(self.unlanded.iter().count() as u32);
        for note in self.unlanded.iter() {
            out.put(note.to);
            out.put(note.source.0);
            match note.body {
                Body::PacketFor { user, packet, sender, fen, at_ms } => {
                    out.put(0u8);
                    out.put(u8::from(user.is_some()));
                    out.put_all([user.unwrap_or(0), packet, sender, fen, at_ms]);
                }
                Body::GrabDone { user, packet, request, hash, decision } => {
                    let Decision::Share(fen) = decision else { unreachable!("a refusal moves no money") };
                    out.put(1u8);
                    out.put_all([user, packet, request, hash, fen]);
                }
                Body::DepositDone { user, back_fen, of } => {
                    out.put(2u8);
                    out.put_all([user, back_fen, of.0]);
                }
                Body::Withdrawn { user, fen, of } => {
                    out.put(3u8);
                    out.put_all([user, fen, of.0]);
                }
                _ => unreachable!("no other note of a SET follows from a posting"),
            }
        }
    }

    fn unfold_notes(&mut self, from: &mut Unfolding<'_>) -> Result<(), &'static str> {
        for _ in 0..from.take::<u32>()? {
            let (to, source) = (from.take()?, Source(from.take()?));
            let kind: u8 = from.take()?;
            let is_one = kind == 0 && from.take::<u8>()? == 1;
            let mut word = || from.take::<u64>();
            let body = match kind {
                0 => {
                    let user = word()?;
                    let (packet, sender, fen, at_ms) = (word()?, word()?, word()?, word()?);
                    Body::PacketFor { user: is_one.then_some(user), packet, sender, fen, at_ms }
                }
                1 => {
                    let (user, packet, request, hash) = (word()?, word()?, word()?, word()?);
                    Body::GrabDone { user, packet, request, hash, decision: Decision::Share(word()?) }
                }
                2 => Body::DepositDone { user: word()?, back_fen: word()?, of: Source(word()?) },
                3 => Body::Withdrawn { user: word()?, fen: word()?, of: Source(word()?) },
                _ => return Err(BROKEN),
            };
            let is_known = to == BANK || kind < 2;
            if !is_known {
                return Err(BROKEN);
            }
            self.unlanded.push(Note { to, from: self.number, source, body });
        }
        Ok(())
    }

    fn fold_accounts(&self, out: &mut Folded) {
        let known = || (0..self.accounts.end()).filter(|at| self.accounts.is_used(*at) && self.accounts[*at].is_known);
        out.put(known().count() as u32);
        for account in known().map(|at| &self.accounts[at]) {
            out.put(account.user);
            out.put(account.balance);
            out.put(account.campaign);
            out.put(account.prizes);
            account.requests.fold(&self.blocks, out);
            account.fold_notices(&self.blocks, out);
        }
    }

    fn unfold_accounts(&mut self, from: &mut Unfolding<'_>, now: Now, shared: &Shared) -> Result<(), &'static str> {
        for _ in 0..from.take::<u32>()? {
            let at = self.known(from.take()?, shared)?;
            let fen = from.take()?;
            let account = &mut self.accounts[at];
            let user = Account::User(&mut account.balance);
            self.sums.post(Account::Transit, user, fen).map_err(|_| BROKEN)?;
            account.campaign = from.take()?;
            account.prizes = from.take()?;
            account.requests.unfold(&mut self.blocks, from)?;
            self.notices.unfold(&mut self.accounts, at, now.mono_us, &mut self.blocks, from)?;
        }
        Ok(())
    }

    fn fold_packets(&self, out: &mut Folded) {
        out.put(self.packets.made());
        let mut held: Vec<&Packet> = self.packets.iter().collect();
        // In the order in which they were made, so that the oldest is forgotten first again.
        held.sort_unstable_by_key(|packet| packet.id);
        out.put(held.len() as u32);
        for packet in held {
            packet.fold(&self.blocks, out);
        }
    }

    fn unfold_packets(&mut self, from: &mut Unfolding<'_>) -> Result<Count, &'static str> {
        let made = from.take()?;
        let mut open = Count::default();
        for _ in 0..from.take::<u32>()? {
            let left_fen = self.unfold_packet(from)?;
            open.count += u64::from(left_fen.is_some());
            open.fen += left_fen.unwrap_or(0);
        }
        self.packets.resume(made);
        Ok(open)
    }

    /// Makes a packet again; what is left in it if it is open.
    fn unfold_packet(&mut self, from: &mut Unfolding<'_>) -> Result<Option<u64>, &'static str> {
        let (id, sender, total_fen, made_ms, expires_ms) =
            (from.take()?, from.take()?, from.take()?, from.take()?, from.take()?);
        let seed = from.take()?;
        let (shares, split, audience, set) = (from.take()?, from.take()?, from.take()?, from.take()?);
        let (recipients, greeting_len) = (from.take()?, from.take()?);
        let tail = from.bytes(8 * usize::from(recipients) + usize::from(greeting_len))?;
        let terms = Terms { expires_ms, seed, set, split, audience, shares, recipients, greeting_len };
        let view = terms.view(total_fen, tail).ok_or(BROKEN)?;
        self.packets.expect_id(id, &mut self.blocks)?;
        let packet = self.packets.make(&view, sender, seed, made_ms, expires_ms, &mut self.blocks);
        let fund = Account::Packet(&mut packet.left_fen);
        self.sums.post(Account::Transit, fund, total_fen).map_err(|_| BROKEN)?;
        for _ in 0..from.take::<u8>()? {
            let row = ShareRow::take(from.bytes(ShareRow::LEN)?).ok_or(BROKEN)?;
            let given = self.packets.give(id, row, &mut self.blocks, &mut self.sums, Account::Transit);
            given.map_err(|_| BROKEN)?;
        }
        if from.take::<u8>()? == 1 {
            let (_, left) = self.packets.refund(id).ok_or(BROKEN)?;
            let fen = *left;
            self.sums.post(Account::Packet(left), Account::Transit, fen).map_err(|_| BROKEN)?;
        }
        let packet = self.packets.find(id).ok_or(BROKEN)?;
        Ok((packet.state == PacketState::Open).then_some(packet.left_fen))
    }
}
