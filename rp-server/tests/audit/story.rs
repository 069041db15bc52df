//! One history in which everything happens once, by people and packets with names.

use rp_core::posting::{Act, Posting};
use rp_core::wire::{SPLIT_EQUAL, SPLIT_RANDOM};

use crate::world::{BLANK, Line, To, World, set_of, user};

/// The history, its world, and what mutations want to name.
pub struct Story {
    pub world: World,
    /// 1000 fen, equal, three shares: two taken, by users of both SETs.
    pub equal: u64,
    /// 900 fen, random, to the sender's own SET: all three shares taken.
    pub finished: u64,
    /// 700 fen, random, to another SET: two of five shares taken, the rest refunded.
    pub refunded: u64,
    /// 300 fen, random, three shares: one taken.
    pub open: u64,
}

/// Users of SET 0.
pub fn a(n: usize) -> u64 {
    user(0, n)
}

/// Users of SET 1.
pub fn b(n: usize) -> u64 {
    user(1, n)
}

/// Users of SET 2.
pub fn c(n: usize) -> u64 {
    user(2, n)
}

impl Story {
    pub fn tell() -> Story {
        let mut world = World::new(0);
        let mut rich = [a(0), a(1), b(0), b(1)];
        rich.sort_unstable();
        world.order();
        rich.into_iter().for_each(|user| world.mint(user, 10_000));
        world.order();
        world.mint(c(0), 500);
        let bank_to_c = world.lanes().into_iter().find(|lane| lane.1 == set_of(c(0))).expect("500 fen are under way");
        world.deliver(bank_to_c, true);
        world.deliver_all();
        for fen in [500, 1_000_000] {
            world.order();
            world.reclaim(a(1), fen);
        }
        world.deliver_all();

        let send = |world: &mut World, fen, shares, split, to| {
            let id = world.send(a(0), fen, shares, split, to).expect("A has the money");
            world.deliver_all();
            id
        };
        let equal = send(&mut world, 1000, 3, SPLIT_EQUAL, To::Users(vec![a(1), a(2), b(0), b(2)]));
        let finished = send(&mut world, 900, 3, SPLIT_RANDOM, To::Set(0));
        let refunded = send(&mut world, 700, 5, SPLIT_RANDOM, To::Set(1));
        let open = send(&mut world, 300, 3, SPLIT_RANDOM, To::Users(vec![b(1), a(1), a(2)]));
        for (taker, packet) in [
            (a(1), equal),
            (b(0), equal),
            (a(1), finished),
            (a(2), finished),
            (a(3), finished),
            (a(0), finished),
            (b(0), refunded),
            (a(0), refunded),
            (a(1), refunded),
            (b(0), refunded),
            (a(2), open),
            (a(2), 12),
        ] {
            world.grab(taker, packet);
            world.settle();
        }
        world.refund(refunded);
        world.grab(b(1), refunded);
        world.settle();
        world.send(a(3), 1_000_000, 100, SPLIT_EQUAL, To::Set(0));

        world.start(1000, 10, 309, 2);
        for (winner, fen) in [(a(0), 100), (b(0), 50), (a(0), 309)] {
            world.win(winner, fen);
        }
        world.stop();
        world.win(a(1), 10);
        world.stop();
        world.start(350, 10, 309, 2);
        for winner in [a(1), a(1)] {
            world.win(winner, 20);
        }
        world.see(a(0));
        Story { world, equal, finished, refunded, open }
    }

    /// The n-th posting of an act.
    pub fn find(&mut self, act: Act, n: usize) -> &mut Line {
        let at = self.place(act, n);
        &mut self.world.lines[at]
    }

    /// Where it is.
    pub fn place(&self, act: Act, n: usize) -> usize {
        let mut places = (0..self.world.lines.len()).filter(|at| self.world.lines[*at].head.act == act);
        places.nth(n).unwrap_or_else(|| panic!("the story has no {n}th {act:?}"))
    }

    /// Says the n-th posting of an act once more at the end, changed.
    pub fn again(&mut self, act: Act, n: usize, change: impl FnOnce(&mut Posting<'static>)) {
        let Line { mut head, tail } = self.find(act, n).clone();
        change(&mut head);
        self.world.write(head, &tail);
    }

    /// Adds a posting at the end.
    pub fn add(&mut self, set: u16, act: Act, change: impl FnOnce(&mut Posting<'static>)) {
        let mut head = Posting { set, act, ..BLANK };
        change(&mut head);
        self.world.write(head, &[]);
    }
}
