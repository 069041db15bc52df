//! A world in which everybody does what comes into their heads.

use rp_core::engine::split::below;
use rp_core::wire::{SPLIT_EQUAL, SPLIT_RANDOM};

use crate::world::{SETS, Stage, To, World, user};

/// Users per SET.
const USERS: u64 = 5;

impl World {
    /// Plays so many steps.
    pub fn play(seed: u64, steps: usize) -> World {
        let mut world = World::new(seed);
        world.leaps = true;
        let users: Vec<u64> = (0..SETS as u16).flat_map(|set| (0..USERS as usize).map(move |n| user(set, n))).collect();
        for user in &users {
            world.mint(*user, 20_000);
        }
        for _ in 0..steps {
            let one = users[world.draw(users.len() as u64) as usize];
            world.step(one, &users);
        }
        world
    }

    /// Answers all that waits.
    pub fn settle(&mut self) {
        for ask in std::mem::take(&mut self.asks) {
            self.decide(ask);
        }
        self.deliver_all();
    }

    fn step(&mut self, one: u64, users: &[u64]) {
        match self.draw(40) {
            0 => {
                let fen = self.draw(30_000) + 1;
                self.order();
                self.mint(one, fen);
            }
            1 => {
                let fen = self.draw(30_000) + 1;
                self.order();
                self.reclaim(one, fen);
            }
            2..8 => self.make(one, users),
            8..20 => self.try_one(one),
            20..24 if !self.asks.is_empty() => {
                let at = self.draw(self.asks.len() as u64) as usize;
                let ask = self.asks.swap_remove(at);
                self.decide(ask);
            }
            24 => self.give_back(),
            25..29 => self.gala(one),
            29..31 => self.see(one),
            _ => {
                let lanes = self.lanes();
                if !lanes.is_empty() {
                    let lane = lanes[self.draw(lanes.len() as u64) as usize];
                    let is_full = self.draw(8) == 0;
                    self.deliver(lane, is_full);
                }
            }
        }
    }

    fn make(&mut self, sender: u64, users: &[u64]) {
        let shares = self.draw(6) + 1;
        let fen = match self.draw(8) {
            0 => shares,
            1 => shares * 20_000,
            _ => shares + self.draw(3_000),
        };
        let split = if self.draw(3) == 0 { SPLIT_EQUAL } else { SPLIT_RANDOM };
        let to = match self.draw(4) {
            0 => To::Set(self.draw(u64::from(SETS)) as u16),
            _ => To::Users((0..self.draw(8) + 1).map(|_| users[self.draw(users.len() as u64) as usize]).collect()),
        };
        self.send(sender, fen, shares as u8, split, to);
    }

    /// A packet that there is, or rarely one that there is not.
    fn try_one(&mut self, taker: u64) {
        let ids: Vec<u64> = self.packets.keys().copied().collect();
        let packet = match self.draw(20) {
            0 => self.draw(1 << 60),
            _ if ids.is_empty() => 0,
            _ => ids[self.draw(ids.len() as u64) as usize],
        };
        self.grab(taker, packet);
    }

    fn give_back(&mut self) {
        let open: Vec<u64> = self.packets.iter().filter(|(_, packet)| packet.left > 0).map(|(id, _)| *id).collect();
        if !open.is_empty() {
            let id = open[self.draw(open.len() as u64) as usize];
            self.refund(id);
        }
    }

    fn gala(&mut self, one: u64) {
        let stage = self.campaigns.last().map(|campaign| campaign.stage);
        match (stage, self.draw(12)) {
            (None | Some(Stage::Closed), _) => {
                let budget = self.draw(5_000) + 309;
                self.start(budget, 10, 309, 3);
            }
            (Some(Stage::Running), 0) | (Some(Stage::Stopped), 0..4) => self.stop(),
            _ => {
                let fen = self.draw(300) + 10;
                self.win(one, fen);
            }
        }
    }

    fn draw(&mut self, n: u64) -> u64 {
        below(n, &mut self.rng)
    }
}
