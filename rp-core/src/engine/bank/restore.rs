//! The bank as the ledger left it.

use alloc::vec::Vec;

use super::{Bank, Now, Plan};
use crate::engine::books::{Counter, Sum};
use crate::engine::campaign::Campaign;
use crate::engine::notes::{BANK, Body, Note};
use crate::engine::projection::{Folded, Unfolding};
use crate::posting::{Act, Planned, Posting, Source};
use crate::steer::set_of_user;

/// What the SETs know of the newest campaign.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Winnings {
    /// Its number.
    pub campaign: u32,
    /// Prizes of it that were won: how many, and how much.
    pub count: u64,
    /// In fen.
    pub fen: u64,
    /// One above the highest number won.
    pub numbers: u32,
}

impl Winnings {
    /// Counts a prize; those of older campaigns are forgotten.
    pub fn add(&mut self, about: u64, fen: u64) {
        let (campaign, number) = ((about >> 32) as u32, about as u32);
        if campaign != self.campaign {
            *self = Winnings { campaign, ..Winnings::default() };
        }
        self.count += 1;
        self.fen += fen;
        self.numbers = self.numbers.max(number.saturating_add(1));
    }

    /// Folds it; see [`projection`](crate::engine::projection).
    pub(in crate::engine) fn fold(&self, out: &mut Folded) {
        out.put(self.campaign);
        out.put(self.count);
        out.put(self.fen);
        out.put(self.numbers);
    }

    /// Unfolds it.
    pub(in crate::engine) fn unfold(&mut self, from: &mut Unfolding<'_>) -> Result<(), &'static str> {
        *self = Winnings { campaign: from.take()?, count: from.take()?, fen: from.take()?, numbers: from.take()? };
        Ok(())
    }
}

impl Bank {
    /// The newest place that was seen of a SET's notes.
    pub fn seen_of(&self, set: u16) -> u64 {
        self.cursors.of(set)
    }

    /// Folds what the bank's postings have come to: its last posting, and the bytes.
    pub fn fold(&self) -> (u64, Vec<u8>) {
        let mut out = Folded::default();
        let books = &self.books;
        for sum in [&books.deposits, &books.deposits_back, &books.reclaimed] {
            out.put(sum.count.read());
            out.put(sum.fen.read());
        }
        out.put(books.uncovered.read());
        out.put(books.issued_fen.read());
        out.put(self.budgets_fen);
        out.put(self.campaigns);
        self.cursors.fold(&mut out);
        out.put(self.unlanded.iter().count() as u32);
        for note in self.unlanded.iter() {
            let (is_deposit, user, fen) = match note.body {
                Body::Deposit { user, fen } => (1u8, user, fen),
                Body::Reclaim { user, fen } => (0, user, fen),
                _ => unreachable!("no other note of the bank follows from a posting"),
            };
            out.put(is_deposit);
            out.put_all([note.source.0, user, fen]);
        }
        out.put(u8::from(self.campaign.is_some()));
        if let Some(campaign) = &self.campaign {
            let Planned { rate, from_fen, to_fen, per_user } = campaign.plan.planned();
            out.put(campaign.number);
            out.put(u8::from(campaign.is_stopped));
            out.put(campaign.budget_fen);
            out.put(rate);
            out.put(from_fen);
            out.put(to_fen);
            out.put(per_user);
        }
        self.orders.fold(&mut out);
        out.put(self.closed_fen);
        (self.sequence, out.0)
    }

    /// Unfolds a bank that is as new.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn unfold(&mut self, sequence: u64, bytes: &[u8], now: Now) -> Result<(), &'static str> {
        let from = &mut Unfolding(bytes);
        self.sequence = sequence;
        for sum in [&self.books.deposits, &self.books.deposits_back, &self.books.reclaimed] {
            sum.count.set(from.take()?);
            sum.fen.set(from.take()?);
        }
        self.books.uncovered.set(from.take()?);
        let issued_fen: u64 = from.take()?;
        self.budgets_fen = from.take()?;
        self.books.issued_fen.set(issued_fen);
        self.books.campaign_fen.set(self.budgets_fen);
        self.books.transit_out_fen.set(issued_fen.wrapping_sub(self.budgets_fen));
        self.campaigns = self.campaigns.max(from.take()?);
        self.cursors.unfold(from)?;
        for _ in 0..from.take::<u32>()? {
            let is_deposit = from.take::<u8>()? == 1;
            let (source, user, fen) = (Source(from.take()?), from.take()?, from.take()?);
            let body = if is_deposit { Body::Deposit { user, fen } } else { Body::Reclaim { user, fen } };
            self.unlanded.push(Note { to: set_of_user(user, self.sets) as u16, from: BANK, source, body });
        }
        if from.take::<u8>()? == 1 {
            let number: u32 = from.take()?;
            let is_stopped = from.take::<u8>()? == 1;
            let budget_fen = from.take()?;
            let planned =
                Planned { rate: from.take()?, from_fen: from.take()?, to_fen: from.take()?, per_user: from.take()? };
            let plan = Plan::of(&planned, budget_fen);
            let mut campaign = Campaign::new(plan, number, 0, now.mono_us, &mut self.rng);
            campaign.is_stopped = is_stopped;
            self.books.campaign.set(number.into());
            self.campaign = Some(campaign);
        }
        // It ends here where it was made before orders had numbers.
        if !from.0.is_empty() {
            self.orders.unfold(from)?;
        }
        // And here before a change of a campaign outlived the server; its newest campaign may be none that began, then.
        if !from.0.is_empty() {
            self.closed_fen = from.take()?;
        } else if let Some(campaign) = &self.campaign {
            self.campaigns = campaign.number;
        }
        if from.0.is_empty() { Ok(()) } else { Err("more is in its projection than there should be") }
    }

    /// Does again what a posting of the bank did.
    ///
    /// # Errors
    /// What is wrong with it: the ledger was damaged, or is not ours.
    pub fn restore(&mut self, posting: &Posting<'_>, now: Now) -> Result<(), &'static str> {
        let Posting { sequence, debit, credit, fen, about, source, .. } = *posting;
        if sequence != self.sequence + 1 {
            return Err("the posting before it is missing");
        }
        self.sequence = sequence;
        if source.is_some() && !self.cursors.see(source) {
            return Err("it answers a note that was answered before");
        }
        self.orders.book(posting)?;
        let ask = |body: Body, user: u64| Note {
            to: set_of_user(user, self.sets) as u16,
            from: BANK,
            source: Source::new(BANK, sequence, 0),
            body,
        };
        match posting.act {
            Act::Minted => {
                self.books.issued_fen.add(fen);
                self.books.transit_out_fen.add(fen);
                self.unlanded.push(ask(Body::Deposit { user: credit, fen }, credit));
            }
            Act::Reclaimed => self.unlanded.push(ask(Body::Reclaim { user: credit, fen: about }, credit)),
            Act::Redeemed => {
                self.books.transit_in_fen.add(fen);
                self.books.issued_fen.sub(fen);
            }
            Act::Started => {
                let planned = Planned::take(posting.tail).ok_or("a campaign without its plan")?;
                self.books.issued_fen.add(fen);
                self.books.campaign_fen.add(fen);
                self.budgets_fen = self.budgets_fen.wrapping_add(fen);
                self.campaigns = self.campaigns.max(credit as u32);
                self.books.campaign.set(credit);
                let plan = Plan::of(&planned, fen);
                self.campaign = Some(Campaign::new(plan, credit as u32, 0, now.mono_us, &mut self.rng));
            }
            Act::Stopped => {
                let campaign = self.campaign.as_mut().filter(|campaign| u64::from(campaign.number) == debit);
                campaign.ok_or("the campaign that stops does not run")?.is_stopped = true;
            }
            Act::Closed => {
                self.campaign = None;
                self.closed_fen = fen;
                self.budgets_fen = self.budgets_fen.wrapping_sub(fen);
                self.books.campaign.set(0);
                self.books.campaign_fen.sub(fen);
                self.books.issued_fen.sub(fen);
            }
            _ => return Err("it is no act of the bank's"),
        }
        Ok(())
    }

    /// All postings were restored: what the SETs have seen need not be sent again, and what they won is out of the budget.
    ///
    /// # Errors
    /// More was won than there was.
    pub fn restored(
        &mut self,
        seen: impl Fn(u16) -> u64,
        winnings: impl Iterator<Item = Winnings>,
        now: Now,
    ) -> Result<(), &'static str> {
        self.unlanded.retain(|note| note.source.place() > seen(note.to));
        for note in self.unlanded.iter() {
            self.out += 1;
            self.outbox.send_after(&self.journal, note.clone());
        }
        let won = |part: fn(&Sum) -> &Counter| self.set_books.iter().map(|books| part(&books.prizes).read()).sum();
        let (count, fen): (u64, u64) = (won(|sum| &sum.count), won(|sum| &sum.fen));
        self.books.released.count.set(count);
        self.books.released.fen.set(fen);
        self.books.transit_out_fen.add(fen);
        self.books.campaign_fen.sub(fen);
        let Some(campaign) = self.campaign.take() else { return Ok(()) };
        let of_it = winnings.filter(|part| part.campaign == campaign.number);
        let (fen, drawn) = of_it.fold((0, 0), |(fen, drawn), part| (fen + part.fen, part.numbers.max(drawn)));
        let mut plan = campaign.plan;
        plan.budget_fen = plan.budget_fen.checked_sub(fen).ok_or("more was won than the campaign had")?;
        let mut again = Campaign::new(plan, campaign.number, drawn, now.mono_us, &mut self.rng);
        (again.is_stopped, again.budget_fen) = (campaign.is_stopped, campaign.budget_fen);
        self.campaign = Some(again);
        self.is_resumed = true;
        if campaign.is_stopped {
            self.recall();
        }
        Ok(())
    }
}
