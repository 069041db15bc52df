//! One packet: who may take, who took, what is left.

use crate::engine::blocks::{Blocks, Rows};
use crate::engine::ledger::{Account, Sums, Uncovered};
use crate::engine::projection::Folded;
use crate::limits::GREETING_MAX;
use crate::wire::{AUDIENCE_SET, PacketState, SendView, ShareRow};

/// Who took which share when, as the detail shows it.
pub(super) type Takers = Rows<{ ShareRow::LEN }>;
/// Greeting bytes, in rows of one block.
pub(super) type Greeting = Rows<60>;

/// One packet.
pub struct Packet {
    /// Its id.
    pub id: u64,
    /// Who sent it.
    pub sender: u64,
    /// What was put in.
    pub total_fen: u64,
    /// What nobody has taken, and was not refunded.
    pub left_fen: u64,
    /// Milliseconds since 1970 when it was made.
    pub made_ms: u64,
    /// Milliseconds on the ledger's clock from which nobody may take.
    pub(super) expires_ms: u64,
    pub(super) recipients: Rows<8>,
    pub(super) takers: Takers,
    pub(super) greeting: Greeting,
    pub(super) greeting_len: u8,
    /// What its shares are drawn from.
    pub(super) seed: [u8; 16],
    /// Shares in all.
    pub shares: u8,
    pub(super) split: u8,
    pub(super) audience: u8,
    pub(super) set: u16,
    /// Open, finished or refunded.
    pub state: PacketState,
}

impl Packet {
    /// A packet with this id and sender as it was asked for, made and to expire at these milliseconds; its money is yet to be
    /// posted to it.
    ///
    /// # Panics
    /// When the arena has no room for it.
    pub(in crate::engine) fn of(
        view: &SendView<'_>,
        (id, sender): (u64, u64),
        seed: [u8; 16],
        (made_ms, expires_ms): (u64, u64),
        blocks: &mut Blocks,
    ) -> Packet {
        let fields = &view.fields;
        let mut packet = Packet {
            id,
            sender,
            total_fen: fields.total_fen,
            left_fen: 0,
            made_ms,
            expires_ms,
            recipients: Rows::default(),
            takers: Rows::default(),
            greeting: Rows::default(),
            greeting_len: fields.greeting_len,
            seed,
            shares: fields.shares,
            split: fields.split,
            audience: fields.audience,
            set: fields.set,
            state: PacketState::Open,
        };
        // The rows of its takers are set aside, so that no grab ever finds the SET full.
        let mut whole = packet.takers.reserve(blocks, usize::from(fields.shares));
        for user in view.recipients() {
            whole &= packet.recipients.push(blocks, &user.to_le_bytes());
        }
        for part in view.greeting.as_bytes().chunks(60) {
            let mut row = [0; 60];
            row[..part.len()].copy_from_slice(part);
            whole &= packet.greeting.push(blocks, &row);
        }
        assert!(whole, "make_room made room for the largest packet");
        packet
    }

    /// Gives a share to its taker; the last one finishes the packet.
    ///
    /// # Errors
    /// It is not open, or does not hold so much.
    pub(in crate::engine) fn give(
        &mut self,
        row: ShareRow,
        blocks: &mut Blocks,
        sums: &mut Sums,
        credit: Account<'_>,
    ) -> Result<(), Uncovered> {
        if self.state != PacketState::Open {
            return Err(Uncovered);
        }
        sums.post(Account::Packet(&mut self.left_fen), credit, row.share_fen.into())?;
        let mut bytes = [0; ShareRow::LEN];
        row.put_fields(&mut bytes);
        assert!(self.takers.push(blocks, &bytes), "the rows of all takers were set aside");
        if self.taken() == usize::from(self.shares) {
            self.state = PacketState::Finished;
        }
        Ok(())
    }

    /// What is left goes into transit, and the packet is over.
    ///
    /// # Errors
    /// It is not open.
    pub(in crate::engine) fn refund(&mut self, sums: &mut Sums) -> Result<(), Uncovered> {
        if self.state != PacketState::Open {
            return Err(Uncovered);
        }
        self.state = PacketState::Refunded;
        let fen = self.left_fen;
        sums.post(Account::Packet(&mut self.left_fen), Account::Transit, fen)
    }

    /// A row without a packet.
    pub(super) fn none() -> Packet {
        Packet {
            id: 0,
            sender: 0,
            total_fen: 0,
            left_fen: 0,
            made_ms: 0,
            expires_ms: 0,
            recipients: Rows::default(),
            takers: Rows::default(),
            greeting: Rows::default(),
            greeting_len: 0,
            seed: [0; 16],
            shares: 0,
            split: 0,
            audience: 0,
            set: 0,
            state: PacketState::Refunded,
        }
    }

    /// Folds it; see [`projection`](crate::engine::projection).
    pub(in crate::engine) fn fold(&self, blocks: &Blocks, out: &mut Folded) {
        out.put_all([self.id, self.sender, self.total_fen, self.made_ms, self.expires_ms]);
        out.put(self.seed);
        out.put_all([self.shares, self.split, self.audience]);
        out.put(self.set);
        out.put(self.recipients.count() as u8);
        out.put(self.greeting_len);
        self.recipients.iter(blocks).for_each(|row| out.put(*row));
        let mut greeting = [0; GREETING_MAX];
        let len = self.put_greeting(blocks, &mut greeting);
        out.0.extend_from_slice(&greeting[..len]);
        out.put(self.taken() as u8);
        self.takers.iter(blocks).for_each(|row| out.put(*row));
        out.put(u8::from(self.state == PacketState::Refunded));
    }

    /// Shares taken.
    pub fn taken(&self) -> usize {
        self.takers.count()
    }

    /// Addressed to a whole SET?
    pub fn is_set_wide(&self) -> bool {
        self.audience == AUDIENCE_SET
    }

    /// May the user, of SET `set`, take a share and read the detail? Whoever sends to a SET may take part.
    pub fn is_for(&self, user: u64, set: u16, blocks: &Blocks) -> bool {
        if self.is_set_wide() {
            return set == self.set || user == self.sender;
        }
        self.recipients.iter(blocks).any(|row| u64::from_le_bytes(*row) == user)
    }

    /// The taken shares, first taken first.
    pub fn takers<'a>(&self, blocks: &'a Blocks) -> impl Iterator<Item = ShareRow> + 'a {
        self.takers.iter(blocks).map(|row| ShareRow::take(row).expect("rows are as long as the layout"))
    }

    /// The greeting's bytes into `out`; returns their number.
    pub fn put_greeting(&self, blocks: &Blocks, out: &mut [u8]) -> usize {
        let len = usize::from(self.greeting_len);
        for (row, part) in self.greeting.iter(blocks).zip(out[..len].chunks_mut(60)) {
            part.copy_from_slice(&row[..part.len()]);
        }
        len
    }

    /// The largest share, the earliest on a tie, once all are taken.
    pub fn best(&self, blocks: &Blocks) -> Option<u8> {
        if self.state != PacketState::Finished {
            return None;
        }
        let (at, _) =
            self.takers(blocks).enumerate().max_by_key(|(at, row)| (row.share_fen, core::cmp::Reverse(*at)))?;
        Some(at as u8)
    }
}
