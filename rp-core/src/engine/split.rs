//! How much the next taker of a packet gets.
//!
//! What a random split draws follows from the packet's seed, which stands in the ledger: an audit draws it again.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

use crate::limits::{SHARE_MAX_FEN, SHARE_MIN_FEN};
use crate::wire::{SPLIT_EQUAL, SPLIT_RANDOM};

/// What is asked of a packet before it is made.
pub fn is_allowed(total_fen: u64, shares: u8, split: u8) -> bool {
    let people = u64::from(shares);
    (split == SPLIT_EQUAL || split == SPLIT_RANDOM)
        && (1..=crate::limits::SHARES_MAX).contains(&usize::from(shares))
        && total_fen >= people * SHARE_MIN_FEN
        && total_fen <= people * SHARE_MAX_FEN
}

/// The share of the next taker of `left_fen` among `people` takers left, at least one.
///
/// Equal: the floor, and one fen more for the first takers until the remainder is spread. Random: the double mean,
/// uniform in `1 ..= 2 * left / people - 1`. Its mean is `left / people`, so no position is better than another; where the
/// end is no whole number, chance rounds it. Later takers always find 1 fen each, and never more than 200 yuan: where more than half
/// of what may be given is left, the same is drawn from the other end.
pub fn share(left_fen: u64, people: u8, split: u8, rng: &mut impl RngCore) -> u64 {
    const ENDS: u64 = SHARE_MIN_FEN + SHARE_MAX_FEN;
    let people = u64::from(people);
    if people == 1 {
        return left_fen;
    }
    if split == SPLIT_EQUAL {
        return left_fen.div_ceil(people);
    }
    // Beyond the middle of what is allowed the same is done from the other end: with what each lacks to the most.
    let is_beyond = 2 * left_fen > people * ENDS;
    let left = if is_beyond { people * ENDS - left_fen } else { left_fen };
    let (whole, part) = (2 * left / people, 2 * left % people);
    let highest = whole - SHARE_MIN_FEN + u64::from(below(people, rng) < part);
    let fen = SHARE_MIN_FEN + below(highest, rng);
    if is_beyond { ENDS - fen } else { fen }
}

/// What share number `n`, from 0, of a packet with a random split is drawn from: ChaCha12 (Aumasson 2019) keyed by the
/// packet's seed, its id in little-endian and eight zeros, in stream `n`.
pub fn draws(seed: &[u8; 16], packet: u64, n: u8) -> ChaCha12Rng {
    let mut key = [0; 32];
    key[..16].copy_from_slice(seed);
    key[16..24].copy_from_slice(&packet.to_le_bytes());
    let mut rng = ChaCha12Rng::from_seed(key);
    rng.set_stream(u64::from(n));
    rng
}

/// Uniform in `0 .. n`, `n` at least one: draws that would make low numbers likelier are thrown away.
pub fn below(n: u64, rng: &mut impl RngCore) -> u64 {
    let unfair = n.wrapping_neg() % n;
    loop {
        let draw = u128::from(rng.next_u64()) * u128::from(n);
        if draw as u64 >= unfair {
            return (draw >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn open(total: u64, people: u8, split: u8, rng: &mut ChaCha12Rng) -> Vec<u64> {
        let mut left = total;
        (0..people)
            .map(|taken| {
                let fen = share(left, people - taken, split, rng);
                left -= fen;
                fen
            })
            .collect()
    }

    #[test]
    fn an_equal_split_spreads_the_remainder() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        assert_eq!(open(10, 3, SPLIT_EQUAL, &mut rng), [4, 3, 3]);
        assert_eq!(open(11, 3, SPLIT_EQUAL, &mut rng), [4, 4, 3]);
        assert_eq!(open(3, 3, SPLIT_EQUAL, &mut rng), [1, 1, 1]);
    }

    #[test]
    fn every_random_split_is_whole_and_within_limits() {
        let mut rng = ChaCha12Rng::seed_from_u64(2);
        for round in 0..20_000 {
            let people = 1 + below(100, &mut rng) as u8;
            let most = u64::from(people) * SHARE_MAX_FEN;
            let least = u64::from(people);
            let total = match round % 4 {
                0 => least,
                1 => most,
                _ => least + below(most - least + 1, &mut rng),
            };
            let shares = open(total, people, SPLIT_RANDOM, &mut rng);
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares.iter().all(|fen| (SHARE_MIN_FEN..=SHARE_MAX_FEN).contains(fen)), "{total} {shares:?}");
        }
    }

    #[test]
    fn each_share_has_draws_of_its_own() {
        let first = |seed, packet, n| draws(&[seed; 16], packet, n).next_u64();
        // Ledgers outlive programs: a share that was drawn once is drawn alike for ever.
        assert_eq!(first(1, 2, 3), 16_556_367_392_607_614_668);
        let others = [first(2, 2, 3), first(1, 3, 3), first(1, 2, 2), first(1, 2 << 8, 3)];
        assert!(others.iter().all(|other| *other != first(1, 2, 3)), "{others:x?}");
    }

    #[test]
    fn a_random_split_favours_no_position() {
        // What a taker gets beyond an equal part of what is left is zero in the mean, whatever came before; so over many
        // packets the squares of its sums, each over its variance, are chi-square with a degree of freedom a position.
        let mut rng = ChaCha12Rng::seed_from_u64(3);
        for (total, people) in [(300, 3), (12, 10), (1_000, 10), (25, 2), (59_000, 3), (150_005, 10), (30_001, 3)] {
            let (mut sums, mut squares) = ([0.0; 10], [0.0; 10]);
            for _ in 0..100_000 {
                let mut left = total;
                for (at, fen) in open(total, people, SPLIT_RANDOM, &mut rng).into_iter().enumerate() {
                    let beyond = fen as f64 - left as f64 / (usize::from(people) - at) as f64;
                    sums[at] += beyond;
                    squares[at] += beyond * beyond;
                    left -= fen;
                }
            }
            // The last has no choice.
            let positions = 0..usize::from(people) - 1;
            let chi_square: f64 = positions.map(|at| sums[at] * sums[at] / squares[at]).sum();
            // Exceeded by chance once in ten thousand, with 1, 2 and 9 degrees of freedom.
            let limit = [15.1, 18.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 33.7][usize::from(people) - 2];
            assert!(chi_square < limit, "{total} fen for {people}: {chi_square}, {sums:?}");
        }
    }

    #[test]
    fn of_two_takers_each_is_the_luckier_one_as_often() {
        let mut rng = ChaCha12Rng::seed_from_u64(4);
        let rounds = 200_000;
        let mut first = 0_i64;
        for _ in 0..rounds {
            let shares = open(1_001, 2, SPLIT_RANDOM, &mut rng);
            first += i64::from(shares[0] > shares[1]);
        }
        // Four standard errors.
        assert!((2 * first - rounds).abs() < 4 * 448, "{first} of {rounds}");
    }
}
