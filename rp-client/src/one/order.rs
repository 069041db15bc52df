//! `rp-client one`: its flags, and what each of its commands does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use rp_core::limits::GREETING_MAX;
use rp_core::posting::Act;
use rp_core::wire::{AUDIENCE_LISTED, AUDIENCE_SET, SPLIT_EQUAL, SPLIT_RANDOM};
use rp_net::{complain, stop};

use super::One;
use super::account::Account;
use super::answer::Answer;
use super::money::Terms;
use super::trouble::Trouble;
use crate::cli::server;
use crate::ending;

const AFTER_HELP: &str = "Exit codes: 0 done; 2 a wrong flag or file; 3 no answer; 130 a signal; refused: 11 empty, 12 expired, 13 already_yours,
14 not_for_you, 15 unknown_packet, 16 insufficient, 17 full, 18 conflict, 19 stale, 20 malformed, 21 busy, 22 not_kept.";

/// Rest between two looks for news while listening.
const LISTEN_STEP: Duration = Duration::from_millis(200);

/// Flags of `rp-client one`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct OneArgs {
    /// Server, by address or name; the port may be left out
    #[arg(long, global = true, value_name = "ADDR:PORT", env = "RP_SERVER", default_value = "127.0.0.1:2015",
          value_parser = server)]
    server: SocketAddr,
    /// Who to be [default: 1, or the ticket's user]
    #[arg(long, global = true, value_name = "ID", env = "RP_USER")]
    user: Option<u64>,
    /// Realm key to mint the ticket with; the server's own file
    #[arg(long, global = true, value_name = "FILE", env = "RP_REALM_KEY", default_value = "realm.key")]
    realm_key: PathBuf,
    /// A ticket instead: what `rp-server ticket` prints, or a file of it
    #[arg(long, global = true, value_name = "FILE|TEXT", env = "RP_TICKET")]
    ticket: Option<String>,
    /// How long an answer is waited for, while the question is repeated
    #[arg(long, global = true, value_name = "SECONDS", env = "RP_PATIENCE", default_value_t = 8,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,
    /// Print one object of JSON per answer
    #[arg(long, global = true, env = "RP_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,
    #[command(subcommand)]
    order: OneOrder,
}

#[derive(Subcommand, Debug)]
enum OneOrder {
    /// Log in, and stay in until the server ends the silent session
    Login,
    /// Measure the way to the server and its clock
    Ping {
        /// How often
        #[arg(long, value_name = "COUNT", env = "RP_TIMES", default_value_t = 1)]
        times: u32,
    },
    /// Ask for luck
    Shake {
        /// How often
        #[arg(long, value_name = "COUNT", env = "RP_TIMES", default_value_t = 1)]
        times: u32,
    },
    /// Make a packet
    Send(SendArgs),
    /// Take a share of a packet
    Grab {
        /// The packet's number
        #[arg(value_parser = number)]
        packet: u64,
        /// Ask under this request number again, instead of the next
        #[arg(long, value_name = "NUMBER", env = "RP_REQUEST")]
        request: Option<u64>,
    },
    /// Say who took what of a packet
    Detail {
        /// The packet's number
        #[arg(value_parser = number)]
        packet: u64,
    },
    /// Say how much the user has
    Balance,
    /// List what moved the user's money, newest first
    History {
        /// Only what he sent, or what he received
        which: Option<Which>,
        /// Rows at most
        #[arg(long, value_name = "COUNT", env = "RP_ROWS", default_value_t = 50)]
        rows: usize,
    },
    /// Print notices as they come, and acknowledge them
    #[command(visible_alias = "notices")]
    Listen {
        /// How long
        #[arg(long, value_name = "SECONDS", env = "RP_SECONDS", default_value_t = 2)]
        seconds: u64,
    },
}

/// A packet to be made.
#[derive(Args, Debug)]
struct SendArgs {
    /// Its money
    #[arg(long, value_name = "FEN", env = "RP_FEN")]
    fen: u64,
    /// Into how many shares it goes
    #[arg(long, value_name = "SHARES", env = "RP_SHARES", default_value_t = 1)]
    shares: u8,
    /// Users who may take one
    #[arg(
        long,
        value_name = "ID,..",
        env = "RP_TO",
        value_delimiter = ',',
        required_unless_present = "to_set",
        conflicts_with = "to_set"
    )]
    to: Vec<u64>,
    /// All users of this SET may
    #[arg(long, value_name = "SET", env = "RP_TO_SET")]
    to_set: Option<u16>,
    /// How it is split
    #[arg(long, value_enum, env = "RP_SPLIT", default_value_t = Split::Random)]
    split: Split,
    /// Words on it
    #[arg(long, value_name = "TEXT", env = "RP_GREETING", default_value = "恭喜发财")]
    greeting: String,
    /// Ask under this request number again, instead of the next
    #[arg(long, value_name = "NUMBER", env = "RP_REQUEST")]
    request: Option<u64>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Split {
    Random,
    Equal,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Which {
    Sent,
    Received,
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|e| format!("{e}; write the number as `one send` printed it"))
}

impl OneArgs {
    /// Does it, and says what came of it; the code to end with.
    ///
    /// # Errors
    /// The realm key or the ticket cannot be read.
    pub fn run(&self) -> Result<u8> {
        let account = match &self.ticket {
            Some(ticket) => Account::read(ticket, self.user)?,
            None => Account::mint(self.user.unwrap_or(1), &self.realm_key)?,
        };
        stop::on_signals().context("handling signals")?;
        let user = account.user;
        let done = One::new(self.server, account, Duration::from_secs(self.patience)).and_then(|mut one| {
            let done = self.play(&mut one, user);
            self.tell_news(&mut one);
            if !matches!(self.order, OneOrder::Login) && !matches!(done, Err(Trouble::NoAnswer { .. })) {
                one.log_out();
            }
            done
        });
        let Err(trouble) = done else { return Ok(ending::WELL) };
        if self.json {
            Answer::trouble(&trouble).tell(true);
        }
        complain!("rp-client: {trouble}");
        Ok(trouble.code())
    }

    fn tell(&self, answer: &Answer) {
        answer.tell(self.json);
    }

    fn tell_news(&self, one: &mut One) {
        one.news.drain(..).for_each(|news| self.tell(&Answer::news(&news)));
    }

    fn play(&self, one: &mut One, user: u64) -> Result<(), Trouble> {
        let welcome = one.log_in()?;
        match &self.order {
            OneOrder::Login => self.tell(&Answer::welcome(user, &welcome)),
            OneOrder::Ping { times } => {
                for _ in 0..*times {
                    self.tell(&Answer::pong(one.ping()?));
                }
            }
            OneOrder::Shake { times } => {
                for shake in 1..=*times {
                    self.tell(&Answer::luck(shake, one.shake()?));
                    self.tell_news(one);
                }
            }
            OneOrder::Send(send) => {
                let (sent, request) = send.carry_out(one)?;
                self.tell(&Answer::sent(&sent, request));
            }
            OneOrder::Grab { packet, request } => {
                let (grabbed, request) = one.grab(*packet, *request)?;
                self.tell(&Answer::grabbed(&grabbed, request));
            }
            OneOrder::Detail { packet } => self.tell(&Answer::detail(&one.detail(*packet)?)),
            OneOrder::Balance => self.tell(&Answer::balance(one.balance()?)),
            OneOrder::History { which, rows } => {
                let is_wanted = |act: u8| match which {
                    None => true,
                    Some(Which::Sent) => act == Act::Sent as u8,
                    Some(Which::Received) => act == Act::Taken as u8 || act == Act::Received as u8,
                };
                one.history(*rows, is_wanted)?.iter().for_each(|row| self.tell(&Answer::row(row)));
            }
            OneOrder::Listen { seconds } => {
                let until = Instant::now() + Duration::from_secs(*seconds);
                while Instant::now() < until && !stop::requested() {
                    one.listen(LISTEN_STEP.min(until.saturating_duration_since(Instant::now())))?;
                    self.tell_news(one);
                }
            }
        }
        Ok(())
    }
}

impl SendArgs {
    fn carry_out(&self, one: &mut One) -> Result<(rp_core::wire::Sent, u64), Trouble> {
        if self.greeting.len() > GREETING_MAX || self.to.len() > rp_core::limits::RECIPIENTS_MAX {
            let words = format!("a packet has at most {GREETING_MAX} bytes of greeting and 100 listed users");
            return Err(Trouble::Other(anyhow::anyhow!("{words} (--greeting, --to)")));
        }
        let split = match self.split {
            Split::Random => SPLIT_RANDOM,
            Split::Equal => SPLIT_EQUAL,
        };
        let audience = if self.to_set.is_some() { AUDIENCE_SET } else { AUDIENCE_LISTED };
        let terms = Terms { fen: self.fen, shares: self.shares, split, audience, set: self.to_set.unwrap_or(0) };
        one.send(terms, &self.to, &self.greeting, self.request)
    }
}
