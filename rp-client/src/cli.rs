//! The command line. Every flag is also an environment variable, RP_ and its name.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use rp_core::limits::PORT_DEFAULT;

use crate::bare::Bare;
use crate::network::Transport;
use crate::pace::PaceName;

const SCENARIO_HELP: &str = "A scenario is a TOML file of [[phase]]s, played in order:
  kind = \"login\", \"hold\", \"shake\", \"ramp\", \"blast\", \"storm\" or \"logout\";
  name; seconds; rate (shake, ramp, blast); rate_to (ramp);
  blast = { burst = 64, sessions = 1000, skewed = true, hostile = 5, links = 1 }
  send = { rate = 200, fen = 300, shares = 3, recipients = 3, split = \"random\" }
    (a storm needs it, without recipients)";

/// The load and reference client of the red-packet server: logs in any number of users, plays a scenario, and proves that
/// its books and the server's agree.
#[derive(Parser, Debug)]
#[command(name = "rp-client", version, args_conflicts_with_subcommands = true, after_help = SCENARIO_HELP,
          max_term_width = 110)]
pub struct Cli {
    /// What to do; `run` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `run`.
    #[command(flatten)]
    pub flags: Flags,
}

/// What the program does.
#[derive(Subcommand, Debug)]
#[allow(clippy::large_enum_variant, reason = "a program has one")]
pub enum Command {
    /// Play a scenario (the default command)
    Run(Flags),
    /// Show, draw, add up and compare reports
    Report(crate::report::order::ReportArgs),
}

impl Cli {
    /// The flags, wherever they stand.
    pub fn into_flags(self) -> Flags {
        match self.command {
            Some(Command::Run(flags)) => flags,
            Some(Command::Report(_)) | None => self.flags,
        }
    }
}

/// Flags of a run.
#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    /// Server, by address or name; without a port it is 2015
    #[arg(long, value_name = "ADDR:PORT", env = "RP_SERVER", default_value = "127.0.0.1:2015", value_parser = server)]
    pub server: SocketAddr,
    /// Users of this client machine
    #[arg(long, value_name = "FIRST..=LAST", env = "RP_USERS", default_value = "1..=10000", value_parser = users)]
    pub users: RangeInclusive<u64>,
    /// Users of all client machines [default: the size of --users]
    #[arg(long, value_name = "USERS", env = "RP_TOTAL")]
    pub total: Option<u64>,
    /// Realm key that tickets are minted with; the server's own file
    #[arg(long, value_name = "FILE", env = "RP_REALM_KEY", default_value = "realm.key")]
    pub realm_key: PathBuf,
    /// Scenario [default: log in, 30 000 QPS, 60 000 QPS]
    #[arg(long, value_name = "FILE", env = "RP_SCENARIO")]
    pub scenario: Option<PathBuf>,
    /// Multiplies the durations of the phases
    #[arg(long, value_name = "FACTOR", env = "RP_TIME_SCALE", default_value_t = 1.0)]
    pub time_scale: f64,
    /// When users shake: even, seed or poisson
    #[arg(long, env = "RP_PACE", value_enum, default_value_t = PaceName::Even, hide_possible_values = true)]
    pub pace: PaceName,
    /// Sockets that the sessions share
    #[arg(long, value_name = "SOCKETS", env = "RP_SOCKETS", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sockets: u16,
    /// Hand datagrams of one length to the kernel as one (UDP_SEGMENT), for less CPU per datagram. Only where the network
    /// parts them again: behind a network card, or a veth with driver-mode XDP at the far end; not over loopback
    #[arg(long, env = "RP_SEGMENT")]
    pub segment: bool,
    /// How datagrams travel: sockets, or af-xdp past the network stack (root, and a server on the same Ethernet link)
    #[arg(long, value_name = "WAY", env = "RP_TRANSPORT", value_enum, default_value_t = Transport::Sockets,
          hide_possible_values = true)]
    pub transport: Transport,
    /// Address to send from; repeatable. Two clients of one server must not share one
    #[arg(long, value_name = "IP", env = "RP_SOURCE", value_delimiter = ',')]
    pub source: Vec<IpAddr>,
    /// Start of the first timed phase, alike on all client machines [default: the second after the log-in]
    #[arg(long, value_name = "UNIX_S", env = "RP_START_AT")]
    pub start_at: Option<u64>,
    /// Write the report here
    #[arg(long, value_name = "FILE", env = "RP_JSON")]
    pub json: Option<PathBuf>,
    /// Write an HdrHistogram log of the latencies here, an interval per second
    #[arg(long, value_name = "FILE", env = "RP_HDR")]
    pub hdr: Option<PathBuf>,
    /// Write everything into this folder: report.json, its page report.html, latency.hlog, and percentiles (.hgrm)
    #[arg(long, value_name = "DIR", env = "RP_OUT")]
    pub out: Option<PathBuf>,
    /// Take the server's own snapshots along (kernel packets and reasons, prizes released), from its --http
    #[arg(long, value_name = "ADDR:PORT|unix:PATH", env = "RP_SERVER_HTTP", value_parser = crate::report::onlooker::door)]
    pub server_http: Option<crate::report::onlooker::Door>,
    /// Token that the server's --http wants, if it wants one
    #[arg(long, value_name = "FILE", env = "RP_SERVER_HTTP_TOKEN")]
    pub server_http_token: Option<PathBuf>,
    /// Limits that make the exit code 1, such as 'p99<1ms,loss<0.01%,mismatch=0'
    #[arg(long, value_name = "LIST", env = "RP_EXPECT", default_value = "")]
    pub expect: String,
    /// Do not compare the books with the server's
    #[arg(long, env = "RP_NO_RECONCILE")]
    pub no_reconcile: bool,
    /// The server may end and come back: no user is given up, and what moves money is asked until it is answered
    #[arg(long, env = "RP_OUTLAST")]
    pub outlast: bool,
    /// Append here what users are told of money, a line each, for `rp-server audit --acknowledged`
    #[arg(long, value_name = "FILE", env = "RP_ACKNOWLEDGED")]
    pub acknowledged: Option<PathBuf>,
    /// Seed of nonces, recipients and random paces [default: drawn]
    #[arg(long, value_name = "NUMBER", env = "RP_SEED")]
    pub seed: Option<u64>,
    /// Interfaces that the shakes of a blast leave by, in turn, and their answers come in at; all have one Ethernet address,
    /// and so has the server's end of all [default: the one that has our address]
    #[arg(long, value_name = "NAME", env = "RP_BLAST_THROUGH", value_delimiter = ',')]
    pub blast_through: Vec<String>,
    /// Measure a server of another kind instead: no log-in, and every answer counts
    #[arg(long, value_name = "KIND", env = "RP_BARE", hide = true)]
    pub bare: Option<Bare>,
}

fn server(text: &str) -> Result<SocketAddr, String> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT_DEFAULT));
    }
    let resolved = text.to_socket_addrs().or_else(|_| (text, PORT_DEFAULT).to_socket_addrs());
    let first = resolved.map_err(|e| format!("{e}; write ADDRESS, ADDRESS:PORT or NAME:PORT"))?.next();
    first.ok_or_else(|| "the name has no address".to_string())
}

fn users(text: &str) -> Result<RangeInclusive<u64>, String> {
    let parsed =
        text.split_once("..=").and_then(|(first, last)| Some(first.trim().parse().ok()?..=last.trim().parse().ok()?));
    parsed.ok_or_else(|| "write FIRST..=LAST, such as 1..=10000".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_server_is_an_address_or_a_name_with_or_without_a_port() {
        for (text, expected) in [
            ("10.1.2.3", "10.1.2.3:2015"),
            ("10.1.2.3:7", "10.1.2.3:7"),
            ("::1", "[::1]:2015"),
            ("[::1]", "[::1]:2015"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(server(text).expect(text).to_string(), expected);
        }
        assert!(server("localhost:7").expect("every machine has it").ip().is_loopback());
        assert!(server("127.0.0.1:port").is_err());
    }

    #[test]
    fn flags_are_the_same_with_and_without_the_word_run() {
        Cli::command().debug_assert();
        for words in [&["rp-client", "--users", "5..=9"][..], &["rp-client", "run", "--users", "5..=9"]] {
            let flags = Cli::try_parse_from(words).expect("good flags").into_flags();
            assert_eq!((flags.users, flags.sockets), (5..=9, 4));
        }
        assert!(Cli::try_parse_from(["rp-client", "--users", "5..9"]).is_err());
    }
}
