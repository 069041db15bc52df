//! Hostile input is ordinary input: whatever bytes come, the engine counts them once and goes on.
//!
//! Each failure prints its seed; `RP_SEED=<seed> cargo test -p rp-core --test engine` runs that one again.

use crate::world::{User, World, peer};
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use rp_core::engine::Outcome;
use rp_core::engine::split::below;
use rp_core::key::seal;
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;

const SEEDS: u64 = 8;
const DATAGRAMS: usize = 20_000;

fn seeds() -> Vec<u64> {
    match std::env::var("RP_SEED") {
        Ok(seed) => vec![seed.parse().expect("RP_SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// Valid datagrams of every kind, from users who are logged in.
fn corpus(world: &mut World, users: &[User]) -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    for user in users {
        corpus.push(user.hello().to_vec());
        corpus.push(user.login(world, 0));
        for kind in Kind::ALL.iter().filter(|kind| kind.is_request()) {
            let (shortest, longest) = kind.request_length();
            for len in [shortest, longest.min(shortest + 40), longest] {
                if len < 18 || len < shortest {
                    continue;
                }
                let mut datagram = vec![0; DATAGRAM_MAX + 8];
                datagram[0] = kind.first_byte();
                datagram[2..6].copy_from_slice(&user.session.to_le_bytes());
                datagram[6..10].copy_from_slice(&7u32.to_le_bytes());
                datagram[14] = 1;
                seal(&user.key, &mut datagram, len - 8);
                datagram.truncate(len);
                corpus.push(datagram);
            }
        }
    }
    corpus
}

fn mutate(datagram: &mut Vec<u8>, rng: &mut ChaCha12Rng) {
    match below(6, rng) {
        0 => datagram.truncate(below(datagram.len() as u64 + 1, rng) as usize),
        1 => datagram.extend((0..below(40, rng)).map(|_| rng.next_u32() as u8)),
        2 => {
            let len = below(1400, rng) as usize;
            *datagram = (0..len).map(|_| rng.next_u32() as u8).collect();
        }
        _ => {
            for _ in 0..=below(4, rng) {
                if !datagram.is_empty() {
                    let at = below(datagram.len() as u64, rng) as usize;
                    datagram[at] = rng.next_u32() as u8;
                }
            }
        }
    }
}

#[test]
fn any_bytes_are_counted_once_and_answered_no_larger_than_they_are() {
    for seed in seeds() {
        println!("RP_SEED={seed}");
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut world = World::new();
        for id in 1..=20 {
            world.mint(id, 100_000);
        }
        let users: Vec<User> = (1..=20).map(|id| User::log_in(&mut world, id)).collect();
        let corpus = corpus(&mut world, &users);
        world.sent.datagrams.clear();
        for _ in 0..DATAGRAMS {
            let mut datagram = corpus[below(corpus.len() as u64, &mut rng) as usize].clone();
            if below(8, &mut rng) > 0 {
                mutate(&mut datagram, &mut rng);
            }
            // A stranger's address: nothing that leaves for it may be larger than what came.
            let stranger = peer(200, 7);
            let outcome = world.give(stranger, &datagram);
            for (to, reply) in world.sent.datagrams.drain(..) {
                let kind = Kind::of_number(reply[0] & 0x3f);
                let is_proven = matches!(kind, Some(Kind::Welcome | Kind::LoginRefused));
                assert!(to != stranger || is_proven || reply.len() <= datagram.len(), "{outcome:?} {reply:02x?}");
            }
            // And the same from the users' own addresses, where all that is valid is done.
            let user = &users[below(20, &mut rng) as usize];
            world.give(user.peer, &datagram);
            world.carry();
            world.sent.datagrams.clear();
            if below(50, &mut rng) == 0 {
                world.pass(10_000);
            }
        }
        world.audit();
    }
}

#[test]
fn a_datagram_that_comes_to_the_wrong_worker_is_dropped_and_counted() {
    let mut world = World::new();
    let user = User::log_in(&mut world, 5);
    let hello = user.hello();
    let outcomes: Vec<Outcome> =
        world.shards.iter_mut().map(|shard| shard.receive(world.now, user.peer, 0, &hello, &mut world.sent)).collect();
    let strays = outcomes.iter().filter(|o| **o == Outcome::Dropped(rp_core::reason::Reason::MisSteered)).count();
    assert_eq!(strays, 1);
    world.audit();
}
