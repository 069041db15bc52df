//! What is kept of users: the request numbers that were answered, the notices that they got and have seen.

use std::collections::HashMap;

use rp_core::limits::REQUEST_WINDOW;

use super::fault::{Breach, Rule};

/// A set of numbers, most of them one after another.
#[derive(Default)]
pub struct Runs(Vec<(u64, u64)>);

impl Runs {
    /// Adds a number; `false` when it was in.
    pub fn insert(&mut self, number: u64) -> bool {
        let runs = &mut self.0;
        let after = runs.partition_point(|(first, _)| *first <= number);
        let before = after.checked_sub(1);
        if before.is_some_and(|at| runs[at].1 >= number) {
            return false;
        }
        let extends = before.filter(|at| runs[*at].1 + 1 == number);
        let precedes = runs.get(after).is_some_and(|(first, _)| *first - 1 == number);
        match (extends, precedes) {
            (Some(at), true) => {
                runs[at].1 = runs[after].1;
                runs.remove(after);
            }
            (Some(at), false) => runs[at].1 = number,
            (None, true) => runs[after].0 = number,
            (None, false) => runs.insert(after, (number, number)),
        }
        true
    }

    /// The highest number; 0 when there is none.
    pub fn highest(&self) -> u64 {
        self.0.last().map_or(0, |(_, last)| *last)
    }
}

#[derive(Default)]
struct User {
    answered: Runs,
    seen: Runs,
    notices: u64,
}

/// All users that the ledger speaks of.
#[derive(Default)]
pub struct Users {
    users: HashMap<u64, User>,
    /// Notices for all users of a SET.
    wide: HashMap<u16, u64>,
}

impl Users {
    /// A request gets its answer; when it was decided `at_once`, its number was new only then. An answer that came from
    /// another SET may have been asked for long ago.
    pub fn answer(&mut self, user: u64, number: u64, at_once: bool) -> Result<(), Breach> {
        let answered = &mut self.users.entry(user).or_default().answered;
        let highest = answered.highest();
        let is_below = at_once && highest.saturating_sub(number) >= REQUEST_WINDOW;
        Rule::NumberOnce
            .demand(answered.insert(number), || format!("number {number} of user {user} has its answer already"))?;
        Rule::NumberWindow.demand(!is_below, || format!("number {number} of user {user}, who was at {highest}"))
    }

    /// A user gets a notice.
    pub fn notice(&mut self, user: u64) {
        self.users.entry(user).or_default().notices += 1;
    }

    /// All users of a SET get a notice, those at least that the ledger knows.
    pub fn notice_all(&mut self, set: u16) {
        *self.wide.entry(set).or_default() += 1;
    }

    /// A user of the SET `set` has seen a notice.
    pub fn see(&mut self, user: u64, number: u64, set: u16) -> Result<(), Breach> {
        let of = self.users.entry(user).or_default();
        let most = of.notices + self.wide.get(&set).copied().unwrap_or(0);
        Rule::Seen.demand((1..=most).contains(&number), || {
            format!("notice {number} of user {user}, who got {most} at most")
        })?;
        Rule::Seen.demand(of.seen.insert(number), || format!("notice {number} of user {user} for the second time"))
    }

    /// How many users.
    pub fn count(&self) -> u64 {
        self.users.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Runs;

    #[test]
    fn runs_hold_each_number_once_however_they_come() {
        let mut runs = Runs::default();
        for number in [5, 7, 6, 1, u64::MAX, 2, 4, 3, u64::MAX - 1, 0] {
            assert!(runs.insert(number), "{number}");
            assert!(!runs.insert(number), "{number} again");
        }
        assert_eq!(runs.0, [(0, 7), (u64::MAX - 1, u64::MAX)]);
        assert_eq!(runs.highest(), u64::MAX);
    }
}
