//! Metrics of money: prizes, packets, sums, the ledger.

use super::{Metric, Samples, counter, gauge, histogram};
use crate::snapshot::{Campaign, Snapshot};

pub(super) const METRICS: &[Metric] = &[
    counter("redpacket_prizes_released_total", &[], "Prizes released by campaigns.", |all, to| {
        to.is(all.status.money.prizes_released.count);
    }),
    counter("redpacket_prizes_released_fen_total", &[], "Money of the prizes released.", |all, to| {
        to.is(all.status.money.prizes_released.fen)
    }),
    counter(
        "redpacket_prizes_withdrawn_total",
        &[],
        "Released prizes that nobody had won when their campaign ended.",
        |all, to| {
            to.is(all.status.money.prizes_withdrawn.count);
        },
    ),
    counter("redpacket_prizes_withdrawn_fen_total", &[], "Money of the prizes that nobody had won.", |all, to| {
        to.is(all.status.money.prizes_withdrawn.fen);
    }),
    counter("redpacket_prizes_won_total", &[], "Prizes won.", |all, to| to.is(all.status.money.prizes.count)),
    counter("redpacket_prizes_won_fen_total", &[], "Money of the prizes won.", |all, to| {
        to.is(all.status.money.prizes.fen)
    }),
    counter("redpacket_packets_made_total", &[], "Packets made.", |all, to| to.is(all.status.money.made.count)),
    counter("redpacket_packets_made_fen_total", &[], "Money of the packets made.", |all, to| {
        to.is(all.status.money.made.fen)
    }),
    counter("redpacket_shares_taken_total", &[], "Shares taken of packets.", |all, to| {
        to.is(all.status.money.taken.count)
    }),
    counter("redpacket_shares_taken_fen_total", &[], "Money of the shares taken.", |all, to| {
        to.is(all.status.money.taken.fen)
    }),
    counter("redpacket_packets_refunded_total", &[], "Packets of which something went back.", |all, to| {
        to.is(all.status.money.refunded.count);
    }),
    counter(
        "redpacket_packets_refunded_fen_total",
        &[],
        "Money of packets that went back to their senders.",
        |all, to| to.is(all.status.money.refunded.fen),
    ),
    gauge("redpacket_packets_open", &[], "Packets open.", |all, to| to.is(all.status.money.open.count)),
    gauge("redpacket_packets_open_fen", &[], "Money left in open packets.", |all, to| to.is(all.status.money.open.fen)),
    gauge("redpacket_issued_fen", &[], "Money issued, less what came back for good.", |all, to| {
        to.is(all.status.money.issued_fen);
    }),
    gauge("redpacket_users_fen", &[], "Money of the users.", |all, to| to.is(all.status.money.users_fen)),
    gauge("redpacket_packets_fen", &[], "Money held for packets; at rest what is left in the open ones.", |all, to| {
        to.is(all.status.money.packets_fen);
    }),
    gauge("redpacket_campaigns_fen", &[], "Budgets, and prizes that wait.", |all, to| {
        to.is(all.status.money.campaign_fen)
    }),
    gauge("redpacket_transit_fen", &[], "Money between SETs and the bank.", |all, to| {
        to.is(all.status.money.transit_fen)
    }),
    gauge("redpacket_money_balanced", &[], "1 if all sums agree, at any time.", |all, to| {
        to.is(u8::from(all.status.money.balanced));
    }),
    counter("redpacket_sums_checked_total", &[], "Checks of a SET's sums; a failed one ends the server.", |all, to| {
        to.is(all.status.money.sums_checked);
    }),
    gauge("redpacket_campaign_number", &[], "The running campaign; 0: none.", |all, to| {
        to.is(all.campaign.map_or(0, |campaign| campaign.number));
    }),
    gauge("redpacket_campaign_prizes_per_second", &[], "Prizes that the running campaign is to release.", |all, to| {
        running(all, to, |campaign| campaign.plan.rate.into());
    }),
    gauge("redpacket_campaign_released", &[], "Prizes that the running campaign released.", |all, to| {
        running(all, to, |campaign| campaign.released.into());
    }),
    gauge("redpacket_campaign_budget_fen", &[], "What is left of the running campaign's budget.", |all, to| {
        running(all, to, |campaign| campaign.plan.budget_fen);
    }),
    gauge("redpacket_ledger_info", &["durability"], "1; how postings are kept.", |all, to| {
        to.add(&[&all.status.ledger.durability], 1);
    }),
    gauge("redpacket_ledger_postings", &[], "Postings on disk, of earlier starts too.", |all, to| {
        to.is(all.status.ledger.postings);
    }),
    histogram("redpacket_ledger_commit_seconds", "Time of a commit of the ledger.", |all, to| {
        to.times(&all.times.commit)
    }),
    counter("redpacket_ledger_answers_total", &[], "Histories and forgotten packets read from it.", |all, to| {
        to.is(all.status.ledger.answered);
    }),
    counter(
        "redpacket_ledger_answers_late_total",
        &[],
        "Histories and forgotten packets read for a session that was gone by then.",
        |all, to| {
            to.is(all.status.ledger.answers_late);
        },
    ),
    gauge("redpacket_ledger_answer_longest_seconds", &[], "The longest such answer.", |all, to| {
        to.is(all.status.ledger.answer_longest_us as f64 / 1e6);
    }),
];

fn running(all: &Snapshot, to: &mut Samples<'_>, figure: fn(&Campaign) -> u64) {
    if let Some(campaign) = &all.campaign {
        to.is(figure(campaign));
    }
}
