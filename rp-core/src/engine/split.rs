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
/// uniform in `1 ..= 2 * left / people`, kept so that each later taker can get at least 1 fen and none more than 200 yuan.
pub fn share(left_fen: u64, people: u8, split: u8, rng: &mut impl RngCore) -> u64 {
    let people = u64::from(people);
    if people == 1 {
        return left_fen;
    }
    if split == SPLIT_EQUAL {
        return left_fen.div_ceil(people);
    }
    let others = people - 1;
    let lowest = left_fen.saturating_sub(others * SHARE_MAX_FEN).max(SHARE_MIN_FEN);
    let highest = (2 * left_fen / people).min(left_fen - others * SHARE_MIN_FEN).min(SHARE_MAX_FEN).max(lowest);
    lowest + below(highest - lowest + 1, rng)
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
        // 40 000 packets of 300 fen over 3: the means of the three positions lie within 2.5 of 100 (the double mean itself
        // gives 100.5, 100.25 and 99.25, and four standard errors are 1.3).
        let mut rng = ChaCha12Rng::seed_from_u64(3);
        let mut sums = [0; 3];
        for _ in 0..40_000 {
            for (sum, fen) in sums.iter_mut().zip(open(300, 3, SPLIT_RANDOM, &mut rng)) {
                *sum += fen;
            }
        }
        for sum in sums {
            assert!(sum.abs_diff(4_000_000) < 100_000, "{sums:?}");
        }
    }
}
