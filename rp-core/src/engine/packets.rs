//! The packets that users of one SET sent: who may take, who took, what is left.
//!
//! A packet's id names its SET, its row here and a number that no other packet of the row has. Finished packets stay
//! readable until their room is needed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::blocks::{Blocks, Rows};
use super::ledger::{Account, Sums, Uncovered};
use super::notes::Decision;
use super::projection::Folded;
use super::split;
use crate::limits::{GREETING_MAX, PACKET_BLOCKS_PER_SET_MAX, PACKETS_PER_SET_MAX, RECIPIENTS_MAX, SHARES_MAX};
use crate::wire::{AUDIENCE_SET, PacketState, Refusal, SendView, ShareRow};

/// Who took which share when, as the detail shows it.
type Takers = Rows<{ ShareRow::LEN }>;
/// Greeting bytes, in rows of one block.
type Greeting = Rows<60>;

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
    expires_ms: u64,
    recipients: Rows<8>,
    takers: Takers,
    greeting: Greeting,
    greeting_len: u8,
    /// What its shares are drawn from.
    seed: [u8; 16],
    /// Shares in all.
    pub shares: u8,
    split: u8,
    audience: u8,
    set: u16,
    /// Open, finished or refunded.
    pub state: PacketState,
}

impl Packet {
    /// A row without a packet.
    fn none() -> Packet {
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

    /// Folds it; see [`projection`](super::projection).
    pub(super) fn fold(&self, blocks: &Blocks, out: &mut Folded) {
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

/// The packets.
pub struct Packets {
    set: u16,
    rows: Vec<Packet>,
    free: Vec<u16>,
    /// Rows in the order they were made: all live equally long, so the first is the first to expire.
    open: VecDeque<(u16, u64)>,
    finished: VecDeque<(u16, u64)>,
    made: u32,
    set_wide_open: usize,
    /// Blocks that packets hold.
    blocks_held: usize,
}

impl Packets {
    /// No packets yet, of SET `set`.
    pub fn new(set: u16) -> Self {
        Self {
            set,
            rows: Vec::with_capacity(PACKETS_PER_SET_MAX),
            free: Vec::new(),
            open: VecDeque::new(),
            finished: VecDeque::new(),
            made: 0,
            set_wide_open: 0,
            blocks_held: 0,
        }
    }

    /// Open packets to whole SETs.
    pub fn set_wide_open(&self) -> usize {
        self.set_wide_open
    }

    /// Makes room for one packet as large as any, if that takes no more than forgetting finished ones.
    pub fn make_room(&mut self, blocks: &mut Blocks) -> bool {
        const BLOCKS: usize =
            Rows::<8>::blocks_for(RECIPIENTS_MAX) + Takers::blocks_for(SHARES_MAX) + Greeting::blocks_for(GREETING_MAX);
        // Four billion packets: no number is left that no other packet of its row had.
        if self.made == u32::MAX {
            return false;
        }
        let has_row = |p: &Self| p.rows.len() < PACKETS_PER_SET_MAX || !p.free.is_empty();
        while !has_row(self) || self.blocks_held + BLOCKS > PACKET_BLOCKS_PER_SET_MAX {
            let Some((row, _)) = self.finished.pop_front() else { return false };
            self.forget(row, blocks);
        }
        true
    }

    /// Forgets a finished packet that is in no queue.
    fn forget(&mut self, row: u16, blocks: &mut Blocks) {
        let room = blocks.room();
        let packet = &mut self.rows[usize::from(row)];
        packet.id = 0;
        packet.recipients.clear(blocks);
        packet.takers.clear(blocks);
        packet.greeting.clear(blocks);
        self.blocks_held -= blocks.room() - room;
        self.free.push(row);
    }

    /// Makes the next packet get this id, as the ledger says it did.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn expect_id(&mut self, id: u64, blocks: &mut Blocks) -> Result<(), &'static str> {
        let row = id as u16;
        if !self.make_room(blocks) {
            return Err("more packets are open than a SET holds");
        }
        // A projection may name the rows in any order.
        while self.rows.len() < usize::from(row) {
            self.free.push(self.rows.len() as u16);
            self.rows.push(Packet::none());
        }
        if let Some(at) = self.finished.iter().position(|(finished, _)| *finished == row) {
            self.finished.remove(at);
            self.forget(row, blocks);
        }
        if usize::from(row) == self.rows.len() {
            self.free.push(row);
            self.rows.push(Packet::none());
        }
        let at = self.free.iter().rposition(|free| *free == row).ok_or("the packet's row has an open packet")?;
        let last = self.free.len() - 1;
        self.free.swap(at, last);
        self.made = ((id >> 16) as u32).checked_sub(1).ok_or("the packet's number is zero")?;
        Ok(())
    }

    /// Makes a packet; its money must have been posted to it by the caller. There was room.
    pub fn make(
        &mut self,
        view: &SendView<'_>,
        sender: u64,
        seed: [u8; 16],
        now_ms: u64,
        expires_ms: u64,
        blocks: &mut Blocks,
    ) -> &mut Packet {
        self.made += 1;
        let room = blocks.room();
        let row = self.free.pop().unwrap_or(self.rows.len() as u16);
        let fields = &view.fields;
        let mut packet = Packet {
            id: u64::from(self.set) << 48 | u64::from(self.made) << 16 | u64::from(row),
            sender,
            total_fen: fields.total_fen,
            left_fen: 0,
            made_ms: now_ms,
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
        self.blocks_held += room - blocks.room();
        self.set_wide_open += usize::from(packet.is_set_wide());
        self.forget_closed();
        // Those that expire first stand first: with another life of packets since the last start that is not the order in
        // which they were made.
        let rows = &self.rows;
        let is_before = |at: &u16| rows[usize::from(*at)].expires_ms <= expires_ms;
        let later = self.open.iter().rev().take_while(|(at, _)| !is_before(at)).count();
        self.open.insert(self.open.len() - later, (row, packet.id));
        let at = usize::from(row);
        if at == self.rows.len() {
            self.rows.push(packet);
        } else {
            self.rows[at] = packet;
        }
        &mut self.rows[at]
    }

    /// Shortens the queue of open packets once most of it are closed ones.
    fn forget_closed(&mut self) {
        if self.open.len() >= 2 * PACKETS_PER_SET_MAX {
            let rows = &self.rows;
            self.open.retain(|(row, id)| {
                let packet = &rows[usize::from(*row)];
                packet.id == *id && packet.state == PacketState::Open
            });
        }
    }

    /// Packets made so far.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// So many were made before.
    pub fn resume(&mut self, made: u32) {
        self.made = made;
    }

    /// Every packet that is remembered.
    pub fn iter(&self) -> impl Iterator<Item = &Packet> {
        self.rows.iter().filter(|packet| packet.id != 0)
    }

    /// The packet with this id.
    pub fn find(&self, id: u64) -> Option<&Packet> {
        self.rows.get(usize::from(id as u16)).filter(|packet| packet.id == id && id != 0)
    }

    /// Decides a grab by `user` of SET `taker_set`; a share's money moves from the packet to `credit`.
    pub fn grab(
        &mut self,
        id: u64,
        (user, taker_set): (u64, u16),
        (ledger_ms, now_ms): (u64, u64),
        blocks: &mut Blocks,
        sums: &mut Sums,
        credit: Account<'_>,
    ) -> Decision {
        let Some(packet) = self.rows.get_mut(usize::from(id as u16)).filter(|p| p.id == id && id != 0) else {
            return Decision::No(Refusal::UnknownPacket, 0);
        };
        if !packet.is_for(user, taker_set, blocks) {
            return Decision::No(Refusal::NotForYou, 0);
        }
        if let Some(row) = packet.takers(blocks).find(|row| row.user == user) {
            return Decision::No(Refusal::AlreadyYours, u64::from(row.share_fen));
        }
        match packet.state {
            PacketState::Finished => return Decision::No(Refusal::Empty, 0),
            PacketState::Refunded => return Decision::No(Refusal::Expired, 0),
            PacketState::Open if ledger_ms >= packet.expires_ms => return Decision::No(Refusal::Expired, 0),
            PacketState::Open => {}
        }
        let taken = packet.taken() as u8;
        let people = packet.shares - taken;
        let fen = split::share(packet.left_fen, people, packet.split, &mut split::draws(&packet.seed, id, taken));
        let row = ShareRow { user, taken_ms: now_ms, share_fen: fen as u32 };
        self.give(id, row, blocks, sums, credit).expect("the packet holds what its split gives");
        Decision::Share(fen)
    }

    /// Gives a share of an open packet to its taker.
    ///
    /// # Errors
    /// There is no such packet, or it does not hold so much.
    pub fn give(
        &mut self,
        id: u64,
        row: ShareRow,
        blocks: &mut Blocks,
        sums: &mut Sums,
        credit: Account<'_>,
    ) -> Result<(), Uncovered> {
        let found = self.rows.get_mut(usize::from(id as u16));
        let packet = found.filter(|p| p.id == id && p.state == PacketState::Open).ok_or(Uncovered)?;
        sums.post(Account::Packet(&mut packet.left_fen), credit, row.share_fen.into())?;
        let mut bytes = [0; ShareRow::LEN];
        row.put_fields(&mut bytes);
        assert!(packet.takers.push(blocks, &bytes), "the rows of all takers were set aside");
        if packet.taken() == usize::from(packet.shares) {
            self.close(id as u16, PacketState::Finished);
        }
        Ok(())
    }

    /// No more can be taken of the packet in this row.
    fn close(&mut self, row: u16, state: PacketState) {
        let packet = &mut self.rows[usize::from(row)];
        packet.state = state;
        self.set_wide_open -= usize::from(packet.is_set_wide());
        self.finished.push_back((row, packet.id));
    }

    /// An open packet is refunded, as the ledger says: its sender and what is to go back, still in the packet.
    pub fn refund(&mut self, id: u64) -> Option<(u64, &mut u64)> {
        let row = id as u16;
        self.find(id).filter(|packet| packet.state == PacketState::Open)?;
        self.close(row, PacketState::Refunded);
        let packet = &mut self.rows[usize::from(row)];
        Some((packet.sender, &mut packet.left_fen))
    }

    /// The next packet whose time is over, as refunded: id, sender and what is to go back, still in the packet.
    pub fn expire(&mut self, ledger_ms: u64) -> Option<(u64, u64, &mut u64)> {
        while let Some((row, id)) = self.open.front().copied() {
            let packet = &mut self.rows[usize::from(row)];
            if packet.id == id && packet.state == PacketState::Open {
                if ledger_ms < packet.expires_ms {
                    return None;
                }
                self.open.pop_front();
                self.close(row, PacketState::Refunded);
                let packet = &mut self.rows[usize::from(row)];
                return Some((id, packet.sender, &mut packet.left_fen));
            }
            self.open.pop_front();
        }
        None
    }

    /// What is left in all packets, in fen.
    pub fn total_fen(&self) -> u64 {
        self.iter().map(|packet| packet.left_fen).sum()
    }
}

/// The SET in a packet's id.
pub const fn set_of_packet(id: u64) -> u32 {
    (id >> 48) as u32
}
