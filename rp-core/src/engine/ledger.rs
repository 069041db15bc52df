//! The ledger of one SET: who holds how much, in fen.
//!
//! Every change is a posting with a debit and a credit, so the sums are zero from the first call to the last. The ledger
//! knows nothing of red packets; it is asked to move money and may refuse. A refusal is an answer, never a panic.

/// Where money can be, besides a user's balance or a packet, which their owners keep at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// All users of the SET.
    pub users: u64,
    /// All open packets of the SET.
    pub packets: u64,
    /// Prizes that wait in the SET.
    pub campaign: u64,
    /// Sent away, in all; wraps, since the same money may go to and fro for ever.
    pub transit_out: u64,
    /// Come from elsewhere, in all; wraps.
    pub transit_in: u64,
}

/// One side of a posting.
pub enum Account<'a> {
    /// A user, by the balance.
    User(&'a mut u64),
    /// A packet, by what is left in it.
    Packet(&'a mut u64),
    /// Prizes that wait.
    Campaign,
    /// Other SETs and the bank.
    Transit,
}

/// The account does not hold so much, or the other could not hold more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uncovered;

impl Sums {
    /// Moves `fen` from `debit` to `credit`.
    ///
    /// # Errors
    /// [`Uncovered`], and nothing has moved.
    pub fn post(&mut self, debit: Account<'_>, credit: Account<'_>, fen: u64) -> Result<(), Uncovered> {
        let mut after = *self;
        let debited = after.debit(&debit, fen).ok_or(Uncovered)?;
        let credited = after.credit(&credit, fen).ok_or(Uncovered)?;
        if let Account::User(held) | Account::Packet(held) = debit {
            *held = debited;
        }
        if let Account::User(held) | Account::Packet(held) = credit {
            *held = credited;
        }
        *self = after;
        Ok(())
    }

    /// Debits and credits are equal.
    pub fn balanced(&self) -> bool {
        let held = u128::from(self.users) + u128::from(self.packets) + u128::from(self.campaign);
        held == u128::from(self.transit_in.wrapping_sub(self.transit_out))
    }

    fn debit(&mut self, account: &Account<'_>, fen: u64) -> Option<u64> {
        match account {
            Account::User(held) => {
                self.users = self.users.checked_sub(fen)?;
                held.checked_sub(fen)
            }
            Account::Packet(held) => {
                self.packets = self.packets.checked_sub(fen)?;
                held.checked_sub(fen)
            }
            Account::Campaign => {
                self.campaign = self.campaign.checked_sub(fen)?;
                Some(0)
            }
            Account::Transit => {
                self.transit_in = self.transit_in.wrapping_add(fen);
                Some(0)
            }
        }
    }

    fn credit(&mut self, account: &Account<'_>, fen: u64) -> Option<u64> {
        match account {
            Account::User(held) => {
                self.users = self.users.checked_add(fen)?;
                held.checked_add(fen)
            }
            Account::Packet(held) => {
                self.packets = self.packets.checked_add(fen)?;
                held.checked_add(fen)
            }
            Account::Campaign => {
                self.campaign = self.campaign.checked_add(fen)?;
                Some(0)
            }
            Account::Transit => {
                self.transit_out = self.transit_out.wrapping_add(fen);
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_moves_both_sides_or_neither() {
        let mut sums = Sums::default();
        let (mut alice, mut packet) = (0, 0);
        assert_eq!(sums.post(Account::Transit, Account::User(&mut alice), 500), Ok(()));
        assert_eq!(sums.post(Account::User(&mut alice), Account::Packet(&mut packet), 501), Err(Uncovered));
        assert_eq!((alice, packet), (500, 0));
        assert_eq!(sums.post(Account::User(&mut alice), Account::Packet(&mut packet), 200), Ok(()));
        assert_eq!(sums.post(Account::Packet(&mut packet), Account::Transit, 50), Ok(()));
        assert_eq!((alice, packet, sums.balanced()), (300, 150, true));
    }

    #[test]
    fn a_posting_that_would_overflow_is_refused() {
        let mut sums = Sums::default();
        let mut alice = 0;
        assert_eq!(sums.post(Account::Transit, Account::User(&mut alice), u64::MAX), Ok(()));
        assert_eq!(sums.post(Account::Transit, Account::User(&mut alice), 1), Err(Uncovered));
        assert_eq!((alice, sums.balanced()), (u64::MAX, true));
    }
}
