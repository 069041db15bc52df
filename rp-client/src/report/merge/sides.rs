//! The server's side of several machines' reports: their books, and what it counted by the second.

use std::collections::BTreeMap;

use super::of_whom;
use crate::audit::Equation;
use crate::conductor::Reconciled;
use crate::report::Report;
use crate::report::server::{ServerSecond, ServerSide, Snapshot};

/// Equations of the addresses are added; those of the whole server are whose machine ended last.
pub fn reconciled(reports: &[Report]) -> Reconciled {
    let books = || reports.iter().map(|report| &report.reconciled);
    let mut equations: Vec<Equation> = Vec::new();
    for equation in books().flat_map(|books| &books.equations).filter(|equation| !equation.of_all) {
        match equations.iter_mut().find(|sum| sum.what == equation.what && sum.beside == equation.beside) {
            Some(sum) => {
                sum.ours += equation.ours;
                sum.theirs += equation.theirs;
            }
            None => equations.push(equation.clone()),
        }
    }
    if let Some(last) = reports.iter().max_by_key(|report| report.ended_us) {
        equations.extend(last.reconciled.equations.iter().filter(|equation| equation.of_all).cloned());
    }
    Reconciled {
        ok: books().all(|books| books.ok),
        checked: books().all(|books| books.checked),
        restarted: books().any(|books| books.restarted),
        differences: reports.iter().flat_map(|r| r.reconciled.differences.iter().map(|d| of_whom(r, d))).collect(),
        equations,
    }
}

/// What the server counted of all machines' addresses, and its snapshots, which are of everybody already.
pub fn server(reports: &[Report]) -> ServerSide {
    let mut seconds = BTreeMap::<u64, ServerSecond>::new();
    let mut snapshots = BTreeMap::<u64, Snapshot>::new();
    for side in reports.iter().map(|report| &report.server) {
        for (second, row) in side.by_second() {
            seconds.entry(second).and_modify(|sum| sum.add(&row)).or_insert(row);
        }
        for row in &side.snapshots {
            snapshots.entry(row.unix_s).or_insert_with(|| row.clone());
        }
    }
    ServerSide { per_second: seconds.into_values().collect(), snapshots: snapshots.into_values().collect() }
}
