//! The flags of a run. `-h` shows those that most runs need, `--help` all of them.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::moment::start_at;
use super::value::{server, users};
use crate::bare::Bare;
use crate::ending;
use crate::live::Style;
use crate::network::Transport;
use crate::pace::PaceName;
use crate::report::onlooker::{Door, door};

const SCENARIO_HELP: &str =
    "A scenario is a TOML file of [[phase]]s, played in order; `rp-client scenario show demo` prints one:
  kind = \"login\", \"hold\", \"shake\", \"ramp\", \"blast\", \"storm\" or \"logout\";
  name; seconds; rate (shake, ramp, blast); rate_to (ramp);
  blast = { burst = 64, sessions = 1000, skewed = true, hostile = 5, links = 1 }
  send = { rate = 200, fen = 300, shares = 3, recipients = 3, split = \"random\" }
    (a storm needs it, without recipients)";

/// Flags of a run.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = ending::HELP, after_long_help = format!("{SCENARIO_HELP}\n\n{}", ending::HELP))]
pub struct Flags {
    /// Server, by address or name; the port may be left out
    #[arg(long, value_name = "ADDR:PORT", env = "RP_SERVER", default_value = "127.0.0.1:2015", value_parser = server)]
    pub server: SocketAddr,
    /// Realm key to mint tickets with; the server's own file
    #[arg(long, value_name = "FILE", env = "RP_REALM_KEY", default_value = "realm.key")]
    pub realm_key: PathBuf,

    /// A file, or one of seed, demo, shake, storm, ramp [default: seed]
    #[arg(value_name = "SCENARIO", help_heading = "Scenario")]
    named: Option<PathBuf>,
    /// The same as a flag
    #[arg(long, value_name = "SCENARIO", env = "RP_SCENARIO", hide_short_help = true, help_heading = "Scenario")]
    pub scenario: Option<PathBuf>,
    /// List the built-in scenarios, and play none
    #[arg(long, env = "RP_LIST", help_heading = "Scenario")]
    pub list: bool,
    /// Multiplies the durations of the phases
    #[arg(long, value_name = "FACTOR", env = "RP_TIME_SCALE", default_value_t = 1.0, help_heading = "Scenario")]
    pub time_scale: f64,
    /// When users shake: even, seed or poisson
    #[arg(long, env = "RP_PACE", value_enum, default_value_t = PaceName::Even, hide_possible_values = true,
          help_heading = "Scenario")]
    pub pace: PaceName,
    /// Seed of nonces, recipients and random paces [default: drawn]
    #[arg(long, value_name = "NUMBER", env = "RP_SEED", hide_short_help = true, help_heading = "Scenario")]
    pub seed: Option<u64>,

    /// Users of this client machine
    #[arg(long, value_name = "FIRST..=LAST", env = "RP_USERS", default_value = "1..=10000", value_parser = users,
          help_heading = "Users and machines")]
    pub users: RangeInclusive<u64>,
    /// Users of all client machines [default: the size of --users]
    #[arg(long, value_name = "USERS", env = "RP_TOTAL", help_heading = "Users and machines")]
    pub total: Option<u64>,
    /// Start of the first timed phase: +30s, HH:MM:SS, RFC 3339
    ///
    /// Alike on all client machines, which need no other word of each other. +30s is 30 seconds from now, 21:00:00 today in
    /// UTC, 2026-12-31T23:59:50+08:00 a moment, and a plain number Unix seconds. By then all users must be logged in
    /// [default: the second after the log-in]
    #[arg(long, value_name = "TIME", env = "RP_START_AT", value_parser = start_at, help_heading = "Users and machines")]
    pub start_at: Option<u64>,
    /// Address to send from; repeatable. Two clients must not share one
    ///
    /// The server keeps its books by address: with one for two clients they cannot be compared.
    #[arg(long, value_name = "IP", env = "RP_SOURCE", value_delimiter = ',', help_heading = "Users and machines")]
    pub source: Vec<IpAddr>,

    /// What is seen meanwhile: full, lines or off [default: full on a terminal]
    #[arg(
        long,
        value_name = "STYLE",
        env = "RP_LIVE",
        value_enum,
        hide_possible_values = true,
        help_heading = "Results"
    )]
    pub live: Option<Style>,
    /// Write the report here
    #[arg(long, value_name = "FILE", env = "RP_JSON", help_heading = "Results")]
    pub json: Option<PathBuf>,
    /// Write an HdrHistogram log of the latencies here, an interval per second
    #[arg(long, value_name = "FILE", env = "RP_HDR", help_heading = "Results")]
    pub hdr: Option<PathBuf>,
    /// Write everything here: report.json and .html, latency.hlog, percentiles
    ///
    /// The percentiles are files that end in .hgrm, one a phase.
    #[arg(long, value_name = "DIR", env = "RP_OUT", help_heading = "Results")]
    pub out: Option<PathBuf>,
    /// Take the server's own snapshots along, from its --http
    ///
    /// Packets and reasons by the kernel's counters, and prizes released.
    #[arg(long, value_name = "ADDR:PORT|unix:PATH", env = "RP_SERVER_HTTP", value_parser = door, hide_short_help = true,
          help_heading = "Results")]
    pub server_http: Option<Door>,
    /// Token that the server's --http wants, if it wants one
    #[arg(long, value_name = "FILE", env = "RP_SERVER_HTTP_TOKEN", hide_short_help = true, help_heading = "Results")]
    pub server_http_token: Option<PathBuf>,
    /// Limits that make the exit code 1, such as 'p99<1ms,loss<0.01%,mismatch=0'
    #[arg(
        long,
        value_name = "LIST",
        env = "RP_EXPECT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Results"
    )]
    pub expect: String,
    /// Do not compare the books with the server's
    #[arg(long, env = "RP_NO_RECONCILE", help_heading = "Results")]
    pub no_reconcile: bool,
    /// Append here what users are told of money, a line each, for `rp-server audit --acknowledged`
    #[arg(long, value_name = "FILE", env = "RP_ACKNOWLEDGED", hide_short_help = true, help_heading = "Results")]
    pub acknowledged: Option<PathBuf>,

    /// Sockets that the sessions share
    #[arg(long, value_name = "SOCKETS", env = "RP_SOCKETS", default_value_t = 4, help_heading = "Network",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sockets: u16,
    /// How datagrams travel: sockets, or af-xdp past the network stack
    ///
    /// By af-xdp as root, and towards a server on the same Ethernet link.
    #[arg(long, value_name = "WAY", env = "RP_TRANSPORT", value_enum, default_value_t = Transport::Sockets,
          hide_possible_values = true, hide_short_help = true, help_heading = "Network")]
    pub transport: Transport,
    /// Hand datagrams of one length to the kernel as one (UDP_SEGMENT)
    ///
    /// For less CPU per datagram. Only where the network parts them again: behind a network card, or a veth with
    /// driver-mode XDP at the far end; not over loopback.
    #[arg(long, env = "RP_SEGMENT", hide_short_help = true, help_heading = "Network")]
    pub segment: bool,
    /// Interfaces that the shakes of a blast leave by, in turn, and their answers come in at
    ///
    /// All have one Ethernet address, and so has the server's end of all [default: the one that has our address].
    #[arg(
        long,
        value_name = "NAME",
        env = "RP_BLAST_THROUGH",
        value_delimiter = ',',
        hide_short_help = true,
        help_heading = "Network"
    )]
    pub blast_through: Vec<String>,
    /// The server may end and come back: wait for it
    ///
    /// No user is given up, and what moves money is asked until it is answered.
    #[arg(long, env = "RP_OUTLAST", help_heading = "Network")]
    pub outlast: bool,
    /// Measure a server of another kind instead: no log-in, and every answer counts
    #[arg(long, value_name = "KIND", env = "RP_BARE", hide = true)]
    pub bare: Option<Bare>,
}

impl Flags {
    /// With the scenario in one place, wherever it was named; its place on the line goes before the flag.
    pub fn settled(mut self) -> Self {
        self.scenario = self.named.take().or(self.scenario);
        self
    }
}
