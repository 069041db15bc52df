//! `rp-server audit`: recomputes everything from the postings of a ledger, live or stopped, and fails on one fen.
//!
//! The model that follows the postings ([`model`]) is written without the engine's code, so that one mistake is not made
//! twice. docs/LEDGER.md says by which rules.

pub mod acknowledged;
mod balances;
mod campaigns;
pub mod fault;
pub mod figures;
pub mod model;
mod notes;
mod orders;
mod packets;
mod users;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::ledger::{Place, Reader, Refusal, SqliteReader};
use acknowledged::{Claims, Denied, Heard};
use fault::{Breach, Fault, Rule};
use figures::Figures;
use model::Model;
use rp_net::{complain, say};

/// Exit codes: a rule or a client's word is broken; the ledger cannot be read.
const FAULTY: u8 = 1;
const UNREAD: u8 = 2;
/// How often a long audit says how far it is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Flags of `rp-server audit`.
#[derive(Args)]
pub struct AuditArgs {
    /// Folder of the ledger, whether a server runs on it or not
    #[arg(long, env = "RP_DATA", value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Folder that holds files which were archived; repeatable
    #[arg(long, value_name = "FOLDER")]
    archive: Vec<PathBuf>,
    /// What clients wrote down (`rp-client --acknowledged`): the ledger must have every line of it; repeatable
    #[arg(long, value_name = "FILE")]
    acknowledged: Vec<PathBuf>,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
}

impl AuditArgs {
    /// Audits and prints what was found; 0 when all is right, 1 when a rule is broken or the ledger lacks what a client was told,
    /// 2 when something cannot be read.
    pub fn run(&self) -> ExitCode {
        let start = Instant::now();
        match self.audit() {
            Ok(Ok((figures, heard))) => {
                let seconds = start.elapsed().as_secs_f64();
                if self.json {
                    let told = json!({"right": true, "seconds": seconds, "figures": figures, "acknowledged": heard});
                    say!("{told}");
                } else {
                    heard.iter().for_each(|heard| say!("{heard}"));
                    say!("{figures}\nall is right, in {seconds:.1} s");
                }
                ExitCode::SUCCESS
            }
            Ok(Err(wrong)) => {
                if self.json {
                    say!("{}", wrong.object());
                }
                complain!("rp-server: {wrong}");
                ExitCode::from(FAULTY)
            }
            Err(error) => {
                complain!("rp-server: {error:#}");
                ExitCode::from(UNREAD)
            }
        }
    }

    fn audit(&self) -> Result<Result<(Figures, Option<Heard>), Wrong>> {
        let mut reader = open(&self.data, &self.archive)?;
        let model = Model::new(reader.sets());
        let figures = match follow(&mut reader, model) {
            Ok(model) => model.figures(),
            Err(error) => Err(error.downcast::<Fault>()?),
        };
        let figures = match figures {
            Ok(figures) => figures,
            Err(fault) => return Ok(Err(Wrong::Fault(fault))),
        };
        if self.acknowledged.is_empty() {
            return Ok(Ok((figures, None)));
        }
        let heard = match Claims::read(&self.acknowledged)? {
            Ok(claims) => claims.hold(&mut reader, &self.acknowledged)?,
            Err(denied) => Err(denied),
        };
        Ok(heard.map(|heard| (figures, Some(heard))).map_err(Wrong::Denied))
    }
}

/// Why an audit fails.
enum Wrong {
    /// The ledger breaks a rule.
    Fault(Fault),
    /// It keeps its rules, and not what a client was told.
    Denied(Denied),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wrong::Fault(fault) => fault.fmt(f),
            Wrong::Denied(denied) => denied.fmt(f),
        }
    }
}

impl Wrong {
    fn object(&self) -> Value {
        match self {
            Wrong::Fault(fault) => json!({"right": false, "fault": object(fault)}),
            Wrong::Denied(Denied { file, line, found }) => {
                json!({"right": false, "denied": {"file": file, "line": line, "found": found}})
            }
        }
    }
}

/// Opens the ledger of a folder to read it; archived files are in the folders `archives`.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn open(data: &Path, archives: &[PathBuf]) -> Result<SqliteReader> {
    is_ledger(data)?;
    SqliteReader::open(&Place::new(data))?.with_archives(archives)
}

/// Says when there is no ledger in a folder.
///
/// # Errors
/// There is none.
pub fn is_ledger(data: &Path) -> Result<()> {
    let is_there = ["state.db", "backup.whole"].iter().any(|name| data.join(name).exists());
    ensure!(is_there, "there is no ledger in {}: give its folder by --data", data.display());
    Ok(())
}

/// Follows every posting that there is.
///
/// # Errors
/// A [`Fault`], of the model's or of the disk's; or the ledger cannot be read.
pub fn follow(reader: &mut dyn Reader, mut model: Model) -> Result<Model> {
    let shows = std::io::stderr().is_terminal();
    let mut told = Instant::now();
    let mut sound = 0;
    let read = reader.read(1, &mut |position, posting| {
        model.take(position, posting)?;
        sound = position;
        if shows && position.is_multiple_of(4096) && told.elapsed() > PROGRESS {
            let _unheard = write!(std::io::stderr(), "\r{position} postings are right so far ");
            told = Instant::now();
        }
        Ok(())
    });
    match read {
        Ok(_) => Ok(model),
        Err(error) => Err(match error.downcast::<Refusal>() {
            Ok(Refusal::Damaged { file, found, .. }) => {
                let found = format!("all is right up to position {sound}, but in {file} {found}");
                Fault { place: None, breach: Breach { rule: Rule::Stored, found } }.into()
            }
            Ok(other) => other.into(),
            Err(error) => error,
        }),
    }
}

fn object(fault: &Fault) -> Value {
    let place = fault.place.as_ref();
    json!({
        "position": place.map(|place| place.position),
        "set": place.map(|place| place.set),
        "sequence": place.map(|place| place.sequence),
        "act": place.map(|place| place.act.name()),
        "rule": format!("{:?}", fault.breach.rule),
        "sentence": fault.breach.rule.sentence(),
        "found": fault.breach.found,
    })
}
