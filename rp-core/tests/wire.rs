//! Properties of the wire: what is written is read back, and no bytes whatever upset a reader.

use proptest::collection::vec;
use proptest::prelude::*;
use rp_core::cookie::{Baker, COOKIE_LEN};
use rp_core::kind::{Kind, request_of};
use rp_core::limits::{DATAGRAM_MAX, GREETING_MAX, RECIPIENTS_MAX, SETS_MAX};
use rp_core::reason::Reason;
use rp_core::sealing::close_money;
use rp_core::steer;
use rp_core::ticket::Realm;
use rp_core::wire::*;

/// Calls `$row!(Type)` for each layout.
macro_rules! for_each_layout {
    ($row:ident) => {
        $row!(Hello, Challenge, Login, Welcome, LoginRefused, SessionHead, Ping, Pong, TotalsAre);
        $row!(Send, Sent, Grab, Grabbed, Detail, DetailPage, ShareRow, Balance, BalanceIs, Refused);
        $row!(History, HistoryPage, HistoryRow);
        $row!(Prize, Notice, NoticeAck);
    };
}

/// More than the longest datagram, so that what lies beyond a layout is seen to stay untouched.
const ROOM: usize = DATAGRAM_MAX + 16;

proptest! {
    /// A layout's fields fill its bytes without gap or overlap, so any bytes are some value, and all values are reached.
    #[test]
    fn what_is_written_is_read_back(bytes in vec(any::<u8>(), DATAGRAM_MAX)) {
        macro_rules! check {
            ($($layout:ident),*) => {$(
                let value = $layout::take(&bytes).expect("the longest datagram holds every layout");
                let mut out = [0xa5; ROOM];
                out[0] = bytes[0];
                prop_assert_eq!(value.put_fields(&mut out), $layout::LEN, "{}", stringify!($layout));
                prop_assert_eq!(&out[..$layout::LEN], &bytes[..$layout::LEN], "{}", stringify!($layout));
                prop_assert!(out[$layout::LEN..].iter().all(|b| *b == 0xa5), "{} writes too far", stringify!($layout));
                prop_assert_eq!($layout::take(&out[..$layout::LEN]), Some(value));
                prop_assert_eq!($layout::take(&out[..$layout::LEN - 1]), None);
            )*};
        }
        for_each_layout!(check);
    }

    #[test]
    fn any_bytes_at_any_length_end_in_an_answer(bytes in vec(any::<u8>(), 0..ROOM), other in any::<u64>()) {
        macro_rules! check {
            ($($layout:ident),*) => {$(
                prop_assert_eq!($layout::take(&bytes).is_some(), bytes.len() >= $layout::LEN);
            )*};
        }
        for_each_layout!(check);
        let _ = SendView::take(&bytes);
        let _ = rp_core::key::verifies(&[7; 16], &bytes);
        let first = bytes.first().copied().unwrap_or_default();
        let _ = request_of(first, bytes.len());
        if let Some(head) = bytes.first_chunk::<{ steer::HEAD_LEN }>() {
            prop_assert!((steer::set_of(*head, 256) as usize) < SETS_MAX + 1);
        }
        if let Some(cookie) = bytes.first_chunk::<COOKIE_LEN>() {
            let baker = Baker::new([3; 16], 1);
            prop_assert!(baker.check(cookie, &Origin::from(&Peer::default()), other, other as u32).is_err());
        }
        if let Some(sealed) = bytes.first_chunk::<TICKET_LEN>() {
            prop_assert!(Realm::new(other as u32, &[9; 32]).open(sealed).is_none());
        }
    }

    /// Fields that lie about the tail: bytes shaped like a SEND, which the test above would hardly ever make.
    #[test]
    fn a_send_is_read_only_when_its_tail_is_as_long_as_it_says(
        mut bytes in vec(any::<u8>(), Send::LEN..ROOM), recipients in 0..=u8::MAX, greeting_len in 0..=u8::MAX,
        honest in any::<bool>(),
    ) {
        let mut fields = Send::take(&bytes).expect("it is long enough");
        (fields.recipients, fields.greeting_len) = (recipients, greeting_len);
        fields.put(&mut bytes);
        let told = Send::LEN + 8 * usize::from(recipients) + usize::from(greeting_len) + TRAILER;
        if honest {
            bytes.resize(told, b'a');
            let from = told - TRAILER - usize::from(greeting_len);
            bytes[from..].fill(b'a');
        }
        let view = SendView::take(&bytes);
        let within = usize::from(recipients) <= RECIPIENTS_MAX && usize::from(greeting_len) <= GREETING_MAX;
        if honest {
            prop_assert_eq!(view.is_some(), within);
        } else if bytes.len() != told || !within {
            prop_assert!(view.is_none());
        }
    }

    #[test]
    fn a_send_comes_back_with_its_recipients_and_greeting(
        bytes in vec(any::<u8>(), Send::LEN), users in vec(any::<u64>(), 0..=RECIPIENTS_MAX), words in "\\PC{0,40}",
    ) {
        let greeting = &words[..words.floor_char_boundary(GREETING_MAX)];
        let fields = Send::take(&bytes).expect("it is long enough");
        let mut out = [0; ROOM];
        let len = SendView::put(fields, &users, greeting, &mut out);
        let len = close_money(&[1; 16], None, &mut out, len);
        prop_assert!(len <= DATAGRAM_MAX);
        prop_assert_eq!(request_of(out[0], len), Ok(Kind::Send));
        let view = SendView::take(&out[..len]).expect("what was written is a SEND");
        let (recipients, greeting_len) = (users.len() as u8, greeting.len() as u8);
        prop_assert_eq!(view.fields, Send { recipients, greeting_len, ..fields });
        prop_assert_eq!(view.recipients().collect::<Vec<_>>(), users);
        prop_assert_eq!(view.greeting, greeting);
        prop_assert!(SendView::take(&out[..len - 1]).is_none());
        prop_assert!(SendView::take(&out[..len + 1]).is_none());
    }

    #[test]
    fn a_greeting_that_is_not_utf8_is_no_send(at in 0usize..12, byte in 0x80u8..=0xbf) {
        let fields = Send::take(&[0; Send::LEN]).expect("it is long enough");
        let mut out = [0; ROOM];
        let len = SendView::put(fields, &[1], "happy new year", &mut out) + TRAILER;
        prop_assert!(SendView::take(&out[..len]).is_some());
        // A continuation byte after ASCII.
        out[Send::LEN + 8 + at] = byte;
        prop_assert!(SendView::take(&out[..len]).is_none());
    }
}

/// The lengths that the encoders make of a request of this kind, seal and tag included.
fn lengths_made(kind: Kind) -> Vec<usize> {
    let sealed = |len: usize| vec![len + TRAILER];
    let tagged = |len: usize| vec![len + TAG_LEN];
    match kind {
        Kind::Hello => vec![HELLO_LEN],
        Kind::Login => tagged(Login::LEN),
        Kind::Ping => tagged(Ping::LEN),
        Kind::Shake | Kind::Bye | Kind::Echo | Kind::Totals => tagged(SessionHead::LEN),
        Kind::NoticeAck => tagged(NoticeAck::LEN),
        Kind::Grab => sealed(Grab::LEN),
        Kind::Detail => sealed(Detail::LEN),
        Kind::Balance => sealed(Balance::LEN),
        Kind::History => sealed(History::LEN),
        Kind::Send => {
            let tails = (0..=RECIPIENTS_MAX).flat_map(|users| (0..=GREETING_MAX).map(move |text| 8 * users + text));
            tails.map(|tail| Send::LEN + tail + TRAILER).collect()
        }
        _ => vec![],
    }
}

#[test]
fn a_request_is_known_by_exactly_the_lengths_that_are_made() {
    for first in 0..=u8::MAX {
        let kind = Kind::of_number(first & 0x3f);
        let made = match kind {
            Some(kind) if kind.first_byte() == first => lengths_made(kind),
            _ => vec![],
        };
        for len in 0..=2 * DATAGRAM_MAX {
            let is = request_of(first, len);
            if made.contains(&len) {
                assert_eq!(is.ok(), kind, "first byte {first:#x}, length {len}");
                continue;
            }
            let reason = match kind {
                _ if first >> 6 != 1 => Reason::BadVersion,
                None => Reason::UnknownKind,
                Some(kind) if !kind.is_request() => Reason::UnknownKind,
                Some(_) => Reason::BadLength,
            };
            assert_eq!(is, Err(reason), "first byte {first:#x}, length {len}");
        }
    }
}

#[test]
fn numbers_and_names_of_kinds_and_refusals_lead_back_to_them() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of_number(*kind as u8), Some(*kind));
        assert_eq!(Kind::ALL.iter().filter(|other| other.name() == kind.name()).count(), 1);
        assert_eq!(kind.is_request(), kind.first_byte() & 0x20 == 0);
    }
    assert_eq!((0..=u8::MAX).filter(|n| Kind::of_number(*n).is_some()).count(), Kind::ALL.len());
    for refusal in Refusal::ALL {
        assert_eq!(Refusal::of_number(refusal as u8), Some(refusal));
    }
    assert_eq!((0..=u8::MAX).filter(|n| Refusal::of_number(*n).is_some()).count(), Refusal::ALL.len());
}

#[test]
fn a_shake_and_its_nothing_fit_the_smallest_ethernet_frame() {
    assert_eq!(SHAKE_LEN, 18);
    assert_eq!(14 + 20 + 8 + SHAKE_LEN + 4, 64);
}

#[test]
fn no_answer_to_an_unproven_request_is_longer_than_it() {
    const { assert!(CHALLENGE_LEN <= HELLO_LEN) };
    const { assert!(Welcome::LEN + TAG_LEN <= Login::LEN + TAG_LEN) };
    const { assert!(LoginRefused::LEN + TAG_LEN <= Login::LEN + TAG_LEN) };
    // PATH CHALLENGE and the shorter UNKNOWN SESSION answer any session request from an address that is not proven.
    const { assert!(UNKNOWN_SESSION_LEN <= SHAKE_LEN) };
    for kind in Kind::ALL.iter().filter(|kind| kind.is_request() && !matches!(kind, Kind::Hello | Kind::Login)) {
        let (shortest, longest) = kind.request_length();
        if shortest <= longest {
            assert!(SHAKE_LEN <= shortest, "{}", kind.name());
        }
    }
}
