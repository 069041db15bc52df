//! The rows of what it costs to be looked at.

use super::Row;
use crate::bench::admin::Looked;
use crate::bench::turn::median;
use crate::demo::table::Target;

/// Percent of a worker's time that all of it may cost.
const SHARE_MAX: f64 = 1.0;

/// Control plane and HTTP beside a laden worker, and what the worker notices.
pub(super) fn rows(looked: &[Looked], rows: &mut Vec<Row>) {
    let of = |is_looked_at: bool, value: fn(&Looked) -> f64| {
        median(looked.iter().filter(|turn| turn.is_looked_at == is_looked_at).map(value))
    };
    let (Some(share), Some(alone)) = (of(true, |turn| turn.share_percent), of(false, |turn| turn.share_percent)) else {
        return;
    };
    let rate = of(true, |turn| turn.answered_per_s).unwrap_or(0.0);
    let http = of(true, |turn| turn.http_percent).unwrap_or(0.0);
    let name = "a worker's time that control and HTTP take, scraped and listened to";
    let note = format!("nobody looking {alone:.2} %; HTTP alone {http:.2} %; {rate:.0} shakes/s answered");
    rows.push(Row::new(name, "%", share).target(Target::AtMost(SHARE_MAX)).note(note));
    if let (Some(seen), Some(unseen)) = (of(true, |turn| turn.worker_us), of(false, |turn| turn.worker_us)) {
        let row = Row::new("a worker's CPU per answer, scraped and listened to", "us", seen);
        rows.push(row.beside("nobody looking", unseen));
    }
}
