//! Two worlds, one meaning: a gate in the kernel with workers behind it, and workers alone, get the same long random trace and
//! must give the same replies, byte for byte, and the same counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use rp_core::bucket::Rate;
use rp_core::engine::Config;
use rp_core::engine::bank::Plan;
use rp_core::gate_counters::{ANSWERS, Counts};
use rp_core::key::seal;
use rp_core::kind::Kind;
use rp_core::reason::Reason;
use rp_core::wire::{HELLO_LEN, Peer};
use rp_server::gate::counters::CounterMaps;
use rp_server::gate::memory;
use rp_server::gate::object::{self, Answers, Wanted};

use crate::difference::{Draw, seed};
use crate::guest::Guest;
use crate::house::{COOKIE_KEY, House};
use crate::{XDP_DROP, XDP_PASS, bind_to_first_cpu, put_worker_on};

const XDP_TX: u32 = 3;
const PORT: u16 = 2015;
pub const SETS: u32 = 4;
const STEPS: usize = 60_000;
const GUESTS: u64 = 60;
const SERVER_V4: [u8; 4] = [10, 0, 0, 1];
const SERVER_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A loaded gate with a clock of ours; any thread may run it.
pub struct Gate {
    pub ebpf: aya::Ebpf,
    maps: CounterMaps,
}

/// What the gate does with a datagram.
pub enum Verdict {
    /// Answers it.
    Answer(Vec<u8>),
    /// Lets it go up.
    Up,
    /// Drops it.
    Drop,
}

impl Gate {
    /// What becomes of a datagram.
    pub fn run(&self, from: &Peer, datagram: &[u8]) -> Verdict {
        self.run_frame(&frame(from, datagram))
    }

    /// What becomes of a frame.
    pub fn run_frame(&self, frame: &[u8]) -> Verdict {
        let gate: &Xdp = self.ebpf.program("gate").expect("there is a gate").try_into().expect("it is XDP");
        let mut out = vec![0; 4096];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        let ran = gate.test_run(options).expect("the kernel runs the gate");
        let len = ran.data_size_out as usize;
        match ran.return_value {
            XDP_TX => Verdict::Answer(payload_of(frame, &out[..len])),
            XDP_PASS => {
                assert_eq!(out[..len], *frame, "what goes up is untouched");
                Verdict::Up
            }
            XDP_DROP => Verdict::Drop,
            other => panic!("the gate said {other}"),
        }
    }
}

/// A gate and the house behind it.
pub struct Gated {
    pub gate: Gate,
    pub house: House,
}

impl Gated {
    pub fn new(config: Config) -> Gated {
        let answers = Some(Answers { cookie_key: COOKIE_KEY, takes_time_from_map: true });
        let wanted =
            Wanted { ports: &[PORT], sets: SETS, workers: 1, listens: 1, has_xsks: false, trace: false, answers };
        let path = object::find(None).expect("`cargo xtask build-ebpf` was run");
        let mut ebpf = object::load(&path, &wanted).expect("the verifier accepts all programs");
        put_worker_on(&mut ebpf, bind_to_first_cpu());
        let board = Arc::new(memory::map(&ebpf, SETS).expect("the maps can be mapped"));
        let maps = CounterMaps::take(&mut ebpf).expect("the object has the counters");
        let house = House::on(Config { is_gated: true, ..config }, board);
        let gated = Gated { gate: Gate { ebpf, maps }, house };
        gated.tell_time();
        gated
    }

    pub fn counts(&self) -> Counts {
        self.gate.maps.read().expect("the counters can be read").total()
    }

    /// Lets the gate have the house's time.
    pub fn tell_time(&self) {
        let (rules, now) = (self.house.board.rules(), self.house.now);
        rules.set_mono_us(now.mono_us);
        rules.set_unix_less_mono_us(now.unix_us.wrapping_sub(now.mono_us));
    }

    /// What comes back for a datagram, from the gate or from behind it.
    pub fn hear(&mut self, from: Peer, datagram: &[u8]) -> Option<Vec<u8>> {
        self.tell_time();
        match self.gate.run(&from, datagram) {
            Verdict::Answer(reply) => Some(reply),
            Verdict::Up => self.house.hear(from, datagram).1,
            Verdict::Drop => None,
        }
    }
}

/// A datagram from a peer to the server, in its frame.
pub fn frame(from: &Peer, datagram: &[u8]) -> Vec<u8> {
    let mut udp =
        [from.port.to_be_bytes(), PORT.to_be_bytes(), (8 + datagram.len() as u16).to_be_bytes(), [0, 0]].concat();
    udp.extend(datagram);
    let mut bytes = [HERE, THERE].concat();
    if from.ip[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] {
        bytes.extend([0x08, 0x00, 0x45, 0]);
        bytes.extend((20 + udp.len() as u16).to_be_bytes());
        bytes.extend([7, 7, 0x40, 0, 55, 17, 0, 0]);
        bytes.extend(&from.ip[12..]);
        bytes.extend(SERVER_V4);
    } else {
        bytes.extend([0x86, 0xdd, 0x60, 1, 2, 3]);
        bytes.extend((udp.len() as u16).to_be_bytes());
        bytes.extend([17, 55]);
        bytes.extend(from.ip);
        bytes.extend(SERVER_V6);
    }
    bytes.extend(udp);
    bytes
}

/// The payload of an answer, whose headers must be right in every field.
fn payload_of(question: &[u8], answer: &[u8]) -> Vec<u8> {
    assert_eq!(answer[..6], question[6..12], "to where the question came from");
    assert_eq!(answer[6..12], question[..6], "from where it went");
    assert_eq!(answer[12..14], question[12..14]);
    let (ip, udp_at) = (&answer[14..], if answer[12..14] == [0x08, 0x00] { 34 } else { 54 });
    let udp = &answer[udp_at..];
    let mut pseudo = if udp_at == 34 {
        assert_eq!((ip[0], ip[8], ip[9]), (0x45, 64, 17));
        assert_eq!(ip[12..16], question[30..34]);
        assert_eq!(ip[16..20], question[26..30]);
        assert_eq!(u16::from_be_bytes([ip[2], ip[3]]) as usize, answer.len() - 14);
        assert_eq!(sum(&ip[..20]), 0xffff, "the header's checksum");
        ip[12..20].to_vec()
    } else {
        assert_eq!((ip[0], ip[6], ip[7]), (0x60, 17, 64));
        assert_eq!(ip[8..24], question[38..54]);
        assert_eq!(ip[24..40], question[22..38]);
        assert_eq!(u16::from_be_bytes([ip[4], ip[5]]) as usize, udp.len());
        ip[8..40].to_vec()
    };
    assert_eq!(udp[..2], question[udp_at + 2..udp_at + 4]);
    assert_eq!(udp[2..4], question[udp_at..udp_at + 2]);
    assert_eq!(u16::from_be_bytes([udp[4], udp[5]]) as usize, udp.len());
    pseudo.extend([0, 17, udp[4], udp[5]]);
    pseudo.extend(udp);
    assert_ne!(udp[6..8], [0, 0]);
    assert_eq!(sum(&pseudo), 0xffff, "the datagram's checksum");
    udp[8..].to_vec()
}

fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|word| u64::from(word[0]) << 8 | word.get(1).copied().map_or(0, u64::from));
    let mut sum = words.sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// What both worlds hear next.
fn next(
    draw: &mut Draw,
    guests: &mut [Guest],
    challenges: &BTreeMap<u64, Vec<u8>>,
    stolen: &mut Vec<(Peer, Vec<u8>)>,
) -> (Peer, Vec<u8>) {
    let at = draw.below(guests.len());
    let guest = &mut guests[at];
    let sequence = match draw.below(12) {
        0 => guest.sequence.saturating_sub(1 + draw.below(3) as u32),
        1 | 2 => guest.sequence,
        3 => guest.sequence + 3,
        _ => guest.sequence + 1,
    };
    let mut bytes = match draw.below(40) {
        0 => {
            guest.nonce += 1;
            guest.hello()
        }
        1 => guest.hello(),
        2 | 3 => challenges.get(&guest.user).map_or_else(|| guest.hello(), |challenge| guest.login(challenge)),
        4..=6 => guest.head(Kind::Ping, sequence),
        7 => guest.head(Kind::Bye, sequence),
        8 => guest.head(Kind::Totals, sequence),
        9 => guest.head(Kind::Echo, draw.next() as u32),
        10 => guest.grab_bytes(draw.next() % 5, draw.next() % 3),
        11 => guest.send_bytes(draw.next() % 5, 3, 3, 1, &[1, 2, 3]),
        12 => match stolen.len() {
            0 => guest.hello(),
            kept => return stolen[draw.below(kept)].clone(),
        },
        13 => {
            // Flags that nobody may set, under a good tag.
            let mut bytes = guest.head(Kind::Shake, sequence);
            bytes[1] = 1 + draw.next() as u8 % 9;
            bytes.truncate(10);
            bytes.resize(64, 0);
            let len = seal(&guest.key, &mut bytes, 10);
            bytes.truncate(len);
            bytes
        }
        _ => guest.head(Kind::Shake, sequence),
    };
    let is_heads = bytes.len() == 18 || bytes.len() == 26;
    if is_heads && bytes[0] & 0x3f != Kind::Echo as u8 && sequence > guest.sequence {
        guest.sequence = sequence;
    }
    match draw.below(40) {
        0 => {
            let bit = draw.below(8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        1 if bytes.len() == HELLO_LEN => bytes[HELLO_LEN - 1] = 1,
        _ => {}
    }
    let mut from = guest.peer;
    if draw.below(30) == 0 {
        from.port ^= 1;
    }
    if stolen.len() < 500 {
        stolen.push((from, bytes.clone()));
    } else {
        let place = draw.below(500);
        stolen[place] = (from, bytes.clone());
    }
    (from, bytes)
}

#[test]
#[ignore = "needs root"]
fn gate_and_workers_answer_as_workers_alone() {
    let seed = seed();
    println!("again: RP_SEED={seed} cargo test -p rp-server --test kernel alike -- --ignored");
    let config = Config {
        sets: SETS,
        workers: 1,
        worker: 0,
        idle_us: 20_000_000,
        packet_life_us: 5_000_000,
        ..Config::default()
    };
    let (mut gated, mut alone) = (Gated::new(config), House::with(config));
    let rate = Rate { interval: 400, burst: 1_200 };
    gated.house.board.rules().set_session(rate);
    alone.board.rules().set_session(rate);
    let mut draw = Draw(seed);
    let mut guests: Vec<Guest> = (1..=GUESTS).map(Guest::new).collect();
    for guest in guests.iter_mut().filter(|guest| guest.user.is_multiple_of(3)) {
        guest.peer.ip = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, guest.user as u8];
    }
    let (mut challenges, mut stolen, mut seen) = (BTreeMap::new(), Vec::new(), BTreeMap::<u8, u64>::new());
    for step in 0..STEPS {
        if draw.below(4) == 0 {
            let ms = 5 + draw.below(60) as u64;
            gated.house.pass_ms(ms);
            alone.pass_ms(ms);
            let (a, b) = (std::mem::take(&mut gated.house.sent), std::mem::take(&mut alone.sent));
            assert_eq!(a, b, "step {step}: what the worlds say by themselves");
        }
        if step % 4_000 == 100 {
            for house in [&mut gated.house, &mut alone] {
                let _the_first_time_there_is_none = house.bank.stop(house.now);
                house.carry();
                let plan = Plan { budget_fen: 200_000, rate: 60, from_fen: 1, to_fen: 20, per_user: 3 };
                house.bank.start(plan, house.now).expect("none is running");
            }
        }
        let (from, bytes) = next(&mut draw, &mut guests, &challenges, &mut stolen);
        let (a, b) = (gated.hear(from, &bytes), alone.hear(from, &bytes).1);
        assert_eq!(a, b, "step {step}: {from:?} said {bytes:02x?}");
        gated.house.carry();
        alone.carry();
        let Some(reply) = a else { continue };
        *seen.entry(reply[0] & 0x3f).or_default() += 1;
        let Some(guest) = guests.iter_mut().find(|guest| guest.peer == from) else { continue };
        if reply[0] == Kind::Challenge.first_byte() {
            challenges.insert(guest.user, reply);
        } else if reply[0] == Kind::Welcome.first_byte() {
            guest.take(&reply);
        }
    }
    assert_counts_alike(&gated, &alone);
    gated.house.audit();
    alone.audit();
    // The trace was worth it.
    for kind in [
        Kind::Challenge,
        Kind::Welcome,
        Kind::Pong,
        Kind::Nothing,
        Kind::Prize,
        Kind::Busy,
        Kind::Goodbye,
        Kind::PathChallenge,
        Kind::UnknownSession,
    ] {
        assert!(
            seen.get(&(kind as u8)).is_some_and(|times| *times > 20),
            "{} came {:?} times",
            kind.name(),
            seen.get(&(kind as u8))
        );
    }
    let answered = gated.counts().place(rp_core::gate_counters::Place::Answered).datagrams;
    assert!(answered > STEPS as u64 / 5, "the gate answered {answered} of {STEPS}");
}

/// Each kind and each reason counts the same, at the gate and behind it together.
fn assert_counts_alike(gated: &Gated, alone: &House) {
    let kernel = gated.counts();
    let books = |house: &House, count: &dyn Fn(&rp_core::engine::books::Books) -> u64| {
        house.books.iter().map(|b| count(b)).sum::<u64>()
    };
    for &kind in Kind::ALL {
        let (mut received, mut sent) =
            (books(&gated.house, &|b| b.received[kind].read()), books(&gated.house, &|b| b.sent[kind].read()));
        if kind.is_request() {
            received += kernel.kind(kind).datagrams - kernel.up(kind).datagrams;
        }
        if ANSWERS.contains(&kind) {
            sent += kernel.answer(kind).datagrams;
        }
        assert_eq!(received, books(alone, &|b| b.received[kind].read()), "received {}", kind.name());
        assert_eq!(sent, books(alone, &|b| b.sent[kind].read()), "sent {}", kind.name());
    }
    for &reason in Reason::ALL {
        let dropped = kernel.reason(reason).datagrams + books(&gated.house, &|b| b.dropped[reason].read());
        assert_eq!(dropped, books(alone, &|b| b.dropped[reason].read()), "dropped as {}", reason.name());
    }
    let shakes = |house: &House| {
        house
            .books
            .iter()
            .flat_map(|b| b.timeline.read().collect::<Vec<_>>())
            .chain(house.board.gate_timeline())
            .map(|(_, n)| n)
            .sum::<u64>()
    };
    assert_eq!(shakes(&gated.house), shakes(alone), "shakes on the timeline");
}
