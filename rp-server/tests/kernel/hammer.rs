//! Gate and worker at the same entries at the same time, from two CPUs: whatever meets, each sequence is decided once, each
//! prize is told to one shake, and afterwards every session answers.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rp_core::engine::Config;
use rp_core::engine::bank::Plan;
use rp_core::kind::Kind;
use rp_core::wire::{Prize, SessionHead};

use crate::alike::{Gate, Gated, SETS, Verdict};
use crate::bind_to_cpu;
use crate::difference::{Draw, seed};
use crate::guest::Guest;

const GUESTS: u64 = 12;
/// It goes on for so long, and until so many are answered, at the gate and by the worker; but not for ever.
const TIME: Duration = Duration::from_secs(6);
const TIME_MAX: Duration = Duration::from_secs(300);
const AT_THE_GATE: usize = 20_000;
const BY_THE_WORKER: usize = 1_000;

/// A reply, and which guest it is for.
type Heard = Vec<(usize, Vec<u8>)>;

/// Shakes and pings through the gate until told to stop; what goes up is sent on.
fn shake_through_the_gate(
    gate: &Gate,
    guests: &[Guest],
    cpu: usize,
    seed: u64,
    (stop, answered): (&AtomicBool, &AtomicUsize),
    up: Sender<(usize, Vec<u8>)>,
) -> Heard {
    bind_to_cpu(cpu);
    let (mut draw, mut heard, mut sequences) = (Draw(seed), Vec::new(), vec![2u32; guests.len()]);
    while !stop.load(Ordering::Relaxed) {
        let at = draw.below(guests.len());
        // Both threads walk through the same numbers, now one ahead and now the other, and repeat some.
        sequences[at] += draw.below(3) as u32;
        // A number is a ping's or a shake's, on both threads alike.
        let kind = if sequences[at].is_multiple_of(9) { Kind::Ping } else { Kind::Shake };
        let bytes = guests[at].head(kind, sequences[at]);
        match gate.run(&guests[at].peer, &bytes) {
            Verdict::Answer(reply) => {
                heard.push((at, reply));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Up => drop(up.send((at, bytes))),
            Verdict::Drop => {
                // Too old: the other is far ahead.
                sequences[at] += 50;
            }
        }
    }
    heard
}

#[test]
#[ignore = "needs root"]
fn gate_and_worker_hammer_the_same_sessions() {
    let seed = seed();
    println!("again: RP_SEED={seed} cargo test -p rp-server --test kernel hammer -- --ignored");
    let (idle_us, packet_life_us) = (3_600_000_000, 60_000_000);
    let mut gated = Gated::new(Config { sets: SETS, workers: 1, idle_us, packet_life_us, ..Config::default() });
    let mut guests: Vec<Guest> = (1..=GUESTS).map(Guest::new).collect();
    for guest in &mut guests {
        let challenge = gated.hear(guest.peer, &guest.hello()).expect("a HELLO is answered");
        let welcome = gated.hear(guest.peer, &guest.login(&challenge)).expect("a LOGIN is answered");
        guest.enter(&welcome);
        gated.hear(guest.peer, &guest.head(Kind::Shake, 1)).expect("its first word");
    }
    let plan = Plan { budget_fen: 1_000_000, rate: 2000, from_fen: 1, to_fen: 9, per_user: 255 };
    gated.house.bank.start(plan, gated.house.now).expect("none is running");
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (up, ups): (_, Receiver<(usize, Vec<u8>)>) = channel();
    let Gated { gate, house, .. } = &mut gated;
    let gate = &*gate;
    let (from_gate, from_worker) = std::thread::scope(|scope| {
        let (one, two) = (up.clone(), up);
        let (guests, state) = (&guests, (&stop, &answered));
        let threads = [
            scope.spawn(move || shake_through_the_gate(gate, guests, 0, seed, state, one)),
            scope.spawn(move || shake_through_the_gate(gate, guests, 1, seed ^ 1, state, two)),
        ];
        // This thread is the worker; its clock goes on as it works.
        let mut heard: Heard = Vec::new();
        let begun = Instant::now();
        let mut turns = 0u32;
        loop {
            match ups.try_recv() {
                Ok((at, bytes)) => heard.extend(house.hear(guests[at].peer, &bytes).1.map(|reply| (at, reply))),
                Err(_) if stop.load(Ordering::Relaxed) && threads.iter().all(|thread| thread.is_finished()) => break,
                Err(_) => std::thread::yield_now(),
            }
            turns += 1;
            if turns.is_multiple_of(200) {
                house.pass_ms(5);
            }
            let is_enough = answered.load(Ordering::Relaxed) > AT_THE_GATE && heard.len() > BY_THE_WORKER;
            if begun.elapsed() > if is_enough { TIME } else { TIME_MAX } {
                stop.store(true, Ordering::Relaxed);
            }
        }
        let mut from_gate = Vec::new();
        for thread in threads {
            from_gate.extend(thread.join().expect("a thread of the gate"));
        }
        (from_gate, heard)
    });
    while let Ok((at, bytes)) = ups.try_recv() {
        let _late = house.hear(guests[at].peer, &bytes);
    }
    let [from_gate, from_worker] = [from_gate, from_worker]
        .map(|heard| heard.iter().map(|(at, reply)| (*at, guests[*at].open(reply))).collect::<Heard>());
    judge(&from_gate, &from_worker);
    let shakes: u64 = house.books[0].timeline.read().chain(house.board.gate_timeline()).map(|(_, count)| count).sum();
    let asked: HashSet<(usize, u32)> = from_gate.iter().chain(&from_worker).filter_map(shake_of).collect();
    assert_eq!(shakes, asked.len() as u64 + GUESTS, "each sequence is new once");
    let (at_the_gate, by_the_worker) = (from_gate.len(), from_worker.len());
    assert!(at_the_gate > AT_THE_GATE && by_the_worker > BY_THE_WORKER, "{at_the_gate} and {by_the_worker}");
    house.audit();
    // Claims that crossed are written off, and every session is well.
    house.pass_ms(5_000);
    for guest in &guests {
        let reply = gated.hear(guest.peer, &guest.head(Kind::Shake, u32::MAX - 1)).expect("it is answered");
        assert!([Kind::Nothing.first_byte(), Kind::Prize.first_byte()].contains(&reply[0]), "{}", reply[0]);
    }
}

/// Guest and sequence of a shake that was answered.
fn shake_of((at, reply): &(usize, Vec<u8>)) -> Option<(usize, u32)> {
    match Kind::of_number(reply[0] & 0x3f) {
        Some(Kind::Nothing) => SessionHead::take(reply).map(|head| (*at, head.sequence)),
        Some(Kind::Prize) => Prize::take(reply).map(|prize| (*at, prize.sequence)),
        _ => None,
    }
}

/// A shake won or did not, whoever answered it and however often; and no prize was told to two.
fn judge(from_gate: &Heard, from_worker: &Heard) {
    let mut fates: HashMap<(usize, u32), u64> = HashMap::new();
    let mut winners: HashMap<u64, (usize, u32)> = HashMap::new();
    for answer in from_gate.iter().chain(from_worker) {
        let Some(shake) = shake_of(answer) else { continue };
        let about =
            Prize::take(&answer.1).filter(|_| answer.1[0] == Kind::Prize.first_byte()).map_or(0, |prize| prize.about);
        assert_eq!(*fates.entry(shake).or_insert(about), about, "{shake:?} was answered in two ways");
        if about != 0 {
            assert_eq!(*winners.entry(about).or_insert(shake), shake, "prize {about:x} was told to two");
        }
    }
    assert!(winners.len() > 20, "only {} prizes were won", winners.len());
}
