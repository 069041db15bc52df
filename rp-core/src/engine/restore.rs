//! The SETs as the ledger left them: every posting does again what it did, and nothing is decided anew.

use super::ledger::Account;
use super::notes::{BANK, Body, Decision, Note};
use super::notices::{AT_ONCE, Content};
use super::requests::Answer;
use super::set::Set;
use super::telling::News;
use super::{Now, Shard, Shared};
use crate::posting::{self, Act, NOBODY, Posting, Source, Terms, Told};
use crate::steer;
use crate::steer::set_of_user;
use crate::wire::{NoticeType, Refusal, ShareRow};

/// What is wrong with a posting: the ledger was damaged, or is not ours.
type Restored = Result<(), &'static str>;

impl Shard {
    /// Does again what a posting of one of its SETs did.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn restore(&mut self, posting: &Posting<'_>, now: Now) -> Restored {
        let at = self.row_of(posting.set).ok_or("it is of a SET that the server does not have")?;
        self.sets[at].restore(posting, now, &mut self.shared)
    }

    /// The newest place that a SET has seen of another's notes.
    pub fn seen_of(&self, set: u16, from: u16) -> Option<u64> {
        self.row_of(set).map(|at| self.sets[at].cursors.of(from))
    }

    /// What the SETs know of the newest campaign.
    pub fn winnings(&self) -> impl Iterator<Item = super::bank::Winnings> {
        self.sets.iter().map(|set| set.winnings)
    }

    /// All postings were restored: notes that their receivers have not seen go out again.
    pub fn restored(&mut self, seen: impl Fn(u16, u16) -> u64) {
        for set in &mut self.sets {
            let from = set.number;
            set.unlanded.retain(|note| note.source.place() > seen(note.to, from));
            for note in set.unlanded.iter() {
                match note.body {
                    Body::PacketFor { .. } => self.shared.outbox.ask_after(&self.shared.journal, note.clone()),
                    _ => self.shared.outbox.send_after(&self.shared.journal, note.clone()),
                }
            }
        }
        self.audit();
        self.publish();
    }

    pub(super) fn row_of(&self, set: u16) -> Option<usize> {
        let config = &self.shared.config;
        let is_ours = u32::from(set) < config.sets && steer::worker_of(set.into(), config.workers) == config.worker;
        is_ours.then(|| (u32::from(set) / config.workers) as usize)
    }
}

impl Set {
    fn restore(&mut self, posting: &Posting<'_>, now: Now, shared: &mut Shared) -> Restored {
        if posting.sequence != self.sequence + 1 {
            return Err("the posting before it is missing");
        }
        self.sequence = posting.sequence;
        if posting.source.is_some() && !self.cursors.see(posting.source) {
            return Err("it answers a note that was answered before");
        }
        match posting.act {
            Act::Deposited => self.deposited(posting, shared),
            Act::Bounced => {
                let back = Body::DepositDone { user: posting.credit, back_fen: posting.fen, of: posting.source };
                self.owes(BANK, back);
                Ok(())
            }
            Act::Withdrawn => self.withdrawn(posting, shared),
            Act::Won => self.won(posting, now, shared),
            Act::Sent => self.sent(posting, shared),
            Act::Refused => self.refused(posting, shared),
            Act::Taken => self.taken(posting, shared),
            Act::Handed => self.handed(posting, shared),
            Act::Received => self.came(posting, shared),
            Act::Refunded => self.refunded(posting, now, shared),
            Act::Told => {
                let Posting { debit: sender, credit, about: packet, source, .. } = *posting;
                let told = Told::take(posting.tail).ok_or("news without what they say")?;
                let user = (credit != NOBODY).then_some(credit);
                self.told_before(&News { user, packet, sender, told, source }, now, shared);
                Ok(())
            }
            Act::Untold => Ok(()),
            Act::Seen => {
                let at = self.accounts.find(posting.debit).ok_or("a user who was told nothing has seen it")?;
                self.notices.acknowledge(&mut self.accounts[at], posting.about, &mut self.blocks);
                Ok(())
            }
            _ => Err("it is no act of a SET's"),
        }
    }

    /// A note that follows from the posting at hand.
    fn owes(&mut self, to: u16, body: Body) {
        let source = Source::new(self.number, self.sequence, 0);
        self.unlanded.push(Note { to, from: self.number, source, body });
    }

    /// The account of a user whom the ledger knows.
    pub(super) fn known(&mut self, user: u64, shared: &Shared) -> Result<u16, &'static str> {
        let at = self.account_of(user, shared).ok_or("the ledger knows more users than a SET holds")?;
        self.accounts[at].is_known = true;
        Ok(at)
    }

    fn deposited(&mut self, posting: &Posting<'_>, shared: &Shared) -> Restored {
        let at = self.known(posting.credit, shared)?;
        let user = Account::User(&mut self.accounts[at].balance);
        self.sums.post(Account::Transit, user, posting.fen).map_err(|_| "a balance beyond counting")
    }

    fn withdrawn(&mut self, posting: &Posting<'_>, shared: &Shared) -> Restored {
        let Posting { debit: user, fen, source: of, .. } = *posting;
        if fen > 0 {
            let at = self.known(user, shared)?;
            let account = Account::User(&mut self.accounts[at].balance);
            self.sums.post(account, Account::Transit, fen).map_err(|_| "a user pays more than he has")?;
        }
        self.owes(BANK, Body::Withdrawn { user, fen, of });
        Ok(())
    }

    fn won(&mut self, posting: &Posting<'_>, now: Now, shared: &Shared) -> Restored {
        let Posting { debit: campaign, credit: user, fen, about, at_ms, .. } = *posting;
        let at = self.known(user, shared)?;
        let account = &mut self.accounts[at];
        if account.campaign != campaign as u32 {
            (account.campaign, account.prizes) = (campaign as u32, 0);
        }
        account.prizes += 1;
        let user = Account::User(&mut account.balance);
        self.sums.post(Account::Transit, user, fen).map_err(|_| "a balance beyond counting")?;
        self.count_won(about, fen, &shared.books);
        let content = Content { number: 0, about_type: NoticeType::Prize, about, from: 0, fen, at_ms, sequence: 0 };
        let when = (AT_ONCE, now.mono_us);
        let told = self.notices.add(&mut self.accounts, at, content, when, &mut self.blocks);
        told.map(drop).ok_or("a prize that its winner could not be told of")
    }

    fn sent(&mut self, posting: &Posting<'_>, shared: &Shared) -> Restored {
        let Posting { debit: user, credit: id, fen, request, hash, at_ms, .. } = *posting;
        let terms = Terms::take(posting.tail).ok_or("a packet without its terms")?;
        let Terms { expires_ms, seed, .. } = terms;
        let view = terms.view(fen, &posting.tail[Terms::LEN..]).ok_or("a packet with broken terms")?;
        let at = self.known(user, shared)?;
        self.packets.expect_id(id, &mut self.blocks)?;
        let packet = self.packets.make(&view, user, seed, at_ms, expires_ms, &mut self.blocks);
        let account = &mut self.accounts[at];
        let (from, to) = (Account::User(&mut account.balance), Account::Packet(&mut packet.left_fen));
        self.sums.post(from, to, fen).map_err(|_| "a user sends more than he has")?;
        let answer = Answer::Sent { packet: id, balance_fen: account.balance };
        self.count_made(fen, &shared.books);
        let source = Source::new(self.number, self.sequence, 0);
        for note in Self::news_abroad(self.number, &view, source, (id, user), at_ms, shared.config.sets) {
            self.unlanded.push(note.clone());
        }
        self.answered(at, request, hash, answer)
    }

    fn refused(&mut self, posting: &Posting<'_>, shared: &Shared) -> Restored {
        let Posting { debit: user, request, hash, .. } = *posting;
        let tail = posting::Refused::take(posting.tail).ok_or("a refusal without its reason")?;
        let refusal = Refusal::of_number(tail.refusal).ok_or("a refusal that there is not")?;
        let answer = Answer::Refused { kind: tail.kind, refusal, share_fen: tail.share_fen.into() };
        let at = self.known(user, shared)?;
        self.answered(at, request, hash, answer)
    }

    fn taken(&mut self, posting: &Posting<'_>, shared: &Shared) -> Restored {
        let Posting { debit: packet, credit: user, fen, request, hash, .. } = *posting;
        let at = self.known(user, shared)?;
        self.gave(posting, Some(at), shared)?;
        let balance_fen = self.accounts[at].balance;
        self.answered(at, request, hash, Answer::Grabbed { packet, share_fen: fen, balance_fen })
    }

    fn handed(&mut self, posting: &Posting<'_>, shared: &Shared) -> Restored {
        let Posting { debit: packet, credit: user, fen, request, hash, .. } = *posting;
        self.gave(posting, None, shared)?;
        let to = set_of_user(user, shared.config.sets) as u16;
        self.owes(to, Body::GrabDone { user, packet, request, hash, decision: Decision::Share(fen) });
        Ok(())
    }

    /// A packet gave a share, to an account here or into transit.
    fn gave(&mut self, posting: &Posting<'_>, account: Option<u16>, shared: &Shared) -> Restored {
        let Posting { debit: packet, credit: user, fen, at_ms, .. } = *posting;
        let row = ShareRow { user, taken_ms: at_ms, share_fen: fen as u32 };
        let credit = match account {
            Some(at) => Account::User(&mut self.accounts[at].balance),
            None => Account::Transit,
        };
        let given = self.packets.give(packet, row, &mut self.blocks, &mut self.sums, credit);
        given.map_err(|_| "a share of a packet that does not hold it")?;
        self.count_taken(packet, fen, &shared.books);
        Ok(())
    }

    fn came(&mut self, posting: &Posting<'_>, shared: &Shared) -> Restored {
        let Posting { debit: packet, credit: user, fen, request, hash, .. } = *posting;
        let at = self.known(user, shared)?;
        let account = &mut self.accounts[at];
        let credit = Account::User(&mut account.balance);
        self.sums.post(Account::Transit, credit, fen).map_err(|_| "a balance beyond counting")?;
        let balance_fen = account.balance;
        self.answered(at, request, hash, Answer::Grabbed { packet, share_fen: fen, balance_fen })
    }

    fn refunded(&mut self, posting: &Posting<'_>, now: Now, shared: &Shared) -> Restored {
        let Posting { debit: packet, credit: sender, fen, at_ms, .. } = *posting;
        let at = self.known(sender, shared)?;
        let (_, left) = self.packets.refund(packet).ok_or("a refund of a packet that is not open")?;
        let credit = Account::User(&mut self.accounts[at].balance);
        self.sums.post(Account::Packet(left), credit, fen).map_err(|_| "a refund of more than is left")?;
        self.count_refunded(fen, &shared.books);
        self.tell_refund(at, packet, fen, at_ms, now);
        Ok(())
    }

    fn answered(&mut self, at: u16, number: u64, hash: u64, answer: Answer) -> Restored {
        let requests = &mut self.accounts[at].requests;
        requests.restore(&mut self.blocks, number, hash, answer).then_some(()).ok_or("an answer that finds no room")
    }
}
