//! Sessions, shakes and prizes.

use rp_core::engine::Outcome;
use rp_core::engine::bank::Plan;
use rp_core::kind::Kind;
use rp_core::limits::SLOTS_PER_SET;
use rp_core::reason::Reason;
use rp_core::steer::set_of_user;
use rp_core::wire::{NoticeType, Refusal, SHAKE_LEN, SessionHead, TOTALS_WORDS, TotalsAre};

use crate::world::{IDLE_US, SETS, User, World, peer, users_of};

const PLAN: Plan = Plan { budget_fen: 1_000_000, rate: 100, from_fen: 10, to_fen: 309, per_user: 3 };

#[test]
fn a_lost_welcome_is_sent_again_alike() {
    let mut world = World::new();
    let mut user = User::stranger(5);
    let login = user.login(&mut world, 0);
    world.give(user.peer, &login);
    let first = world.sent.datagrams.pop_back().expect("a welcome");
    world.give(user.peer, &login);
    assert_eq!(world.sent.datagrams.pop_back(), Some(first));
    user.try_log_in(&mut world).expect("a log-in");
    user.ping(&mut world);
    world.audit();
}

#[test]
fn a_second_log_in_ends_the_first_session_once_it_speaks() {
    let mut world = World::new();
    let mut first = User::log_in(&mut world, 5);
    let mut second = User::stranger(5);
    (second.nonce, second.peer) = (1, peer(2, 9));
    second.try_log_in(&mut world).expect("a log-in");
    first.ping(&mut world);
    second.ping(&mut world);
    assert_eq!(first.head(&mut world, Kind::Shake, 9), Outcome::Replied);
    let (_, hint) = world.sent.datagrams.pop_back().expect("a hint");
    assert_eq!((hint[0], hint.len()), (Kind::UnknownSession.first_byte(), 10));
    world.audit();
}

#[test]
fn log_ins_that_never_speak_hold_one_slot() {
    let mut world = World::new();
    let mut user = User::log_in(&mut world, 5);
    for nonce in 0..100 {
        user.nonce = nonce;
        user.try_log_in(&mut world).expect("a log-in");
    }
    let sessions: u64 = world.books.iter().map(|books| books.sessions.read()).sum();
    assert_eq!(sessions, 2);
}

#[test]
fn a_shake_asked_again_is_answered_alike_and_draws_once() {
    let mut world = World::new();
    let mut user = User::log_in(&mut world, 5);
    world.bank.start(PLAN, world.now.mono_us).expect("a campaign");
    let prize = loop {
        world.pass(50_000);
        if let Some(prize) = user.shake(&mut world) {
            break prize;
        }
    };
    let won = world.books.iter().map(|books| books.prizes.count.read()).sum::<u64>();
    let again = user.shake_again(&mut world).expect("the same prize");
    assert_eq!((again.notice, again.fen, again.sequence), (prize.notice, prize.fen, prize.sequence));
    assert_ne!(again.counter, prize.counter, "each transmission has a counter of its own");
    assert_eq!(world.books.iter().map(|books| books.prizes.count.read()).sum::<u64>(), won);
    assert_eq!(user.head(&mut world, Kind::Shake, user.sequence - 1), Outcome::Dropped(Reason::StaleSequence));
    assert_eq!(user.balance(&mut world), prize.fen);
    world.audit();
}

#[test]
fn a_prize_is_repeated_until_it_is_acknowledged() {
    let mut world = World::new();
    let mut user = User::log_in(&mut world, 5);
    world.bank.start(PLAN, world.now.mono_us).expect("a campaign");
    let prize = loop {
        world.pass(50_000);
        if let Some(prize) = user.shake(&mut world) {
            break prize;
        }
    };
    world.stop_campaign();
    world.pass(4_000_000);
    let notices = user.hear_notices(&mut world);
    assert!(notices.len() >= 2, "after half a second, one, and two");
    assert!(notices.iter().all(|n| n.notice == prize.notice && n.fen == prize.fen && n.about == prize.about));
    assert!(notices.iter().all(|n| n.about_type == NoticeType::Prize as u8));
    user.acknowledge(&mut world, prize.notice);
    user.acknowledge(&mut world, prize.notice);
    world.pass(20_000_000);
    assert_eq!(user.hear_notices(&mut world), []);
}

#[test]
fn a_user_wins_at_most_three_prizes_and_the_budget_is_never_exceeded() {
    let mut world = World::new();
    let mut user = User::log_in(&mut world, 5);
    let plan = Plan { budget_fen: 5000, ..PLAN };
    world.bank.start(plan, world.now.mono_us).expect("a campaign");
    let mut won = 0;
    for _ in 0..600 {
        world.pass(20_000);
        user.hear_notices(&mut world);
        won += u64::from(user.shake(&mut world).is_some());
    }
    assert_eq!(won, 3);
    let released = world.bank_books.released.fen.read();
    assert_eq!(released, 5000, "the whole budget was released, and not a fen more");
    world.stop_campaign();
    assert_eq!(world.bank_books.issued_fen.read(), user.balance(&mut world), "what was not won is no longer issued");
    world.audit();
}

#[test]
fn untaken_prizes_move_to_where_people_shake() {
    let mut world = World::new();
    let mut users: Vec<User> = (1..40).map(|id| User::log_in(&mut world, id)).collect();
    users.retain(|user| set_of_user(user.id, SETS) == 3);
    assert!(users.len() > 2, "SET 3 has users");
    world.bank.start(Plan { rate: 20, ..PLAN }, world.now.mono_us).expect("a campaign");
    for _ in 0..200 {
        world.pass(20_000);
        for user in &mut users {
            user.hear_notices(&mut world);
            user.shake(&mut world);
        }
    }
    let won: u64 = world.books.iter().map(|books| books.prizes.count.read()).sum();
    assert_eq!(won, 3 * users.len() as u64, "all that these users may win, though an eighth of the prizes is theirs");
    world.audit();
}

#[test]
fn a_new_address_is_challenged_before_anything_is_done() {
    let mut world = World::new();
    let mut user = User::log_in(&mut world, 5);
    let home = user.peer;
    user.peer = peer(9, 99);
    user.sequence += 1;
    assert_eq!(user.head(&mut world, Kind::Shake, user.sequence), Outcome::Replied);
    let challenge = user.hear(&mut world).expect("a challenge");
    assert_eq!((challenge[0], challenge.len()), (Kind::PathChallenge.first_byte(), SHAKE_LEN));
    let token = SessionHead::take(&challenge).expect("a head").sequence;
    assert_eq!(user.head(&mut world, Kind::Echo, token ^ 1), Outcome::Dropped(Reason::BadEcho));
    let there = std::mem::replace(&mut user.peer, peer(9, 98));
    assert_eq!(user.head(&mut world, Kind::Echo, token), Outcome::Dropped(Reason::BadEcho), "from a third address");
    user.peer = there;
    assert_eq!(user.head(&mut world, Kind::Echo, token), Outcome::Replied);
    assert_eq!(user.hear(&mut world).expect("an echo")[0], Kind::Echoed.first_byte());
    assert_eq!(user.shake_again(&mut world), None);
    user.peer = home;
    user.head(&mut world, Kind::Shake, user.sequence);
    assert_eq!(user.hear(&mut world).expect("a challenge")[0], Kind::PathChallenge.first_byte());
    world.audit();
}

#[test]
fn a_full_set_is_a_typed_answer_and_slots_come_back() {
    let mut world = World::new();
    let people = users_of(0, SLOTS_PER_SET + 1);
    let users: Vec<User> = people[..SLOTS_PER_SET].iter().map(|id| User::log_in(&mut world, *id)).collect();
    let mut late = User::stranger(people[SLOTS_PER_SET]);
    let refused = late.try_log_in(&mut world).expect_err("the SET is full");
    assert_eq!((refused[0], refused[2]), (Kind::LoginRefused.first_byte(), Refusal::Full as u8));
    assert_eq!(users[0].head(&mut world, Kind::Bye, 9), Outcome::Replied);
    assert_eq!(users[0].hear(&mut world).expect("a goodbye")[0], Kind::Goodbye.first_byte());
    late.try_log_in(&mut world).expect_err("the slot rests");
    world.pass(1_100_000);
    late.try_log_in(&mut world).expect("a log-in");
    assert_ne!(late.session, users[0].session, "another generation");
    world.audit();
}

#[test]
fn idle_sessions_end_and_live_ones_stay() {
    let mut world = World::new();
    let mut live = User::log_in(&mut world, 1);
    let _idle: Vec<User> = (2..200).map(|id| User::log_in(&mut world, id)).collect();
    for _ in 0..20 {
        world.pass(IDLE_US / 10);
        live.ping_quietly(&mut world);
    }
    let all = |part: fn(&rp_core::engine::books::Books) -> u64| world.books.iter().map(|b| part(b)).sum::<u64>();
    assert_eq!((all(|b| b.sessions.read()), all(|b| b.idle_outs.read())), (1, 198));
    assert_eq!(all(|b| b.accounts.read()), 1, "accounts that hold nothing are forgotten");
    live.ping(&mut world);
    world.audit();
}

#[test]
fn only_an_auditor_reads_the_totals() {
    let mut world = World::new();
    let user = User::log_in(&mut world, 5);
    assert_eq!(user.head(&mut world, Kind::Totals, 9), Outcome::Dropped(Reason::NotAuditor));
    let mut auditor = User::stranger(6);
    auditor.try_log_in_as(&mut world, 1).expect("a log-in");
    assert_eq!(auditor.head(&mut world, Kind::Totals, 1), Outcome::Replied);
    let totals = TotalsAre::take(&auditor.hear(&mut world).expect("totals")).expect("totals");
    let words: Vec<u64> =
        totals.words.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight"))).collect();
    assert_eq!(words.len(), TOTALS_WORDS);
    assert_eq!(words[Kind::Hello.index()], 2, "both came from one address");
    assert_eq!(words[Kind::Login.index()], 2);
    assert_eq!((words[64], words[72]), (1, 2), "one dropped, two sessions");
}
