//! How the bank stands with its campaigns, in this life and in earlier ones: what an order that was cut off is held to.

use super::{Bank, Plan};

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest campaign in the ledger, or 0.
    pub newest: u32,
    /// The one that is not over.
    pub running: Option<Running>,
}

/// A campaign that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its number.
    pub number: u32,
    /// As it began, with all of its budget.
    pub plan: Plan,
    /// It only waits for what is out.
    pub is_stopped: bool,
}

impl Bank {
    /// How it stands with campaigns.
    pub fn standing(&self) -> Standing {
        let running = self.campaign.as_ref().map(|campaign| Running {
            number: campaign.number,
            plan: Plan { budget_fen: campaign.budget_fen, ..campaign.plan },
            is_stopped: campaign.is_stopped,
        });
        Standing { newest: self.campaigns, running }
    }

    /// What the campaign that closed last gave back of its budget.
    pub fn closed_fen(&self) -> u64 {
        self.closed_fen
    }
}
