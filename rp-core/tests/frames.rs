//! The parser on the host: the table of named frames, and every prefix and single-byte change of them.

mod named_frames;

use named_frames::{OURS, rows};
use rp_core::frame::{Verdict, classify};

#[test]
fn named_frames_have_their_verdicts() {
    for row in rows() {
        assert_eq!(classify(&row.bytes[..], &OURS), row.verdict, "{}", row.name);
    }
}

#[test]
fn a_request_always_lies_inside_its_frame() {
    let mut requests = 0;
    let mut check = |name: &str, bytes: &[u8]| {
        if let Verdict::Request(request) = classify(bytes, &OURS) {
            requests += 1;
            let (min, max) = request.kind.request_length();
            assert!((min..=max).contains(&request.payload_len), "{name}");
            assert!(request.payload_offset + request.payload_len <= bytes.len(), "{name}");
        }
    };
    for row in rows() {
        for len in 0..=row.bytes.len() {
            check(&row.name, &row.bytes[..len]);
        }
        let mut bytes = row.bytes.clone();
        for at in 0..bytes.len().min(100) {
            for flip in 1..=255 {
                bytes[at] ^= flip;
                check(&row.name, &bytes);
                bytes[at] ^= flip;
            }
        }
    }
    assert!(requests > 100_000, "only {requests} changed frames were still requests");
}
