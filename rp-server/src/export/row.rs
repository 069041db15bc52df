//! One posting as a row of CSV: columns that its act does not use are empty.

use rp_core::kind::Kind;
use rp_core::posting::{Act, BANK, Planned, Posting, Refused, Source, Terms, Told};
use rp_core::wire::{AUDIENCE_SET, Refusal, SPLIT_EQUAL};

/// The first row.
pub const HEADER: &str = "position,set,sequence,act,debit_type,debit,credit_type,credit,fen,about,request,hash,at_ms,\
                          source_set,source_sequence,source_note,split,audience,audience_set,shares,recipients,\
                          expires_ms,greeting,refused,refusal,share_fen,told_fen,made_ms,rate,from_fen,to_fen,per_user\r\n";

/// Columns of a row.
const COLUMNS: usize = 32;
/// Where the columns of each tail begin.
const TERMS: usize = 16;
const REFUSED: usize = TERMS + 7;
const TOLD: usize = REFUSED + 3;
const PLANNED: usize = TOLD + 2;
const _: () = assert!(PLANNED + 4 == COLUMNS);

/// Appends the row of a posting to `out`.
pub fn put(position: u64, posting: &Posting<'_>, out: &mut String) {
    let mut columns: [String; COLUMNS] = Default::default();
    put_head(position, posting, &mut columns);
    put_tail(posting, &mut columns);
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        put_column(column, out);
    }
    out.push_str("\r\n");
}

fn put_head(position: u64, posting: &Posting<'_>, columns: &mut [String]) {
    let &Posting { set, sequence, act, debit, credit, fen, about, request, hash, at_ms, source, .. } = posting;
    let (debit_type, credit_type) = act.sides();
    columns[0] = position.to_string();
    columns[1] = set_name(set);
    columns[2] = sequence.to_string();
    columns[3] = act.name().to_string();
    columns[4] = debit_type.name().to_string();
    columns[5] = debit.to_string();
    columns[6] = credit_type.name().to_string();
    columns[7] = credit.to_string();
    columns[8] = fen.to_string();
    columns[9] = about.to_string();
    if request > 0 {
        columns[10] = request.to_string();
        columns[11] = format!("{hash:016x}");
    }
    columns[12] = at_ms.to_string();
    if source != Source::NONE {
        columns[13] = set_name(source.set());
        columns[14] = (source.place() >> 8).to_string();
        columns[15] = (source.place() & 0xff).to_string();
    }
}

/// A tail that cannot be read leaves its columns empty: to judge it is the audit's.
fn put_tail(posting: &Posting<'_>, columns: &mut [String]) {
    let tail = posting.tail;
    match posting.act {
        Act::Sent => {
            if let Some(terms) = Terms::take(tail) {
                put_terms(&terms, &tail[Terms::LEN..], &mut columns[TERMS..]);
            }
        }
        Act::Refused => {
            if let Some(Refused { kind, refusal, share_fen }) = Refused::take(tail) {
                columns[REFUSED] = Kind::of_number(kind).map_or(kind.to_string(), |kind| kind.name().to_string());
                columns[REFUSED + 1] =
                    Refusal::of_number(refusal).map_or(refusal.to_string(), |refusal| refusal.name().to_string());
                columns[REFUSED + 2] = share_fen.to_string();
            }
        }
        Act::Told | Act::Untold => {
            if let Some(Told { fen, made_ms }) = Told::take(tail) {
                columns[TOLD] = fen.to_string();
                columns[TOLD + 1] = made_ms.to_string();
            }
        }
        Act::Started => {
            if let Some(Planned { rate, from_fen, to_fen, per_user }) = Planned::take(tail) {
                let words = [u64::from(rate), from_fen, to_fen, u64::from(per_user)];
                for (column, word) in columns[PLANNED..].iter_mut().zip(words) {
                    *column = word.to_string();
                }
            }
        }
        _ => {}
    }
}

fn put_terms(terms: &Terms, rest: &[u8], columns: &mut [String]) {
    columns[0] = if terms.split == SPLIT_EQUAL { "equal" } else { "random" }.to_string();
    if terms.audience == AUDIENCE_SET {
        columns[1] = "set".to_string();
        columns[2] = terms.set.to_string();
    } else {
        columns[1] = "listed".to_string();
    }
    columns[3] = terms.shares.to_string();
    columns[4] = terms.recipients.to_string();
    columns[5] = terms.expires_ms.to_string();
    let greeting = rest.get(8 * usize::from(terms.recipients)..).unwrap_or_default();
    columns[6] = String::from_utf8_lossy(greeting).into_owned();
}

fn set_name(set: u16) -> String {
    if set == BANK { "bank".to_string() } else { set.to_string() }
}

/// What holds a comma, a quote or the end of a line is quoted, and its quotes are doubled.
fn put_column(column: &str, out: &mut String) {
    if column.contains(['"', ',', '\r', '\n']) {
        out.push('"');
        out.push_str(&column.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rp_core::wire::{AUDIENCE_LISTED, SPLIT_RANDOM};

    const SEEN: Posting<'_> = Posting {
        set: 3,
        sequence: 9,
        act: Act::Seen,
        debit: 7,
        credit: 0,
        fen: 0,
        about: 4,
        request: 0,
        hash: 0,
        at_ms: 1_700_000_000_000,
        source: Source::NONE,
        tail: &[],
    };

    fn check(name: &str, posting: &Posting<'_>, expected: &str) {
        let mut row = String::new();
        put(12, posting, &mut row);
        assert_eq!(row, format!("{expected}\r\n"), "{name}");
        let names = HEADER.split(',').count();
        assert!(name == "greeting" || expected.split(',').count() == names, "{name}: {names} columns");
    }

    #[test]
    fn the_columns_of_tails_are_where_the_header_names_them() {
        let names: Vec<&str> = HEADER.trim_end().split(',').collect();
        assert_eq!(names.len(), COLUMNS);
        assert_eq!([TERMS, REFUSED, TOLD, PLANNED].map(|at| names[at]), ["split", "refused", "told_fen", "rate"]);
    }

    #[test]
    fn rows_say_what_postings_say() {
        check("seen", &SEEN, "12,3,9,seen,none,7,none,0,0,4,,,1700000000000,,,,,,,,,,,,,,,,,,,");
        let source = Source::new(BANK, 5, 0);
        let deposited = Posting { act: Act::Deposited, debit: 0, credit: 7, fen: 500, about: 0, source, ..SEEN };
        let row = "12,3,9,deposited,transit,0,user,7,500,0,,,1700000000000,bank,5,0,,,,,,,,,,,,,,,,";
        check("deposited", &deposited, row);
        let mut tail = [0; Refused::LEN];
        Refused { kind: Kind::Grab as u8, refusal: Refusal::AlreadyYours as u8, share_fen: 80 }.put(&mut tail);
        let refused = Posting { act: Act::Refused, about: 8, request: 2, hash: 0xab, tail: &tail, ..SEEN };
        let row =
            "12,3,9,refused,none,7,none,0,0,8,2,00000000000000ab,1700000000000,,,,,,,,,,,grab,already_yours,80,,,,,,";
        check("refused", &refused, row);
        let mut tail = [0; Told::LEN];
        Told { fen: 90, made_ms: 5 }.put(&mut tail);
        let told = Posting { act: Act::Told, tail: &tail, ..SEEN };
        check("told", &told, "12,3,9,told,none,7,none,0,0,4,,,1700000000000,,,,,,,,,,,,,,90,5,,,,");
        let mut tail = [0; Planned::LEN];
        Planned { rate: 83, from_fen: 10, to_fen: 309, per_user: 3 }.put(&mut tail);
        let started = Posting { set: BANK, act: Act::Started, credit: 6, fen: 9000, tail: &tail, ..SEEN };
        let row = "12,bank,9,started,mint,7,campaign,6,9000,4,,,1700000000000,,,,,,,,,,,,,,,,83,10,309,3";
        check("started", &started, row);
    }

    #[test]
    fn a_greeting_is_quoted() {
        let mut tail = [0; Terms::LEN + 8 + 12];
        let (split, audience) = (SPLIT_RANDOM, AUDIENCE_LISTED);
        let expires_ms = 86_400_000;
        let (shares, recipients, greeting_len) = (2, 1, 12);
        Terms { expires_ms, seed: [1; 16], set: 0, split, audience, shares, recipients, greeting_len }.put(&mut tail);
        tail[Terms::LEN + 8..].copy_from_slice(b"luck, \"much\"");
        let sent = Posting { act: Act::Sent, credit: 8, fen: 300, request: 1, hash: 0xab, tail: &tail, ..SEEN };
        let row = "12,3,9,sent,user,7,packet,8,300,4,1,00000000000000ab,1700000000000,,,,random,listed,,2,1,86400000,\
                   \"luck, \"\"much\"\"\",,,,,,,,,";
        check("greeting", &sent, row);
    }
}
