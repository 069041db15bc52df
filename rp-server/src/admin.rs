//! The admin socket: questions and answers as lines of JSON over a unix socket that only its owner can open.

pub mod ask;
pub mod serve;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use clap::Args;
use rp_core::engine::bank::Plan;
use serde::{Deserialize, Serialize};

use crate::control::{MintOrder, Minted, PlanChange};
use crate::limits::{LimitArgs, LimitChange};
use crate::network::Net;
use crate::sight::{ClientStatus, Second, Status};

/// What may be asked.
#[derive(Serialize, Deserialize)]
pub enum Question {
    /// Everything about the server.
    Status,
    /// The snapshot of a second, or the newest.
    Snapshot {
        /// Since 1970.
        second: Option<u64>,
    },
    /// Sessions by client address.
    Sessions,
    /// When the shakes came.
    Timeline,
    /// The running campaign.
    CampaignShow,
    /// Start a campaign.
    CampaignStart(#[serde(with = "PlanFields")] Plan),
    /// Stop it.
    CampaignStop,
    /// Change it.
    CampaignChange(PlanChange),
    /// Read the configuration again, and change to it.
    Reload,
    /// Change limits, and show those that hold then.
    Limits(LimitChange),
    /// Change the deny list, and show it.
    Deny {
        /// Prefixes to put on it.
        add: Vec<Net>,
        /// Prefixes to take off it.
        remove: Vec<Net>,
    },
    /// Give money to each user of a range, or take it back.
    Mint(MintOrder),
}

/// What is answered.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// See [`Status`].
    Status(Box<Status>),
    /// A [`Snapshot`](crate::snapshot::Snapshot) as JSON.
    Snapshot(String),
    /// See [`ClientStatus`].
    Sessions(Vec<ClientStatus>),
    /// See [`Second`].
    Timeline(Vec<Second>),
    /// The running campaign.
    Campaign {
        /// Its number.
        number: u32,
        /// What was asked, the budget less what was released.
        #[serde(with = "PlanFields")]
        plan: Plan,
        /// Prizes released.
        released: u32,
    },
    /// Money was given out, or taken back.
    Minted(Minted),
    /// The limits that hold.
    Limits(LimitArgs),
    /// The deny list.
    Denied(Vec<Net>),
    /// Done, in words.
    Done(String),
    /// Not done, and why.
    Refused(String),
}

// rp-core knows no serde; these are the fields of its plan, checked against it by the compiler.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Plan")]
pub(crate) struct PlanFields {
    budget_fen: u64,
    rate: u32,
    from_fen: u64,
    to_fen: u64,
    per_user: u8,
}

/// Where the admin socket is.
#[derive(Args, Clone)]
pub struct AdminArgs {
    /// Admin socket [default: /run/red-packet/admin.sock as root, else the user's own]
    #[arg(long, env = "RP_ADMIN", value_name = "SOCKET", global = true, help_heading = "Operator")]
    admin: Option<PathBuf>,
}

impl AdminArgs {
    /// The socket's path.
    pub fn path(&self) -> PathBuf {
        if let Some(path) = &self.admin {
            return path.clone();
        }
        let user = std::fs::metadata("/proc/self").map_or(0, |of| of.uid());
        match (user, std::env::var_os("XDG_RUNTIME_DIR")) {
            (0, _) => PathBuf::from("/run/red-packet/admin.sock"),
            (_, Some(dir)) => PathBuf::from(dir).join("red-packet.sock"),
            (user, None) => PathBuf::from(format!("/tmp/red-packet-{user}.sock")),
        }
    }
}
