//! Packets, grabs, refunds and what happens to a request that comes twice.

use rp_core::engine::Outcome;
use rp_core::kind::Kind;
use rp_core::limits::NOTICES_PER_USER_MAX;
use rp_core::wire::{
    AUDIENCE_SET, Detail, DetailPage, NoticeType, PacketState, Refusal, Refused, SEAL_LEN, SPLIT_EQUAL, Send, SendView,
    ShareRow,
};

use crate::world::{IDLE_US, PACKET_LIFE_US, User, World, peer, users_of};

#[test]
fn a_packet_goes_to_its_recipients_and_to_nobody_else() {
    let mut world = World::new();
    world.mint(1, 1000);
    let mut sender = User::log_in(&mut world, 1);
    let mut users: Vec<User> = (2..=8).map(|id| User::log_in(&mut world, id)).collect();
    let packet = sender.send(&mut world, 300, 3, &[2, 3, 4]);
    assert_eq!(sender.balance(&mut world), 700);
    world.pass(50_000);
    for user in &mut users {
        let told = user.hear_notices(&mut world);
        assert_eq!(told.iter().any(|n| n.about == packet && n.from == 1 && n.fen == 300), (2..=4).contains(&user.id));
    }
    let mut shares = Vec::new();
    for user in &mut users {
        match user.grab(&mut world, packet) {
            Ok(grabbed) => shares.push((user.id, grabbed.share_fen)),
            Err(refusal) => assert_eq!((refusal, user.id > 4), (Refusal::NotForYou, true)),
        }
    }
    assert_eq!(shares.iter().map(|(user, _)| *user).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(shares.iter().map(|(_, fen)| fen).sum::<u64>(), 300);
    assert!(shares.iter().all(|(_, fen)| *fen >= 1));
    world.audit();
}

#[test]
fn each_refusal_of_a_grab_has_its_own_answer() {
    let mut world = World::new();
    world.mint(1, 1000);
    let mut sender = User::log_in(&mut world, 1);
    let mut users: Vec<User> = (2..=5).map(|id| User::log_in(&mut world, id)).collect();
    let one = sender.send(&mut world, 10, 1, &[2, 3]);
    let two = sender.send(&mut world, 100, 2, &[2, 3, 4]);
    let share = users[0].grab(&mut world, two).expect("a share").share_fen;
    users[0].request += 1;
    let again = users[0].grab_numbered(&mut world, users[0].request, two).expect_err("one share a user");
    assert_eq!((again.refusal, u64::from(again.share_fen)), (Refusal::AlreadyYours as u8, share));
    assert!(users[0].grab(&mut world, one).is_ok());
    assert_eq!(users[1].grab(&mut world, one), Err(Refusal::Empty));
    assert_eq!(users[3].grab(&mut world, two), Err(Refusal::NotForYou));
    for unknown in [0, u64::MAX, one ^ (1 << 20), 3 << 48, 500 << 48 | 1] {
        assert_eq!(users[1].grab(&mut world, unknown), Err(Refusal::UnknownPacket), "{unknown:x}");
    }
    // Fifteen minutes before the end everything still holds; after it the packet is void and the sender has the rest.
    for _ in 0..PACKET_LIFE_US / (IDLE_US / 2) + 1 {
        world.pass(IDLE_US / 2);
        users.iter_mut().for_each(|user| user.ping_quietly(&mut world));
        sender.ping_quietly(&mut world);
    }
    assert_eq!(users[1].grab(&mut world, two), Err(Refusal::Expired));
    world.sent.datagrams.clear();
    assert_eq!(sender.balance(&mut world), 1000 - 10 - share);
    world.audit();
}

#[test]
fn a_refund_is_paid_once_and_the_sender_is_told() {
    let mut world = World::new();
    world.mint(1, 100);
    let mut sender = User::log_in(&mut world, 1);
    let packet = sender.send(&mut world, 100, 2, &[2, 3]);
    let mut refunds = Vec::new();
    for _ in 0..PACKET_LIFE_US / (IDLE_US / 2) + 4 {
        world.pass(IDLE_US / 2);
        sender.sequence += 1;
        sender.head(&mut world, Kind::Shake, sender.sequence);
        refunds.extend(sender.hear_notices(&mut world));
    }
    assert!(!refunds.is_empty());
    assert!(refunds.iter().all(|n| n.about_type == NoticeType::Refund as u8 && n.about == packet && n.fen == 100));
    assert!(refunds.iter().all(|n| n.notice == refunds[0].notice), "one refund, told more than once");
    assert_eq!(sender.balance(&mut world), 100);
    world.audit();
}

#[test]
fn a_retried_request_pays_once_also_from_a_new_session() {
    let mut world = World::new();
    world.mint(1, 1000);
    let sender = User::log_in(&mut world, 1);
    let first = sender.send_numbered(&mut world, 1, 300, 3, &[2, 3, 4]);
    let again = sender.send_numbered(&mut world, 1, 300, 3, &[2, 3, 4]);
    assert_eq!(first[14..first.len() - 24], again[14..again.len() - 24], "the same content");
    assert_ne!(first[6..14], again[6..14], "sealed afresh");
    let taker = User::log_in(&mut world, 2);
    let packet = u64::from_le_bytes(first[22..30].try_into().expect("eight bytes"));
    let share = taker.grab_numbered(&mut world, 9, packet).expect("a share");
    let repeat = taker.grab_numbered(&mut world, 9, packet).expect("the same share");
    assert_eq!((repeat.share_fen, repeat.balance_fen), (share.share_fen, share.balance_fen));
    let mut elsewhere = User::stranger(2);
    (elsewhere.nonce, elsewhere.peer) = (44, peer(3, 1));
    elsewhere.try_log_in(&mut world).expect("a log-in");
    assert_eq!(elsewhere.request_highest, 9);
    let repeat = elsewhere.grab_numbered(&mut world, 9, packet).expect("the same share");
    assert_eq!(repeat.share_fen, share.share_fen);
    let conflict = elsewhere.grab_numbered(&mut world, 9, packet + 1).expect_err("another body");
    assert_eq!(conflict.refusal, Refusal::Conflict as u8);
    let stale = elsewhere.grab_numbered(&mut world, 0, packet).expect_err("zero is no number");
    assert_eq!(stale.refusal, Refusal::Stale as u8);
    assert_eq!(sender.balance(&mut world), 700);
    world.audit();
}

#[test]
fn a_repeat_while_the_owner_still_decides_is_absorbed() {
    let mut world = World::new();
    let (here, there) = (users_of(0, 1)[0], users_of(1, 1)[0]);
    world.mint(here, 100);
    let mut sender = User::log_in(&mut world, here);
    let taker = User::log_in(&mut world, there);
    let packet = sender.send(&mut world, 100, 1, &[there]);
    let write = |out: &mut [u8]| {
        let grab = rp_core::wire::Grab { flags: 0, session: taker.session, counter: 1, request: 1, packet };
        let len = grab.put(out);
        out[len..len + SEAL_LEN].fill(0);
        len + SEAL_LEN
    };
    // `say` does not carry the notes: the owner has not heard yet.
    assert_eq!(taker.say(&mut world, write), Outcome::Accepted);
    assert_eq!(taker.say(&mut world, write), Outcome::Accepted);
    world.carry();
    let answers: Vec<_> = std::iter::from_fn(|| taker.hear(&mut world)).collect();
    assert_eq!(answers.iter().filter(|d| d[0] == Kind::Grabbed.first_byte()).count(), 1);
    assert_eq!(taker.balance(&mut world), 100);
    world.audit();
}

#[test]
fn a_send_that_breaks_a_rule_is_refused_and_moves_nothing() {
    let mut world = World::new();
    world.mint(1, 1000);
    let user = User::log_in(&mut world, 1);
    let refused = |world: &mut World, request, fen, shares, to: &[u64]| {
        let answer = user.send_numbered(world, request, fen, shares, to);
        assert_eq!(answer[0], Kind::Refused.first_byte());
        Refusal::of_number(Refused::take(&answer).expect("a refusal").refusal).expect("a reason")
    };
    assert_eq!(refused(&mut world, 1, 300, 0, &[2]), Refusal::Malformed, "no shares");
    assert_eq!(refused(&mut world, 1, 300, 101, &[2]), Refusal::Malformed, "too many shares");
    assert_eq!(refused(&mut world, 1, 2, 3, &[2]), Refusal::Malformed, "a share below one fen");
    assert_eq!(refused(&mut world, 1, 20_001, 1, &[2]), Refusal::Malformed, "a share above 200 yuan");
    assert_eq!(refused(&mut world, 1, 300, 3, &[]), Refusal::Malformed, "nobody to send to");
    assert_eq!(refused(&mut world, 1, u64::MAX, 100, &[2]), Refusal::Malformed, "all the money there is");
    assert_eq!(refused(&mut world, 2, 1001, 3, &[2]), Refusal::Insufficient, "more than there is");
    assert_eq!(user.balance(&mut world), 1000);
    world.audit();
}

#[test]
fn a_packet_for_a_whole_set_reaches_all_its_users() {
    let mut world = World::new();
    let people = users_of(2, 6);
    let outsider = users_of(5, 1)[0];
    world.mint(outsider, 700);
    let mut sender = User::log_in(&mut world, outsider);
    let mut users: Vec<User> = people.iter().map(|id| User::log_in(&mut world, *id)).collect();
    sender.request += 1;
    let fields = Send {
        flags: 0,
        session: sender.session,
        counter: 1,
        request: sender.request,
        total_fen: 700,
        split: SPLIT_EQUAL,
        audience: AUDIENCE_SET,
        shares: 7,
        recipients: 0,
        set: 2,
        greeting_len: 0,
        reserved: 0,
    };
    sender.money(&mut world, |out| SendView::put(fields, &[], "to all of you", out));
    let receipt = sender.hear(&mut world).expect("a receipt");
    let packet = u64::from_le_bytes(receipt[22..30].try_into().expect("eight bytes"));
    world.pass(100_000);
    for user in &mut users {
        assert_eq!(user.hear_notices(&mut world).iter().map(|n| n.about).collect::<Vec<_>>(), [packet]);
        assert_eq!(user.grab(&mut world, packet).map(|share| share.share_fen), Ok(100));
    }
    assert_eq!(sender.grab(&mut world, packet).map(|share| share.share_fen), Ok(100), "the sender may take part");
    let mut other = User::log_in(&mut world, users_of(6, 1)[0]);
    assert_eq!(other.grab(&mut world, packet), Err(Refusal::NotForYou));
    world.audit();
}

#[test]
fn the_detail_shows_who_took_what_page_by_page_and_the_best_luck() {
    let mut world = World::new();
    world.mint(1, 10_000);
    let mut sender = User::log_in(&mut world, 1);
    let everyone: Vec<u64> = (2..=61).collect();
    let mut users: Vec<User> = everyone.iter().map(|id| User::log_in(&mut world, *id)).collect();
    let packet = sender.send(&mut world, 10_000, 60, &everyone);
    let shares: Vec<u64> =
        users.iter_mut().map(|user| user.grab(&mut world, packet).expect("a share").share_fen).collect();
    world.sent.datagrams.clear();
    let mut rows = Vec::new();
    for first in [0, 40] {
        let session = sender.session;
        sender.money(&mut world, |out| Detail { flags: 0, session, counter: 3, request: 8, packet, first }.put(out));
        let answer = sender.hear(&mut world).expect("a page");
        let page = DetailPage::take(&answer).expect("a page");
        assert_eq!((page.state, page.shares, page.taken), (PacketState::Finished as u8, 60, 60));
        assert_eq!((page.total_fen, page.left_fen, page.sender), (10_000, 0, 1));
        let best = *shares.iter().max().expect("shares");
        assert_eq!(Some(usize::from(page.best)), shares.iter().position(|fen| *fen == best));
        let tail = &answer[DetailPage::LEN..];
        let shown = tail.chunks_exact(ShareRow::LEN).take(usize::from(page.count));
        rows.extend(shown.map(|row| ShareRow::take(row).expect("a row")));
        let greeting = &tail[ShareRow::LEN * usize::from(page.count)..][..usize::from(page.greeting_len)];
        assert_eq!(greeting, "恭喜发财".as_bytes());
    }
    assert_eq!(rows.iter().map(|row| row.user).collect::<Vec<_>>(), everyone);
    assert_eq!(rows.iter().map(|row| u64::from(row.share_fen)).collect::<Vec<_>>(), shares);
    let nosy = User::log_in(&mut world, 99);
    let session = nosy.session;
    nosy.money(&mut world, |out| Detail { flags: 0, session, counter: 1, request: 1, packet, first: 0 }.put(out));
    let answer = nosy.hear(&mut world).expect("a refusal");
    assert_eq!(Refused::take(&answer).map(|r| r.refusal), Some(Refusal::NotForYou as u8));
}

#[test]
fn a_user_who_never_acknowledges_has_a_bounded_list() {
    let mut world = World::new();
    world.mint(1, 1000);
    let mut sender = User::log_in(&mut world, 1);
    let user = User::log_in(&mut world, 2);
    for _ in 0..3 * NOTICES_PER_USER_MAX {
        sender.send(&mut world, 1, 1, &[2]);
    }
    world.pass(30_000);
    let mut told: Vec<u64> = user.hear_notices(&mut world).iter().map(|n| n.notice).collect();
    told.dedup();
    assert_eq!(told.len(), NOTICES_PER_USER_MAX);
    let refused: u64 = world.books.iter().map(|books| books.notices_refused.read()).sum();
    assert_eq!(refused, 2 * NOTICES_PER_USER_MAX as u64);
    world.audit();
}
