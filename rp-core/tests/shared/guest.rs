//! A user at the door of a [`House`]: his keys and numbers, and what he can say.

use std::collections::VecDeque;

use rp_core::engine::Outcome;
use rp_core::key::{Key, SealingKey, seal, sealing_key, session_key, verifies};
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::reason::Reason;
use rp_core::sealing::{close_money, open_money};
use rp_core::steer::set_hash;
use rp_core::ticket::{ROLE_USER, Realm, Ticket};
use rp_core::wire::*;

use crate::house::{House, REALM_KEY, START_S, Sent as Out};

pub struct Guest {
    pub user: u64,
    pub peer: Peer,
    pub role: u8,
    pub nonce: u64,
    pub session: u32,
    pub key: Key,
    pub sealing: Option<SealingKey>,
    pub sequence: u32,
    pub counter: u64,
    pub request: u64,
}

/// What an answer to a request about money says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Sent { packet: u64, balance: u64 },
    Grabbed { share: u64, balance: u64 },
    No(Refusal, u32),
}

impl Guest {
    pub fn new(user: u64) -> Self {
        let mut ip = [0; 16];
        ip[10..12].fill(0xff);
        ip[12..].copy_from_slice(&(0x0a00_0000 + user as u32 % 200).to_be_bytes());
        let peer = Peer { ip, port: 1024 + (user % 50_000) as u16 };
        let (role, key, sealing) = (ROLE_USER, [0; 16], None);
        Self { user, peer, role, nonce: user, session: 0, key, sealing, sequence: 0, counter: 0, request: 0 }
    }

    fn secret(&self) -> Key {
        (u128::from(self.user) << 8).to_le_bytes()
    }

    pub fn hello(&self) -> Vec<u8> {
        let mut out = vec![0; HELLO_LEN];
        Hello { flags: 0, set_hash: set_hash(self.user), client_nonce: self.nonce }.put(&mut out);
        out
    }

    /// A LOGIN, with a ticket that is good for a day.
    pub fn login(&self, challenge: &[u8]) -> Vec<u8> {
        let challenge = Challenge::take(challenge).expect("a challenge is whole");
        let (issued_s, expires_s) = (START_S as u32, START_S as u32 + 86_400);
        let ticket = Ticket { user: self.user, secret: self.secret(), issued_s, expires_s, role: self.role };
        let login = Login {
            flags: 0,
            set_hash: challenge.set_hash,
            client_nonce: self.nonce,
            cookie: challenge.cookie,
            ticket: Realm::new(1, &REALM_KEY).seal(&ticket, &[3; 24]),
        };
        let mut out = vec![0; Login::LEN + TAG_LEN];
        let len = login.put(&mut out);
        seal(&self.secret(), &mut out, len);
        out
    }

    /// HELLO and LOGIN under a nonce; the answer to the LOGIN.
    pub fn knock(&mut self, house: &mut House, nonce: u64) -> Vec<u8> {
        self.nonce = nonce;
        let challenge = house.hear(self.peer, &self.hello()).1.expect("a HELLO is answered");
        house.hear(self.peer, &self.login(&challenge)).1.expect("a true LOGIN is answered")
    }

    /// Takes the session of a WELCOME.
    pub fn enter(&mut self, welcome: &[u8]) -> Welcome {
        assert_eq!(welcome[0], Kind::Welcome.first_byte());
        let fields = Welcome::take(welcome).expect("a WELCOME is whole");
        self.session = fields.session;
        self.key = session_key(&self.secret(), fields.client_nonce, fields.server_nonce, fields.session);
        assert!(verifies(&self.key, welcome), "the WELCOME is tagged under the key that it makes");
        let sealing = sealing_key(&self.secret(), fields.client_nonce, fields.server_nonce, fields.session);
        self.sealing = (fields.flags == FLAG_SEALED).then_some(sealing);
        (self.sequence, self.counter) = (0, 0);
        self.request = self.request.max(fields.request_highest);
        fields
    }

    /// The same, unless it is of another log-in.
    pub fn take(&mut self, welcome: &[u8]) {
        if Welcome::take(welcome)
            .is_some_and(|fields| fields.client_nonce == self.nonce && fields.session != self.session)
        {
            self.enter(welcome);
        }
    }

    /// Logs in and says its first word.
    pub fn log_in(&mut self, house: &mut House) -> Welcome {
        let nonce = self.nonce + 1_000_003;
        let welcome = self.knock(house, nonce);
        let fields = self.enter(&welcome);
        assert_eq!(self.ask(house, Kind::Ping)[0], Kind::Pong.first_byte());
        fields
    }

    /// A datagram that is nothing but a head; PING is padded to its length.
    pub fn head(&self, kind: Kind, sequence: u32) -> Vec<u8> {
        let mut out = vec![0; 64];
        let mut len = SessionHead { flags: 0, session: self.session, sequence }.put_untagged(kind, &mut out);
        len += if kind == Kind::Ping { 8 } else { 0 };
        let len = seal(&self.key, &mut out, len);
        out.truncate(len);
        out
    }

    /// Says something under the next sequence; the answer's bytes, opened.
    pub fn ask(&mut self, house: &mut House, kind: Kind) -> Vec<u8> {
        self.sequence += 1;
        let reply = house.hear(self.peer, &self.head(kind, self.sequence)).1.expect("it is answered");
        self.open(&reply)
    }

    /// What a reply says; its tag verifies, and its seal where it has one.
    pub fn open(&self, reply: &[u8]) -> Vec<u8> {
        assert!(verifies(&self.key, reply));
        let mut room = [0; DATAGRAM_MAX];
        match Kind::of_number(reply[0] & 0x3f) {
            Some(kind) if kind.bears_money() => {
                open_money(self.sealing, reply, &mut room).expect("sealed as the WELCOME said").to_vec()
            }
            _ => reply.to_vec(),
        }
    }

    pub fn acknowledge(&self, house: &mut House, notice: u64) {
        let mut out = vec![0; NoticeAck::LEN + TAG_LEN];
        let len = NoticeAck { flags: 0, session: self.session, notice }.put(&mut out);
        seal(&self.key, &mut out, len);
        assert_eq!(house.hear(self.peer, &out).0, Outcome::Accepted);
    }

    /// Closes a datagram about money, with the next counter in its place.
    pub fn close(&mut self, mut out: Vec<u8>) -> Vec<u8> {
        self.counter += 1;
        out[6..14].copy_from_slice(&self.counter.to_le_bytes());
        let len = out.len();
        out.resize(len + TRAILER, 0);
        close_money(&self.key, self.sealing, &mut out, len);
        out
    }

    pub fn grab_bytes(&mut self, request: u64, packet: u64) -> Vec<u8> {
        let mut out = vec![0; Grab::LEN];
        Grab { flags: 0, session: self.session, counter: 0, request, packet }.put(&mut out);
        self.close(out)
    }

    pub fn send_bytes(&mut self, request: u64, total_fen: u64, shares: u8, split: u8, to: &[u64]) -> Vec<u8> {
        let fields = Send { request, total_fen, shares, split, ..self.blank_send() };
        self.close_send(fields, to, "good luck")
    }

    /// An equal split for a whole SET.
    pub fn send_to_set_bytes(&mut self, request: u64, total_fen: u64, shares: u8, set: u16) -> Vec<u8> {
        let fields = Send { request, total_fen, shares, set, audience: AUDIENCE_SET, ..self.blank_send() };
        self.close_send(fields, &[], "")
    }

    fn blank_send(&self) -> Send {
        Send {
            flags: 0,
            session: self.session,
            counter: 0,
            request: 0,
            total_fen: 0,
            split: SPLIT_EQUAL,
            audience: AUDIENCE_LISTED,
            shares: 0,
            recipients: 0,
            set: 0,
            greeting_len: 0,
            reserved: 0,
        }
    }

    fn close_send(&mut self, fields: Send, to: &[u64], greeting: &str) -> Vec<u8> {
        let mut out = vec![0; DATAGRAM_MAX];
        let len = SendView::put(fields, to, greeting, &mut out);
        out.truncate(len);
        self.close(out)
    }

    /// Sends a datagram about money; its answer, also when that comes by a note.
    pub fn settle(&mut self, house: &mut House, request: u64, datagram: &[u8]) -> Option<Answer> {
        let reply = house.hear(self.peer, datagram).1;
        reply.or_else(|| self.late(house, request)).and_then(|bytes| self.read(&bytes, request))
    }

    /// An answer that came later than its request.
    fn late(&self, house: &mut House, request: u64) -> Option<Vec<u8>> {
        let is_answer = |bytes: &[u8]| {
            matches!(bytes[0] & 0x3f, 37 | 38 | 48)
                && verifies(&self.key, bytes)
                && self.open(bytes)[14..22] == request.to_le_bytes()
        };
        let at = house.sent.iter().position(|(bytes, to)| *to == self.peer && is_answer(bytes))?;
        house.sent.remove(at).map(|(bytes, _)| bytes)
    }

    fn read(&self, bytes: &[u8], request: u64) -> Option<Answer> {
        let bytes = &self.open(bytes)[..];
        assert_eq!(bytes[14..22], request.to_le_bytes());
        Some(match Kind::of_number(bytes[0] & 0x3f)? {
            Kind::Sent => {
                let sent = Sent::take(bytes)?;
                Answer::Sent { packet: sent.packet, balance: sent.balance_fen }
            }
            Kind::Grabbed => {
                let grabbed = Grabbed::take(bytes)?;
                Answer::Grabbed { share: grabbed.share_fen, balance: grabbed.balance_fen }
            }
            Kind::Refused => {
                let refused = Refused::take(bytes)?;
                Answer::No(Refusal::of_number(refused.refusal)?, refused.share_fen)
            }
            _ => return None,
        })
    }

    pub fn send(&mut self, house: &mut House, total_fen: u64, shares: u8, split: u8, to: &[u64]) -> Answer {
        self.request += 1;
        let bytes = self.send_bytes(self.request, total_fen, shares, split, to);
        self.settle(house, self.request, &bytes).expect("a SEND is answered")
    }

    pub fn grab(&mut self, house: &mut House, packet: u64) -> Answer {
        self.request += 1;
        let bytes = self.grab_bytes(self.request, packet);
        self.settle(house, self.request, &bytes).expect("a GRAB is answered")
    }

    pub fn balance(&mut self, house: &mut House) -> u64 {
        let mut out = vec![0; Balance::LEN];
        Balance { flags: 0, session: self.session, counter: 0, request: 77 }.put(&mut out);
        let out = self.close(out);
        let reply = house.hear(self.peer, &out).1.expect("a BALANCE is answered");
        assert_eq!(reply[0], Kind::BalanceIs.first_byte());
        BalanceIs::take(&self.open(&reply)).expect("it is whole").balance_fen
    }

    /// The notices that lie there for this guest's session, taken away.
    pub fn notices(&self, house: &mut House) -> Vec<Notice> {
        let mine =
            |(bytes, to): &Out| *to == self.peer && bytes[0] == Kind::Notice.first_byte() && verifies(&self.key, bytes);
        let (taken, left): (VecDeque<Out>, VecDeque<Out>) =
            core::mem::take(&mut house.sent).into_iter().partition(mine);
        house.sent = left;
        taken.iter().filter_map(|(bytes, _)| Notice::take(&self.open(bytes))).collect()
    }

    /// What is said is dropped for this reason.
    pub fn is_dropped(&self, house: &mut House, what: &str, datagram: &[u8], reason: Reason) {
        assert_eq!(house.hear(self.peer, datagram).0, Outcome::Dropped(reason), "{what}");
    }
}
