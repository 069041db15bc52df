//! `cargo xtask crash`: money that cannot be lost, tried on the real server over real files.
//!
//! A fleet shakes, sends packets across SETs and grabs; the server is killed by SIGKILL at moments that nobody chose,
//! started again at once on the same ledger, and the users go on where they were. In the end the ledger must be right by
//! itself, have every answer that a user ever got, and have no money that no user heard of.

mod moments;
mod verdict;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::answers::Report;
use crate::demo::stage::Stage;
use crate::fleet::Fleet;
use crate::programs::{Profile, Programs};
use crate::server::Server;
use crate::signal::Signal;
use crate::{command, ebpf, lab, machine, setup, signal};
use moments::{Moment, Moments};
use verdict::{Audit, complaints};

/// Few enough that each has many users in the fleet.
const SETS: &str = "32";
/// What is left of a packet goes back to its sender after so long.
const PACKET_LIFE_S: u64 = 5;
/// Fen that each user can put into packets.
const ALLOWANCE_FEN: u64 = 1_000_000;
/// How often the state of server and fleet is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// The longest that a start may take.
const START_LIMIT: Duration = Duration::from_secs(300);
/// What is outstanding when the last kill is over ends within this: twice what a client waits for it.
const FINISH_LIMIT: Duration = Duration::from_secs(180);
/// Seconds from one start of the server to the next, at most: the users have something to do for so long.
const REIGN_S: u64 = 4;
/// Rounds of shaking and storms.
const ROUNDS: u64 = 20;

/// Flags of `cargo xtask crash`.
#[derive(clap::Args, Clone, Debug)]
pub struct CrashArgs {
    /// Times that the server is killed.
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    kills: u64,
    /// The longest that a server serves before it is killed; most serve for less than a quarter of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds_between: f64,
    /// Of the moments and of the fleet [default: drawn].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Users.
    #[arg(long, value_name = "COUNT", default_value_t = 3000)]
    users: u64,
    /// In the laboratory, over real XDP; needs root.
    #[arg(long)]
    lab: bool,
}

/// What is counted while the server is killed and started.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    kills: u64,
    /// Of them before the server served.
    early: u64,
    /// From the start of the process until it served.
    longest: Duration,
}

impl CrashArgs {
    /// Runs the test and prints what it counted.
    ///
    /// # Errors
    /// What could not be built or started, an interrupt, or the first fault.
    pub fn run(self) -> Result<()> {
        ensure!(
            self.seconds_between > 0.0 && self.seconds_between <= 60.0,
            "--seconds-between must be above 0, 60 at most"
        );
        ensure!(self.users >= 100, "--users {}: fewer than 100 have nobody to send to in most SETs", self.users);
        if self.lab {
            setup::run()?;
            ebpf::run(Profile::Dev)?;
        }
        lab::sweep();
        println!("building rp-server and rp-client ...");
        let programs = Programs::build(Profile::Dev)?;
        let seed = self.seed.unwrap_or_else(machine::unix_us);
        let again = format!(
            "cargo xtask crash --kills {} --seconds-between {} --users {} --seed {seed}{}",
            self.kills,
            self.seconds_between,
            self.users,
            if self.lab { " --lab" } else { "" }
        );
        self.play(&programs, seed).with_context(|| format!("seed {seed}; the same moments again: {again}"))
    }

    fn play(&self, programs: &Programs, seed: u64) -> Result<()> {
        let stage = if self.lab { Stage::set(1, programs)? } else { Stage::loopback_at(own_address(), 1)? };
        let flags = ["--workers", "2", "--sets", SETS, "--packet-life", &PACKET_LIFE_S.to_string()];
        let begun = Instant::now();
        let server = stage.start_server(programs, &flags)?;
        self.fund(&server)?;
        let told = stage.room().file("told.txt");
        let playing = self.scenario();
        let mut fleet = self.users(&stage, programs, &server, (&playing, seed), &told, &[])?;
        while server.status()?.sessions < self.users {
            signal::check()?;
            ensure!(fleet.is_running()?, "the users ended before they were in:\n{}", fleet.log_tails());
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("{} users are in; the server is killed {} times (seed {seed})", self.users, self.kills);
        let reigns = Reigns { stage: &stage, programs, flags: &flags, fleet: &mut fleet, tally: Tally::default() };
        let (server, tally) = reigns.play(server, self.kills, Moments::new(seed, self.longest()))?;

        println!("the users finish what they asked ...");
        fleet.signal(Signal::Terminate);
        let finished = fleet.reports(FINISH_LIMIT)?;
        drop(fleet);
        // Every user comes back once more: what he was not told yet he hears now, and nothing that he asked is open.
        let coming = self.return_scenario();
        // The server still writes to where they were, so datagrams from this machine are not compared.
        let flags = ["--no-reconcile"];
        let mut fleet = self.users(&stage, programs, &server, (&coming, seed + 1), &told, &flags)?;
        let returned = fleet.reports(FINISH_LIMIT)?;
        server.end()?;
        judge(&finished, &returned)?;
        let audit = audit(&stage, programs, &told)?;
        let differences = audit.differences();
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        print!("{}", table(&tally, &finished, &audit, begun.elapsed(), seed));
        Ok(())
    }

    fn longest(&self) -> Duration {
        Duration::from_secs_f64(self.seconds_between)
    }

    /// Money for all, and a campaign that outlasts the test.
    fn fund(&self, server: &Server) -> Result<()> {
        let (range, fen) = (format!("1..={}", self.users), ALLOWANCE_FEN.to_string());
        server.ask(&["mint", "--users", &range, "--fen", &fen])?;
        let campaign = ["--budget-fen", "100000000", "--rate", "50", "--prizes-per-user", "200"];
        server.ask(&[&["campaign", "start"][..], &campaign].concat())?;
        Ok(())
    }

    /// Starts the users on a scenario, who write down what they are told.
    fn users(
        &self,
        stage: &Stage,
        programs: &Programs,
        server: &Server,
        (scenario, seed): (&str, u64),
        told: &Path,
        flags: &[&str],
    ) -> Result<Fleet> {
        let file = stage.room().file("scenario.toml");
        std::fs::write(&file, scenario).with_context(|| format!("cannot write {}", file.display()))?;
        let (seed, told) = (seed.to_string(), told.display().to_string());
        let own = ["--outlast", "--acknowledged", &told, "--seed", &seed];
        stage.start_fleet_of(programs, server, self.users, &file, &[&own, flags].concat())
    }

    /// Shakes and packets for listed users of all SETs, then packets for whole SETs, in turns; some shares of each packet are
    /// for nobody and go back. It is ended when the last kill is over.
    fn scenario(&self) -> String {
        let seconds = (self.kills as f64 * (self.seconds_between + REIGN_S as f64)) as u64;
        let storm = (seconds / ROUNDS / 5).max(1);
        let mut text = String::from("[[phase]]\nkind = \"login\"\n");
        for _ in 0..ROUNDS {
            text += &format!(
                "[[phase]]\nkind = \"shake\"\nseconds = {}\nrate = {}\n\
                 send = {{ rate = {}, fen = 500, shares = 5, recipients = 4 }}\n\
                 [[phase]]\nkind = \"storm\"\nseconds = {storm}\nsend = {{ rate = 3, fen = 900, shares = 9 }}\n",
                4 * storm,
                self.users / 3,
                self.users / 30
            );
        }
        text
    }

    /// Everyone shakes, and packets that nobody took have time to go back.
    fn return_scenario(&self) -> String {
        format!(
            "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"shake\"\nseconds = 2\nrate = {}\n\
             [[phase]]\nkind = \"hold\"\nseconds = {}\n",
            self.users,
            PACKET_LIFE_S + 2
        )
    }
}

/// The servers, one after another.
struct Reigns<'a> {
    stage: &'a Stage,
    programs: &'a Programs,
    flags: &'a [&'a str],
    fleet: &'a mut Fleet,
    tally: Tally,
}

impl Reigns<'_> {
    /// Kills so many servers, each at its moment; the last that was started serves.
    fn play(mut self, mut server: Server, kills: u64, mut moments: Moments) -> Result<(Server, Tally)> {
        let mut serves = Some(Instant::now());
        // A start by a guess, until one was seen.
        let mut took = Duration::from_millis(100);
        let mut since = Instant::now() - took;
        for kill in 1..=kills {
            let moment = moments.draw();
            while !is_due(moment, since, serves, took) {
                self.look(&mut server, since, &mut serves)?;
                std::thread::sleep(LOOK);
            }
            server.program().kill()?;
            self.tally.kills += 1;
            match serves {
                Some(at) => took = at - since,
                None => self.tally.early += 1,
            }
            (since, serves) = (Instant::now(), None);
            server = self.stage.launch_server(self.programs, self.flags)?;
            if kill.is_multiple_of(10) || kill == kills {
                println!("  {kill} of {kills} kills, longest recovery {:.2} s", self.tally.longest.as_secs_f64());
            }
        }
        while serves.is_none() {
            self.look(&mut server, since, &mut serves)?;
            std::thread::sleep(LOOK);
        }
        Ok((server, self.tally))
    }

    /// Server and users are at work; notes when the server serves.
    fn look(&mut self, server: &mut Server, since: Instant, serves: &mut Option<Instant>) -> Result<()> {
        signal::check()?;
        if let Some(status) = server.program().ended()? {
            bail!("the server ended by itself ({status}):\n{}", server.program().log_tail());
        }
        ensure!(self.fleet.is_running()?, "the users ended too early:\n{}", self.fleet.log_tails());
        if serves.is_none() && server.serves() {
            let now = Instant::now();
            *serves = Some(now);
            self.tally.longest = self.tally.longest.max(now - since);
        }
        if serves.is_none() && since.elapsed() > START_LIMIT {
            bail!("the server does not serve after {START_LIMIT:?}:\n{}", server.program().log_tail());
        }
        Ok(())
    }
}

/// Is it time to kill the server that was started at `since`, and has served since `serves`?
fn is_due(moment: Moment, since: Instant, serves: Option<Instant>, took: Duration) -> bool {
    match moment {
        Moment::Serving(after) => serves.is_some_and(|at| at.elapsed() >= after),
        Moment::Starting(share) => since.elapsed() >= took.mul_f64(share),
    }
}

/// Of 127.0.0.0/8 one that no other run has.
fn own_address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | high >> 4, high << 4 | low >> 4, (low & 15) + 1)
}

/// The users' own books.
fn judge(finished: &[Report], returned: &[Report]) -> Result<()> {
    let found: Vec<String> = finished.iter().chain(returned).flat_map(complaints).collect();
    ensure!(found.is_empty(), "the users' books: {}", found.join("; "));
    for report in finished {
        ensure!(
            report.reconciled.restarted,
            "the users did not see that the server was another: {:?}",
            report.reconciled
        );
    }
    Ok(())
}

/// The ledger by itself, and with what users were told.
fn audit(stage: &Stage, programs: &Programs, told: &Path) -> Result<Audit> {
    println!("auditing ...");
    let mut audit = Command::new(&programs.server);
    audit.args(["audit", "--json", "--data"]).arg(stage.room().ledger("server"));
    let text = command::read(audit.arg("--acknowledged").arg(told))?;
    serde_json::from_str(&text).with_context(|| format!("`rp-server audit` printed {text}"))
}

fn table(tally: &Tally, reports: &[Report], audit: &Audit, took: Duration, seed: u64) -> String {
    let (told, figures) = (&audit.acknowledged, &audit.figures);
    let phases = || reports.iter().flat_map(|report| &report.phases);
    let retries: u64 = phases().map(|phase| phase.sends.retries + phase.grabs.retries).sum();
    let again: u64 = reports.iter().map(|report| report.login.again).sum();
    let rows = [
        ("kills", format!("{}, of them {} before the server served", tally.kills, tally.early)),
        ("restarts", tally.kills.to_string()),
        ("longest recovery", format!("{:.2} s", tally.longest.as_secs_f64())),
        ("acknowledgements", format!("{} checked, none missing", told.lines)),
        ("  packets made", told.sent.to_string()),
        ("  shares taken", told.grabbed.to_string()),
        ("  prizes won", told.prizes.to_string()),
        ("  refunds", told.refunds.to_string()),
        ("  refusals", told.refused.count.to_string()),
        ("postings", figures.postings.to_string()),
        ("retries", format!("{retries} of requests for money, {again} log-ins again")),
        ("took", format!("{:.0} s", took.as_secs_f64())),
        ("seed", seed.to_string()),
    ];
    rows.iter().map(|(name, value)| format!("{name:<18} {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_have_addresses_of_their_own() {
        assert!(own_address().is_loopback() && own_address() != Ipv4Addr::LOCALHOST);
    }
}
