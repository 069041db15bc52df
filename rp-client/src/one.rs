//! `rp-client one`: be one user by hand, against a real server: log in, ask one thing, say what came, log out.
//!
//! Each call is a session of its own, one socket, one question at a time, and waits for its answer; the wire is rp-core's.
//! It ends the session that the same user has elsewhere, as any log-in does.

pub mod account;
pub mod answer;
pub mod line;
pub mod money;
pub mod order;
pub mod trouble;

use std::net::SocketAddr;
use std::time::Duration;

use rand_core::{OsRng, TryRngCore};
use rp_core::key::{Key, SealingKey, seal, sealing_key, session_key, verifies};
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::sealing::{close_money, open_money};
use rp_core::steer::set_hash;
use rp_core::wire::{
    Challenge, FLAG_SEALED, HELLO_LEN, Hello, Login, LoginRefused, Notice, NoticeAck, NoticeType, Ping, Pong, Prize,
    SHAKE_LEN, SessionHead, TAG_LEN, TRAILER, UNKNOWN_SESSION_LEN, Welcome,
};

use crate::clock::Clock;
use account::Account;
use line::Line;
use trouble::{Asked, Trouble};

/// Tenths of a second in a BUSY's flags.
const BUSY_UNIT: Duration = Duration::from_millis(100);
/// A server that says *busy* so often, one after the other, is taken at its word.
const BUSY_MAX: u32 = 20;

/// A user's session.
pub struct One {
    account: Account,
    line: Line,
    clock: Clock,
    key: Key,
    sealing: Option<SealingKey>,
    session: u32,
    sequence: u32,
    counter: u64,
    /// The user's last request number.
    request: u64,
    shaking: bool,
    seen: Vec<u64>,
    /// What the server told unasked, in order; whoever takes it says it.
    pub news: Vec<News>,
}

/// What a user is told unasked: a notice, or the prize of his shake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct News {
    pub notice: u64,
    pub what: NoticeType,
    pub about: u64,
    pub from: u64,
    pub fen: u64,
}

/// A true datagram of this session, opened.
struct Heard {
    kind: Kind,
    bytes: [u8; DATAGRAM_MAX],
    len: usize,
}

impl Heard {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What a WELCOME says, and how far away it was said.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Welcomed {
    pub session: u32,
    pub is_sealed: bool,
    pub sets: u16,
    pub idle_s: u16,
    pub request_highest: u64,
}

/// What a PONG says.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Ponged {
    pub round_trip_us: u64,
    pub clock_offset_us: i64,
}

/// What came of a shake.
#[derive(Clone, Copy, Debug)]
pub enum Luck {
    /// Nothing.
    Nothing,
    /// A prize.
    Prize {
        /// Campaign in the high half, number in the low.
        about: u64,
        /// Its money.
        fen: u64,
    },
}

fn random() -> Result<u64, Trouble> {
    OsRng.try_next_u64().map_err(|e| Trouble::Other(anyhow::anyhow!("drawing from the system's random source: {e}")))
}

impl One {
    /// A user who is not logged in.
    ///
    /// # Errors
    /// No socket towards the server can be opened.
    pub fn new(server: SocketAddr, account: Account, patience: Duration) -> Result<Self, Trouble> {
        let line = Line::open(server, patience).map_err(Trouble::Other)?;
        Ok(Self {
            account,
            line,
            clock: Clock::start(),
            key: [0; 16],
            sealing: None,
            session: 0,
            sequence: 0,
            counter: 0,
            request: 0,
            shaking: false,
            seen: Vec::new(),
            news: Vec::new(),
        })
    }

    /// HELLO, CHALLENGE, LOGIN, WELCOME; then a PING, which ends the user's session elsewhere.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub fn log_in(&mut self) -> Result<Welcomed, Trouble> {
        let nonce = random()?;
        let set_hash = set_hash(self.account.user);
        let mut hello = [0; HELLO_LEN];
        Hello { flags: 0, set_hash, client_nonce: nonce }.put(&mut hello);
        let is_challenge = |bytes: &[u8]| {
            let challenge = Challenge::take(bytes).filter(|_| bytes.len() == Challenge::LEN);
            challenge.filter(|challenge| is_kind(bytes, Kind::Challenge) && challenge.client_nonce == nonce)
        };
        let challenge = self.line.ask(Asked::Hello, || hello.to_vec(), is_challenge)?;
        let secret = self.account.secret;
        let mut login = [0; DATAGRAM_MAX];
        let ticket = self.account.ticket;
        let len = Login { flags: 0, set_hash, client_nonce: nonce, cookie: challenge.cookie, ticket }.put(&mut login);
        let len = seal(&secret, &mut login, len);
        let answer = self.line.ask(Asked::Login, || login[..len].to_vec(), |bytes| answer_of(bytes, &secret, nonce))?;
        let welcome = answer.map_err(|refused| Trouble::of_refusal(refused.refusal, Kind::Login, 0))?;
        self.key = session_key(&secret, nonce, welcome.server_nonce, welcome.session);
        let is_sealed = welcome.flags & FLAG_SEALED != 0;
        self.sealing = is_sealed.then(|| sealing_key(&secret, nonce, welcome.server_nonce, welcome.session));
        (self.session, self.sequence, self.counter) = (welcome.session, 0, 0);
        self.request = self.request.max(welcome.request_highest);
        self.ping()?;
        Ok(Welcomed {
            session: welcome.session,
            is_sealed,
            sets: welcome.sets,
            idle_s: welcome.idle_s,
            request_highest: welcome.request_highest,
        })
    }

    /// How long the way is, and what time it is there.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn ping(&mut self) -> Result<Ponged, Trouble> {
        let heard = self.by_sequence(Asked::Of(Kind::Ping), &[Kind::Pong])?;
        let pong = Pong::take(heard.bytes()).ok_or_else(Trouble::false_answer)?;
        let round_trip_us = self.clock.now_us().saturating_sub(pong.client_time_us);
        let middle_us = pong.client_time_us + round_trip_us / 2;
        Ok(Ponged { round_trip_us, clock_offset_us: pong.server_time_us.wrapping_sub(middle_us) as i64 })
    }

    /// Asks for luck.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn shake(&mut self) -> Result<Luck, Trouble> {
        self.shaking = true;
        let heard = self.by_sequence(Asked::Of(Kind::Shake), &[Kind::Nothing, Kind::Prize]);
        self.shaking = false;
        let heard = heard?;
        if heard.kind == Kind::Nothing {
            return Ok(Luck::Nothing);
        }
        let prize = Prize::take(heard.bytes()).ok_or_else(Trouble::false_answer)?;
        // It is the answer, not news beside it.
        self.news.retain(|news| news.notice != prize.notice);
        Ok(Luck::Prize { about: prize.about, fen: prize.fen })
    }

    /// Logs out, if there is a session; a server that says nothing has no more of it than one that forgets.
    pub fn log_out(&mut self) {
        if self.session == 0 {
            return;
        }
        self.line.part();
        let _gone_anyway = self.by_sequence(Asked::Of(Kind::Bye), &[Kind::Goodbye]);
    }

    /// Takes in what comes within some time.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn listen(&mut self, time: Duration) -> Result<(), Trouble> {
        let until = std::time::Instant::now() + time;
        while let Some((bytes, len)) = self.line.receive(until)? {
            self.hear(&bytes[..len]);
        }
        Ok(())
    }

    /// Asks under the next sequence, waits as long as a BUSY says, and asks again under the same.
    fn by_sequence(&mut self, asked: Asked, answers: &[Kind]) -> Result<Heard, Trouble> {
        self.sequence += 1;
        let (sequence, begun) = (self.sequence, std::time::Instant::now());
        for _ in 0..BUSY_MAX {
            let heard = self.ask(
                asked,
                |one| one.write_head(asked, sequence),
                |heard| {
                    let is_ours = SessionHead::take(heard.bytes()).is_some_and(|head| match heard.kind {
                        Kind::Prize => Prize::take(heard.bytes()).is_some_and(|prize| prize.sequence == sequence),
                        _ => head.sequence == sequence,
                    });
                    is_ours && (heard.kind == Kind::Busy || answers.contains(&heard.kind))
                },
            )?;
            if heard.kind != Kind::Busy {
                return Ok(heard);
            }
            let left = self.line.patience_left(begun);
            if left.is_zero() {
                break;
            }
            let tenths = u32::from(heard.bytes[1]);
            self.listen(left.min(BUSY_UNIT * tenths))?;
        }
        Err(Trouble::of_refusal(rp_core::wire::Refusal::Busy as u8, Kind::Shake, 0))
    }

    fn write_head(&mut self, asked: Asked, sequence: u32) -> Vec<u8> {
        let mut out = [0; DATAGRAM_MAX];
        let len = match asked {
            Asked::Of(Kind::Ping) => {
                let ping = Ping { flags: 0, session: self.session, sequence, client_time_us: self.clock.now_us() };
                let len = ping.put(&mut out);
                seal(&self.key, &mut out, len)
            }
            Asked::Of(kind) => {
                SessionHead { flags: 0, session: self.session, sequence }.put_tagged(kind, &self.key, &mut out)
            }
            Asked::Hello | Asked::Login => 0,
        };
        out[..len].to_vec()
    }

    /// Closes a datagram that bears money and counts it; `put` writes it under the counter it is given.
    fn write_money(&mut self, put: impl FnOnce(u32, u64, &mut [u8]) -> usize) -> Vec<u8> {
        self.counter += 1;
        let mut out = [0; DATAGRAM_MAX];
        let len = put(self.session, self.counter, &mut out);
        let len = close_money(&self.key, self.sealing, &mut out, len);
        out[..len].to_vec()
    }

    /// Asks until the answer comes: sends what `make` gives anew each time, and takes in what else comes meanwhile.
    fn ask(
        &mut self,
        asked: Asked,
        mut make: impl FnMut(&mut Self) -> Vec<u8>,
        is_answer: impl Fn(&Heard) -> bool,
    ) -> Result<Heard, Trouble> {
        let mut waits = self.line.waits();
        while let Some(until) = waits.next_until() {
            let datagram = make(self);
            self.line.send(&datagram)?;
            while let Some((bytes, len)) = self.line.receive(until)? {
                if is_kind(&bytes[..len], Kind::UnknownSession) && len == UNKNOWN_SESSION_LEN {
                    return Err(Trouble::SessionLost { request: None });
                }
                let Some(heard) = self.hear(&bytes[..len]) else { continue };
                if is_answer(&heard) {
                    return Ok(heard);
                }
                if heard.kind == Kind::Echoed {
                    // The new address is taken over: ask again from here.
                    break;
                }
            }
        }
        Err(self.line.silence(asked, &waits))
    }

    /// A datagram, if it is true and of this session; notices are acknowledged and become news on the way.
    fn hear(&mut self, bytes: &[u8]) -> Option<Heard> {
        let kind = Kind::of_number(bytes.first()? & 0x3f).filter(|kind| !kind.is_request())?;
        let head = SessionHead::take(bytes).filter(|head| head.session == self.session)?;
        if !verifies(&self.key, bytes) {
            return None;
        }
        let mut heard = Heard { kind, bytes: [0; DATAGRAM_MAX], len: bytes.len() };
        if kind.bears_money() {
            let mut room = [0; DATAGRAM_MAX];
            let opened = open_money(self.sealing, bytes, &mut room).ok()?;
            heard.bytes[..opened.len()].copy_from_slice(opened);
        } else {
            heard.bytes[..bytes.len()].copy_from_slice(bytes);
        }
        match kind {
            Kind::Prize if bytes.len() == Prize::LEN + TRAILER => {
                let prize = Prize::take(heard.bytes())?;
                let what = NoticeType::Prize;
                self.learn(News { notice: prize.notice, what, about: prize.about, from: 0, fen: prize.fen });
            }
            Kind::Notice if bytes.len() == Notice::LEN + TRAILER => {
                let Notice { notice, about_type, about, from, fen, .. } = Notice::take(heard.bytes())?;
                let what = NoticeType::of_number(about_type)?;
                // The PRIZE is still to come: unacknowledged, the notice makes the SHAKE's repeat be answered.
                if !(self.shaking && what == NoticeType::Prize && !self.seen.contains(&notice)) {
                    self.learn(News { notice, what, about, from, fen });
                }
            }
            Kind::PathChallenge if bytes.len() == SHAKE_LEN => {
                let echo = SessionHead { flags: 0, session: self.session, sequence: head.sequence };
                let mut out = [0; DATAGRAM_MAX];
                let len = echo.put_tagged(Kind::Echo, &self.key, &mut out);
                self.line.send(&out[..len]).ok()?;
            }
            Kind::Pong if bytes.len() != Pong::LEN + TAG_LEN => return None,
            _ => {}
        }
        Some(heard)
    }

    /// Acknowledges a notice as often as it comes, and keeps it once.
    fn learn(&mut self, news: News) {
        let mut out = [0; DATAGRAM_MAX];
        let len = NoticeAck { flags: 0, session: self.session, notice: news.notice }.put(&mut out);
        let len = seal(&self.key, &mut out, len);
        // What does not leave is acknowledged when the notice comes again.
        let _comes_again = self.line.send(&out[..len]);
        if !self.seen.contains(&news.notice) {
            self.seen.push(news.notice);
            self.news.push(news);
        }
    }
}

fn is_kind(bytes: &[u8], kind: Kind) -> bool {
    bytes.first() == Some(&kind.first_byte())
}

/// The answer to a LOGIN, if it is one and true.
fn answer_of(bytes: &[u8], secret: &Key, nonce: u64) -> Option<Result<Welcome, LoginRefused>> {
    if is_kind(bytes, Kind::LoginRefused) && bytes.len() == LoginRefused::LEN + TAG_LEN {
        let refused = LoginRefused::take(bytes).filter(|refused| refused.client_nonce == nonce)?;
        return verifies(secret, bytes).then_some(Err(refused));
    }
    if !is_kind(bytes, Kind::Welcome) || bytes.len() != Welcome::LEN + TAG_LEN {
        return None;
    }
    let welcome = Welcome::take(bytes).filter(|welcome| welcome.client_nonce == nonce)?;
    let key = session_key(secret, nonce, welcome.server_nonce, welcome.session);
    verifies(&key, bytes).then_some(Ok(welcome))
}
