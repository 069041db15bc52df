//! What is measured: the chapters of the bench as turns.

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::turn::{Load, Turn};

/// What is measured, in order; from "churn" on they are no turns but runs of their own.
pub const CHAPTERS: [&str; 14] = [
    "datapaths",
    "laden",
    "sizes",
    "capacity",
    "flood",
    "sockets",
    "prizes",
    "churn",
    "login",
    "ledger",
    "beside",
    "booked",
    "kill",
    "admin",
];
/// The rate at which datapaths are held against each other: every one of them can do it.
pub const COMMON_RATE: u64 = 100_000;
/// The rate of the original's last phase.
pub const PHASE_RATE: u64 = 60_000;
/// Hostile datagrams beside each honest one.
pub const HOSTILE: u64 = 5;
/// Shakes and prizes a second of the chapter on prizes.
pub const PRIZES: [(u64, u64); 4] = [(250_000, 12_500), (250_000, 50_000), (500_000, 25_000), (1_000_000, 50_000)];
const PRIZES_S: u64 = 6;
/// Short, so that some are left alone on a machine that others share.
const CAPACITY_S: u64 = 1;

/// How much is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Extent {
    /// Sessions of our servers.
    pub sessions: u64,
    /// Of which so many shake, in the chapter on sizes.
    pub sizes: Vec<u64>,
    /// Turns of each subject in the chapter on datapaths.
    pub rounds: u64,
    /// The same in the others.
    pub side_rounds: u64,
    /// Turns at each rate, where losses are counted.
    pub tries: u64,
    /// Seconds of a turn.
    pub seconds: u64,
    /// Are capacities searched in small steps?
    pub fine: bool,
    /// Sessions of the churn, and how often they log in and out.
    pub churn: (u64, u64),
    /// Log-ins of as many past the network stack.
    pub logins: u64,
}

impl Extent {
    /// All of it, or what takes less than five minutes.
    pub fn new(quick: bool) -> Extent {
        if quick {
            let sizes = vec![1_000, 100_000];
            return Extent {
                sessions: 100_000,
                sizes,
                rounds: 2,
                side_rounds: 1,
                tries: 1,
                seconds: 1,
                fine: false,
                churn: (20_000, 4),
                logins: 3,
            };
        }
        let sizes = vec![1_000, 10_000, 100_000, 1_000_000];
        let (churn, logins) = ((1_000_000, 10), 5);
        Extent {
            sessions: 1_000_000,
            sizes,
            rounds: 5,
            side_rounds: 3,
            tries: 4,
            seconds: 2,
            fine: true,
            churn,
            logins,
        }
    }

    /// All turns, in order.
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns = Vec::new();
        for _ in 0..self.rounds {
            self.add(&mut turns, "datapaths", Subject::ALL.map(|subject| (subject, Load::live(COMMON_RATE))));
        }
        for _ in 0..self.rounds {
            let laden = |subject: Subject| (subject, Load::live(subject.laden_rate()));
            self.add(&mut turns, "laden", Subject::ALL.map(laden));
        }
        for _ in 0..self.side_rounds {
            for subject in [Subject::Gate, Subject::Worker, Subject::Xsk] {
                let all = Load::live(COMMON_RATE);
                let uniform = self.sizes.iter().map(|size| Load { sessions: *size, ..all });
                let loads = uniform.chain([Load { skewed: true, ..all }]);
                self.add(&mut turns, "sizes", loads.map(|load| (subject, load)));
            }
        }
        for subject in Subject::ALL {
            let rates = self.ladder(subject);
            for _ in 0..self.tries {
                let seconds = CAPACITY_S;
                let turn = |rate| Turn { chapter: "capacity", subject, load: Load::live(rate).spread(), seconds };
                turns.extend(rates.iter().copied().map(turn));
            }
        }
        for _ in 0..self.tries {
            let all = Load::live(COMMON_RATE).spread();
            let flood = Load { hostile: HOSTILE, ..all };
            let loads = [(Subject::Gate, all), (Subject::Gate, flood), (Subject::Mirror, flood)];
            self.add(&mut turns, "flood", loads);
        }
        for _ in 0..self.tries {
            for subject in [Subject::Batched, Subject::Worker, Subject::Xsk, Subject::Gate] {
                self.add(&mut turns, "sockets", [PHASE_RATE, COMMON_RATE].map(|rate| (subject, Load::sockets(rate))));
            }
        }
        for (rate, prizes) in PRIZES.into_iter().take(if self.fine { PRIZES.len() } else { 2 }) {
            let load = Load { prizes, ..Load::live(rate).spread() };
            turns.push(Turn { chapter: "prizes", subject: Subject::Gate, load, seconds: PRIZES_S });
        }
        turns
    }

    fn add(&self, turns: &mut Vec<Turn>, chapter: &'static str, loads: impl IntoIterator<Item = (Subject, Load)>) {
        let seconds = self.seconds;
        turns.extend(loads.into_iter().map(|(subject, load)| Turn { chapter, subject, load, seconds }));
    }

    /// Rates between which a subject's capacity is looked for.
    fn ladder(&self, subject: Subject) -> Vec<u64> {
        let (from, to, step) = match subject {
            Subject::Plain | Subject::Tokio | Subject::Memcached => (50_000, 200_000, 50_000),
            Subject::Batched | Subject::Worker => (50_000, 200_000, 50_000),
            Subject::Knot | Subject::Xsk => (100_000, 500_000, 100_000),
            Subject::Mirror | Subject::Gate => (250_000, 1_250_000, 250_000),
        };
        let steps: Vec<u64> = (from..=to).step_by(step).collect();
        match (self.fine, subject) {
            (true, _) => steps,
            // What the targets are about, and nothing else.
            (false, Subject::Plain) => vec![75_000, 150_000],
            (false, Subject::Gate) => vec![500_000, 1_000_000],
            (false, _) => Vec::new(),
        }
    }
}
