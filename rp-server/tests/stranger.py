"""A stranger's evening: docs/examples/client.py, which knows docs/PROTOCOL.md alone, against a real server.

Called by stranger.rs: `stranger.py money|luck|late ADDR:PORT USER:TICKET:SECRET ...`. Users 7, 8, 9 and 10 hold 100 000
fen each, others nothing. Any difference from the document ends it with a sentence and exit code 1.
"""

import json
import struct
import sys
import time

import client as stranger
from client import NoAnswer, Refused, Unknown

# Longer than anything here takes where any thread may stand still for seconds.
PATIENCE_S = 120
stranger.AGAIN_S += (8.0,) * 13

START_FEN = 100_000
# Packets of its users that a SET remembers.
PACKETS_KEPT = 4096


def check(what, told, expected):
    if told != expected:
        sys.exit(f"{what}: got {told!r}, the document says {expected!r}")


class Client(stranger.Client):
    """It knows the last answer that it asked for, which comes again when it asked twice."""

    answer = None

    def ask(self, make, is_answer):
        self.answer = super().ask(make, is_answer)
        return self.answer


def refusal_of(what, act, name):
    """`act` is refused by this name; gives the answer's fields."""
    try:
        answer = act()
    except Refused as refused:
        check(what, str(refused), name)
        return refused.fields
    sys.exit(f"{what}: answered {answer!r}, not refused")


def is_silent(what, client, datagrams):
    """None of the datagrams is answered: whatever comes is sent by the server on its own account."""
    for datagram in datagrams:
        client.socket.send(datagram)
    until = time.monotonic() + 0.3
    while fields := client.receive(until):
        if fields["name"] != "NOTICE" and fields != client.answer:
            sys.exit(f"{what}: answered {fields!r}, the document says silence")


def sessions(seven):
    """Log in, ping, shake: the sequence and its repeats."""
    welcome = seven.log_in()
    check("the first session of user 7 has seen no request", welcome["request_highest"], 0)
    if abs(welcome["server_time_us"] / 1e6 - time.time()) > 60:
        sys.exit("the server's time is a minute off")
    pong = seven.ping()
    check("a pong's session", pong["session"], seven.session)
    nothing = seven.shake()
    check("a shake without a campaign", nothing["name"], "NOTHING")
    check("the same shake again", seven.shake(nothing["sequence"]), nothing)
    is_silent("an older sequence", seven, [seven.head(stranger.SHAKE, nothing["sequence"] - 1)])
    is_silent("sequence zero", seven, [seven.head(stranger.SHAKE, 0)])
    # A gap is allowed.
    seven.sequence += 1000
    check("a shake after a gap", seven.shake()["sequence"], seven.sequence)


def falsehoods(seven):
    """What is false is dropped in silence, and the session lives on."""
    shake = seven.head(stranger.SHAKE, seven.sequence + 1)
    bent = [shake[:at] + bytes([shake[at] ^ 1]) + shake[at + 1:] for at in (1, 6, 9, 10, 17)]
    is_silent("a shake with a bit turned", seven, bent)
    is_silent("a wrong length", seven, [shake + b"\0", shake[:-1], shake[:1], b""])
    is_silent("another version", seven, [bytes([shake[0] ^ 0xC0]) + shake[1:]])
    is_silent("a kind that only servers send", seven, [seven.tagged(0x64, shake[2:10])])
    is_silent("a HISTORY that is too short", seven, [seven.tagged(stranger.HISTORY, shake[2:10])])
    is_silent("TOTALS, without the auditor's role", seven, [seven.head(stranger.TOTALS, 1)])
    is_silent("an echo that nobody asked for", seven, [seven.head(stranger.ECHO, 5)])
    flagged = bytes([shake[0], 1]) + shake[2:10]
    is_silent("a flag that no request has", seven, [flagged + stranger.siphash(seven.key, flagged)])
    clear = struct.pack("<IQQ", seven.session, seven.counter + 1, 5) + bytes(16)
    is_silent("a balance that is not sealed", seven, [seven.tagged(stranger.BALANCE, clear)])
    is_silent("a seal of zeros", seven, [seven.tagged(stranger.BALANCE, clear, flags=stranger.SEALED)])
    sealed = seven.money(stranger.BALANCE, 5, b"")[:-8]
    bent = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1:] for at in (6, 14, 21, 22, 37)]
    is_silent("a balance with a bit turned under a true tag", seven,
              [datagram + stranger.siphash(seven.key, datagram) for datagram in bent])
    for wrong in ("secret", "ticket"):
        liar = Client(seven.address[:2], 7, seven.ticket, seven.secret)
        setattr(liar, wrong, bytes([getattr(liar, wrong)[0] ^ 1]) + getattr(liar, wrong)[1:])
        try:
            stranger.AGAIN_S, kept = (0.2,), stranger.AGAIN_S
            liar.log_in()
            sys.exit(f"a log-in with a false {wrong} worked")
        except NoAnswer:
            stranger.AGAIN_S = kept
    check("the next shake", seven.shake()["name"], "NOTHING")


def sending(seven, eight):
    """SEND and its repeats; gives the packet."""
    check("what was minted", seven.balance(), START_FEN)
    sent = seven.send(300, 3, to=[7, 8, 9], greeting="恭喜发财")
    number = seven.request
    check("the balance after a send", sent["balance_fen"], START_FEN - 300)
    again = seven.send(300, 3, to=[7, 8, 9], greeting="恭喜发财", request=number)
    check("the same send again", (again["packet"], again["balance_fen"]), (sent["packet"], sent["balance_fen"]))
    check("the counter of a repeat is new", again["counter"] > sent["counter"], True)
    refusal_of("another send under the same number", lambda: seven.send(301, 3, to=[7], request=number), "conflict")
    refusal_of("a grab under the same number", lambda: seven.grab(sent["packet"], request=number), "conflict")
    refusal_of("more than there is", lambda: seven.send(START_FEN, 10, to=[8]), "insufficient")
    for what, fen, shares, options in (
        ("no shares", 10, 0, {"to": [8]}),
        ("less than a fen each", 2, 3, {"to": [8]}),
        ("more than 200 yuan each", 20_001, 1, {"to": [8]}),
        ("more than 100 shares", 10_000, 101, {"to": [8]}),
        ("nobody to take it", 10, 1, {}),
        ("a split that is not there", 10, 1, {"to": [8], "split": 2}),
        ("a SET that is not there", 10, 1, {"whole_set": 60_000}),
    ):
        refusal_of(what, lambda fen=fen, shares=shares, options=options: seven.send(fen, shares, **options), "malformed")
    check("a refused send moves nothing", seven.balance(), START_FEN - 300)
    notice = eight.wait_for(lambda n: n["name"] == "NOTICE" and n["about"] == sent["packet"], PATIENCE_S)
    if notice is None:
        sys.exit("user 8 was not told of his packet")
    check("the notice", (notice["about_type"], notice["from"], notice["fen"]), (2, 7, 300))
    return sent["packet"]


def grabbing(seven, eight, ten, packet):
    """GRAB, its repeats and its refusals; DETAIL."""
    grabbed = eight.grab(packet)
    number = eight.request
    check("a third of 300", (grabbed["share_fen"], grabbed["balance_fen"]), (100, START_FEN + 100))
    again = eight.grab(packet, request=number)
    check("the same grab again", (again["share_fen"], again["balance_fen"]), (100, START_FEN + 100))
    mine = refusal_of("a second grab", lambda: eight.grab(packet), "already_yours")
    check("the share that is already his", mine["share_fen"], 100)
    refusal_of("one who is not listed", lambda: ten.grab(packet), "not_for_you")
    refusal_of("one who is not listed, reading", lambda: ten.detail(packet), "not_for_you")
    refusal_of("a packet that is not there", lambda: eight.grab(packet + (77 << 16)), "unknown_packet")
    refusal_of("request number zero", lambda: eight.grab(packet, request=0), "stale")
    check("balance after all that", eight.balance(), START_FEN + 100)
    page = seven.detail(packet)
    check("the greeting", page["greeting"], "恭喜发财")
    check("the page", [page[name] for name in ("sender", "total_fen", "left_fen", "state", "shares", "taken", "best")],
          [7, 300, 200, 0, 3, 1, 255])
    check("the row", [(user, fen) for user, _, fen in page["rows"]], [(8, 100)])
    # A leap of the request number leaves numbers below the window behind, but no answer that is kept.
    eight.request += 1000
    refusal_of("a leap", lambda: eight.grab(packet), "already_yours")
    refusal_of("just below the window", lambda: eight.grab(packet, request=eight.request - 64), "stale")
    refusal_of("the window's last", lambda: eight.grab(packet, request=eight.request - 63), "already_yours")
    check("a kept answer below the window", eight.grab(packet, request=number)["share_fen"], 100)
    for _ in range(16):
        refusal_of("sixteen others", lambda: eight.grab(packet), "already_yours")
    refusal_of("an answer that is kept no more", lambda: eight.grab(packet, request=number), "stale")


def finishing(seven, nine, ten, packet):
    check("the second share", nine.grab(packet)["share_fen"], 100)
    check("the sender's own share", seven.grab(packet)["share_fen"], 100)
    refusal_of("one who is not listed, when all are taken", lambda: ten.grab(packet), "not_for_you")
    page = nine.detail(packet, first=1)
    check("the finished page", [page[name] for name in ("left_fen", "state", "taken", "best", "first", "count")],
          [0, 1, 3, 0, 1, 2])
    check("the rest of the rows", [user for user, _, _ in page["rows"]], [9, 7])
    hers = ten.send(1, 1, to=[8, 9])["packet"]
    check("the one share", nine.grab(hers)["share_fen"], 1)
    return hers


def random_split(seven, nine, ten, sets):
    """A random packet for a whole SET: its sender may take part, users of other SETs not."""
    whole = stranger.set_hash(9) * sets >> 16
    packet = seven.send(1000, 2, whole_set=whole, split=1)["packet"]
    first = nine.grab(packet)["share_fen"]
    if stranger.set_hash(10) * sets >> 16 != whole:
        refusal_of("a user of another SET", lambda: ten.grab(packet), "not_for_you")
    check("both shares of a random split", first + seven.grab(packet)["share_fen"], 1000)
    check("one share is at least a fen", 1 <= first <= 999, True)


def moving(eight):
    """Another port: the path is challenged, and nothing is done before the echo."""
    balance = eight.balance()
    for ask in (eight.ping, eight.shake, eight.balance):
        eight.move()
        ask()
    eight.move()
    packet = eight.send(1, 1, to=[9])["packet"]
    check("paid once, from a new port", eight.balance(), balance - 1)
    return packet


def ending(seven, eight):
    """A new log-in ends the old session; BYE ends the last."""
    other = Client(eight.address[:2], 8, eight.ticket, eight.secret)
    highest = other.log_in()["request_highest"]
    check("request numbers live on", highest, eight.request)
    try:
        eight.ping()
        sys.exit("the old session of user 8 still lives")
    except Unknown:
        pass
    check("the goodbye", other.bye()["name"], "GOODBYE")
    session, key = seven.session, seven.key
    check("the goodbye", seven.bye()["name"], "GOODBYE")
    seven.session, seven.key = session, key
    try:
        seven.ping()
        sys.exit("user 7 was answered after his goodbye")
    except Unknown:
        pass


def money(users):
    seven, eight, nine, ten = (users[user] for user in (7, 8, 9, 10))
    sessions(seven)
    for user in (eight, nine, ten):
        user.log_in()
    sets = nine.log_in()["sets"]
    falsehoods(seven)
    packet = sending(seven, eight)
    grabbing(seven, eight, ten, packet)
    hers = finishing(seven, nine, ten, packet)
    refusal_of("one who comes too late", lambda: eight.grab(hers), "empty")
    random_split(seven, nine, ten, sets)
    his = moving(eight)
    check("what user 8 gave", nine.grab(his)["share_fen"], 1)
    total = sum(user.balance() for user in (seven, eight, nine, ten))
    check("the sum of all balances", total, 4 * START_FEN)
    for user in (seven, eight, nine, ten):
        rows = user.whole_history()
        check("a history", sum(-fen if act in (6, 11) else fen for _, act, _, fen in rows), user.balance())
        check("its beginning", [rows[-1][at] for at in (1, 2, 3)], [2, 0, START_FEN])
    check("what user 8 sent last", [row[1:] for row in eight.whole_history() if row[1] == 11], [(11, his, 1)])
    ending(seven, eight)


def shared_in_time(seven, eight):
    """A packet of which user 8 has a share: not the first, where the two seconds were over before his grab."""
    for _ in range(20):
        packet = seven.send(300, 3, to=[7, 8])["packet"]
        try:
            check("a share in time", eight.grab(packet)["share_fen"], 100)
            return packet
        except Refused as refused:
            check("a grab that is late", str(refused), "expired")
    sys.exit("no grab was in time")


def late(users):
    """At a server where packets live for two seconds: what nobody took comes back, once, and its sender is told."""
    seven, eight = users[7], users[8]
    seven.log_in()
    eight.log_in()
    packet = shared_in_time(seven, eight)
    notice = seven.wait_for(lambda n: (n["name"], n["about_type"], n["about"]) == ("NOTICE", 3, packet), PATIENCE_S)
    if notice is None:
        sys.exit("the sender was not told that his packet came back")
    check("the refund", (notice["fen"], notice["from"]), (200, 0))
    check("the sender's balance", seven.balance(), START_FEN - 100)
    refusal_of("too late", lambda: seven.grab(packet), "expired")
    refusal_of("an opened share stays his", lambda: eight.grab(packet), "already_yours")
    page = eight.detail(packet)
    check("the refunded page", [page[name] for name in ("total_fen", "left_fen", "state", "taken", "best")],
          [300, 0, 2, 1, 255])


def luck(users):
    """With a campaign running: three prizes and no more, told until acknowledged, and booked once."""
    eleven = users[11]
    eleven.log_in()
    check("a beggar", eleven.balance(), 0)
    prizes, until = [], time.monotonic() + PATIENCE_S
    while len(prizes) < 3 and time.monotonic() < until:
        answer = eleven.shake()
        if answer["name"] == "PRIZE":
            prizes.append(answer)
            check("the balance has the prizes", eleven.balance(), sum(prize["fen"] for prize in prizes))
        time.sleep(0.01)
    check("prizes", len(prizes), 3)
    check("prizes are notices of their own", len({prize["notice"] for prize in prizes}), 3)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        check("a fourth prize", eleven.shake()["name"], "NOTHING")
        time.sleep(0.01)
    check("each prize once", eleven.balance(), sum(prize["fen"] for prize in prizes))


def hear(client, is_wanted):
    """The next true datagram that is wanted; nothing is acknowledged."""
    client.socket.settimeout(PATIENCE_S)
    while not ((fields := client.read(client.socket.recv(2048))) and is_wanted(fields)):
        pass
    return fields


def unheard(users):
    """A prize whose answer is lost: the SHAKE's repeat is answered PRIZE, and its NOTICE comes until acknowledged."""
    twelve = users[12]
    twelve.log_in()
    until = time.monotonic() + PATIENCE_S
    won = None
    while won is None and time.monotonic() < until:
        sequence = twelve.next_sequence()
        # By hand, so that nothing is acknowledged.
        twelve.socket.send(twelve.head(stranger.SHAKE, sequence))
        fields = hear(twelve, lambda f: f["name"] in ("NOTHING", "PRIZE", "BUSY") and f["sequence"] == sequence)
        won = fields if fields["name"] == "PRIZE" else None
        # Slower than the limit of a session.
        time.sleep(0.1)
    if won is None:
        sys.exit("no prize")
    notice = hear(twelve, lambda f: f["name"] == "NOTICE")
    check("the notice of a prize", [notice[name] for name in ("notice", "about_type", "about", "fen")],
          [won["notice"], 1, won["about"], won["fen"]])
    again = twelve.shake(sequence)
    check("the repeat of the shake", [again[name] for name in ("name", "notice", "about", "fen")],
          ["PRIZE", won["notice"], won["about"], won["fen"]])
    check("booked once", twelve.balance(), won["fen"])
    # It is acknowledged: the waits of the notice would be over by now, and nothing comes but the last answer again.
    until = time.monotonic() + 3
    while late := twelve.receive(until):
        if late["name"] != "BALANCE_IS":
            sys.exit(f"acknowledged, and yet {late!r} came")


# What the evening before saw, kept over a restart of the server.
DIARY = "diary.json"


def details(users, packets):
    """What each user may read of each packet, but for what is new with each answer."""
    seen = {}
    for user in (7, 8, 9, 10):
        for packet in packets:
            try:
                page = users[user].detail(packet)
                seen[f"{user} {packet}"] = [page[name] for name in (
                    "packet", "sender", "total_fen", "left_fen", "made_ms", "state", "shares", "taken", "best", "count",
                    "greeting", "rows")]
            except Refused as refused:
                seen[f"{user} {packet}"] = str(refused)
    return json.loads(json.dumps(seen))


def histories(users):
    return json.loads(json.dumps([users[user].whole_history() for user in (7, 8, 9, 10)]))


def remembering(users):
    """More packets than memory holds, and more rows than a page: all is read as it was."""
    for user in users.values():
        user.log_in()
    seven, eight, nine, ten = (users[user] for user in (7, 8, 9, 10))
    over = seven.send(300, 3, to=[7, 8, 9], greeting="恭喜发财")["packet"]
    for user in (eight, nine, seven):
        user.grab(over)
    luck = nine.send(900, 2, to=[7, 8], split=1, greeting="")["packet"]
    eight.grab(luck)
    seven.grab(luck)
    before = details(users, [over, luck])
    for _ in range(PACKETS_KEPT):
        seven.send(1, 1, to=[8])
    refusal_of("a grab of what memory has forgotten", lambda: ten.grab(over), "unknown_packet")
    check("forgotten packets", details(users, [over, luck]), before)
    refusal_of("a packet that could have been", lambda: seven.detail(over + 7), "unknown_packet")
    refusal_of("a packet that is yet to be", lambda: seven.detail(over + (1 << 40)), "unknown_packet")
    pages, page = [], seven.history()
    while page["next"]:
        pages.append(page["count"])
        page = seven.history(page["next"])
    check("pages", [set(pages), len(pages) >= PACKETS_KEPT // 47], [{47}, True])
    check("nothing before the first", eight.history(1)["rows"], [])
    check("nothing behind the last", eight.history((1 << 64) - 1)["rows"], eight.history()["rows"])
    for user in users.values():
        rows = user.whole_history()
        check("a history", sum(-fen if act in (6, 11) else fen for _, act, _, fen in rows), user.balance())
    flood(ten)
    with open(DIARY, "w") as diary:
        json.dump({"packets": [over, luck], "details": before, "histories": histories(users)}, diary)


def flood(ten):
    """More questions at once than can wait: each is answered, by a page or *busy*, or lost; and the next is answered."""
    for number in range(500):
        ten.transmit(ten.money(stranger.HISTORY, number, struct.pack("<Q", 0)))
    heard = []
    while fields := ten.receive(time.monotonic() + (0.5 if "HISTORY_PAGE" in heard else PATIENCE_S)):
        heard.append(fields["name"])
    check("what a flood hears", set(heard) - {"HISTORY_PAGE", "REFUSED", "NOTICE"}, set())
    check("some of it is answered", "HISTORY_PAGE" in heard, True)
    check("after the flood", ten.history()["rows"][-1][1:], (2, 0, START_FEN))


def remembered(users):
    """The server was started anew."""
    for user in users.values():
        user.log_in()
    with open(DIARY) as diary:
        was = json.load(diary)
    check("packets after a restart", details(users, was["packets"]), was["details"])
    check("histories after a restart", histories(users), was["histories"])


def main():
    evening, server, *tickets = sys.argv[1:]
    users = {}
    for text in tickets:
        user, ticket, secret = text.split(":")
        users[int(user)] = Client(stranger.address(server), int(user), bytes.fromhex(ticket), bytes.fromhex(secret))
    if evening == "luck":
        luck(users)
        unheard(users)
    else:
        {"money": money, "late": late, "remembering": remembering, "remembered": remembered}[evening](users)
    print(f"{evening}: as the document says")


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"refused against the document: {refused} {refused.fields}")
    except NoAnswer:
        raise SystemExit("a request was never answered")
