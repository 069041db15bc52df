//! The commands that ask a running server: status, sessions, timeline, limits, deny, campaign, mint.

mod campaign;
mod mint;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use rp_net::say;
use serde::{Deserialize, Serialize};

use crate::admin::ask::ask;
use crate::admin::{AdminArgs, Answer, Question};
use crate::limits::LimitChange;
use crate::network::Net;
use crate::sight::{Status, Sum};
pub use campaign::{CampaignOrder, StartArgs};
pub use mint::MintArgs;

/// Flags of `rp-server status`.
#[derive(Args)]
pub struct StatusArgs {
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
    /// What the server counted at the last whole second, as page and metrics show it
    #[arg(long)]
    snapshot: bool,
    /// At this second instead, in seconds since 1970; two minutes are kept
    #[arg(long, value_name = "UNIX_SECONDS", requires = "snapshot")]
    second: Option<u64>,
}

impl StatusArgs {
    /// Prints what the server counts.
    ///
    /// # Errors
    /// No server answers.
    pub fn run(&self, admin: &AdminArgs) -> Result<()> {
        if self.snapshot {
            return self.show_snapshot(admin);
        }
        let Answer::Status(status) = ask(admin, &Question::Status)? else { return unexpected() };
        if self.json {
            return print_json(&status);
        }
        print_status(&status);
        Ok(())
    }

    fn show_snapshot(&self, admin: &AdminArgs) -> Result<()> {
        /// Of a snapshot, what is printed as words.
        #[derive(Deserialize)]
        struct Shown {
            unix_s: u64,
            status: Status,
        }
        let question = Question::Snapshot { second: self.second };
        let Answer::Snapshot(text) = ask(admin, &question)? else { return unexpected() };
        if self.json {
            say!("{text}");
            return Ok(());
        }
        let Shown { unix_s, status } = serde_json::from_str(&text)?;
        say!("at second {unix_s}:");
        print_status(&status);
        Ok(())
    }
}

/// Flags of `rp-server sessions`.
#[derive(Args)]
pub struct SessionsArgs {
    /// One row per client address
    #[arg(long)]
    by_client: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl SessionsArgs {
    /// Prints how many sessions there are, and whose.
    ///
    /// # Errors
    /// No server answers.
    pub fn run(&self, admin: &AdminArgs) -> Result<()> {
        let Answer::Sessions(clients) = ask(admin, &Question::Sessions)? else { return unexpected() };
        if self.json {
            return print_json(&clients);
        }
        if self.by_client {
            say!("{:>10} {:>14} {:>12} {:>14} {:>8}  client", "sessions", "received", "dropped", "sent", "prizes");
            for row in &clients {
                let (sessions, prizes) = (row.sessions, row.prizes.count);
                say!(
                    "{sessions:>10} {:>14} {:>12} {:>14} {prizes:>8}  {}",
                    row.received,
                    row.dropped,
                    row.sent,
                    row.client
                );
            }
        }
        let total: u64 = clients.iter().map(|client| client.sessions).sum();
        say!("{total} sessions from {} addresses", clients.iter().filter(|client| client.sessions > 0).count());
        Ok(())
    }
}

/// Flags of `rp-server timeline`.
#[derive(Args)]
pub struct TimelineArgs {
    /// Print JSON: per second 50 bins of 20 ms
    #[arg(long)]
    json: bool,
}

impl TimelineArgs {
    /// Prints when the shakes came.
    ///
    /// # Errors
    /// No server answers.
    pub fn run(&self, admin: &AdminArgs) -> Result<()> {
        let Answer::Timeline(seconds) = ask(admin, &Question::Timeline)? else { return unexpected() };
        if self.json {
            return print_json(&seconds);
        }
        say!("{:>12} {:>10}  busiest 200 ms", "second", "shakes");
        for row in &seconds {
            let total: u64 = row.bins.iter().sum();
            let busiest: u64 = row.bins.windows(10).map(|bins| bins.iter().sum()).max().unwrap_or(0);
            say!("{:>12} {total:>10}  {:.1} %", row.second, 100.0 * busiest as f64 / total.max(1) as f64);
        }
        Ok(())
    }
}

/// Flags of `rp-server limits`.
#[derive(Args)]
pub struct LimitsArgs {
    #[command(flatten)]
    change: LimitChange,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
}

impl LimitsArgs {
    /// Changes the limits that are named, and prints all.
    ///
    /// # Errors
    /// No server answers.
    pub fn run(&self, admin: &AdminArgs) -> Result<()> {
        let Answer::Limits(limits) = ask(admin, &Question::Limits(self.change))? else { return unexpected() };
        if self.json {
            return print_json(&limits);
        }
        let show = |what: &str, rate: u64| match rate {
            0 => say!("{what:<44} no limit"),
            rate => say!("{what:<44} {rate}/s"),
        };
        show("one session (--session-rate)", limits.session_rate.into());
        say!("{:<44} {}", "  at once (--session-burst)", limits.session_burst);
        show("all sessions together (--sessions-rate)", limits.sessions_rate);
        show("all without a session (--strangers-rate)", limits.strangers_rate);
        show("log-ins of one /24 or /64 (--prefix-rate)", limits.prefix_rate);
        Ok(())
    }
}

/// `rp-server deny`.
#[derive(Subcommand)]
pub enum DenyOrder {
    /// Hear no datagram from these any more.
    Add(NetArgs),
    /// Hear them again.
    Remove(NetArgs),
    /// Show the list.
    List,
}

/// Parts of the network.
#[derive(Args)]
pub struct NetArgs {
    /// 10.0.0.0/8, 2001:db8::/32 or one address
    #[arg(value_name = "PREFIX", required = true)]
    prefixes: Vec<Net>,
}

impl DenyOrder {
    /// Changes the deny list and prints it.
    ///
    /// # Errors
    /// No server answers, or the list would be too long.
    pub fn run(self, admin: &AdminArgs) -> Result<()> {
        let (add, remove) = match self {
            DenyOrder::Add(nets) => (nets.prefixes, Vec::new()),
            DenyOrder::Remove(nets) => (Vec::new(), nets.prefixes),
            DenyOrder::List => Default::default(),
        };
        match ask(admin, &Question::Deny { add, remove })? {
            Answer::Denied(list) if list.is_empty() => say!("nobody is denied"),
            Answer::Denied(list) => list.iter().for_each(|net| say!("{net}")),
            Answer::Refused(why) => bail!("{why}"),
            _ => return unexpected(),
        }
        Ok(())
    }
}

fn print_json(value: &impl Serialize) -> Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn unexpected() -> Result<()> {
    bail!("the server answered another question: is it of this version?")
}

fn print_status(status: &Status) {
    let sum = |sum: &Sum| format!("{} ({} fen)", sum.count, sum.fen);
    let money = &status.money;
    let gate = &status.gate;
    say!(
        "up {:.0} s; gate {}, steering {}; sealing {}; {}",
        status.uptime_s,
        gate.mode,
        gate.steering,
        if status.sealing { "on" } else { "OFF" },
        gate.interfaces.join(" ")
    );
    for worker in &status.workers {
        say!(
            "  CPU {:<3} {:>4} SETs  received {:>14}  replied {:>14}  sent {:>14}",
            worker.cpu,
            worker.sets,
            worker.received,
            worker.replied,
            worker.sent
        );
    }
    say!(
        "sessions {} ({} log-ins, {} log-outs, {} idle)  accounts {}",
        status.sessions,
        status.logins,
        status.logouts,
        status.idle_outs,
        status.accounts
    );
    let total = |counts: &std::collections::BTreeMap<String, u64>| counts.values().sum::<u64>();
    say!(
        "received {} = replied {} + accepted {} + dropped {}; sent {}; socket overflow {}; send failures {}",
        total(&status.received),
        status.replied,
        status.accepted,
        total(&status.dropped),
        total(&status.sent),
        status.socket_overflow,
        status.send_failed
    );
    for xsk in &status.xsks {
        say!("  af-xdp: {} queue {} -> worker {} ({})", xsk.interface, xsk.queue, xsk.worker, xsk.mode);
    }
    if !status.xsks.is_empty() {
        let (taken, lost, sent) = (status.from_xsk, status.xsk_lost, status.sent_by_xsk);
        say!("  received by AF_XDP {taken}, lost there {lost}, sent by AF_XDP {sent}");
    }
    for (name, count) in status.dropped.iter().filter(|(_, count)| **count > 0) {
        say!("  dropped {name} {count}");
    }
    say!("prizes released {}, won {}", sum(&money.prizes_released), sum(&money.prizes));
    say!(
        "packets made {} = shares taken {} + refunded {} + open {}",
        sum(&money.made),
        sum(&money.taken),
        sum(&money.refunded),
        sum(&money.open)
    );
    say!(
        "issued {} = users {} + packets {} + campaigns {} + transit {}: {}",
        money.issued_fen,
        money.users_fen,
        money.packets_fen,
        money.campaign_fen,
        money.transit_fen,
        if money.balanced { "balanced" } else { "NOT BALANCED" }
    );
    let ledger = &status.ledger;
    say!(
        "ledger: durability {}, {} postings, {} commits of {} us, the longest {} us",
        ledger.durability,
        ledger.postings,
        ledger.commits,
        ledger.commit_mean_us,
        ledger.commit_longest_us
    );
    say!(
        "read from it: {} answers of {} us, the longest {} us, {} too late",
        ledger.answered,
        ledger.answer_mean_us,
        ledger.answer_longest_us,
        ledger.answers_late
    );
    let memory = &status.memory;
    say!("memory {:.1} MB, kernel maps {:.1} MB", memory.rss_anon_bytes as f64 / 1e6, memory.maps_bytes as f64 / 1e6);
}
