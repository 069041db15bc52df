//! The packets that users of one SET sent: who may take, who took, what is left.
//!
//! A packet's id names its SET, its row here and a number that no other packet of the row has. Finished packets stay
//! readable until their room is needed.

mod packet;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::blocks::{Blocks, Rows};
use super::ledger::{Account, Sums, Uncovered};
use super::notes::Decision;
use super::split;
use crate::limits::{GREETING_MAX, PACKET_BLOCKS_PER_SET_MAX, PACKETS_PER_SET_MAX, RECIPIENTS_MAX, SHARES_MAX};
use crate::wire::{PacketState, Refusal, SendView, ShareRow};

pub use packet::Packet;
use packet::{Greeting, Takers};

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
        let id = u64::from(self.set) << 48 | u64::from(self.made) << 16 | u64::from(row);
        let packet = Packet::of(view, (id, sender), seed, (now_ms, expires_ms), blocks);
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

    /// Is this the id of a packet that was made here, or could be? One that is not found was forgotten then.
    pub fn may_have_made(&self, id: u64) -> bool {
        let (number, row) = ((id >> 16) as u32, usize::from(id as u16));
        set_of_packet(id) == self.set.into() && (1..=self.made).contains(&number) && row < PACKETS_PER_SET_MAX
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
        let packet = found.filter(|p| p.id == id).ok_or(Uncovered)?;
        packet.give(row, blocks, sums, credit)?;
        if packet.state != PacketState::Open {
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
