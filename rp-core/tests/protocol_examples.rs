//! docs/PROTOCOL.md is true: each example is what `rp_core` encodes, each table of bytes is the layout's.
//!
//! `RP_GOLDEN=write cargo test -p rp-core --test protocol_examples` writes the examples anew; the prose is a human's.

#[path = "shared/document.rs"]
mod document;
#[path = "shared/story.rs"]
#[allow(dead_code, reason = "the golden files use more of it")]
mod story;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Once;

use document::{Document, Table};
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::sealing::{SEALED_AT, open_money};
use rp_core::wire::*;

/// What the document must show: keys, the ticket and every datagram of the story.
fn expected() -> Vec<(&'static str, Option<Kind>, Vec<u8>)> {
    let mut all = vec![
        ("secret", None, story::secret().to_vec()),
        ("session_key", None, story::session_key().to_vec()),
        ("sealing_key", None, story::sealing_key().to_vec()),
        ("realm_key", None, story::realm_key().to_vec()),
        ("ticket_nonce", None, story::ticket_nonce().to_vec()),
        ("ticket", None, story::ticket().to_vec()),
    ];
    all.extend(story::scenes().into_iter().map(|scene| (scene.name, Some(scene.kind), scene.bytes)));
    all
}

/// The document, its examples written anew first when that is asked for: once, before any test reads it.
fn document() -> Document {
    static WRITTEN: Once = Once::new();
    if std::env::var_os("RP_GOLDEN").is_some_and(|what| what == "write") {
        WRITTEN.call_once(write_examples);
    }
    Document::read()
}

/// A datagram as it was before it was sealed; others as they are.
fn opened(kind: Option<Kind>, bytes: &[u8]) -> Vec<u8> {
    match kind {
        Some(kind) if kind.bears_money() => {
            let mut room = [0; DATAGRAM_MAX];
            open_money(Some(story::sealing_key()), bytes, &mut room).expect("the story seals it").to_vec()
        }
        _ => bytes.to_vec(),
    }
}

fn heading_of(kind: Kind) -> String {
    kind.name().to_uppercase()
}

#[test]
fn every_example_is_what_the_code_makes() {
    let document = document();
    let mut shown = BTreeMap::new();
    for example in &document.examples {
        let twice = shown.insert(example.name.as_str(), (&example.bytes, &example.plain));
        assert!(twice.is_none(), "two examples are called {}", example.name);
    }
    for (name, kind, bytes) in expected() {
        let is = shown.remove(name).unwrap_or_else(|| panic!("docs/PROTOCOL.md shows no example {name}"));
        assert_eq!(is, (&bytes, &opened(kind, &bytes)), "the example {name} differs");
    }
    assert!(shown.is_empty(), "examples of nothing: {:?}", shown.keys());
}

/// A field of a layout: its name and what it holds when the datagram's bytes are 0, 1, 2 and so on.
type Fields = Vec<(String, String)>;

/// Reads names and values out of what `#[derive(Debug)]` prints.
fn fields_of(debug: &str) -> Fields {
    let inner = debug.split_once(" { ").and_then(|(_, rest)| rest.strip_suffix(" }")).expect("a struct with fields");
    let (mut fields, mut depth, mut from) = (Vec::new(), 0, 0);
    let ends = inner.char_indices().filter_map(|(at, c)| match c {
        '[' => {
            depth += 1;
            None
        }
        ']' => {
            depth -= 1;
            None
        }
        ',' if depth == 0 => Some(at),
        _ => None,
    });
    for end in ends.chain([inner.len()]).collect::<Vec<_>>() {
        let (name, value) = inner[from..end].split_once(": ").expect("a field has a name and a value");
        fields.push((name.to_owned(), value.to_owned()));
        from = (end + 2).min(inner.len());
    }
    fields
}

fn probe() -> Vec<u8> {
    (0..rp_core::limits::DATAGRAM_MAX).map(|i| i as u8).collect()
}

/// Layouts by the heading that their table stands under, with their length and how they end.
fn layouts() -> Vec<(Kind, usize, &'static str, Fields)> {
    let probe = probe();
    macro_rules! rows {
        ($($kind:ident $layout:ident $end:literal;)*) => { vec![$({
            let value = $layout::take(&probe).expect("the probe is long enough");
            (Kind::$kind, $layout::LEN, $end, fields_of(&format!("{value:?}")))
        },)*] };
    }
    rows! {
        Hello Hello "padding"; Challenge Challenge ""; Login Login "tag"; Welcome Welcome "tag";
        LoginRefused LoginRefused "tag"; Shake SessionHead "tag"; Ping Ping "tag"; Pong Pong "tag";
        UnknownSession SessionHead ""; NoticeAck NoticeAck "tag"; Send Send "tail tail seal tag"; Sent Sent "seal tag";
        Grab Grab "seal tag"; Grabbed Grabbed "seal tag"; Detail Detail "seal tag";
        DetailPage DetailPage "tail tail seal tag"; Balance Balance "seal tag"; BalanceIs BalanceIs "seal tag";
        History History "seal tag"; HistoryPage HistoryPage "tail seal tag";
        Refused Refused "seal tag"; Prize Prize "seal tag"; Notice Notice "seal tag"; TotalsAre TotalsAre "seal tag";
    }
}

fn table_of(document: &Document, kind: Kind) -> &Table {
    let name = heading_of(kind);
    document.layouts().find(|table| table.heading == name).unwrap_or_else(|| panic!("no table of bytes for {name}"))
}

#[test]
fn every_table_of_bytes_is_the_layout_of_its_kind() {
    let document = document();
    let layouts = layouts();
    for (kind, len, end, fields) in &layouts {
        let (name, rows) = (heading_of(*kind), &table_of(&document, *kind).rows);
        assert_eq!(rows[0], ["0", "1", "kind", &format!("{:#04x}", kind.first_byte())], "{name}");
        let mut offset = 1;
        for (row, (field, value)) in rows[1..].iter().zip(fields) {
            assert_eq!(&row[2], field, "{name}");
            assert_eq!(row[0], offset.to_string(), "{name}.{field}");
            let size: usize = row[1].parse().expect("a size is a number");
            assert_eq!(&held(&probe()[offset..offset + size], value), value, "{name}.{field} has another size");
            offset += size;
        }
        assert_eq!(offset, *len, "{name}");
        let mut ends = Vec::new();
        for row in &rows[1 + fields.len()..] {
            ends.push(row[2].as_str());
            if let (Ok(at), Ok(size)) = (row[0].parse::<usize>(), row[1].parse::<usize>()) {
                assert_eq!(at, offset, "{name}.{}", row[2]);
                offset += size;
            }
        }
        assert_eq!(ends.join(" "), *end, "{name}");
    }
    // The ticket's table is held to by the ticket itself.
    assert_eq!(document.layouts().count(), layouts.len() + 1);
}

/// The bytes as `Debug` would print them in the place of `like`: an array or a little-endian number.
fn held(bytes: &[u8], like: &str) -> String {
    if like.starts_with('[') {
        return format!("{bytes:?}");
    }
    bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)).to_string()
}

#[test]
fn the_list_of_kinds_is_whole() {
    let document = document();
    let listed: Vec<_> = document.table("first byte").rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let kinds: Vec<_> =
        Kind::ALL.iter().map(|kind| (format!("{:#04x}", kind.first_byte()), heading_of(*kind))).collect();
    assert_eq!(listed, kinds);
    for kind in Kind::ALL {
        let heading = format!("### {}", heading_of(*kind));
        assert!(document.lines.contains(&heading), "no section {heading}");
    }
}

#[test]
fn the_list_of_refusals_is_whole() {
    let document = document();
    let listed: Vec<_> = document.table("number").rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let refusals: Vec<_> = Refusal::ALL.iter().map(|r| ((*r as u8).to_string(), r.name().to_owned())).collect();
    assert_eq!(listed, refusals);
}

#[test]
fn the_table_of_set_hashes_is_right() {
    let document = document();
    let rows = &document.table("user").rows;
    assert!(rows.len() >= 6);
    for row in rows {
        let user = row[0].parse().expect("a user is a number");
        let is =
            [format!("{:#06x}", rp_core::steer::set_hash(user)), rp_core::steer::set_of_user(user, 256).to_string()];
        assert_eq!(row[1..], is, "user {user}");
    }
}

#[test]
fn the_lengths_in_the_prose_are_those_of_the_examples() {
    let document = document();
    for scene in story::scenes() {
        let heading = format!("### {}", heading_of(scene.kind));
        let at = document.lines.iter().position(|line| *line == heading).expect("every kind has its section");
        let words: Vec<_> = document.lines[at + 2].split_whitespace().take(2).collect();
        assert_eq!(words[1].trim_matches([',', ':']), "bytes", "{heading} starts with its length");
        let told: usize = words[0].parse().expect("a length is a number");
        let has_tail = matches!(scene.kind, Kind::Send | Kind::DetailPage | Kind::HistoryPage);
        let is = scene.bytes.len();
        assert!(if has_tail { told <= is } else { told == is }, "{heading}: {told}, not {is}");
    }
    for len in [Send::LEN, DetailPage::LEN, HistoryPage::LEN] {
        let told = format!("{} bytes and the tail", len + TRAILER);
        assert!(document.lines.iter().any(|line| line.starts_with(&told)), "{told}");
    }
}

/// Fills every block with what the code makes, a field to a line.
fn write_examples() {
    let document = Document::read();
    let mut lines = document.lines.clone();
    for example in document.examples.iter().rev() {
        let made = expected();
        let Some((_, kind, bytes)) = made.iter().find(|(name, ..)| *name == example.name) else { continue };
        lines.splice(example.lines.clone(), shown(&document, *kind, bytes));
    }
    std::fs::write(document::path(), lines.join("\n") + "\n").expect("docs/PROTOCOL.md can be written");
}

fn shown(document: &Document, kind: Option<Kind>, bytes: &[u8]) -> Vec<String> {
    let name = kind.map(heading_of).unwrap_or_default();
    let plain = opened(kind, bytes);
    let kind = kind.filter(|_| document.layouts().any(|table| table.heading == name));
    // A kind without a table of its own is laid out as a SHAKE.
    let table =
        if bytes.len() == 18 || kind.is_some() { Some(table_of(document, kind.unwrap_or(Kind::Shake))) } else { None };
    let mut out = Vec::new();
    let mut at = 0;
    let Some(table) = table else {
        push(&mut out, bytes, "");
        return out;
    };
    for row in &table.rows {
        // "20", "greeting_len" or "8 × recipients".
        let (each, count) = row[1].split_once(" × ").unwrap_or(("1", &row[1]));
        let count = count.parse().unwrap_or_else(|_| told_by(table, count, &plain));
        let size = count * each.parse::<usize>().expect("a size is a number or a number times a field");
        let is_sealed = kind.is_some_and(Kind::bears_money) && at >= SEALED_AT && !["seal", "tag"].contains(&&*row[2]);
        if is_sealed {
            push_sealed(&mut out, &bytes[at..at + size], &plain[at..at + size], &row[2]);
        } else {
            push(&mut out, &bytes[at..at + size], &row[2]);
        }
        at += size;
    }
    out
}

/// The number in a field of one byte.
fn told_by(table: &Table, field: &str, bytes: &[u8]) -> usize {
    let row = table.rows.iter().find(|row| row[2] == field).expect("the size of a tail is a field");
    usize::from(bytes[row[0].parse::<usize>().expect("an offset is a number")])
}

fn push(out: &mut Vec<String>, bytes: &[u8], what: &str) {
    for (line, part) in bytes.chunks(32).enumerate() {
        let text = hex(part);
        out.push(if line == 0 && !what.is_empty() { format!("{text:<16} {what}") } else { text });
    }
}

/// Half as much to a line, with what it was before.
fn push_sealed(out: &mut Vec<String>, bytes: &[u8], plain: &[u8], what: &str) {
    for (line, (part, plain)) in bytes.chunks(16).zip(plain.chunks(16)).enumerate() {
        let (text, plain) = (hex(part), hex(plain));
        out.push(if line == 0 { format!("{text:<16} {what} = {plain}") } else { format!("{text} = {plain}") });
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
