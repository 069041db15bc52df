//! Money that cannot be lost: engine, ledger and fleet under virtual time, on a road that loses, repeats, reorders and mangles,
//! over a disk that forgets and tears what was not synced, with a server that ends at any moment: between two steps, amid a
//! commit, amid its own recovery, on a full or a broken disk.
//!
//! After each start and at the end `rp-server audit`'s model, the auditor at the door and the server itself must agree.
//! `cargo xtask sim` runs as many seeds as there is time for.

#[path = "../simulation/book.rs"]
mod book;
#[path = "../simulation/disk.rs"]
mod disk;
#[path = "../simulation/locks.rs"]
mod locks;
#[path = "../simulation/operator.rs"]
mod operator;
#[path = "../simulation/road.rs"]
mod road;
#[path = "../simulation/server.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod server;
#[path = "../simulation/store.rs"]
mod store;
#[path = "../simulation/tap.rs"]
mod tap;
mod twice;
#[path = "../simulation/vfs.rs"]
mod vfs;
#[path = "../simulation/world.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod world;

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rp_client::conductor::Plan;
use rp_client::pace::PaceName;
use rp_client::scenario;

use disk::Fault;
use operator::Operator;
use road::Faults;
use server::Habits;
use world::World;

/// Few, so that they meet often; and so few that their requests grow old.
const USERS: [u64; 4] = [60, 60, 60, 8];
/// Silent seconds after which a session ends: longer than the evening, or about as long as a server is gone.
const IDLE_S: [u64; 3] = [300, 300, 2];
/// Milliseconds that a packet lives: longer than the evening, or so short that it ends while the server does.
const LIFE_MS: [u64; 4] = [86_400_000, 86_400_000, 3_000, 700];
/// Of one evening.
const ENDS_MAX: u32 = 10;
/// Seeds of a plain `cargo test`.
const SHARE: u64 = 16;

const ROADS: [Faults; 4] = [
    Faults { loss: 0.0, repeat: 0.0, detour: 0.0, move_every_us: 0, mangle: 0.0 },
    Faults { loss: 0.05, repeat: 0.05, detour: 0.1, move_every_us: 0, mangle: 0.0 },
    Faults { loss: 0.2, repeat: 0.2, detour: 0.3, move_every_us: 0, mangle: 0.0 },
    Faults { loss: 0.02, repeat: 0.02, detour: 0.05, move_every_us: 2_000_000, mangle: 0.02 },
];

const EVENINGS: [&str; 4] = [
    "
    [[phase]]
    kind = 'login'
    [[phase]]
    kind = 'shake'
    seconds = 3
    rate = 150
    send = { rate = 40, fen = 500, shares = 3 }
    ",
    "
    [[phase]]
    kind = 'login'
    [[phase]]
    kind = 'shake'
    seconds = 2
    rate = 100
    send = { rate = 60, fen = 90, shares = 5, recipients = 5, split = 'equal' }
    [[phase]]
    kind = 'shake'
    seconds = 2
    rate = 100
    send = { rate = 10, fen = 70_000, shares = 7 }
    ",
    "
    [[phase]]
    kind = 'login'
    [[phase]]
    kind = 'shake'
    seconds = 1
    rate = 300
    [[phase]]
    kind = 'storm'
    seconds = 2
    send = { rate = 6, fen = 1000, shares = 10 }
    ",
    "
    [[phase]]
    kind = 'login'
    [[phase]]
    kind = 'shake'
    seconds = 1
    rate = 150
    send = { rate = 60, fen = 700, shares = 4, recipients = 6 }
    [[phase]]
    kind = 'logout'
    [[phase]]
    kind = 'login'
    [[phase]]
    kind = 'hold'
    seconds = 2
    send = { rate = 40, fen = 300, shares = 2, recipients = 4, split = 'equal' }
    ",
];

/// SQLite's random numbers are the process's, and follow from one seed at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// When the server ends, and how.
struct Fate {
    rng: ChaCha8Rng,
    next_us: u64,
    ends: u32,
}

/// What a seed brought.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Story {
    /// Of all bytes that were sent, and of the files.
    digest: (u64, u64),
    ends: u32,
    /// Starts that were cut short themselves.
    cut_short: u32,
    repeats: u64,
    stale: u64,
    proven: u64,
    pages: u64,
    postings: u64,
    /// The operator's orders that were answered, that an end cut off, and that went on later.
    orders: [u64; 3],
}

impl Fate {
    fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }

    /// Whether the server ends now.
    fn beat(&mut self, world: &mut World) -> bool {
        if world.server.life.is_err() || world.server.store.disk(|disk| disk.blown == Some(Fault::Gone)) {
            return true;
        }
        if world.now_us < self.next_us || self.ends >= ENDS_MAX {
            return false;
        }
        self.next_us = world.now_us + 400_000;
        let (kind, deeds) = (self.below(8), self.below(60));
        let fault = match kind {
            0..3 => Fault::Gone,
            3 => Fault::Full,
            4 => Fault::Broken,
            5 => {
                let stopped = world.server.stop(world.now_us);
                let is_sound = world.server.store.disk(|disk| disk.blown.is_none());
                assert!(stopped.is_ok() || !is_sound, "a sound disk refuses: {stopped:?}");
                return true;
            }
            _ => return true,
        };
        world.server.store.disk(|disk| disk.arm(deeds, fault));
        false
    }

    /// Ends the server, and starts it again from what is there.
    fn end(&mut self, world: &mut World, operator: &mut Operator, story: &mut Story) {
        operator.is_cut_off();
        self.ends += 1;
        story.ends += 1;
        let mut is_power_out = self.below(4) > 0;
        let blown = world.server.store.disk(|disk| disk.blown);
        said(&format!(
            "{} us: end {}: {:?}, {blown:?}, power out: {is_power_out}",
            world.now_us, self.ends, world.server.life
        ));
        loop {
            world.server.crash(is_power_out);
            let orphans = world.server.store.disk(|disk| disk.orphans().join(", "));
            assert_eq!(orphans, "", "logs without their files");
            let until_us = world.now_us + self.below(600_000);
            while world.now_us < until_us {
                world.step();
            }
            if self.below(3) == 0 {
                let (deeds, kind) = (self.below(40), self.below(4));
                let fault = [Fault::Gone, Fault::Gone, Fault::Full, Fault::Broken][kind as usize];
                world.server.store.disk(|disk| disk.arm(deeds, fault));
            }
            let started = world.server.start(world.now_us);
            world.server.store.disk(|disk| disk.disarm());
            match (started, world.server.store.disk(|disk| disk.blown)) {
                // What a start need not do may fail.
                (Ok(()), None | Some(Fault::Broken)) => break said(&format!("{} us: it serves", world.now_us)),
                (Err(error), None) => panic!("refused after a mere crash: {error:#}"),
                (started, Some(fault)) => {
                    said(&format!("cut short by {fault:?}: {started:?}"));
                    (is_power_out, story.cut_short) = (true, story.cut_short + 1);
                }
            }
        }
        // A new process draws other keys, so its counters begin again.
        world.road.sealed.clear();
        operator.hurry();
        // To look brings everything to disk; the other half goes on as it is.
        if self.below(2) == 0 {
            world.server.agrees(world.now_us);
            world.tap.audit(&mut world.server.store.reader());
            operator.audit(&mut world.server.store.reader(), false);
        }
        self.next_us = world.now_us + self.below(1_500_000);
    }
}

/// One evening with its ends.
fn play(seed: u64) -> Story {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let road = ROADS[rng.next_u64() as usize % ROADS.len()];
    let text = EVENINGS[rng.next_u64() as usize % EVENINGS.len()];
    let users = USERS[rng.next_u64() as usize % USERS.len()];
    let idle_us = IDLE_S[rng.next_u64() as usize % IDLE_S.len()] * 1_000_000;
    let packet_life_us = LIFE_MS[rng.next_u64() as usize % LIFE_MS.len()] * 1_000;
    said(&format!("{users} users, {road:?}, idle {idle_us}, packets live {packet_life_us}, {text}"));
    let mut world = World::with(users, seed, road, (Habits { idle_us, packet_life_us }, true), |population| Plan {
        population,
        phases: scenario::parse(text, 1.0).expect("a scenario of ours"),
        pace: PaceName::Poisson,
        start_at_s: Some(world::START_S + 1),
        seed,
        reconcile: false,
    });
    world.server.folds_one_in = 1 + rng.next_u64() % 1_000;
    world.mint(100_000);
    world.start_campaign();
    let mut story = Story::default();
    let mut operator = Operator::new(users, seed);
    let mut fate = Fate { next_us: world.now_us + rng.next_u64() % 3_000_000, rng, ends: 0 };
    // On the worst road three of five tries to log in fail, and in the end one is made every six seconds.
    let end_us = world.now_us + 600_000_000;
    while !world.is_done() {
        assert!(world.now_us < end_us, "the evening ends");
        world.step();
        operator.beat(&mut world.server, world.now_us);
        if fate.beat(&mut world) {
            fate.end(&mut world, &mut operator, &mut story);
        }
    }
    // A disk that has failed may not have been written to since.
    let has_failed = world.server.store.disk(|disk| disk.disarm());
    if has_failed || world.server.life.is_err() {
        fate.end(&mut world, &mut operator, &mut story);
    }
    world.gather();
    world.audit_money();
    operator.hear(&mut world.server);
    operator.audit(&mut world.server.store.reader(), true);
    story.digest = (world.road.digest, world.server.store.disk(|disk| disk.digest()));
    (story.repeats, story.stale, story.proven) = (world.tap.repeats, world.tap.stale(), world.tap.proven);
    (story.pages, story.orders) = (world.tap.pages_proven, [operator.answered, operator.cut_off, operator.resumed]);
    story.postings = world.server.agrees(world.now_us).postings;
    story
}

/// What happened, for who repeats one seed.
fn said(what: &str) {
    if std::env::var_os("RP_SIMULATION_SAYS").is_some() {
        eprintln!("{what}");
    }
}

/// Says how to repeat a seed, if it fails.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {0} failed; repeat: RP_SIMULATION_SEED={0} cargo test -p rp-client --test crashes nothing_is_lost",
                self.0
            );
        }
    }
}

/// The seeds of the environment, `7` or `7..57`, or a share.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("RP_SIMULATION_SEED") else { return 1..SHARE + 1 };
    let number = |text: &str| text.parse::<u64>().expect("RP_SIMULATION_SEED is a number or FROM..TO");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&text)..number(&text) + 1,
    }
}

#[test]
fn nothing_is_lost_however_the_server_ends() {
    let mut total = Story::default();
    for seed in seeds() {
        let _repeat = Repeat(seed);
        let story = play(seed);
        total.ends += story.ends;
        total.cut_short += story.cut_short;
        total.repeats += story.repeats;
        total.stale += story.stale;
        total.proven += story.proven;
        total.pages += story.pages;
        (0..3).for_each(|at| total.orders[at] += story.orders[at]);
        total.postings += story.postings;
    }
    let Story {
        ends, cut_short, repeats, stale, proven, pages, postings, orders: [answered, cut_off, resumed], ..
    } = total;
    println!(
        "{} seeds: {ends} ends, {cut_short} starts cut short, {postings} postings, {proven} answers and news and {pages} \
         histories proven, {repeats} answers repeated, {stale} numbers stale; of the operator's orders {answered} \
         answered, {cut_off} cut off, {resumed} gone on with",
        seeds().count()
    );
}

#[test]
fn the_same_seed_writes_and_sends_the_same_bytes() {
    let seed = seeds().start;
    let _repeat = Repeat(seed);
    let first = play(seed);
    assert_eq!(first, play(seed));
    assert_ne!(first.digest, play(seed + 1).digest);
}
