//! What the one user's answers look like: a sentence for people, or an object of JSON.

use rp_core::posting::Act;
use rp_core::steer::{set_of_session, set_of_user};
use rp_core::wire::{Grabbed, HistoryRow, NoticeType, Sent};
use rp_net::say;
use serde_json::{Value, json};

use super::money::PacketDetail;
use super::trouble::{Trouble, sentence};
use super::{Luck, News, Ponged, Welcomed};
use crate::cli::clock_face;

/// A sentence, and the same as an object.
pub struct Answer {
    text: String,
    object: Value,
}

impl Answer {
    /// Prints one of them.
    pub fn tell(&self, is_json: bool) {
        if is_json { say!("{}", self.object) } else { say!("{}", self.text) }
    }

    /// Logged in.
    pub fn welcome(user: u64, welcome: &Welcomed) -> Self {
        let Welcomed { session, is_sealed, sets, idle_s, request_highest } = *welcome;
        let (set, sealed) = (set_of_user(user, sets.into()), if is_sealed { "sealed" } else { "NOT sealed" });
        debug_assert_eq!(set, set_of_session(session));
        let text = format!(
            "user {user} is in: session {session:#010x} in SET {set} of {sets}, money {sealed}, last request number \
             {request_highest}; it ends after {idle_s} s of silence"
        );
        let object = json!({ "answer": "welcome", "user": user, "session": session, "set": set, "sets": sets,
            "sealed": is_sealed, "request_highest": request_highest, "idle_s": idle_s });
        Self { text, object }
    }

    /// A pong.
    pub fn pong(pong: Ponged) -> Self {
        let Ponged { round_trip_us, clock_offset_us } = pong;
        let (way_ms, off_ms) = (round_trip_us as f64 / 1e3, clock_offset_us as f64 / 1e3);
        let object = json!({ "answer": "pong", "round_trip_us": round_trip_us, "clock_offset_us": clock_offset_us });
        Self {
            text: format!("there and back in {way_ms:.3} ms; the server's clock is {off_ms:+.3} ms off ours"),
            object,
        }
    }

    /// What came of a shake.
    pub fn luck(number: u32, luck: Luck) -> Self {
        match luck {
            Luck::Nothing => Self {
                text: format!("shake {number}: nothing"),
                object: json!({ "answer": "nothing", "shake": number }),
            },
            Luck::Prize { about, fen } => {
                let (campaign, prize) = (about >> 32, about & u64::from(u32::MAX));
                let object =
                    json!({ "answer": "prize", "shake": number, "fen": fen, "campaign": campaign, "prize": prize });
                Self {
                    text: format!("shake {number}: a prize of {fen} fen, number {prize} of campaign {campaign}"),
                    object,
                }
            }
        }
    }

    /// A packet is made.
    pub fn sent(sent: &Sent, request: u64) -> Self {
        let Sent { packet, balance_fen, .. } = *sent;
        let object = json!({ "answer": "sent", "packet": packet, "balance_fen": balance_fen, "request": request });
        Self { text: format!("packet {packet} is made (request {request}); {balance_fen} fen are left"), object }
    }

    /// A share is taken.
    pub fn grabbed(grabbed: &Grabbed, request: u64) -> Self {
        let Grabbed { packet, share_fen, balance_fen, .. } = *grabbed;
        let object = json!({ "answer": "grabbed", "packet": packet, "share_fen": share_fen, "balance_fen": balance_fen,
            "request": request });
        let text = format!("{share_fen} fen of packet {packet} (request {request}); the balance is {balance_fen} fen");
        Self { text, object }
    }

    /// Who took what.
    pub fn detail(detail: &PacketDetail) -> Self {
        let page = &detail.page;
        let state = ["open", "finished", "refunded"].get(usize::from(page.state)).copied().unwrap_or("unknown");
        let best = |index: usize| index == usize::from(page.best);
        let mut text = format!(
            "packet {} of user {}, {state}: {} of {} fen left, {} of {} shares taken: {}",
            page.packet, page.sender, page.left_fen, page.total_fen, page.taken, page.shares, detail.greeting
        );
        for (index, row) in detail.rows.iter().enumerate() {
            let luck = if best(index) { "  best luck" } else { "" };
            text += &format!(
                "\n  {:>6} fen  user {}  at {}{luck}",
                row.share_fen,
                row.user,
                clock_face(row.taken_ms / 1000)
            );
        }
        let rows: Vec<Value> = detail.rows.iter().enumerate().map(|(index, row)| {
            json!({ "user": row.user, "taken_ms": row.taken_ms, "share_fen": row.share_fen, "best": best(index) })
        }).collect();
        let object = json!({ "answer": "detail", "packet": page.packet, "sender": page.sender, "state": state,
            "total_fen": page.total_fen, "left_fen": page.left_fen, "made_ms": page.made_ms, "shares": page.shares,
            "taken": page.taken, "greeting": detail.greeting, "rows": rows });
        Self { text, object }
    }

    /// The balance.
    pub fn balance(fen: u64) -> Self {
        Self { text: format!("{fen} fen"), object: json!({ "answer": "balance", "balance_fen": fen }) }
    }

    /// A row of the history.
    pub fn row(row: &HistoryRow) -> Self {
        let act = Act::of_number(row.act).map_or("unknown", Act::name);
        let about = if row.about == 0 { String::new() } else { format!("  {}", row.about) };
        let object = json!({ "answer": "row", "at_ms": row.at_ms, "act": act, "about": row.about, "fen": row.fen });
        Self { text: format!("{}  {act:<9} {:>8} fen{about}", clock_face(row.at_ms / 1000), row.fen), object }
    }

    /// What was told unasked.
    pub fn news(news: &News) -> Self {
        let News { notice, what, about, from, fen } = *news;
        let (name, text) = match what {
            NoticeType::Prize => {
                let (campaign, prize) = (about >> 32, about & u64::from(u32::MAX));
                ("prize", format!("a prize of {fen} fen was won, number {prize} of campaign {campaign}"))
            }
            NoticeType::Packet => (
                "packet",
                format!("packet {about} of {fen} fen from user {from}: `rp-client one grab {about}` takes a share"),
            ),
            NoticeType::Refund => ("refund", format!("packet {about} came back: {fen} fen of it were not taken")),
        };
        let object =
            json!({ "answer": "notice", "notice": notice, "what": name, "about": about, "from": from, "fen": fen });
        Self { text: format!("notice {notice}: {text}"), object }
    }

    /// Nothing came of it.
    pub fn trouble(trouble: &Trouble) -> Self {
        let object = match trouble {
            Trouble::Refused { refusal, kind, share_fen } => json!({ "answer": "refused", "refusal": refusal.name(),
                "kind": kind.name(), "share_fen": share_fen, "sentence": sentence(*refusal, *kind, *share_fen) }),
            Trouble::NoAnswer { times, waited, request, .. } => {
                json!({ "answer": "none", "times": times, "request": request,
                "waited_ms": waited.as_millis() as u64, "sentence": trouble.to_string() })
            }
            Trouble::Interrupted { request, .. } => json!({ "answer": "interrupted", "request": request,
                "sentence": trouble.to_string() }),
            Trouble::SessionLost { request } => {
                json!({ "answer": "none", "request": request, "sentence": trouble.to_string() })
            }
            Trouble::Other(_) => json!({ "answer": "none", "sentence": trouble.to_string() }),
        };
        Self { text: trouble.to_string(), object }
    }
}
