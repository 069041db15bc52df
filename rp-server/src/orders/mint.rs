//! `rp-server mint`: money for users, or back from them, once for each number of an order.

use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rand_core::{OsRng, TryRngCore};
use rp_net::say;

use super::unexpected;
use crate::admin::ask::{Refused, ask};
use crate::admin::{AdminArgs, Answer, Question};
use crate::control::{MintOrder, Minted};

/// Low bits of a number that is drawn.
const DRAWN_BITS: u32 = 20;
/// What numbers rise by in a day.
const DAY: u64 = 86_400 << DRAWN_BITS;

/// Flags of `rp-server mint`.
#[derive(Args)]
pub struct MintArgs {
    /// Users, as 1..=1000000 or one number
    #[arg(long, value_name = "FIRST..=LAST", value_parser = parse_users)]
    users: RangeInclusive<u64>,
    /// Money for each of them
    #[arg(long)]
    fen: u64,
    /// Take it back from each of them instead, if the balance covers it
    #[arg(long)]
    back: bool,
    /// Number of the order: the same one again goes on where it was cut off, and serves nobody twice [default: one that is
    /// drawn and printed]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    order: Option<u64>,
}

impl MintArgs {
    /// Gives money to users, or takes it back.
    ///
    /// # Errors
    /// No server answers, or it refuses, or a SET is full; each says how to give the same order again.
    pub fn run(&self, admin: &AdminArgs) -> Result<()> {
        let number = match self.order {
            Some(number) => {
                let highest = drawn()? + DAY;
                ensure!(
                    number <= highest,
                    "--order {number}: only the highest numbers are remembered, so one above {highest} would end those that are drawn"
                );
                number
            }
            None => {
                let number = drawn()?;
                say!("order {number}");
                number
            }
        };
        let (first, last) = (*self.users.start(), *self.users.end());
        let order = MintOrder { number, first, last, fen: self.fen, takes_back: self.back };
        let answer = match ask(admin, &Question::Mint(order)) {
            Err(error) if !error.is::<Refused>() => Err(error.context(format!(
                "order {number} (the same command with --order {number} goes on with what is left of it, and serves \
                 nobody twice)"
            ))),
            answer => answer,
        };
        let Answer::Minted(minted) = answer? else { return unexpected() };
        let done = self.in_words(number, &minted);
        if minted.turned_away > 0 {
            let users = minted.turned_away;
            bail!("{done}; {users} were not asked yet: it would be more money than 63 bits count");
        }
        match (minted.refused + minted.refused_before, self.back) {
            (0, _) => say!("{done}"),
            (refused, true) => bail!("{done}; the balance of {refused} did not cover it, and they are not asked again"),
            (refused, false) => bail!(
                "{done}; {refused} did not, and are not asked again: the accounts of their SETs are full (serve with more \
                 --sets)"
            ),
        }
        Ok(())
    }

    fn in_words(&self, number: u64, minted: &Minted) -> String {
        let Minted { booked, refused, booked_before, refused_before, turned_away } = *minted;
        let fen = self.fen;
        let got = |users: u64| match self.back {
            true => format!("{users} users gave {fen} fen back each"),
            false => format!("{users} users got {fen} fen each"),
        };
        if booked + refused + turned_away == 0 {
            return format!("order {number} was carried out before, and nothing moved: {}", got(booked_before));
        }
        match booked_before + refused_before {
            0 => got(booked),
            _ => format!("{}, and {booked_before} before", got(booked)),
        }
    }
}

/// A number that no order has. Only the highest are remembered, so it rises with time.
fn drawn() -> Result<u64> {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let mut low = [0; 4];
    OsRng.try_fill_bytes(&mut low).context("drawing from the system's random source")?;
    Ok(unix_s << DRAWN_BITS | u64::from(u32::from_le_bytes(low) >> (u32::BITS - DRAWN_BITS)))
}

fn parse_users(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..=").unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("a range of users is written FIRST..=LAST, like 1..=1000000".to_string()),
    }
}
