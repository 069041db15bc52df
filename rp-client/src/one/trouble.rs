//! What can come in a user's way, each with its sentence and its exit code: silence, refusals by type, and the rest.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rp_core::kind::Kind;
use rp_core::wire::Refusal;

use crate::ending;

/// What was asked when there was no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// For a cookie.
    Hello,
    /// To be let in.
    Login,
    /// Anything of a session.
    Of(Kind),
}

/// Why nothing came of it.
#[derive(Debug)]
pub enum Trouble {
    /// The server said nothing.
    NoAnswer {
        /// What was asked.
        asked: Asked,
        /// Whom.
        server: SocketAddr,
        /// How often.
        times: u32,
        /// For how long.
        waited: Duration,
        /// What the system said of it.
        refusal: Option<String>,
        /// The request's number, if it moves money.
        request: Option<u64>,
    },
    /// A signal came before the answer did.
    Interrupted {
        /// What was asked.
        asked: Asked,
        /// The request's number, if it moves money.
        request: Option<u64>,
    },
    /// The server says that it has no such session: it was started anew, or the user has logged in elsewhere.
    SessionLost {
        /// The request's number, if it moves money.
        request: Option<u64>,
    },
    /// The server said no.
    Refused {
        /// Why.
        refusal: Refusal,
        /// What it refused.
        kind: Kind,
        /// With *already yours*: the share.
        share_fen: u32,
    },
    /// Anything else.
    Other(anyhow::Error),
}

impl Trouble {
    /// A refusal by its number.
    pub fn of_refusal(number: u8, kind: Kind, share_fen: u32) -> Self {
        match Refusal::of_number(number) {
            Some(refusal) => Trouble::Refused { refusal, kind, share_fen },
            None => Self::false_answer(),
        }
    }

    /// The same of a request of this number, which may have been carried out.
    #[must_use]
    pub fn of(mut self, number: u64) -> Self {
        if let Trouble::NoAnswer { request, .. }
        | Trouble::Interrupted { request, .. }
        | Trouble::SessionLost { request } = &mut self
        {
            *request = Some(number);
        }
        self
    }

    /// An answer that its own fields contradict.
    pub fn false_answer() -> Self {
        Trouble::Other(anyhow::anyhow!(
            "the server's answer is not as docs/PROTOCOL.md says: is it of another version?"
        ))
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Trouble::NoAnswer { .. } | Trouble::SessionLost { .. } => ending::NO_ANSWER,
            Trouble::Refused { refusal, .. } => ending::REFUSED + *refusal as u8,
            Trouble::Interrupted { .. } => ending::BROKEN_OFF,
            Trouble::Other(_) => ending::NO_RESULT,
        }
    }
}

impl Asked {
    fn name(self) -> String {
        match self {
            Asked::Hello => "HELLO".to_owned(),
            Asked::Login => "LOGIN".to_owned(),
            Asked::Of(kind) => kind.name().to_uppercase(),
        }
    }
}

/// What a refusal means, and what to do.
pub fn sentence(refusal: Refusal, kind: Kind, share_fen: u32) -> String {
    let text = match (refusal, kind) {
        (Refusal::Empty, _) => "all shares of this packet are taken; `detail` says by whom",
        (Refusal::Expired, Kind::Login) => "the ticket has expired: take a new one (`rp-server ticket`)",
        (Refusal::Expired, _) => "the packet is too old; what was left of it went back to its sender",
        (Refusal::AlreadyYours, _) => return format!("the user has his share of this packet already: {share_fen} fen"),
        (Refusal::NotForYou, _) => "the packet is not for this user; its sender has named others",
        (Refusal::UnknownPacket, _) => "there is no such packet: is its number right?",
        (Refusal::Insufficient, _) => {
            "the balance does not cover it: `rp-server mint --users A..=B --fen N` gives money"
        }
        (Refusal::Full, Kind::Login) => "the server has no room for another session: try again in a while",
        (Refusal::Full, _) => "a table of the server is full: try again in a while",
        (Refusal::Conflict, _) => "this request number was used for another request: leave --request out",
        (Refusal::Stale, _) => "this request number is too old to be known: leave --request out",
        (Refusal::Malformed, _) => "the rules of money do not allow it: 1 to 100 shares, each of 1 to 20 000 fen",
        (Refusal::Busy, _) => "the server is busy, and was each time it was asked again: try again in a while",
        (Refusal::NotKept, _) => "the server keeps no ledger on disk that it could read this from (--durability)",
    };
    text.to_string()
}

/// How to ask for the same again, if it moves money.
fn again(f: &mut fmt::Formatter<'_>, request: Option<u64>) -> fmt::Result {
    let Some(number) = request else { return Ok(()) };
    write!(f, "; whether it was done is not known: the same with --request {number} says so, and does it once at most")
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Refused { refusal, kind, share_fen } => {
                write!(f, "refused, {}: {}", refusal.name(), sentence(*refusal, *kind, *share_fen))
            }
            Trouble::SessionLost { request } => {
                f.write_str(
                    "the server has no such session any more: it was started anew, or the user has logged in elsewhere; ask again",
                )?;
                again(f, *request)
            }
            Trouble::Interrupted { asked, request } => {
                write!(f, "a signal came before the answer to {}", asked.name())?;
                again(f, *request)
            }
            Trouble::NoAnswer { asked, server, times, waited, refusal, request } => {
                let said = refusal.as_ref().map_or_else(String::new, |said| format!("; the system says: {said}"));
                let seconds = waited.as_secs_f64();
                let tried = format!("{} to {server} was sent {times} times in {seconds:.1} s{said}", asked.name());
                match asked {
                    Asked::Hello => write!(
                        f,
                        "no answer: {tried}. Is rp-server running there, and does a firewall let UDP through? (--server)",
                    ),
                    Asked::Login => write!(
                        f,
                        "the server answers HELLO but not LOGIN: {tried}. Is the realm key the server's own, or the ticket of its \
                         realm and not expired? (--realm-key, --ticket; `rp-server status` then counts bad_ticket)",
                    ),
                    Asked::Of(_) => write!(
                        f,
                        "the server has let the user in, but does not answer: {tried}. Has it ended, or is it overloaded? \
                         (`rp-server status`)",
                    ),
                }?;
                again(f, *request)
            }
            Trouble::Other(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_sentence_and_a_code_of_its_own() {
        let trouble = |refusal: Refusal| Trouble::Refused { refusal, kind: Kind::Grab, share_fen: 7 };
        let mut codes: Vec<u8> = Refusal::ALL.iter().map(|refusal| trouble(*refusal).code()).collect();
        for refusal in Refusal::ALL {
            let text = trouble(refusal).to_string();
            assert!(text.contains(refusal.name()) && text.len() > 40, "{text}");
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, (11..=22).collect::<Vec<u8>>());
    }
}
