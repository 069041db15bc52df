//! What the admin socket answers about the server, as it travels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How datagrams come in.
#[derive(Clone, Serialize, Deserialize)]
pub struct GateStatus {
    /// `driver`, `skb` or `off`.
    pub mode: String,
    /// `xdp`, `cbpf` or `none`: what chooses the socket.
    pub steering: String,
    /// The interfaces that the gate is attached to.
    pub interfaces: Vec<String>,
}

/// An AF_XDP socket.
#[derive(Clone, Serialize, Deserialize)]
pub struct XskStatus {
    /// Its interface.
    pub interface: String,
    /// Its queue.
    pub queue: u32,
    /// The worker that reads it.
    pub worker: usize,
    /// `copy` or `zero-copy`.
    pub mode: String,
}

/// A number of things and their money.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Fen.
    pub fen: u64,
}

/// Answer to `status`. Sums over workers, read one after another.
#[derive(Serialize, Deserialize)]
pub struct Status {
    /// Seconds since start.
    pub uptime_s: f64,
    /// How datagrams come in.
    pub gate: GateStatus,
    /// `sockets` or `af-xdp`: how the workers get what goes up.
    pub transport: String,
    /// Is what bears money sealed?
    pub sealing: bool,
    /// AF_XDP sockets.
    pub xsks: Vec<XskStatus>,
    /// The workers.
    pub workers: Vec<WorkerStatus>,
    /// Sessions open.
    pub sessions: u64,
    /// Accounts held.
    pub accounts: u64,
    /// Sessions opened in all.
    pub logins: u64,
    /// Sessions closed in all.
    pub logouts: u64,
    /// Of the closed: idle too long.
    pub idle_outs: u64,
    /// Requests received by kind; `none`: not one of our requests.
    pub received: BTreeMap<String, u64>,
    /// Replies and notices sent by kind.
    pub sent: BTreeMap<String, u64>,
    /// Requests dropped by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Requests that got their reply at once.
    pub replied: u64,
    /// Requests accepted without a reply due at once.
    pub accepted: u64,
    /// Datagrams that the sockets' buffers did not hold.
    pub socket_overflow: u64,
    /// Of the requests received those that came by AF_XDP.
    pub from_xsk: u64,
    /// Of the replies and notices sent those that were handed to AF_XDP.
    pub sent_by_xsk: u64,
    /// Datagrams that were sent to an AF_XDP socket and that it did not hold.
    pub xsk_lost: u64,
    /// Replies that the kernel refused.
    pub send_failed: u64,
    /// Notices refused because a list was full.
    pub notices_refused: u64,
    /// The money.
    pub money: Money,
    /// The ledger.
    pub ledger: LedgerStatus,
    /// Memory.
    pub memory: Memory,
}

/// The ledger.
#[derive(Serialize, Deserialize)]
pub struct LedgerStatus {
    /// `disk` or `none`.
    pub durability: String,
    /// Postings on disk.
    pub postings: u64,
    /// Groups in which they were committed since start.
    pub commits: u64,
    /// Mean time of a commit, in microseconds.
    pub commit_mean_us: u64,
    /// The longest commit since start, in microseconds.
    pub commit_longest_us: u64,
    /// Histories and forgotten packets that were read from it since start.
    pub answered: u64,
    /// Mean time of such an answer, in microseconds.
    pub answer_mean_us: u64,
    /// The longest since start, in microseconds.
    pub answer_longest_us: u64,
    /// Of them, those whose session had ended, or was elsewhere.
    pub answers_late: u64,
}

/// One worker.
#[derive(Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its CPU.
    pub cpu: usize,
    /// The kernel's number of its thread.
    pub tid: i32,
    /// SETs that it owns.
    pub sets: u32,
    /// Datagrams received.
    pub received: u64,
    /// Of them answered at once.
    pub replied: u64,
    /// Replies and notices sent.
    pub sent: u64,
}

/// The money of the server, in fen.
#[derive(Serialize, Deserialize)]
pub struct Money {
    /// Issued.
    pub issued_fen: u64,
    /// Held by users.
    pub users_fen: u64,
    /// Held for packets; at rest what is left in the open ones.
    pub packets_fen: u64,
    /// In campaigns: budgets and prizes that wait.
    pub campaign_fen: u64,
    /// On its way between SETs and the bank.
    pub transit_fen: i64,
    /// Packets made.
    pub made: Sum,
    /// Shares taken.
    pub taken: Sum,
    /// Packets refunded, and what went back.
    pub refunded: Sum,
    /// Packets open, and what is left in them.
    pub open: Sum,
    /// Prizes released.
    pub prizes_released: Sum,
    /// Of them those that nobody had won when their campaign ended.
    pub prizes_withdrawn: Sum,
    /// Prizes won.
    pub prizes: Sum,
    /// Issued = users + packets + campaigns + transit, and made = taken + refunded + open. Each worker's sums are of one
    /// moment, so it holds at any time.
    pub balanced: bool,
    /// Checks of a SET's sums by its worker, in all; one that failed would have ended the server.
    pub sums_checked: u64,
}

/// Memory of the server, in bytes.
#[derive(Serialize, Deserialize)]
pub struct Memory {
    /// Anonymous pages of the process.
    pub rss_anon_bytes: u64,
    /// Kernel maps.
    pub maps_bytes: u64,
}

/// One client address.
#[derive(Serialize, Deserialize)]
pub struct ClientStatus {
    /// The address; `others` for those beyond the table.
    pub client: String,
    /// Sessions open.
    pub sessions: u64,
    /// Requests received.
    pub received: u64,
    /// Of them dropped.
    pub dropped: u64,
    /// Replies and notices sent.
    pub sent: u64,
    /// Prizes won.
    pub prizes: Sum,
}

/// One second of shakes.
#[derive(Serialize, Deserialize)]
pub struct Second {
    /// Seconds since 1970.
    pub second: u64,
    /// Shakes first seen, in 50 bins of 20 ms.
    pub bins: Vec<u64>,
}
