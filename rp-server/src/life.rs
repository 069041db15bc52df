//! Where in its life the server is, for whoever asks from outside: one word that the control plane alone writes.

use std::sync::atomic::{AtomicU8, Ordering};

/// The ages of a server, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// The ledger is read back, the gate loaded: nobody is served.
    Starting,
    /// Clients are served.
    Serving,
    /// Nothing more is let in; what is under way comes to its end.
    Draining,
    /// A thread that serves is gone: the server ends.
    Broken,
}

impl Age {
    const ALL: [Age; 4] = [Age::Starting, Age::Serving, Age::Draining, Age::Broken];

    /// The name used in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Age::Starting => "starting",
            Age::Serving => "serving",
            Age::Draining => "draining",
            Age::Broken => "broken",
        }
    }
}

/// The age of this server.
#[derive(Default)]
pub struct Life(AtomicU8);

impl Life {
    /// The age that it has.
    pub fn age(&self) -> Age {
        Age::ALL[usize::from(self.0.load(Ordering::Acquire))]
    }

    /// It gets older, never younger: a server that drains does not serve again.
    pub fn grow(&self, age: Age) {
        self.0.fetch_max(age as u8, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_gets_younger() {
        let life = Life::default();
        assert_eq!(life.age(), Age::Starting);
        life.grow(Age::Draining);
        life.grow(Age::Serving);
        assert_eq!(life.age(), Age::Draining);
    }
}
