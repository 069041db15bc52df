//! The operator's orders, by number: how far each is, so that one that is given again pays nobody twice.
//!
//! The users of an order are asked in rising order, each once for ever, so the highest that was asked says how far it is.
//! Every posting that asks carries the order's number and hash, and the one that ends a refusal its number: a start knows
//! of an order what was known before. Whom an order was refused it does not ask again.

use alloc::vec::Vec;

use crate::engine::projection::{Folded, Unfolding};
use crate::posting::{Act, Posting};

/// Orders that are remembered: those of the highest numbers.
pub const ORDERS_KEPT: usize = 64;

/// How far an order is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// The highest user that was asked; 0: none.
    pub asked_to: u64,
    /// Users of those asked who were refused: no room for them, or no money to take back.
    pub refused: u64,
}

/// Why an order is not taken up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderError {
    /// Another order has its number.
    Conflict,
    /// Its number is below all that are remembered, so it may have been carried out; the lowest of those.
    Forgotten(u64),
}

struct Order {
    number: u64,
    hash: u64,
    takes_back: bool,
    progress: Progress,
}

/// What is remembered of orders.
#[derive(Default)]
pub(super) struct Orders {
    /// By number.
    kept: Vec<Order>,
    /// Number and hash of the one at work.
    current: (u64, u64),
}

impl Orders {
    /// Takes up an order, or goes on with it.
    pub fn take_up(&mut self, number: u64, hash: u64) -> Result<Progress, OrderError> {
        let progress = match self.find(number) {
            Ok(at) if self.kept[at].hash != hash => return Err(OrderError::Conflict),
            Ok(at) => self.kept[at].progress,
            Err(0) if self.kept.len() == ORDERS_KEPT => return Err(OrderError::Forgotten(self.kept[0].number)),
            Err(_) => Progress::default(),
        };
        self.current = (number, hash);
        Ok(progress)
    }

    /// Number and hash of the one at work.
    pub fn current(&self) -> (u64, u64) {
        self.current
    }

    /// How far the one at work is.
    pub fn progress(&self) -> Progress {
        self.find(self.current.0).map_or(Progress::default(), |at| self.kept[at].progress)
    }

    /// Books what a posting of the bank does to its order.
    ///
    /// # Errors
    /// No bank of ours wrote it.
    pub fn book(&mut self, posting: &Posting<'_>) -> Result<(), &'static str> {
        let &Posting { act, request: number, hash, credit: user, fen, .. } = posting;
        // Before orders had numbers they were written without.
        if number == 0 {
            return Ok(());
        }
        match act {
            Act::Minted | Act::Reclaimed => {
                self.current = (number, hash);
                let order = self.order(number, hash, act == Act::Reclaimed)?;
                if user <= order.progress.asked_to {
                    return Err("it asks a user of its order again");
                }
                order.progress.asked_to = user;
            }
            Act::Redeemed => {
                let at = self.find(number).map_err(|_| "it ends a refusal of an order that there is not")?;
                let order = &mut self.kept[at];
                // A withdrawal that was paid is none.
                order.progress.refused += u64::from(!order.takes_back || fen == 0);
            }
            _ => {}
        }
        Ok(())
    }

    fn order(&mut self, number: u64, hash: u64, takes_back: bool) -> Result<&mut Order, &'static str> {
        if let Err(at) = self.find(number) {
            self.kept.insert(at, Order { number, hash, takes_back, progress: Progress::default() });
            if self.kept.len() > ORDERS_KEPT {
                self.kept.remove(0);
            }
        }
        let at = self.find(number).map_err(|_| "its order is older than those that are remembered")?;
        let order = &mut self.kept[at];
        if (order.hash, order.takes_back) != (hash, takes_back) {
            return Err("another order has its order's number");
        }
        Ok(order)
    }

    fn find(&self, number: u64) -> Result<usize, usize> {
        self.kept.binary_search_by_key(&number, |order| order.number)
    }

    /// Folds them; see [`projection`](crate::engine::projection).
    pub fn fold(&self, out: &mut Folded) {
        out.put_all([self.current.0, self.current.1]);
        out.put(self.kept.len() as u8);
        for Order { number, hash, takes_back, progress } in &self.kept {
            out.put(u8::from(*takes_back));
            out.put_all([*number, *hash, progress.asked_to, progress.refused]);
        }
    }

    /// Unfolds them.
    pub fn unfold(&mut self, from: &mut Unfolding<'_>) -> Result<(), &'static str> {
        self.current = (from.take()?, from.take()?);
        for _ in 0..from.take::<u8>()? {
            let takes_back = from.take::<u8>()? == 1;
            let (number, hash) = (from.take()?, from.take()?);
            let progress = Progress { asked_to: from.take()?, refused: from.take()? };
            self.kept.push(Order { number, hash, takes_back, progress });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(orders: &mut Orders, number: u64, user: u64) -> Result<(), &'static str> {
        let posting = Posting { credit: user, fen: 5, request: number, hash: number, ..Posting::new(Act::Minted, 0) };
        orders.book(&posting)
    }

    #[test]
    fn an_order_asks_each_user_once_and_another_has_another_number() {
        let mut orders = Orders::default();
        assert_eq!(orders.take_up(9, 9), Ok(Progress::default()));
        assert_eq!(orders.take_up(9, 8), Ok(Progress::default()), "nobody was asked yet");
        for user in [3, 4, 7] {
            assert_eq!(ask(&mut orders, 9, user), Ok(()));
        }
        assert!(ask(&mut orders, 9, 7).is_err());
        assert_eq!(orders.take_up(9, 8), Err(OrderError::Conflict));
        assert_eq!(orders.take_up(9, 9).map(|progress| progress.asked_to), Ok(7));
    }

    #[test]
    fn the_highest_numbers_are_remembered_and_a_lower_one_is_refused() {
        let mut orders = Orders::default();
        let numbers = || (1..=2 * ORDERS_KEPT as u64).map(|n| 10 * n);
        numbers().for_each(|number| ask(&mut orders, number, 1).expect("each is higher"));
        let lowest = 10 * (ORDERS_KEPT as u64 + 1);
        assert_eq!(orders.take_up(10, 10), Err(OrderError::Forgotten(lowest)));
        assert_eq!(orders.take_up(lowest - 1, 0), Err(OrderError::Forgotten(lowest)));
        assert!(ask(&mut orders, lowest - 1, 1).is_err());
        assert_eq!(orders.take_up(lowest + 1, 0), Ok(Progress::default()));
        ask(&mut orders, lowest + 1, 1).expect("it is higher than the lowest");
        assert_eq!(orders.take_up(lowest, lowest), Err(OrderError::Forgotten(lowest + 1)));
        let mut folded = Folded::default();
        orders.fold(&mut folded);
        let mut unfolded = Orders::default();
        let mut bytes = Unfolding(&folded.0);
        unfolded.unfold(&mut bytes).expect("what was folded unfolds");
        assert!(bytes.0.is_empty());
        assert_eq!(unfolded.take_up(lowest, lowest), Err(OrderError::Forgotten(lowest + 1)));
        assert_eq!(unfolded.take_up(10 * ORDERS_KEPT as u64 * 2, 1), Err(OrderError::Conflict));
    }
}
