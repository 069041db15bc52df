//! The end of a server, by a real one over loopback: what has reached it before SIGTERM is answered before it ends.

#[path = "shared/server.rs"]
mod server;

use std::collections::HashMap;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use rp_core::key::{Key, seal, session_key};
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::sealing::close_money;
use rp_core::steer::set_hash;
use rp_core::ticket::{ROLE_USER, Realm, Ticket};
use rp_core::wire::{
    AUDIENCE_LISTED, Balance, Challenge, Grab, HELLO_LEN, Hello, History, Login, Ping, SPLIT_EQUAL, Send, SendView,
    Sent, Welcome,
};
use rp_server::realm;

use server::Server;

const USERS: u64 = 8;
const FLAGS: &str = "--sealing off --session-rate 0 --strangers-rate 0 --prefix-rate 0 --sessions-rate 0";

fn start(name: &str, drain_s: &str) -> Server {
    let flags: Vec<&str> = FLAGS.split(' ').chain(["--drain", drain_s]).collect();
    Server::start(name, "127.0.0.1", &flags)
}

/// A socket that speaks to a server.
fn socket_to(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(&server.address).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
    socket
}

/// A user with a session, who speaks by a socket of his own.
struct User {
    id: u64,
    socket: UdpSocket,
    session: u32,
    key: Key,
    counter: u64,
}

impl User {
    fn log_in(server: &Server, realm: &Realm, id: u64) -> User {
        let (socket, mut out) = (socket_to(server), [0; DATAGRAM_MAX]);
        let (client_nonce, set_hash, secret) = (id, set_hash(id), [id as u8; 16]);
        Hello { flags: 0, set_hash, client_nonce }.put(&mut out);
        socket.send(&out[..HELLO_LEN]).expect("loopback");
        let cookie = Challenge::take(&answer(&socket)).expect("a challenge").cookie;
        let ticket = Ticket { user: id, secret, issued_s: 0, expires_s: u32::MAX, role: ROLE_USER };
        let ticket = realm.seal(&ticket, &[id as u8; 24]);
        let len = Login { flags: 0, set_hash, client_nonce, cookie, ticket }.put(&mut out);
        let len = seal(&secret, &mut out, len);
        socket.send(&out[..len]).expect("loopback");
        let Welcome { session, server_nonce, .. } = Welcome::take(&answer(&socket)).expect("a welcome");
        User { id, socket, session, key: session_key(&secret, client_nonce, server_nonce, session), counter: 0 }
    }

    fn send(&mut self, put: impl FnOnce(&Self, &mut [u8; DATAGRAM_MAX]) -> usize) {
        let mut out = [0; DATAGRAM_MAX];
        self.counter += 1;
        let len = put(self, &mut out);
        let is_ping = out[0] == Kind::Ping.first_byte();
        let len = if is_ping { seal(&self.key, &mut out, len) } else { close_money(&self.key, None, &mut out, len) };
        self.socket.send(&out[..len]).expect("loopback");
    }

    fn give(&mut self, request: u64) {
        let everybody: Vec<u64> = (1..=USERS).collect();
        self.send(|user, out| {
            let fields = Send {
                flags: 0,
                session: user.session,
                counter: user.counter,
                request,
                total_fen: 80,
                split: SPLIT_EQUAL,
                audience: AUDIENCE_LISTED,
                shares: USERS as u8,
                recipients: 0,
                set: 0,
                greeting_len: 0,
                reserved: 0,
            };
            SendView::put(fields, &everybody, "", out)
        });
    }

    fn grab(&mut self, request: u64, packet: u64) {
        self.send(|user, out| {
            Grab { flags: 0, session: user.session, counter: user.counter, request, packet }.put(out)
        });
    }

    fn ask(&mut self, request: u64) {
        self.send(|user, out| Balance { flags: 0, session: user.session, counter: user.counter, request }.put(out));
        self.send(|user, out| {
            let client_time_us = request;
            Ping { flags: 0, session: user.session, sequence: request as u32, client_time_us }.put(out)
        });
    }

    fn ask_history(&mut self, request: u64) {
        self.send(|user, out| {
            History { flags: 0, session: user.session, counter: user.counter, request, before: 0 }.put(out)
        });
    }
}

fn answer(socket: &UdpSocket) -> Vec<u8> {
    let mut room = [0; DATAGRAM_MAX];
    let len = socket.recv(&mut room).expect("an answer");
    room[..len].to_vec()
}

/// All that waits in a socket, by kind.
fn heard(socket: &UdpSocket) -> HashMap<u8, usize> {
    socket.set_nonblocking(true).expect("a flag");
    let (mut kinds, mut room) = (HashMap::new(), [0; DATAGRAM_MAX]);
    loop {
        match socket.recv(&mut room) {
            Ok(_) => *kinds.entry(room[0]).or_default() += 1,
            // Our last words may have met nobody.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(_) => return kinds,
        }
    }
}

fn key_of(folder: &Path) -> Realm {
    realm::read(&folder.join("realm.key")).expect("the server made one").realm()
}

#[test]
fn whatever_came_before_the_signal_is_answered_and_what_comes_later_is_not() {
    let mut server = start("burst", "3600");
    server.order(&["mint", "--users", "1..=8", "--fen", "1000"]);
    let realm = key_of(&server.folder);
    let mut users: Vec<User> = (1..=USERS).map(|id| User::log_in(&server, &realm, id)).collect();
    let packets: Vec<u64> = users
        .iter_mut()
        .map(|user| {
            user.give(1);
            loop {
                let bytes = answer(&user.socket);
                if bytes[0] == Kind::Sent.first_byte() {
                    return Sent::take(&bytes).expect("it is long enough").packet;
                }
            }
        })
        .collect();
    let strangers = [socket_to(&server), socket_to(&server)];
    // While it is stopped, all of this waits in its sockets: more than one look takes.
    server.signal("-STOP");
    for user in &mut users {
        heard(&user.socket);
        for (request, packet) in (2..).zip(&packets) {
            user.grab(request, *packet);
            user.ask(request);
        }
        user.give(20);
        user.ask_history(21);
    }
    let mut hello = [0; HELLO_LEN];
    for number in 0..100 {
        for stranger in &strangers {
            Hello { flags: 0, set_hash: set_hash(number), client_nonce: number }.put(&mut hello);
            stranger.send(&hello).expect("loopback");
        }
    }
    server.signal("-TERM");
    server.signal("-CONT");
    let ended = server.child.wait().expect("it is our child");
    assert!(ended.success(), "{ended}: {}", server.log());
    for stranger in &strangers {
        assert_eq!(heard(stranger), HashMap::from([(Kind::Challenge.first_byte(), 100)]));
    }
    for user in &users {
        let mut kinds = heard(&user.socket);
        kinds.remove(&Kind::Notice.first_byte());
        let expected =
            [(Kind::Grabbed, 8), (Kind::BalanceIs, 8), (Kind::Pong, 8), (Kind::Sent, 1), (Kind::HistoryPage, 1)];
        assert_eq!(kinds, expected.map(|(kind, count)| (kind.first_byte(), count)).into(), "user {}", user.id);
    }
    let log = server.log();
    assert!(
        log.contains(" 0 dropped, 0 lost at the sockets, 0 replies not sent, 16 packets made")
            && log.contains("balanced"),
        "{log}"
    );
    let audited: serde_json::Value = serde_json::from_str(&server.order(&["audit", "--json"])).expect("it is JSON");
    assert_eq!(audited["figures"]["waiting"].as_array().map(Vec::len), Some(0), "{audited}");
}

#[test]
fn many_workers_that_come_to_rest_at_different_moments_are_seen_to_rest() {
    let flags: Vec<&str> = FLAGS.split(' ').chain(["--drain", "3600", "--workers", "64"]).collect();
    let mut server = Server::start("many", "127.0.0.1", &flags);
    let realm = key_of(&server.folder);
    let mut users: Vec<User> = (1..=64).map(|id| User::log_in(&server, &realm, id)).collect();
    // What waits for each while it is stopped takes them all another time.
    server.signal("-STOP");
    for (user, asks) in users.iter_mut().zip((1..=16).cycle()) {
        (1..=asks).for_each(|request| user.ask(request));
    }
    server.signal("-TERM");
    server.signal("-CONT");
    assert!(server.child.wait().expect("it is our child").success(), "{}", server.log());
}

#[test]
fn a_server_that_is_asked_without_end_ends() {
    let mut server = start("flood", "1");
    let socket = socket_to(&server);
    let mut hello = [0; HELLO_LEN];
    Hello { flags: 0, set_hash: 7, client_nonce: 7 }.put(&mut hello);
    let asks = |count: usize| (0..count).filter(|_| socket.send(&hello).is_ok()).count();
    asks(1000);
    server.signal("-TERM");
    while server.child.try_wait().expect("it is our child").is_none() {
        asks(100);
    }
    assert!(server.child.wait().expect("it is our child").success(), "{}", server.log());
    assert!(server.log().contains("stopped: "), "{}", server.log());
}
