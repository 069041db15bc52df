//! Metrics of datagrams, sessions and answers, at the gate and at the workers.

use std::collections::BTreeMap;
use std::fmt::Display;

use rp_core::gate_counters::{ANSWERS, Counts, Place, Row};
use rp_core::kind::Kind;
use rp_core::reason::Reason;

use super::{Metric, Samples, counter, gauge, histogram};
use crate::snapshot::Snapshot;

pub(super) const METRICS: &[Metric] = &[
    counter(
        "redpacket_kernel_datagrams_total",
        &["place", "cpu"],
        "Frames in a place of the kernel's path.",
        |all, to| {
            places(all, to, |row| row.datagrams);
        },
    ),
    counter("redpacket_kernel_bytes_total", &["place", "cpu"], "Bytes of the frames in that place.", |all, to| {
        places(all, to, |row| row.bytes);
    }),
    counter("redpacket_kernel_requests_total", &["kind", "cpu"], "Requests that the gate saw.", |all, to| {
        let rows = requests().map(|kind| (kind.name(), kind));
        by_cpu(all, to, rows, |counts, kind| counts.kind(kind).datagrams);
    }),
    counter("redpacket_kernel_up_total", &["kind", "cpu"], "Requests that went up to their worker.", |all, to| {
        let rows = requests().map(|kind| (kind.name(), kind));
        by_cpu(all, to, rows, |counts, kind| counts.up(kind).datagrams);
    }),
    counter("redpacket_kernel_answers_total", &["kind", "cpu"], "Requests that the gate answered.", |all, to| {
        let rows = ANSWERS.into_iter().map(|kind| (kind.name(), kind));
        by_cpu(all, to, rows, |counts, kind| counts.answer(kind).datagrams);
    }),
    counter("redpacket_kernel_dropped_total", &["reason", "cpu"], "Datagrams that the gate dropped.", |all, to| {
        let rows = Reason::ALL.iter().map(|reason| (reason.name(), *reason));
        by_cpu(all, to, rows, |counts, reason| counts.reason(reason).datagrams);
    }),
    counter(
        "redpacket_requests_received_total",
        &["kind"],
        "Requests that workers received; none: no request.",
        |all, to| {
            named(to, &all.status.received);
        },
    ),
    counter("redpacket_replies_sent_total", &["kind"], "Replies and notices that workers sent.", |all, to| {
        named(to, &all.status.sent);
    }),
    counter("redpacket_requests_dropped_total", &["reason"], "Requests that workers dropped.", |all, to| {
        named(to, &all.status.dropped);
    }),
    counter("redpacket_requests_replied_total", &[], "Requests that workers answered.", |all, to| {
        to.is(all.status.replied)
    }),
    counter("redpacket_requests_accepted_total", &[], "Requests that need no reply at once.", |all, to| {
        to.is(all.status.accepted);
    }),
    counter("redpacket_worker_received_total", &["worker", "cpu"], "Datagrams that a worker received.", |all, to| {
        all.status.workers.iter().enumerate().for_each(|(at, worker)| to.add(&[&at, &worker.cpu], worker.received));
    }),
    counter("redpacket_worker_replied_total", &["worker", "cpu"], "Requests that a worker answered.", |all, to| {
        all.status.workers.iter().enumerate().for_each(|(at, worker)| to.add(&[&at, &worker.cpu], worker.replied));
    }),
    counter("redpacket_worker_sent_total", &["worker", "cpu"], "Replies and notices that a worker sent.", |all, to| {
        all.status.workers.iter().enumerate().for_each(|(at, worker)| to.add(&[&at, &worker.cpu], worker.sent));
    }),
    histogram(
        "redpacket_worker_latency_seconds",
        "From a batch's receipt to the hand-over of its replies.",
        |all, to| {
            to.times(&all.times.worker);
        },
    ),
    histogram(
        "redpacket_durable_latency_seconds",
        "From a posting to its reply's leaving, the disk between.",
        |all, to| {
            to.times(&all.times.durable);
        },
    ),
    counter("redpacket_socket_overflow_total", &[], "Datagrams that the sockets' buffers did not hold.", |all, to| {
        to.is(all.status.socket_overflow);
    }),
    counter("redpacket_xsk_received_total", &[], "Requests that came past the stack, by AF_XDP.", |all, to| {
        to.is(all.status.from_xsk);
    }),
    counter("redpacket_xsk_sent_total", &[], "Replies handed to AF_XDP.", |all, to| to.is(all.status.sent_by_xsk)),
    counter("redpacket_xsk_lost_total", &[], "Datagrams that an AF_XDP socket did not hold.", |all, to| {
        to.is(all.status.xsk_lost);
    }),
    counter("redpacket_send_failures_total", &[], "Replies that the kernel refused.", |all, to| {
        to.is(all.status.send_failed)
    }),
    counter("redpacket_notices_refused_total", &[], "Notices refused because a list was full.", |all, to| {
        to.is(all.status.notices_refused);
    }),
    gauge("redpacket_sessions", &[], "Sessions open.", |all, to| to.is(all.status.sessions)),
    gauge("redpacket_set_sessions", &["set"], "Sessions open in a SET.", |all, to| {
        all.sets.iter().enumerate().for_each(|(set, sessions)| to.add(&[&set], sessions));
    }),
    gauge("redpacket_accounts", &[], "Accounts held in memory.", |all, to| to.is(all.status.accounts)),
    counter("redpacket_logins_total", &[], "Sessions opened.", |all, to| to.is(all.status.logins)),
    counter("redpacket_logouts_total", &[], "Sessions closed.", |all, to| to.is(all.status.logouts)),
    counter("redpacket_idle_logouts_total", &[], "Sessions closed because they were idle.", |all, to| {
        to.is(all.status.idle_outs);
    }),
    gauge(
        "redpacket_client_sessions",
        &["client"],
        "Sessions open from an address; those with the most.",
        |all, to| {
            all.clients.iter().for_each(|row| to.add(&[&row.client], row.sessions));
        },
    ),
    counter(
        "redpacket_client_received_total",
        &["client"],
        "Requests from that address, gate and workers.",
        |all, to| {
            all.clients.iter().for_each(|row| to.add(&[&row.client], row.received));
        },
    ),
    counter(
        "redpacket_client_dropped_total",
        &["client"],
        "Requests of this address dropped with a reason.",
        |all, to| {
            all.clients.iter().for_each(|row| to.add(&[&row.client], row.dropped));
        },
    ),
    counter("redpacket_client_sent_total", &["client"], "Replies and notices sent to that address.", |all, to| {
        all.clients.iter().for_each(|row| to.add(&[&row.client], row.sent));
    }),
];

fn requests() -> impl Iterator<Item = Kind> + Clone {
    Kind::ALL.iter().copied().filter(|kind| kind.is_request())
}

fn named(to: &mut Samples<'_>, rows: &BTreeMap<String, u64>) {
    rows.iter().for_each(|(name, count)| to.add(&[name], count));
}

fn places(all: &Snapshot, to: &mut Samples<'_>, part: fn(Row) -> u64) {
    let rows = Place::ALL.iter().map(|place| (place.name(), *place));
    by_cpu(all, to, rows, |counts, place| part(counts.place(place)));
}

/// A sample for each row and CPU that counted something.
fn by_cpu<T: Copy>(
    all: &Snapshot,
    to: &mut Samples<'_>,
    rows: impl Iterator<Item = (&'static str, T)> + Clone,
    value: impl Fn(&Counts, T) -> u64,
) {
    for (cpu, counts, _) in all.kernel.iter().flat_map(|kernel| kernel.used()) {
        for (name, row) in rows.clone() {
            to.add(&[&name as &dyn Display, &cpu], value(counts, row));
        }
    }
}
