#!/usr/bin/env python3
"""A client of Red Packet in Python's standard library alone, written from docs/PROTOCOL.md.

    client.py --server 127.0.0.1:2015 --ticket-file FILE shake ping balance bye

It is an example to read and to copy from, and too slow for load. One request is on its way at a time, which keeps the
sequence simple; notices that arrive meanwhile are acknowledged and collected.
"""

import argparse
import contextlib
import os
import random
import socket
import struct
import sys
import time

MASK = (1 << 64) - 1


def siphash(key, data):
    """SipHash-2-4 with 64-bit output, as 8 little-endian bytes."""
    k0, k1 = struct.unpack("<QQ", key)
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rotate(x, bits):
        return (x << bits | x >> 64 - bits) & MASK

    def rounds(count):
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0 = v0 + v1 & MASK
            v1 = rotate(v1, 13) ^ v0
            v0 = rotate(v0, 32)
            v2 = v2 + v3 & MASK
            v3 = rotate(v3, 16) ^ v2
            v0 = v0 + v3 & MASK
            v3 = rotate(v3, 21) ^ v0
            v2 = v2 + v1 & MASK
            v1 = rotate(v1, 17) ^ v2
            v2 = rotate(v2, 32)

    padded = data + bytes((7 - len(data)) % 8) + bytes([len(data) % 256])
    for (word,) in struct.iter_unpack("<Q", padded):
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xFF
    rounds(4)
    return struct.pack("<Q", v0 ^ v1 ^ v2 ^ v3)


def set_hash(user):
    """What HELLO and LOGIN carry so that the network can steer them."""
    x = user + 0x9E3779B97F4A7C15 & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return (x ^ x >> 31) >> 48


def derive(labels, secret, client_nonce, server_nonce, session):
    inputs = struct.pack("<QQI", client_nonce, server_nonce, session)
    return b"".join(siphash(secret, bytes([label]) + inputs) for label in labels)


def session_key(*of):
    """What datagrams are tagged under: 16 bytes."""
    return derive((0, 1), *of)


def sealing_key(*of):
    """What bears money is sealed under: 32 bytes."""
    return derive((2, 3, 4, 5), *of)


def chacha20_block(key, number, nonce):
    """64 bytes of ChaCha20's key stream (RFC 8439, section 2.3)."""
    start = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), number, *struct.unpack("<3I", nonce))
    state = list(start)

    def quarter(a, b, c, d):
        for to, by, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[to] = state[to] + state[by] & 0xFFFFFFFF
            x = state[turned] ^ state[to]
            state[turned] = (x << bits | x >> 32 - bits) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *(x + y & 0xFFFFFFFF for x, y in zip(state, start)))


def chacha20(key, nonce, data):
    """Encrypts, and decrypts."""
    stream = b"".join(chacha20_block(key, 1 + at // 64, nonce) for at in range(0, len(data), 64))
    return bytes(x ^ y for x, y in zip(data, stream))


def poly1305(key, data):
    """The 16 bytes of RFC 8439, section 2.5; `data` is of whole blocks here."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return (total + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def nonce_of(head):
    """Direction and counter, of the first 14 bytes of what bears money."""
    return struct.pack("<I", head[0] >> 5 & 1) + head[6:14]


def seal_of(key, head, body):
    """The AEAD tag over what travels in clear and what is encrypted (RFC 8439, section 2.8)."""
    data = b"".join(part + bytes(-len(part) % 16) for part in (head, body)) + struct.pack("<QQ", len(head), len(body))
    return poly1305(chacha20_block(key, 0, nonce_of(head))[:32], data)


# Requests, by name: the first byte.
HELLO, LOGIN, PING, SHAKE, SEND, GRAB, DETAIL, BALANCE = 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48
HISTORY = 0x49
NOTICE_ACK, BYE, ECHO, TOTALS = 0x4A, 0x4B, 0x4C, 0x4D

# The flag of what is sealed, and of a WELCOME that says so.
SEALED = 1

# Replies, by first byte: name, layout of what follows kind and flags, fields, and bytes of seal and tag.
HEAD = ("I I", "session sequence", 8)
REPLIES = {
    0x61: ("CHALLENGE", "H Q 12s", "set_hash client_nonce cookie", 0),
    0x62: ("WELCOME", "I Q Q Q Q H H", "session client_nonce server_nonce request_highest server_time_us idle_s sets", 8),
    0x63: ("PONG", "I I Q Q", "session sequence client_time_us server_time_us", 8),
    0x64: ("NOTHING", *HEAD),
    0x65: ("SENT", "I Q Q Q Q", "session counter request packet balance_fen", 24),
    0x66: ("GRABBED", "I Q Q Q Q Q", "session counter request packet share_fen balance_fen", 24),
    0x67: ("DETAIL_PAGE", "I Q Q Q Q Q Q Q B B B B B B B B",
           "session counter request packet sender total_fen left_fen made_ms"
           " state shares taken best first count greeting_len reserved", 24),
    0x68: ("BALANCE_IS", "I Q Q Q", "session counter request balance_fen", 24),
    0x69: ("HISTORY_PAGE", "I Q Q Q B", "session counter request next count", 24),
    0x6A: ("NOTICE", "I Q Q B Q Q Q Q", "session counter notice about_type about from fen at_ms", 24),
    0x6B: ("GOODBYE", *HEAD),
    0x6C: ("ECHOED", *HEAD),
    0x6D: ("TOTALS_ARE", "I Q I 768s", "session counter sequence words", 24),
    0x6E: ("PRIZE", "I Q I Q Q Q", "session counter sequence notice about fen", 24),
    0x6F: ("BUSY", *HEAD),
    0x70: ("REFUSED", "I Q Q B B H I", "session counter request refusal kind retry_after_ms share_fen", 24),
    0x71: ("UNKNOWN_SESSION", "I I", "session sequence", 0),
    0x72: ("PATH_CHALLENGE", *HEAD),
    0x73: ("LOGIN_REFUSED", "B B Q I", "refusal reserved client_nonce retry_after_ms", 8),
}
BEAR_MONEY = {first for first, (*_, trailer) in REPLIES.items() if trailer == 24}
REFUSALS = ("", "empty", "expired", "already_yours", "not_for_you", "unknown_packet", "insufficient", "full", "conflict",
            "stale", "malformed", "busy", "not_kept")
AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class Refused(Exception):
    """The server said no, by type; `fields` is the whole answer."""

    def __init__(self, fields):
        super().__init__(REFUSALS[fields["refusal"]] if fields["name"] == "REFUSED" else "log-in")
        self.fields = fields


class NoAnswer(Exception):
    """All repeats were in vain."""


class Unknown(Exception):
    """The server says that it has no such session: log in again."""


def parse(datagram):
    """Name and fields of a server's datagram, or None when its length is wrong. The tag is not looked at."""
    if len(datagram) < 2 or datagram[0] not in REPLIES:
        return None
    name, layout, fields, trailer = REPLIES[datagram[0]]
    layout = struct.Struct("<" + layout)
    end = len(datagram) - trailer
    if end < 2 + layout.size:
        return None
    values = dict(zip(fields.split(), layout.unpack_from(datagram, 2)), name=name, flags=datagram[1])
    tail = datagram[2 + layout.size:end]
    if name == "DETAIL_PAGE":
        rows = 20 * values["count"]
        if len(tail) != rows + values["greeting_len"]:
            return None
        values["rows"] = list(struct.iter_unpack("<QQI", tail[:rows]))
        values["greeting"] = tail[rows:].decode()
    elif name == "HISTORY_PAGE":
        if len(tail) != 25 * values["count"]:
            return None
        values["rows"] = list(struct.iter_unpack("<QBQQ", tail))
    elif tail:
        return None
    return values


class Client:
    """A user's session with one server."""

    def __init__(self, server, user, ticket, secret):
        family, _, _, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM)[0]
        self.family, self.address = family, address
        self.user, self.ticket, self.secret = user, ticket, secret
        self.key = self.sealing = self.session = None
        self.sequence = self.counter = self.request = 0
        self.notices = {}
        self.shaking = False
        self.move()

    def move(self):
        """Goes on from another port, as a NAT or a change of network would have it."""
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        # Connected: the kernel then drops what does not come from the server's address.
        self.socket.connect(self.address)

    # What is sent.

    def transmit(self, datagram):
        # What a network reports of an earlier datagram is no news: silence says it too.
        with contextlib.suppress(ConnectionRefusedError):
            self.socket.send(datagram)

    def tagged(self, kind, body, key=None, flags=0):
        datagram = bytes([kind, flags]) + body
        return datagram + siphash(key or self.key, datagram)

    def head(self, kind, sequence):
        return self.tagged(kind, struct.pack("<II", self.session, sequence))

    def money(self, kind, request, body):
        """A datagram that bears money, sealed where the server said so: its counter is new each time it is sent."""
        self.counter += 1
        head, body = struct.pack("<IQ", self.session, self.counter), struct.pack("<Q", request) + body
        if self.sealing is None:
            return self.tagged(kind, head + body + bytes(16))
        clear = bytes([kind, SEALED]) + head
        body = chacha20(self.sealing, nonce_of(clear), body)
        return self.tagged(kind, head + body + seal_of(self.sealing, clear, body), flags=SEALED)

    def next_sequence(self):
        self.sequence += 1
        return self.sequence

    def next_request(self, repeated):
        """A new request number, unless a repeat names its old one."""
        if repeated is not None:
            return repeated
        self.request += 1
        return self.request

    # What is received.

    def receive(self, until):
        """The next true datagram for this session before the time `until`; None when the time is over."""
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                datagram = self.socket.recv(2048)
            except (TimeoutError, ConnectionRefusedError):
                continue
            fields = self.read(datagram)
            if fields is None:
                continue
            if fields["name"] in ("NOTICE", "PRIZE"):
                if self.is_early(fields):
                    continue
                self.notices[fields["notice"]] = fields
                self.transmit(self.tagged(NOTICE_ACK, struct.pack("<IQ", self.session, fields["notice"])))
            elif fields["name"] == "PATH_CHALLENGE":
                self.transmit(self.head(ECHO, fields["sequence"]))
            return fields
        return None

    def read(self, datagram):
        """The fields of a true datagram for this session, else None."""
        fields = parse(self.unseal(datagram) if datagram[:1] and datagram[0] in BEAR_MONEY else datagram)
        return fields if fields and self.is_true(datagram, fields) else None

    def unseal(self, datagram):
        """What bears money as it was before it was sealed; nothing when it is not as WELCOME said."""
        is_sealed = len(datagram) >= 38 and datagram[1] & SEALED != 0
        if is_sealed != (self.sealing is not None):
            return b""
        if not is_sealed:
            return datagram
        head, body, rest = datagram[:14], datagram[14:-24], datagram[-24:]
        if seal_of(self.sealing, head, body) != rest[:16]:
            return b""
        return head + chacha20(self.sealing, nonce_of(head), body) + rest

    def is_early(self, fields):
        """The notice of a prize whose PRIZE is still to come: unacknowledged, it makes the SHAKE's repeat be answered."""
        is_prize = fields["name"] == "NOTICE" and fields["about_type"] == 1
        return self.shaking and is_prize and fields["notice"] not in self.notices

    def is_true(self, datagram, fields):
        name, body, tag = fields["name"], datagram[:-8], datagram[-8:]
        if name == "CHALLENGE":
            return True
        if name == "LOGIN_REFUSED":
            return siphash(self.secret, body) == tag
        if name == "WELCOME":
            key = session_key(self.secret, fields["client_nonce"], fields["server_nonce"], fields["session"])
            return siphash(key, body) == tag
        if fields["session"] != self.session:
            return False
        return name == "UNKNOWN_SESSION" or siphash(self.key, body) == tag

    def ask(self, make, is_answer):
        """Sends what `make` gives until `is_answer` accepts a reply; `make` is called anew for each transmission."""
        for wait_s in AGAIN_S:
            self.transmit(make())
            until = time.monotonic() + wait_s * random.uniform(1.0, 1.25)
            while fields := self.receive(until):
                if is_answer(fields):
                    return fields
                if fields["name"] == "ECHOED":
                    # The new address is taken over: ask again from here.
                    break
                if fields["name"] == "UNKNOWN_SESSION":
                    raise Unknown
        raise NoAnswer

    # What a user does.

    def log_in(self):
        """HELLO, CHALLENGE, LOGIN, WELCOME; then a PING, which ends the user's old session."""
        self.key = self.sealing = self.session = None
        nonce = int.from_bytes(os.urandom(8), "little")
        head = struct.pack("<HQ", set_hash(self.user), nonce)
        hello = bytes([HELLO, 0]) + head + bytes(20)
        challenge = self.ask(lambda: hello, lambda f: f["name"] == "CHALLENGE" and f["client_nonce"] == nonce)
        login = self.tagged(LOGIN, head + challenge["cookie"] + self.ticket, self.secret)
        names = ("WELCOME", "LOGIN_REFUSED")
        welcome = self.ask(lambda: login, lambda f: f["name"] in names and f["client_nonce"] == nonce)
        if welcome["name"] == "LOGIN_REFUSED":
            raise Refused(welcome)
        self.session = welcome["session"]
        of = (self.secret, nonce, welcome["server_nonce"], self.session)
        self.key = session_key(*of)
        self.sealing = sealing_key(*of) if welcome["flags"] & SEALED else None
        self.sequence = self.counter = 0
        self.request = max(self.request, welcome["request_highest"])
        self.ping()
        return welcome

    def by_sequence(self, make, names, sequence):
        """Asks under a sequence, waits as BUSY says, and asks again under the same."""
        while True:
            fields = self.ask(make, lambda f: f["name"] in (*names, "BUSY") and f["sequence"] == sequence)
            if fields["name"] != "BUSY":
                return fields
            time.sleep(fields["flags"] / 10 * random.uniform(1.0, 1.25))

    def shake(self, sequence=None):
        sequence = sequence or self.next_sequence()
        self.shaking = True
        try:
            return self.by_sequence(lambda: self.head(SHAKE, sequence), ("NOTHING", "PRIZE"), sequence)
        finally:
            self.shaking = False

    def ping(self):
        sequence = self.next_sequence()
        body = struct.pack("<IIQ", self.session, sequence, time.time_ns() // 1000)
        return self.by_sequence(lambda: self.tagged(PING, body), ("PONG",), sequence)

    def bye(self):
        sequence = self.next_sequence()
        fields = self.ask(lambda: self.head(BYE, sequence), lambda f: f["name"] in ("GOODBYE", "UNKNOWN_SESSION"))
        self.key = self.sealing = self.session = None
        return fields

    def by_request(self, kind, name, request, body):
        """Asks under a request number until it is answered for good."""
        while True:
            fields = self.ask(lambda: self.money(kind, request, body),
                              lambda f: f["name"] in (name, "REFUSED") and f["request"] == request)
            if fields["name"] == name:
                return fields
            if REFUSALS[fields["refusal"]] != "busy":
                raise Refused(fields)
            time.sleep(fields["retry_after_ms"] / 1000 * random.uniform(1.0, 1.25))

    def send(self, total_fen, shares, to=(), whole_set=None, split=0, greeting="", request=None):
        text = greeting.encode()
        audience, number = (0, 0) if whole_set is None else (1, whole_set)
        body = struct.pack("<QBBBBHBB", total_fen, split, audience, shares, len(to), number, len(text), 0)
        body += struct.pack(f"<{len(to)}Q", *to) + text
        return self.by_request(SEND, "SENT", self.next_request(request), body)

    def grab(self, packet, request=None):
        return self.by_request(GRAB, "GRABBED", self.next_request(request), struct.pack("<Q", packet))

    def detail(self, packet, first=0):
        number = random.getrandbits(64)
        return self.by_request(DETAIL, "DETAIL_PAGE", number, struct.pack("<QB", packet, first))

    def balance(self):
        return self.by_request(BALANCE, "BALANCE_IS", random.getrandbits(64), b"")["balance_fen"]

    def history(self, before=0):
        """One page of what moved the user's money, newest first."""
        return self.by_request(HISTORY, "HISTORY_PAGE", random.getrandbits(64), struct.pack("<Q", before))

    def whole_history(self):
        """All rows, newest first: at_ms, act, about, fen."""
        page = self.history()
        rows = page["rows"]
        while page["next"]:
            page = self.history(page["next"])
            rows += page["rows"]
        return rows

    def wait_for(self, is_wanted, seconds):
        """The first notice, of those that came already or come within some seconds, that is wanted; or None."""
        until = time.monotonic() + seconds
        while True:
            for notice in self.notices.values():
                if is_wanted(notice):
                    return notice
            if self.receive(until) is None:
                return None


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


ACTS = {2: "deposited", 6: "withdrawn", 10: "won", 11: "sent", 13: "taken", 16: "came back"}
STATES = ("open", "all taken", "refunded")


def clock(ms):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ms / 1000))


def do_shake(client, _):
    answer = client.shake()
    return "nothing" if answer["name"] == "NOTHING" else f"a prize of {answer['fen']} fen"


def do_ping(client, _):
    since = time.monotonic()
    client.ping()
    return f"{(time.monotonic() - since) * 1000:.1f} ms"


def do_balance(client, _):
    return f"{client.balance()} fen"


def do_send(client, detail):
    fen, shares, users = detail.split("/")
    answer = client.send(int(fen), int(shares), to=[int(user) for user in users.split(",")])
    return f"packet {answer['packet']:#x} is made; balance {answer['balance_fen']} fen"


def do_grab(client, detail):
    answer = client.grab(int(detail, 0))
    return f"a share of {answer['share_fen']} fen; balance {answer['balance_fen']} fen"


def do_detail(client, detail):
    page = client.detail(int(detail, 0))
    lines = [f"{page['total_fen']} fen from user {page['sender']}, {page['taken']} of {page['shares']} shares taken,"
             f" {STATES[page['state']]}" + (f": {page['greeting']}" if page["greeting"] else "")]
    return lines + [f"{clock(at)}  user {user} took {fen} fen" for user, at, fen in page["rows"]]


def do_history(client, _):
    return [f"{clock(at)}  {ACTS.get(act, act)} {fen} fen" + (f", {about:#x}" if about else "")
            for at, act, about, fen in client.whole_history()] or ["nothing yet"]


def do_wait(client, detail):
    client.wait_for(lambda notice: False, float(detail or 1))
    return "for news"


def do_bye(client, _):
    client.bye()
    return "logged out"


DEEDS = {"shake": do_shake, "ping": do_ping, "balance": do_balance, "send": do_send, "grab": do_grab,
         "detail": do_detail, "history": do_history, "wait": do_wait, "bye": do_bye}
NEWS = {1: "a prize of {fen} fen", 2: "packet {about:#x} of {fen} fen from user {from} is for you",
        3: "{fen} fen of your packet {about:#x} came back"}

USAGE = """what to do, in this order:
  shake, ping, balance, history, bye
  send=FEN/SHARES/USER,USER,..   a packet for these users
  grab=PACKET, detail=PACKET     a packet's number, decimal or 0x..
  wait=SECONDS                   listen for news

examples, beside a server on this machine:
  rp-server ticket --user 7 > ticket
  client.py --ticket-file ticket shake balance send=300/3/8,9,10
"""


def say(verb, answer):
    for line in answer if isinstance(answer, list) else [answer]:
        print(f"{verb:<10}  {line}")


def read_ticket(path):
    """What `rp-server ticket` prints: a name and a value on each line."""
    with open(path, encoding="ascii") as file:
        lines = dict(line.split() for line in file if line.strip())
    return int(lines["user"]), bytes.fromhex(lines["ticket"]), bytes.fromhex(lines["secret"])


def main():
    parser = argparse.ArgumentParser(description="A small client of Red Packet: one user, by hand.", epilog=USAGE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=address, default=("127.0.0.1", 2015), metavar="ADDR:PORT",
                        help="[default: 127.0.0.1:2015]")
    parser.add_argument("--ticket-file", metavar="FILE", help="what `rp-server ticket --user N` printed; or else:")
    parser.add_argument("--user", type=int, metavar="N")
    parser.add_argument("--ticket", type=bytes.fromhex, metavar="HEX")
    parser.add_argument("--secret", type=bytes.fromhex, metavar="HEX")
    parser.add_argument("do", nargs="+", metavar="DO", help="see below")
    arguments = parser.parse_args()
    user, ticket, secret = arguments.user, arguments.ticket, arguments.secret
    if arguments.ticket_file:
        try:
            user, ticket, secret = read_ticket(arguments.ticket_file)
        except (OSError, ValueError, KeyError) as trouble:
            parser.error(f"{arguments.ticket_file} is not what `rp-server ticket` prints: {trouble}")
    if None in (user, ticket, secret):
        parser.error("say who logs in: --ticket-file, or --user, --ticket and --secret")
    deeds = [what.partition("=") for what in arguments.do]
    for verb, _, _ in deeds:
        if verb not in DEEDS:
            parser.error(f"{verb} is nothing that this client does; it does {', '.join(DEEDS)}")
    client = Client(arguments.server, user, ticket, secret)
    welcome = client.log_in()
    sealed = "sealed" if welcome["flags"] & SEALED else "NOT sealed"
    say("logged in", f"session {client.session:#x}, {welcome['sets']} SETs; what bears money is {sealed}")
    for verb, _, detail in deeds:
        try:
            say(verb, DEEDS[verb](client, detail))
        except Refused as refused:
            say(verb, f"refused: {refused}")
        except ValueError:
            parser.error(f"{verb}={detail} is not written as --help says")
    for notice in client.notices.values():
        if notice["name"] == "NOTICE":
            say("news", NEWS[notice["about_type"]].format(**notice))


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"the log-in was refused: type {refused.fields['refusal']}")
    except (NoAnswer, Unknown) as trouble:
        sys.exit(f"the server at that address does not answer as it should: {type(trouble).__name__}")
