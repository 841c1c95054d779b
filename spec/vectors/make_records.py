#!/usr/bin/env python3
"""Writes records.json, the vectors of spec/records.md.

It is a second implementation, written from that page with nothing but Python's
standard library, and shares no code with the program that the vectors test.
Run it in this folder; its output never changes unless it does.
"""
import base64
import hashlib
import json
import sys

sys.dont_write_bytecode = True  # this folder holds sources and vectors only

from ed25519 import L, P, challenge, public_key, sign

# Deterministic CBOR (RFC 8949, section 4.2.1).


def head(major, n):
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise OverflowError


def cbor(v):
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(cbor, v))
    if isinstance(v, dict):
        pairs = sorted((cbor(k), cbor(x)) for k, x in v.items())
        return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)
    raise TypeError(v)


# Records (sections 3 and 4).

PREFIX = b"boucan record v1\0"
DAY = 24 * 60 * 60 * 1000
AT = 1767225600000  # 2026-01-01T00:00:00Z
CREATED = AT - 1000

ALICE, BOB = bytes(range(32)), bytes([7]) * 32

FIELDS = {  # kind: names of the body's fields in the order of their keys
    1: ["name", "cid", "size", "media_type", "modified", "description", "cleaned", "room"],
    2: ["room", "text", "nick", "mark", "reply"],
    3: ["title", "text", "nick", "thread", "image", "pinned"],
    4: ["target", "secret", "reason"],
    5: ["name", "about", "software", "files", "bytes"],
}
ALWAYS = {1: [1, 2, 3], 2: [1, 2], 3: [2], 4: [1], 5: [1]}


def body_cbor(kind, body):
    pairs = {}
    for key, field in enumerate(FIELDS[kind], 1):
        v = body.get(field)
        if key in ALWAYS[kind] or v:
            pairs[key] = v
    return cbor(pairs)


def fields(kind, body, seed=ALICE, created=CREATED, life=DAY, undo=b"", version=1):
    """The first seven fields; body is a dict of names or ready bytes."""
    if isinstance(body, dict):
        body = body_cbor(kind, body)
    return [version, kind, public_key(seed), created, created + life, undo, body]


def sealed(first, seed=ALICE):
    return cbor(first + [sign(seed, PREFIX + cbor(first))])


def record_id(first):
    return hashlib.sha256(PREFIX + cbor(first)).digest()


ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def peer_id(key):
    b = b"\x00\x24\x08\x01\x12\x20" + key
    n, out = int.from_bytes(b, "big"), ""
    while n:
        n, digit = divmod(n, 58)
        out = ALPHABET[digit] + out
    return "1" * (len(b) - len(b.lstrip(b"\0"))) + out


def raw_cid(data):
    return b"\x01\x55\x12\x20" + hashlib.sha256(data).digest()


def cid_text(cid):
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


# JSON: bytes are hexadecimal, CIDs in their base32 form.


def shown(field, v):
    if field in ("cid", "image") and v:
        return cid_text(v)
    return v.hex() if isinstance(v, bytes) else v


def packed(raw):
    """raw as hex, its longest run of one byte taken out where that is long."""
    best = (0, 0)
    at = 0
    while at < len(raw):
        end = at
        while end < len(raw) and raw[end] == raw[at]:
            end += 1
        best = max(best, (end - at, -at))
        at = end
    times, at = best[0], -best[1]
    if times < 300:
        return {"record": raw.hex()}
    return {
        "record": (raw[:at] + raw[at + times:]).hex(),
        "insert": {"at": at, "byte": raw[at:at + 1].hex(), "times": times},
    }


def valid(name, kind, body, seed=ALICE, **more):
    first = fields(kind, body, seed=seed, **more)
    out = {
        "name": name,
        "seed": seed.hex(),
        "author": peer_id(first[2]),
        "kind": kind,
        "created": first[3],
        "expires": first[4],
        "undo": first[5].hex(),
        "id": record_id(first).hex(),
    }
    out.update(packed(sealed(first, seed)))
    if isinstance(body, dict) and "insert" not in out:
        out["body"] = {k: shown(k, v) for k, v in body.items()}
    return out


def invalid(name, fails, raw):
    return {"name": name, "fails": fails, **packed(raw)}


MESSAGE = {"room": "lobby", "text": "hello"}
PHOTO = {
    "name": "photos/été 1.jpg", "cid": raw_cid(b"photo"), "size": 5,
    "media_type": "image/jpeg", "modified": 1700000000123,
    "description": "First line\nand a second.", "cleaned": 1, "room": "lobby",
}
SECRET = b"AAAAAAAAAAAAAAAAAAAAAAAAAA"
UNDO = hashlib.sha256(SECRET).digest()


def valid_records():
    target = record_id(fields(1, PHOTO, undo=UNDO))
    return [
        valid("file, all fields, undo", 1, PHOTO, undo=UNDO),
        valid("file, empty, only what must be there", 1,
              {"name": "a", "cid": raw_cid(b""), "size": 0}, life=400 * DAY),
        valid("file, largest", 1,
              {"name": "big.iso", "cid": b"\x01\x70\x12\x20" + bytes(32), "size": 256 << 30}),
        valid("message", 2, MESSAGE, seed=BOB),
        valid("message, all fields, longest life", 2,
              {"room": "küche", "text": "a\tb\nc 👩‍👩‍👧", "nick": "Zoé", "mark": 2**32 - 1,
               "reply": target}, life=30 * DAY),
        valid("message, longest text", 2, {"room": "lobby", "text": "a" * 4000}),
        valid("post, all fields", 3,
              {"title": "Lost: one cat", "text": "Grey.", "nick": "nobody", "thread": target,
               "image": raw_cid(b"cat"), "pinned": True}),
        valid("takedown by secret", 4, {"target": target, "secret": SECRET}, seed=BOB),
        valid("takedown with a reason", 4, {"target": bytes(32), "reason": "asked to"}),
        valid("card, all fields", 5,
              {"name": "Boucan at the pier", "about": "Come in.", "software": "boucan 0.1",
               "files": 2**63 - 1, "bytes": 1}, life=7 * DAY),
        valid("shortest life", 2, MESSAGE, created=AT, life=1),
        valid("created as far ahead as is taken", 2, MESSAGE, created=AT + 600000),
        valid("last millisecond", 2, MESSAGE, created=AT - DAY + 1),
        valid("unknown kind, body is not CBOR", 6, b"\xff\xff", life=400 * DAY),
        valid("unknown kind, empty body", 2**64 - 1, b""),
        valid("unknown kind, kind 0", 0, b"\xa0"),
        valid("unknown kind, longest body", 99, bytes(16128)),
    ]


def altered_head(raw, at, was, now):
    assert raw[at:at + len(was)] == was, raw.hex()
    return raw[:at] + now + raw[at + len(was):]


def malformed():
    good = sealed(fields(2, MESSAGE))
    sig = len(good) - 64
    seven = fields(2, MESSAGE)
    resealed = lambda i, v: sealed(seven[:i] + [v] + seven[i + 1:])
    return [
        ("no bytes", b""),
        ("one byte short", good[:-1]),
        ("one byte more", good + b"\0"),
        ("two records in a row", good + good),
        ("seven items", cbor(seven)),
        ("nine items", cbor(seven + [bytes(64), 0])),
        ("nine in the head, eight follow", b"\x89" + good[1:]),
        ("indefinite-length array", b"\x9f" + good[1:] + b"\xff"),
        ("array head of two bytes", b"\x98\x08" + good[1:]),
        ("a map", b"\xa8" + good[1:]),
        ("tagged", b"\xc1" + good),
        ("version of two bytes", altered_head(good, 1, b"\x01", b"\x18\x01")),
        ("version is negative", altered_head(good, 1, b"\x01", b"\x20")),
        ("kind of two bytes", altered_head(good, 2, b"\x02", b"\x18\x02")),
        ("kind is a float", altered_head(good, 2, b"\x02", b"\xf9\x40\x00")),
        ("author is a text string", altered_head(good, 3, b"\x58\x20", b"\x78\x20")),
        ("author's length in three bytes", altered_head(good, 3, b"\x58\x20", b"\x59\x00\x20")),
        ("author of 31 bytes", resealed(2, bytes(31))),
        ("author of 33 bytes", resealed(2, bytes(33))),
        ("author is null", resealed_null(good, 3, 34)),
        ("undo is null", altered_head(good, 55, b"\x40", b"\xf6")),
        ("undo of 31 bytes", resealed(5, bytes(31))),
        ("undo of 33 bytes", resealed(5, bytes(33))),
        ("body in two chunks", in_chunks(seven)),
        ("body longer than what is there", altered_head(good, 56, b"\x4f", b"\x5b" + b"\x7f" + b"\xff" * 7)),
        ("body's length in a reserved form", altered_head(good, 56, b"\x4f", b"\x5c")),
        ("signature of 63 bytes", good[:sig - 2] + b"\x58\x3f" + good[sig:-1]),
        ("signature of 65 bytes", good[:sig - 2] + b"\x58\x41" + good[sig:] + b"\0"),
    ]


def resealed_null(raw, at, length):
    return raw[:at] + b"\xf6" + raw[at + length:]


def in_chunks(seven):
    body = seven[6]
    raw = sealed(seven)
    whole = cbor(body)
    return raw.replace(whole, b"\x5f" + cbor(body[:4]) + cbor(body[4:]) + b"\xff")


def bad_signatures():
    seven = fields(2, MESSAGE)
    good = sealed(seven)
    s = int.from_bytes(good[-32:], "little")
    out = [
        ("another author's signature", sealed(fields(2, MESSAGE, seed=BOB), ALICE)),
        ("one bit of the body changed", good.replace(b"hello", b"hellp")),
        ("one bit of the signature changed", good[:-64] + bytes([good[-64] ^ 1]) + good[-63:]),
        ("S is not below the group's order", good[:-32] + (s + L).to_bytes(32, "little")),
        ("signed without the prefix", cbor(seven + [sign(ALICE, cbor(seven))])),
        ("signed as an array of eight", cbor(seven + [sign(ALICE, PREFIX + b"\x88" + cbor(seven)[1:])])),
        ("all zero", cbor(seven + [bytes(64)])),
        ("bad body and bad signature",
         cbor(fields(2, b"\xff") + [bytes(64)])),
    ]
    weak = {
        "order 1": (1).to_bytes(32, "little"),
        "order 2": (P - 1).to_bytes(32, "little"),
        "order 4, the zero key": bytes(32),
        "order 8": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        "order 8, other y": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        "order 4, y = p": P.to_bytes(32, "little"),
        "order 1, y = p + 1": (P + 1).to_bytes(32, "little"),
    }
    return out + [("weak author: " + why, forged(key)) for why, key in weak.items()]


def forged(key):
    """A record of a small-order author, signed without a secret: where the
    challenge is a multiple of 8, R = the neutral point and S = 0 satisfy the
    equation."""
    r = (1).to_bytes(32, "little")
    for created in range(CREATED, CREATED + 1000):
        seven = fields(2, MESSAGE, created=created)
        seven[2] = key
        if challenge(r, key, PREFIX + cbor(seven)) % 8 == 0:
            return cbor(seven + [r + bytes(32)])
    raise AssertionError


def bad_bodies():
    def body(kind, b):
        return sealed(fields(kind, b))

    photo = body_cbor(1, PHOTO)
    name = lambda s: body(1, {**PHOTO, "name": s})
    say = lambda **f: body(2, {**MESSAGE, **f})
    return [
        ("empty", body(2, b"")),
        ("an array", body(2, b"\x82\x01\x02")),
        ("bytes after it", body(2, body_cbor(2, MESSAGE) + b"\0")),
        ("unknown key", body(2, cbor({1: "lobby", 2: "hello", 9: 1}))),
        ("text key", body(2, cbor({1: "lobby", "2": "hello"}))),
        ("keys out of order", body(2, b"\xa2\x02\x65hello\x01\x65lobby")),
        ("a key twice", body(2, b"\xa3\x01\x65lobby\x02\x65hello\x02\x65hello")),
        ("length not shortest", body(2, b"\xa2\x01\x65lobby\x02\x78\x05hello")),
        ("indefinite-length map", body(2, b"\xbf\x01\x65lobby\x02\x65hello\xff")),
        ("indefinite-length text", body(2, b"\xa2\x01\x65lobby\x02\x7f\x65hello\xff")),
        ("an optional field that is there and empty", body(2, cbor({1: "lobby", 2: "hello", 3: ""}))),
        ("a field that must be there is not", body(2, cbor({1: "lobby"}))),
        ("text is bytes", body(2, cbor({1: "lobby", 2: b"hello"}))),
        ("text is not UTF-8", body(2, b"\xa2\x01\x65lobby\x02\x62\xc3\x28")),
        ("text has a surrogate", body(2, b"\xa2\x01\x65lobby\x02\x63\xed\xa0\x80")),
        ("tagged", body(2, b"\xc1" + body_cbor(2, MESSAGE))),
        ("number is a float", body(1, b"\xa3\x01\x61a\x02" + cbor(raw_cid(b"")) + b"\x03\xf9\x00\x00")),
        ("message is empty", say(text="")),
        ("message is one past the longest", say(text="a" * 4001)),
        ("message begins with a space", say(text=" a")),
        ("message ends with a line feed", say(text="a\n")),
        ("message has a carriage return", say(text="a\rb")),
        ("message has a zero byte", say(text="a\0b")),
        ("message turns direction", say(text="a\u202eb")),
        ("nickname has a line feed", say(nick="a\nb")),
        ("nickname is one past the longest", say(nick="a" * 65)),
        ("room is empty", say(room="")),
        ("room is one past the longest", say(room="a" * 65)),
        ("mark is past 32 bits", say(mark=2**32)),
        ("reply of 31 bytes", say(reply=bytes(31))),
        ("file has no name", name("")),
        ("file's name is absolute", name("/a")),
        ("file's name climbs", name("a/../b")),
        ("file's name is hidden", name("a/.b")),
        ("file's name ends with a dot", name("a.")),
        ("file's name is a device", name("con.txt")),
        ("file's name has a backslash", name("a\\b")),
        ("file's name has a colon", name("a:b")),
        ("file's name has an element of 256 bytes", name("a" * 256)),
        ("file's name is one past the longest", name("/".join(["a" * 204] * 4 + ["a" * 205]))),
        ("file's size is one past the largest", body(1, {**PHOTO, "size": (256 << 30) + 1})),
        ("file's modified is past year 9999", body(1, {**PHOTO, "modified": 253402300800000})),
        ("file's cleaned is unknown", body(1, {**PHOTO, "cleaned": 5})),
        ("CID of another codec", body(1, photo.replace(b"\x01\x55\x12\x20", b"\x01\x71\x12\x20"))),
        ("CID of version 0", body(1, photo.replace(b"\x01\x55\x12\x20", b"\x00\x55\x12\x20"))),
        ("CID of another hash", body(1, photo.replace(b"\x01\x55\x12\x20", b"\x01\x55\x1b\x20"))),
        ("CID of 35 bytes", body(1, {**PHOTO, "cid": raw_cid(b"")[:35]})),
        ("post's pinned is false", body(3, cbor({2: "a", 6: False}))),
        ("post's image of 32 bytes", body(3, {"text": "a", "image": bytes(32)})),
        ("takedown's target of 31 bytes", body(4, cbor({1: bytes(31)}))),
        ("takedown's secret is one past the longest",
         body(4, {"target": bytes(32), "secret": bytes(65)})),
        ("card has no name", body(5, {"name": ""})),
        ("card counts past 2^63 - 1", body(5, {"name": "a", "files": 2**63})),
        ("bad body, expired", sealed(fields(2, b"\xff", created=AT - 9 * DAY))),
    ]


def invalid_records():
    def at(kind, created, life):
        return sealed(fields(kind, MESSAGE if kind == 2 else b"", created=created, life=life))

    last = 253402300799999
    groups = [
        ("too-large", [
            ("16385 bytes, of whatever", bytes(16385)),
            ("body one past the longest", sealed(fields(99, bytes(16129)))),
        ]),
        ("malformed", malformed()),
        ("version", [
            ("version 2", sealed(fields(2, MESSAGE, version=2))),
            ("version 0", sealed(fields(2, MESSAGE, version=0))),
            ("version 2 of another shape", b"\x82\x02\x80"),
        ]),
        ("times", [
            ("expires when created", at(2, CREATED, 0)),
            ("expires before", at(2, CREATED, -1)),
            ("message lives one past the longest", at(2, CREATED, 30 * DAY + 1)),
            ("card lives one past the longest", at(5, CREATED, 7 * DAY + 1)),
            ("unknown kind lives one past the longest", at(99, CREATED, 400 * DAY + 1)),
            ("expires past the year 9999", at(2, last - 9, 10)),
            ("created at 2^64 - 1", at(2, 2**64 - 1, -(2**64 - 1) + AT)),
        ]),
        ("signature", bad_signatures()),
        ("body", bad_bodies()),
        ("expired", [("expires at this millisecond", at(2, AT - DAY, DAY))]),
        ("future", [("created one millisecond too far ahead", at(2, AT + 600001, DAY))]),
    ]
    return [invalid(name, fails, raw) for fails, cases in groups for name, raw in cases]


def takedowns():
    target = fields(1, PHOTO, undo=UNDO)
    plain = fields(1, PHOTO)
    own = fields(4, {"target": bytes(32)})

    def case(name, holds, of, seed, expires=None, **body):
        body = {"target": record_id(of), **body}
        life = (of[4] if expires is None else expires) - CREATED
        return {
            "name": name, "holds": holds,
            "target": sealed(of).hex(),
            "takedown": sealed(fields(4, body, seed=seed, life=life), seed).hex(),
        }

    return [
        case("by the author", True, target, ALICE),
        case("by the author, no undo", True, plain, ALICE),
        case("by the author, a wrong secret", True, target, ALICE, secret=b"wrong"),
        case("by the secret", True, target, BOB, secret=SECRET),
        case("by the secret, lives longer", True, target, BOB, target[4] + 1, secret=SECRET),
        case("by another", False, target, BOB),
        case("by a wrong secret", False, target, BOB, secret=SECRET + b"A"),
        case("by the hash in place of the secret", False, target, BOB, secret=UNDO),
        case("by a secret where there is no undo", False, plain, BOB, secret=SECRET),
        case("by the author, forgotten too soon", False, target, ALICE, target[4] - 1),
        case("by the secret, forgotten too soon", False, target, BOB, target[4] - 1, secret=SECRET),
        case("of a takedown, by its author", False, own, ALICE),
    ]


def peers():
    seeds = [ALICE, BOB] + [hashlib.sha256(b"peer %d" % i).digest() for i in range(6)]
    keys = [public_key(s) for s in seeds] + [bytes(32), b"\xff" * 32]
    return [{"key": k.hex(), "peer_id": peer_id(k)} for k in keys]


def record_vectors():
    return {
        "about": "spec/records.md; made by make_records.py",
        "at": AT,
        "valid": valid_records(),
        "invalid": invalid_records(),
        "takedowns": takedowns(),
        "peer_ids": peers(),
    }


def write(name, tables):
    """One case a line, so that a difference can be read."""
    def shown_table(v):
        if isinstance(v, list):
            return "[\n    " + ",\n    ".join(json.dumps(x) for x in v) + "\n  ]"
        return json.dumps(v)

    with open(name, "w") as f:
        f.write("{\n  " + ",\n  ".join(f'"{k}": {shown_table(v)}' for k, v in tables.items()) + "\n}\n")


if __name__ == "__main__":
    write("records.json", record_vectors())
