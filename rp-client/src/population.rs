//! Who the users are: those of this client machine, among those of all machines.
//!
//! Paces speak of a user's *number* in 0 .. total, the same on every machine; the fleet speaks of an *index* in
//! 0 .. count of its own users; the wire speaks of user ids, which are numbers moved by a base.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};

/// Sessions of one process: their index must fit the low bits of a client nonce and the tables of the fleet.
pub const USERS_PER_CLIENT_MAX: u64 = 1 << 24;

/// The users of this machine and the size of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    base: u64,
    first: u64,
    count: u32,
    total: u64,
}

impl Population {
    /// Own users, and how many there are on all machines; without `total` the own users are all. With more than the
    /// own, user ids run from 1 to `total`.
    ///
    /// # Errors
    /// The range is empty, too large, or not within 1 ..= total.
    pub fn new(users: RangeInclusive<u64>, total: Option<u64>) -> Result<Self> {
        let (first, last) = (*users.start(), *users.end());
        if first == 0 || last < first {
            bail!("--users {first}..={last} holds no user; write FIRST..=LAST with 1 <= FIRST <= LAST");
        }
        let count = last - first + 1;
        if count > USERS_PER_CLIENT_MAX {
            bail!("--users {first}..={last} is more than one client holds ({USERS_PER_CLIENT_MAX}); run several");
        }
        let total = total.unwrap_or(count);
        let base = if total == count { first } else { 1 };
        if last - base >= total {
            bail!("--users {first}..={last} does not lie within the users of all machines, 1..={total}; raise --total");
        }
        Ok(Self { base, first, count: count as u32, total })
    }

    /// Users of this machine.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Users of all machines.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The first own user id and the last.
    pub fn ends(&self) -> (u64, u64) {
        (self.first, self.first + u64::from(self.count) - 1)
    }

    /// The user id of an own index.
    pub fn user(&self, index: u32) -> u64 {
        self.first + u64::from(index)
    }

    /// The user id of a number below `total`, on whichever machine.
    pub fn user_of_number(&self, number: u64) -> u64 {
        self.base + number
    }

    /// The own index of a number below `total`, if the user is ours.
    #[inline]
    pub fn index_of_number(&self, number: u64) -> Option<u32> {
        let index = (self.base + number).checked_sub(self.first)?;
        (index < u64::from(self.count)).then_some(index as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_share_the_numbers_without_gap_or_overlap() {
        let machines = [1..=3, 4..=4, 5..=10].map(|users| Population::new(users, Some(10)).expect("within 1..=10"));
        for number in 0..10 {
            let owners: Vec<u64> =
                machines.iter().filter_map(|m| m.index_of_number(number).map(|index| m.user(index))).collect();
            assert_eq!(owners, [number + 1]);
            assert_eq!(machines[0].user_of_number(number), number + 1);
        }
    }

    #[test]
    fn a_machine_alone_may_have_any_users() {
        let alone = Population::new(5_000..=5_009, None).expect("alone");
        assert_eq!(alone.index_of_number(0), Some(0));
        assert_eq!(alone.user_of_number(9), 5_009);
        assert_eq!(alone.ends(), (5_000, 5_009));
    }

    #[test]
    fn bad_ranges_are_refused_with_a_remedy() {
        for (users, total, word) in [
            (RangeInclusive::new(5, 4), None, "no user"),
            (0..=4, None, "no user"),
            (1..=USERS_PER_CLIENT_MAX + 1, None, "several"),
            (900..=1100, Some(1000), "raise --total"),
            (1..=10, Some(5), "raise --total"),
        ] {
            let text = Population::new(users, total).expect_err("bad").to_string();
            assert!(text.contains(word), "{text}");
        }
    }
}
