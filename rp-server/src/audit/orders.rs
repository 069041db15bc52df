//! The operator's orders, by number: each is one, and asks nobody twice.

use std::collections::HashMap;

use rp_core::posting::{Act, Posting};

use super::fault::{Breach, Rule};

/// An order, as its first posting has it.
#[derive(PartialEq, Eq, Debug)]
struct Order {
    act: Act,
    fen: u64,
    hash: u64,
}

/// All orders, each with the highest user that was asked.
#[derive(Default)]
pub struct Orders(HashMap<u64, (Order, u64)>);

impl Orders {
    /// The bank asks a user of an order to take money, or to give it back; those of before orders had numbers have none.
    pub fn ask(&mut self, posting: &Posting<'_>) -> Result<(), Breach> {
        let &Posting { act, credit: user, fen, about, request: number, hash, .. } = posting;
        if number == 0 {
            return Ok(());
        }
        let order = Order { act, fen: fen.max(about), hash };
        let Some((first, asked_to)) = self.0.get_mut(&number) else {
            self.0.insert(number, (order, user));
            return Ok(());
        };
        Rule::OrderOne.demand(*first == order, || format!("{order:?}, where order {number} began as {first:?}"))?;
        Rule::OrderOnce.demand(*asked_to < user, || format!("user {user} after {asked_to} of order {number}"))?;
        *asked_to = user;
        Ok(())
    }
}
