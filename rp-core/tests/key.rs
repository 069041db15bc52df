//! Keys and tags: SipHash-2-4 as published, and session keys that depend on every byte of what makes them.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use rp_core::key::*;
use rp_core::kind::Kind;
use rp_core::wire::{SHAKE_LEN, SessionHead};

/// SipHash-2-4 of the first 0, 1, .. 63 of the bytes 00, 01, 02 ..., under the key 00 01 .. 0f: the vectors of its
/// authors' reference implementation (<https://github.com/veorq/SipHash>). The sixteenth is the worked example of the
/// paper, appendix A.
const VECTORS: [u64; 64] = [
    0x726f_db47_dd0e_0e31,
    0x74f8_39c5_93dc_67fd,
    0x0d6c_8009_d9a9_4f5a,
    0x8567_6696_d7fb_7e2d,
    0xcf27_94e0_2771_87b7,
    0x1876_5564_cd99_a68d,
    0xcbc9_466e_58fe_e3ce,
    0xab02_00f5_8b01_d137,
    0x93f5_f579_9a93_2462,
    0x9e00_82df_0ba9_e4b0,
    0x7a5d_bbc5_94dd_b9f3,
    0xf4b3_2f46_226b_ada7,
    0x751e_8fbc_860e_e5fb,
    0x14ea_5627_c084_3d90,
    0xf723_ca90_8e7a_f2ee,
    0xa129_ca61_49be_45e5,
    0x3f2a_cc7f_57c2_9bdb,
    0x699a_e9f5_2cbe_4794,
    0x4bc1_b3f0_968d_d39c,
    0xbb6d_c91d_a779_61bd,
    0xbed6_5cf2_1aa2_ee98,
    0xd0f2_cbb0_2e3b_67c7,
    0x9353_6795_e3a3_3e88,
    0xa80c_038c_cd5c_cec8,
    0xb8ad_50c6_f649_af94,
    0xbce1_92de_8a85_b8ea,
    0x17d8_35b8_5bbb_15f3,
    0x2f2e_6163_076b_cfad,
    0xde4d_aaac_a71d_c9a5,
    0xa6a2_5066_8795_6571,
    0xad87_a353_5c49_ef28,
    0x32d8_92fa_d841_c342,
    0x7127_512f_72f2_7cce,
    0xa7f3_2346_f959_78e3,
    0x12e0_b01a_bb05_1238,
    0x15e0_34d4_0fa1_97ae,
    0x314d_ffbe_0815_a3b4,
    0x0279_90f0_2962_3981,
    0xcadc_d4e5_9ef4_0c4d,
    0x9abf_d876_6a33_735c,
    0x0e3e_a96b_5304_a7d0,
    0xad0c_42d6_fc58_5992,
    0x1873_06c8_9bc2_15a9,
    0xd4a6_0abc_f379_2b95,
    0xf935_451d_e4f2_1df2,
    0xa953_8f04_1975_5787,
    0xdb9a_cddf_f56c_a510,
    0xd06c_98cd_5c09_75eb,
    0xe612_a3cb_9ecb_a951,
    0xc766_e62c_fcad_af96,
    0xee64_435a_9752_fe72,
    0xa192_d576_b245_165a,
    0x0a87_87bf_8ecb_74b2,
    0x81b3_e73d_20b4_9b6f,
    0x7fa8_220b_a3b2_ecea,
    0x2457_31c1_3ca4_2499,
    0xb78d_bfaf_3a8d_83bd,
    0xea1a_d565_322a_1a0b,
    0x60e6_1c23_a379_5013,
    0x6606_d7e4_4628_2b93,
    0x6ca4_ecb1_5c5f_91e1,
    0x9f62_6da1_5c96_25f3,
    0xe51b_3860_8ef2_5f57,
    0x958a_324c_eb06_4572,
];

fn counting<const N: usize>() -> [u8; N] {
    core::array::from_fn(|i| i as u8)
}

#[test]
fn siphash_gives_the_vectors_of_its_authors() {
    let input: [u8; 64] = counting();
    for (len, vector) in VECTORS.into_iter().enumerate() {
        assert_eq!(sip(&counting(), &input[..len]), vector, "input of {len} bytes");
    }
}

#[test]
fn a_session_key_is_two_hashes_of_label_nonces_and_session() {
    let secret: Key = counting();
    let (client, server, session) = (0x0807_0605_0403_0201u64, 0x100f_0e0d_0c0b_0a09u64, 0x1413_1211u32);
    // Label, then 01 .. 14: the nonces and the session in little-endian order.
    let mut input: [u8; 21] = counting();
    let key = session_key(&secret, client, server, session);
    assert_eq!(key[..8], sip(&secret, &input).to_le_bytes());
    input[0] = 1;
    assert_eq!(key[8..], sip(&secret, &input).to_le_bytes());
}

#[test]
fn a_sealing_key_is_four_hashes_more() {
    let secret: Key = counting();
    let (client, server, session) = (0x0807_0605_0403_0201u64, 0x100f_0e0d_0c0b_0a09u64, 0x1413_1211u32);
    let mut input: [u8; 21] = counting();
    let key = sealing_key(&secret, client, server, session);
    for (label, part) in (2..).zip(key.chunks_exact(8)) {
        input[0] = label;
        assert_eq!(part, sip(&secret, &input).to_le_bytes(), "label {label}");
    }
}

#[test]
fn a_session_key_changes_with_any_bit_of_its_inputs() {
    let secret: Key = counting();
    let mut seen = BTreeSet::from([session_key(&secret, 1, 2, 3)]);
    for bit in 0..128 {
        let mut other = secret;
        other[bit / 8] ^= 1 << (bit % 8);
        seen.insert(session_key(&other, 1, 2, 3));
    }
    for bit in 0..64 {
        seen.insert(session_key(&secret, 1 ^ 1 << bit, 2, 3));
        seen.insert(session_key(&secret, 1, 2 ^ 1 << bit, 3));
    }
    for bit in 0..32 {
        seen.insert(session_key(&secret, 1, 2, 3 ^ 1 << bit));
    }
    assert_eq!(seen.len(), 1 + 128 + 64 + 64 + 32);
    assert_ne!(session_key(&secret, 1, 2, 3), session_key(&secret, 2, 1, 3), "the nonces are not interchangeable");
}

#[test]
fn the_tag_of_a_request_does_not_serve_for_its_reply() {
    let key: Key = counting();
    let mut shake = [0; SHAKE_LEN];
    SessionHead { flags: 0, session: 9, sequence: 1 }.put_tagged(Kind::Shake, &key, &mut shake);
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Shake) {
        let mut turned = shake;
        turned[0] = kind.first_byte();
        assert!(!verifies(&key, &turned), "a SHAKE's tag passes on a {}", kind.name());
    }
}

#[test]
fn a_path_token_is_for_one_session_address_and_time() {
    let token = path_token(&[1; 16], &[2; 18], 3);
    assert_ne!(token, path_token(&[4; 16], &[2; 18], 3), "another session");
    assert_ne!(token, path_token(&[1; 16], &[2; 18], 4), "another time");
    for at in 0..18 {
        let mut address = [2; 18];
        address[at] ^= 1;
        assert_ne!(token, path_token(&[1; 16], &address, 3), "another address");
    }
}

#[test]
fn what_is_too_short_for_a_tag_has_none() {
    for len in 0..8 {
        assert!(!verifies(&[0; 16], &[0; 8][..len]));
    }
}

proptest! {
    #[test]
    fn what_was_sealed_verifies_and_no_longer_or_shorter_piece_does(
        key in any::<Key>(), other in any::<Key>(), body in vec(any::<u8>(), 0..1224),
    ) {
        let mut out = body.clone();
        out.resize(body.len() + 9, 0);
        let len = seal(&key, &mut out, body.len());
        prop_assert_eq!(len, body.len() + 8);
        prop_assert_eq!(&out[..body.len()], &body[..]);
        prop_assert!(verifies(&key, &out[..len]));
        prop_assert!(!verifies(&key, &out[..len - 1]));
        prop_assert!(!verifies(&key, &out));
        prop_assert!(key == other || !verifies(&other, &out[..len]));
    }
}
