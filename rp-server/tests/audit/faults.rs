//! Every rule, broken once in a history that is right but for that.

use rp_core::posting::{Act, BANK, Planned, Posting, Refused, Source, Terms};
use rp_core::wire::Refusal;
use rp_core::{kind::Kind, limits::REQUEST_WINDOW};
use rp_server::audit::fault::Rule;

use crate::audit;
use crate::story::{Story, a, b, c};
use crate::world::{Ask, Line};

/// What is done to the history.
type Change = fn(&mut Story);

fn check(name: &str, expected: Rule, change: Change) {
    let mut story = Story::tell();
    let fault = audit(&story.world.lines).err();
    assert!(fault.is_none(), "the story itself: {fault:?}");
    change(&mut story);
    match audit(&story.world.lines) {
        Ok(_) => panic!("{name}: nobody noticed"),
        Err(fault) => assert_eq!(fault.breach.rule, expected, "{name}: {fault}"),
    }
}

/// Changes the terms of the n-th packet.
fn terms(story: &mut Story, n: usize, change: impl FnOnce(&mut Terms)) {
    let tail = &mut story.find(Act::Sent, n).tail;
    let mut terms = Terms::take(tail).expect("its terms can be read");
    change(&mut terms);
    terms.put(tail);
}

/// Changes the plan of the first campaign.
fn plan(story: &mut Story, change: impl FnOnce(&mut Planned)) {
    let tail = &mut story.find(Act::Started, 0).tail;
    let mut plan = Planned::take(tail).expect("its plan can be read");
    change(&mut plan);
    plan.put(tail);
}

/// One more refusal for good.
fn refused(story: &mut Story, user: u64, packet: u64, kind: Kind, why: Refusal, share_fen: u64) {
    let ask = Ask { user, packet, request: story.world.number(user), hash: 1 };
    story.world.refuse(ask, kind, why, share_fen);
}

/// One more share, of a user who took none of this packet yet or did.
fn taken(story: &mut Story, act: Act, packet: u64, taker: u64, fen: u64) {
    let request = story.world.number(taker);
    let set = (packet >> 48) as u16;
    story.add(set, act, |head| {
        *head = Posting { debit: packet, credit: taker, fen, request, hash: 1, ..*head };
    });
}

/// One more prize of the campaign that runs.
fn won(story: &mut Story, winner: u64, prize: u64, fen: u64) {
    let number = story.world.campaigns[1].number;
    story.add(rp_core::steer::set_of_user(winner, 4) as u16, Act::Won, |head| {
        *head = Posting { debit: number, credit: winner, fen, about: number << 32 | prize, ..*head };
    });
}

const ORDER: &[(&str, Rule, Change)] = &[
    ("a missing posting", Rule::Sequence, |story| {
        let at = story.place(Act::Taken, 1);
        story.world.lines.remove(at);
    }),
    ("a swapped pair", Rule::Sequence, |story| {
        let at = story.place(Act::Taken, 2);
        story.world.lines.swap(at - 1, at);
    }),
    ("a posting twice", Rule::Sequence, |story| {
        let at = story.place(Act::Seen, 0);
        let line: Line = story.world.lines[at].clone();
        story.world.lines.insert(at, line);
    }),
    ("a deposit before it is minted", Rule::NoteSent, |story| {
        let (minted, deposited) = (story.place(Act::Minted, 0), story.place(Act::Deposited, 0));
        let line = story.world.lines.remove(deposited);
        story.world.lines.insert(minted, line);
    }),
    ("an answer to nothing", Rule::NoteSent, |story| {
        story.again(Act::Deposited, 0, |head| head.source = Source::new(BANK, 99, 0));
    }),
    ("a note for another SET", Rule::NoteSent, |story| {
        let source = story.find(Act::Deposited, 0).head.source;
        let other = story.world.lines.iter_mut().find(|line| line.head.act == Act::Deposited && line.head.set == 1);
        other.expect("B was given money").head.source = source;
    }),
    ("a note twice", Rule::NoteOnce, |story| story.again(Act::Deposited, 0, |_| ())),
    ("a share received twice", Rule::NoteOnce, |story| story.again(Act::Received, 0, |head| head.request += 90)),
    ("a note out of order", Rule::NoteOrder, |story| {
        let (first, second) = (story.find(Act::Deposited, 0).head, story.find(Act::Deposited, 1).head);
        assert_eq!(first.set, second.set);
        (story.find(Act::Deposited, 0).head.source, story.find(Act::Deposited, 1).head.source) =
            (second.source, first.source);
    }),
];

const PLACES: &[(&str, Rule, Change)] = &[
    ("money minted by a SET", Rule::Place, |story| story.again(Act::Minted, 0, |head| head.set = 0)),
    ("a prize of the bank's own", Rule::Place, |story| story.again(Act::Won, 0, |head| head.set = BANK)),
    ("a notice seen in another SET", Rule::Place, |story| story.again(Act::Seen, 0, |head| head.set = 1)),
    ("a share taken at home from abroad", Rule::Place, |story| taken(story, Act::Taken, story.open, b(1), 100)),
    ("a share handed to a neighbour", Rule::Place, |story| taken(story, Act::Handed, story.open, a(1), 100)),
    ("a packet of another SET", Rule::Place, |story| story.find(Act::Sent, 0).head.credit |= 3 << 48),
    ("a share of nothing", Rule::Form, |story| story.find(Act::Taken, 0).head.fen = 0),
    ("a notice that is paid", Rule::Form, |story| story.find(Act::Seen, 0).head.fen = 1),
    ("a packet without a number", Rule::Form, |story| story.find(Act::Sent, 0).head.request = 0),
    ("a prize with a number", Rule::Form, |story| story.find(Act::Won, 0).head.request = 9),
    ("a refund with a source", Rule::Form, |story| {
        let source = story.find(Act::Received, 0).head.source;
        story.find(Act::Refunded, 0).head.source = source;
    }),
    ("a deposit with a number", Rule::Form, |story| story.find(Act::Deposited, 0).head.request = 1),
    ("a deposit without a source", Rule::Form, |story| story.find(Act::Deposited, 0).head.source = Source::NONE),
    ("a byte too many", Rule::Form, |story| story.find(Act::Told, 0).tail.push(0)),
    ("a byte too few", Rule::Form, |story| story.find(Act::Sent, 0).tail.truncate(60)),
    ("no terms", Rule::Form, |story| story.find(Act::Sent, 0).tail.truncate(5)),
];

const MONEY: &[(&str, Rule, Change)] = &[
    ("a fen more is deposited", Rule::NoteContent, |story| story.find(Act::Deposited, 0).head.fen += 1),
    ("a fen less is minted", Rule::NoteContent, |story| story.find(Act::Minted, 4).head.fen -= 1),
    ("another gets the deposit", Rule::NoteContent, |story| story.find(Act::Deposited, 0).head.credit = a(1)),
    ("a bounce is redeemed short", Rule::NoteContent, |story| story.find(Act::Redeemed, 0).head.fen -= 1),
    ("a withdrawal is another's", Rule::NoteContent, |story| story.find(Act::Redeemed, 1).head.debit = a(0)),
    ("another pays", Rule::NoteContent, |story| story.find(Act::Withdrawn, 0).head.debit = a(0)),
    ("a fen more is received", Rule::NoteContent, |story| story.find(Act::Received, 0).head.fen += 1),
    ("another receives", Rule::NoteContent, |story| story.find(Act::Received, 0).head.credit = b(2)),
    ("it answers another request", Rule::NoteContent, |story| story.find(Act::Received, 0).head.request += 1),
    ("a packet beyond the balance", Rule::Overdrawn, |story| {
        story.again(Act::Sent, 0, |head| {
            *head = Posting { debit: a(4), credit: head.credit + (50 << 16), request: 1, ..*head };
        });
    }),
    ("more money than can be counted", Rule::Countable, |story| {
        story.again(Act::Minted, 0, |head| (head.fen, head.request) = (i64::MAX as u64, 0));
    }),
    ("a withdrawal half paid", Rule::Withdrawal, |story| story.find(Act::Withdrawn, 0).head.fen = 499),
    ("a withdrawal that could be paid", Rule::Withdrawal, |story| story.find(Act::Withdrawn, 0).head.fen = 0),
    ("a withdrawal beyond the balance", Rule::Overdrawn, |story| {
        story.find(Act::Withdrawn, 1).head.fen = 1_000_000;
    }),
    ("a number answered twice", Rule::NumberOnce, |story| {
        story.again(Act::Refused, 0, |_| ());
    }),
    ("a share under the number of a packet", Rule::NumberOnce, |story| {
        let request = story.find(Act::Sent, 0).head.request;
        let at = story.world.lines.iter().position(|line| line.head.act == Act::Taken && line.head.credit == a(0));
        story.world.lines[at.expect("A took of his own")].head.request = request;
    }),
    ("a number below the window", Rule::NumberWindow, |story| {
        refused(story, c(0), 0, Kind::Send, Refusal::Insufficient, 0);
        story.world.lines.last_mut().expect("a refusal").head.request = 1000;
        refused(story, c(0), 0, Kind::Send, Refusal::Insufficient, 0);
        story.world.lines.last_mut().expect("a refusal").head.request = 1000 - REQUEST_WINDOW;
    }),
];

const ORDERS: &[(&str, Rule, Change)] = &[
    ("a user twice under one order", Rule::OrderOnce, |story| story.again(Act::Minted, 3, |_| ())),
    ("an order that begins anew", Rule::OrderOnce, |story| story.again(Act::Minted, 0, |_| ())),
    ("money taken back twice", Rule::OrderOnce, |story| story.again(Act::Reclaimed, 0, |_| ())),
    ("a fen more for the second", Rule::OrderOne, |story| story.find(Act::Minted, 1).head.fen += 1),
    ("an order for other users", Rule::OrderOne, |story| story.find(Act::Minted, 1).head.hash += 1),
    ("money taken back by an order that gives", Rule::OrderOne, |story| story.find(Act::Reclaimed, 0).head.request = 1),
    ("a refusal of another order", Rule::NoteContent, |story| story.find(Act::Redeemed, 0).head.request += 1),
    ("a payment without its order", Rule::NoteContent, |story| story.find(Act::Redeemed, 1).head.request = 0),
];

const PACKETS: &[(&str, Rule, Change)] = &[
    ("no shares", Rule::Terms, |story| terms(story, 0, |terms| terms.shares = 0)),
    ("more shares than a packet has", Rule::Terms, |story| terms(story, 0, |terms| terms.shares = 101)),
    ("more fen than shares can bear", Rule::Terms, |story| story.find(Act::Sent, 0).head.fen = 60_001),
    ("fewer fen than shares", Rule::Terms, |story| story.find(Act::Sent, 0).head.fen = 2),
    ("a split that there is not", Rule::Terms, |story| terms(story, 0, |terms| terms.split = 2)),
    ("an audience that there is not", Rule::Terms, |story| terms(story, 0, |terms| terms.audience = 2)),
    ("a SET that there is not", Rule::Terms, |story| terms(story, 1, |terms| terms.set = 4)),
    ("a list and a SET", Rule::Terms, |story| terms(story, 0, |terms| terms.set = 1)),
    ("a greeting that is no text", Rule::Terms, |story| {
        *story.find(Act::Sent, 0).tail.last_mut().expect("a greeting") = 0xff;
    }),
    ("a packet made twice", Rule::PacketId, |story| story.again(Act::Sent, 0, |head| head.request += 20)),
    ("a share of no packet", Rule::PacketMade, |story| taken(story, Act::Taken, 1 << 16, a(2), 1)),
    ("a refund of no packet", Rule::PacketMade, |story| story.again(Act::Refunded, 0, |head| head.debit += 1)),
    ("somebody who is not listed", Rule::Audience, |story| taken(story, Act::Taken, story.equal, a(3), 333)),
    ("somebody of another SET", Rule::Audience, |story| taken(story, Act::Handed, story.refunded, c(0), 100)),
    ("a share twice", Rule::TakenOnce, |story| taken(story, Act::Taken, story.equal, a(1), 333)),
    ("a share handed twice", Rule::TakenOnce, |story| taken(story, Act::Handed, story.equal, b(0), 333)),
    ("more takers than shares", Rule::Closed, |story| taken(story, Act::Taken, story.finished, a(0), 1)),
    ("a share after the refund", Rule::Closed, |story| taken(story, Act::Handed, story.refunded, b(1), 1)),
    ("a fen more of an equal split", Rule::Share, |story| story.find(Act::Taken, 0).head.fen += 1),
    ("the remainder withheld", Rule::Share, |story| story.find(Act::Taken, 0).head.fen -= 1),
    ("another share than the draw", Rule::Share, |story| taken(story, Act::Taken, story.open, a(1), 1)),
    ("a fen less than the draw", Rule::Share, |story| story.find(Act::Taken, 1).head.fen -= 1),
    ("the draw of another seed", Rule::Share, |story| terms(story, 1, |terms| terms.seed[0] ^= 1)),
    ("a share above 200 yuan", Rule::Share, |story| story.find(Act::Taken, 0).head.fen = 20_001),
    ("a refund twice", Rule::Refund, |story| story.again(Act::Refunded, 0, |_| ())),
    ("a refund a fen short", Rule::Refund, |story| story.find(Act::Refunded, 0).head.fen -= 1),
    ("a refund to another", Rule::Refund, |story| story.find(Act::Refunded, 0).head.credit = a(1)),
    ("a refund of a finished packet", Rule::Refund, |story| {
        let finished = story.finished;
        story.again(Act::Refunded, 0, |head| *head = Posting { debit: finished, fen: 1, ..*head });
    }),
];

const WORDS: &[(&str, Rule, Change)] = &[
    ("told of another sum", Rule::Told, |story| story.find(Act::Told, 0).tail[0] ^= 1),
    ("told of another sender", Rule::Told, |story| story.find(Act::Told, 0).head.debit = a(1)),
    ("told twice", Rule::Told, |story| {
        let at = story.world.lines.iter().position(|line| line.head.act == Act::Told && line.head.set == 0);
        let line = story.world.lines[at.expect("A's neighbours are told")].clone();
        story.world.write(line.head, &line.tail);
    }),
    ("a stranger is told", Rule::Told, |story| {
        let at = story.world.lines.iter().position(|line| line.head.act == Act::Told && line.head.set == 0);
        story.world.lines[at.expect("A's neighbours are told")].head.credit = a(4);
    }),
    ("news that no note brought", Rule::Told, |story| {
        let at = story.world.lines.iter().position(|line| line.head.act == Act::Told && line.head.set == 1);
        story.world.lines[at.expect("B is told")].head.source = Source::NONE;
    }),
    ("one of all is told twice", Rule::Told, |story| {
        let at = story
            .world
            .lines
            .iter()
            .position(|line| line.head.act == Act::Told && line.head.set == 1 && line.head.source == Source::NONE);
        let line = story.world.lines[at.expect("somebody is got to know")].clone();
        story.world.write(line.head, &line.tail);
    }),
    ("another is told what a note says", Rule::NoteContent, |story| {
        let at = story.world.lines.iter().position(|line| line.head.act == Act::Told && line.head.set == 1);
        story.world.lines[at.expect("B is told")].head.credit = b(3);
    }),
    ("busy, for good", Rule::Refusal, |story| refused(story, a(1), story.open, Kind::Grab, Refusal::Busy, 0)),
    ("empty, while it is not", Rule::Refusal, |story| refused(story, a(1), story.open, Kind::Grab, Refusal::Empty, 0)),
    ("not for him, while it is", Rule::Refusal, |story| {
        refused(story, a(1), story.open, Kind::Grab, Refusal::NotForYou, 0);
    }),
    ("already his, while it is not", Rule::Refusal, |story| {
        refused(story, a(1), story.open, Kind::Grab, Refusal::AlreadyYours, 0);
    }),
    ("already his, but another share", Rule::Refusal, |story| {
        refused(story, a(1), story.equal, Kind::Grab, Refusal::AlreadyYours, 333);
    }),
    ("expired, while all is taken", Rule::Refusal, |story| {
        refused(story, a(0), story.finished, Kind::Grab, Refusal::Expired, 0);
    }),
    ("a SEND finds it empty", Rule::Refusal, |story| refused(story, a(1), 0, Kind::Send, Refusal::Empty, 0)),
    ("a shake is refused", Rule::Refusal, |story| refused(story, a(1), 0, Kind::Shake, Refusal::Insufficient, 0)),
    ("a refusal that there is not", Rule::Refusal, |story| {
        let mut tail = [0; Refused::LEN];
        Refused { kind: Kind::Grab as u8, refusal: 99, share_fen: 0 }.put(&mut tail);
        refused(story, a(1), story.open, Kind::Grab, Refusal::Empty, 0);
        story.world.lines.last_mut().expect("a refusal").tail = tail.to_vec();
    }),
    ("a notice that nobody sent", Rule::Seen, |story| story.again(Act::Seen, 0, |head| head.about = 99)),
    ("a notice seen twice", Rule::Seen, |story| story.again(Act::Seen, 0, |_| ())),
];

const CAMPAIGNS: &[(&str, Rule, Change)] = &[
    ("a plan without a rate", Rule::Plan, |story| plan(story, |plan| plan.rate = 0)),
    ("the smallest prize above the largest", Rule::Plan, |story| plan(story, |plan| plan.from_fen = 310)),
    ("prizes of nothing", Rule::Plan, |story| plan(story, |plan| plan.from_fen = 0)),
    ("prizes for nobody", Rule::Plan, |story| plan(story, |plan| plan.per_user = 0)),
    ("a budget below one prize", Rule::Plan, |story| story.find(Act::Started, 0).head.fen = 9),
    ("two campaigns at once", Rule::Campaign, |story| story.again(Act::Started, 0, |head| head.credit += 9)),
    ("a campaign's number again", Rule::Campaign, |story| {
        story.find(Act::Started, 1).head.credit -= 1;
    }),
    ("stopped twice", Rule::Campaign, |story| story.again(Act::Stopped, 0, |_| ())),
    ("closed while it runs", Rule::Campaign, |story| story.again(Act::Closed, 0, |head| head.debit += 1)),
    ("a fen of the rest stays", Rule::Campaign, |story| story.find(Act::Closed, 0).head.fen -= 1),
    ("a prize after the end", Rule::Campaign, |story| {
        story.again(Act::Won, 0, |head| *head = Posting { about: head.about + 50, credit: a(2), ..*head });
    }),
    ("a prize of another campaign", Rule::Campaign, |story| story.find(Act::Won, 0).head.about += 1 << 32),
    ("a prize of no campaign", Rule::Campaign, |story| story.find(Act::Won, 0).head.debit += 9),
    ("a prize twice", Rule::PrizeOnce, |story| {
        let about = story.find(Act::Won, 0).head.about;
        story.find(Act::Won, 1).head.about = about;
    }),
    ("a prize too small", Rule::PrizeFen, |story| story.find(Act::Won, 0).head.fen = 9),
    ("a prize too large", Rule::PrizeFen, |story| story.find(Act::Won, 0).head.fen = 310),
    ("over budget", Rule::Budget, |story| {
        won(story, a(2), 70, 300);
        won(story, a(3), 71, 11);
    }),
    ("over the cap", Rule::Cap, |story| won(story, a(1), 72, 10)),
];

#[test]
fn every_rule_broken_once_is_named() {
    let tables = [ORDER, PLACES, MONEY, ORDERS, PACKETS, WORDS, CAMPAIGNS];
    for (name, rule, change) in tables.into_iter().flatten() {
        check(name, *rule, *change);
    }
    // No posting can break these: one is the disk's (`disk.rs`), the other the model's proof of itself.
    let apart = [Rule::Stored, Rule::Balanced];
    let untried: Vec<&Rule> = Rule::ALL
        .iter()
        .filter(|rule| !apart.contains(rule) && !tables.into_iter().flatten().any(|(_, tried, _)| tried == *rule))
        .collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[test]
fn a_fault_says_where_it_is_and_what_was_found() {
    let mut story = Story::tell();
    let at = story.place(Act::Deposited, 0);
    story.world.lines[at].head.fen += 1;
    let fault = audit(&story.world.lines).expect_err("a fen too many").to_string();
    let place = format!("position {}, SET 0, sequence 1 (deposited): ", at + 1);
    assert!(fault.starts_with(&place) && fault.contains("10001 fen, answers Deposit"), "{fault}");
}
