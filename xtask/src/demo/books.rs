//! The books of kernel, server and clients, laid side by side: to the datagram and to the fen.
//!
//! It runs after the last datagram. Each line is an equation; a line that does not hold becomes a sentence that names both
//! sides, and the demo fails.

use std::collections::BTreeSet;
use std::ops::Add as _;

use super::evidence::Evidence;
use crate::answers::{Counts, KernelCounts, Status, Sum, add_up, by_kind, total};
use crate::lab::BySockets;

/// Equations that were checked, and those that do not hold.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Equations checked.
    pub checked: usize,
    /// One sentence for each that does not hold.
    pub differences: Vec<String>,
}

impl Books {
    /// Lays the books side by side.
    pub fn of(evidence: &Evidence) -> Books {
        let mut books = Books::default();
        books.requests(evidence);
        if let Some(kernel) = &evidence.kernel {
            books.kernel(evidence, kernel);
        }
        if let Some(stack) = evidence.stack {
            books.stack(&evidence.status, stack);
        }
        books.replies(evidence);
        books.money(evidence);
        books.verdicts(evidence);
        books
    }

    fn agree<T: PartialEq + std::fmt::Display>(&mut self, left: &str, a: T, right: &str, b: T) {
        self.checked += 1;
        if a != b {
            self.differences.push(format!("{left}: {a}, but {right}: {b}"));
        }
    }

    fn requests(&mut self, evidence: &Evidence) {
        let sent = add_up(evidence.reports.iter().map(|report| &report.datagrams.sent));
        let status = &evidence.status;
        let arrived = evidence.kernel.as_ref().map_or(status.received.clone(), |kernel| by_kind(&kernel.kinds));
        for kind in names_of(&sent, &arrived) {
            let (a, b) = (count(&sent, &kind), count(&arrived, &kind));
            self.agree(&format!("clients sent {kind}"), a, &format!("gate or server received {kind}"), b);
        }
        let received = total(&status.received);
        let workers = status.workers.iter().map(|worker| worker.received).sum();
        self.agree("the server received", received, "its workers", workers);
        self.agree("the server received", received, "it replied to, accepted and dropped", status.ended());
    }

    fn kernel(&mut self, evidence: &Evidence, kernel: &KernelCounts) {
        let at = |place| kernel.place(place);
        let up = at("passed_here") + at("sent_to_cpu") + at("sent_to_xsk") + at("redirect_failed");
        let went = at("not_ours") + kernel.dropped() + at("answered") + up;
        self.agree("the gate saw", at("seen"), "it answered, passed, sent and dropped", went);
        let answers = total(&by_kind(&kernel.answers));
        self.agree("the gate answered", at("answered"), "by kind", answers);
        if let Some(driver) = evidence.driver {
            let handed = driver.sent + driver.errors;
            self.agree("the gate answered", at("answered"), "the drivers transmitted or lost", handed);
        }
        self.agree("the gate sent to other CPUs", at("sent_to_cpu"), "of which arrived", at("cpu_passed"));
        let passed = at("passed_here") + at("redirect_failed") + at("cpu_passed");
        self.agree("the gate passed up", passed, "sockets were chosen for", at("selected") + at("select_fallback"));
        let status = &evidence.status;
        let taken = total(&status.received) - status.from_xsk + status.socket_overflow;
        self.agree("the gate passed up", passed, "the workers took or overflowed", taken);
        let past = status.from_xsk + status.xsk_lost;
        self.agree("the gate sent past the stack", at("sent_to_xsk"), "the workers took or lost", past);
        for (kind, row) in &kernel.ups {
            let server = count(&evidence.status.received, kind);
            self.agree(&format!("the gate passed {kind}"), row.datagrams, "the server received", server);
        }
    }

    fn stack(&mut self, status: &Status, stack: BySockets) {
        let taken = total(&status.received) - status.from_xsk;
        self.agree("the workers took from sockets", taken, "the stack gave them", stack.read);
        let sent = total(&status.sent) - status.sent_by_xsk;
        self.agree("the workers sent by sockets", sent, "the stack sent", stack.sent);
    }

    fn replies(&mut self, evidence: &Evidence) {
        let status = &evidence.status;
        let workers = status.workers.iter().map(|worker| worker.sent).sum();
        self.agree("the server sent", total(&status.sent), "its workers", workers);
        let received = add_up(evidence.reports.iter().map(|report| &report.datagrams.received));
        let gate = evidence.kernel.as_ref().map(|kernel| by_kind(&kernel.answers)).unwrap_or_default();
        let sent = add_up([&status.sent, &gate]);
        let lost = evidence.driver.map_or(0, |driver| driver.errors);
        let arrived = total(&received) + lost;
        self.agree("gate and server sent", total(&sent), "clients received or the drivers lost", arrived);
        for kind in names_of(&received, &sent) {
            let (a, b) = (count(&sent, &kind), count(&received, &kind));
            // Of what kind the lost ones were the drivers do not say.
            let arrived = if b <= a && a - b <= lost { a } else { b };
            self.agree(&format!("gate and server sent {kind}"), a, &format!("clients received {kind}"), arrived);
        }
        let discarded = add_up(evidence.reports.iter().map(|report| &report.datagrams.discarded));
        self.agree("clients discarded", total(&discarded), "they should have", 0);
    }

    fn money(&mut self, evidence: &Evidence) {
        let books = &evidence.status.money;
        let sum =
            |of: fn(&crate::answers::Report) -> Sum| evidence.reports.iter().map(of).fold(Sum::default(), Sum::add);
        self.agree("the server's prizes won", books.prizes, "the clients'", sum(|r| r.money.prizes));
        self.agree("the server's packets made", books.made, "the clients'", sum(|r| r.money.sent));
        self.agree("the server's shares taken", books.taken, "the clients'", sum(|r| r.money.taken));
        self.agree("the server's postings balance", books.balanced, "they should", true);
    }

    fn verdicts(&mut self, evidence: &Evidence) {
        for (number, report) in (1..).zip(&evidence.reports) {
            let found = [report.reconciled.differences.as_slice(), report.failures.as_slice()].concat().join("; ");
            self.agree(&format!("client machine {number} found"), found.as_str(), "it should find no fault", "");
            self.agree(
                &format!("client machine {number} read the totals"),
                report.reconciled.checked,
                "it should",
                true,
            );
            let lost = report.datagrams.unsent + report.datagrams.overflow + report.datagrams.damaged;
            self.agree(&format!("client machine {number} could not send, keep or read"), lost, "it should", 0);
        }
    }
}

fn names_of(left: &Counts, right: &Counts) -> BTreeSet<String> {
    left.keys().chain(right.keys()).cloned().collect()
}

fn count(counts: &Counts, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or(0)
}
