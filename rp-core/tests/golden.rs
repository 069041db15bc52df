//! Golden files: one named datagram of every kind, byte for byte as it was first laid down in tests/golden.
//!
//! A difference is a change of the protocol: old clients would break. When that is meant, raise the version and write
//! the files anew with `RP_GOLDEN=write cargo test -p rp-core --test golden`.

#[path = "shared/story.rs"]
mod story;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Once;

use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::reason::Reason;
use rp_core::sealing::{SEALED_AT, close_money, open_money};
use rp_core::wire::{FLAG_SEALED, TAG_LEN, TRAILER};

/// The folder of the golden files, written anew first when that is asked for: once, before any test reads it.
fn folder() -> PathBuf {
    static WRITTEN: Once = Once::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    if std::env::var_os("RP_GOLDEN").is_some_and(|what| what == "write") {
        WRITTEN.call_once(|| {
            for scene in story::scenes() {
                let path = folder.join(format!("{}.hex", scene.name));
                std::fs::write(path, to_hex(&scene.bytes)).expect("the folder of the golden files can be written");
            }
        });
    }
    folder
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_datagram_is_what_its_golden_file_says() {
    let mut wrong = Vec::new();
    for scene in story::scenes() {
        let path = folder().join(format!("{}.hex", scene.name));
        let is = to_hex(&scene.bytes);
        let was = std::fs::read_to_string(&path).unwrap_or_else(|error| format!("{}: {error}\n", path.display()));
        if is != was {
            wrong.push(format!("{}\n  golden: {}  is:     {}", scene.name, was, is));
        }
    }
    assert!(wrong.is_empty(), "the wire changed:\n{}", wrong.join("\n"));
}

#[test]
fn every_golden_file_belongs_to_a_datagram() {
    let told: BTreeSet<String> = story::scenes().iter().map(|scene| format!("{}.hex", scene.name)).collect();
    let found: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("tests/golden is part of the repository")
        .map(|entry| entry.expect("a folder entry reads").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(told, found);
}

#[test]
fn every_kind_that_travels_has_a_golden_file() {
    let told: Vec<Kind> = story::scenes().iter().map(|scene| scene.kind).collect();
    for kind in Kind::ALL {
        assert!(told.contains(kind), "{}", kind.name());
    }
}

#[test]
fn what_bears_money_is_sealed_and_opens_as_it_was_alone() {
    let key = story::session_key();
    let open = |bytes: &[u8]| {
        let mut room = [0; DATAGRAM_MAX];
        open_money(Some(story::sealing_key()), bytes, &mut room).map(<[u8]>::to_vec)
    };
    for scene in story::scenes().iter().filter(|scene| scene.kind.bears_money()) {
        let sealed = &scene.bytes;
        assert_eq!(sealed[1], FLAG_SEALED, "{}", scene.name);
        let opened = open(sealed).expect("it was sealed under this key");
        // Head and trailer travel as they are, and what lies between differs: sealed by the same key it is what it was.
        let body = SEALED_AT..sealed.len() - TRAILER;
        assert_eq!((&opened[..body.start], &opened[body.end..]), (&sealed[..body.start], &sealed[body.end..]));
        assert_ne!(opened[body.clone()], sealed[body.clone()], "{}", scene.name);
        let mut again = opened.clone();
        close_money(&key, Some(story::sealing_key()), &mut again, body.end);
        assert_eq!(&again, sealed, "{}", scene.name);
        for at in 0..sealed.len() - TAG_LEN {
            let mut bent = sealed.clone();
            bent[at] ^= 1 << (at % 8);
            let reason = if bent[1] & FLAG_SEALED == 0 { Reason::NotSealed } else { Reason::BadSeal };
            assert_eq!(open(&bent), Err(reason), "{} with byte {at} changed", scene.name);
        }
    }
}

#[test]
fn every_tag_verifies_and_fails_once_a_bit_is_turned() {
    for scene in story::scenes() {
        assert_eq!(scene.bytes[0], scene.kind.first_byte(), "{}", scene.name);
        let Some(key) = scene.key else { continue };
        assert!(rp_core::key::verifies(&key, &scene.bytes), "{}", scene.name);
        for at in 0..scene.bytes.len() {
            let mut bent = scene.bytes.clone();
            bent[at] ^= 1 << (at % 8);
            assert!(!rp_core::key::verifies(&key, &bent), "{} with byte {at} changed", scene.name);
        }
    }
}
