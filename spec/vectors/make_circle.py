#!/usr/bin/env python3
"""Writes circle.json, the vectors of spec/circle.md.

It is a second implementation, written from that page, RFC 8439 and
draft-irtf-cfrg-xchacha-03 with nothing but Python's standard library. Run it in
this folder.
"""
import hashlib
import hmac
import json
import struct

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def hkdf(key, info, size):
    """RFC 5869 with SHA-256 and no salt, for one block."""
    prk = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:size]


def base32(b):
    n, count = int.from_bytes(b, "big"), len(b) * 8 // 5
    return [n >> 5 * (count - 1 - i) & 31 for i in range(count)]


def times(a, b):
    """Multiplies in GF(32), bit by bit."""
    product = 0
    for bit in range(5):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(9, 4, -1):
        if product >> bit & 1:
            product ^= 0b100101 << bit - 5
    return product


def power(n):
    """The element x to the nth."""
    out = 1
    for _ in range(n):
        out = times(out, 2)
    return out


def check(place, digits):
    """The sum of section 2, written out: x^8 n + x^7 d1 + … + x d7."""
    out = times(power(8), place)
    for i, d in enumerate(digits):
        out ^= times(power(7 - i), d)
    return out


def text(key):
    digits = base32(key + hashlib.sha256(b"boucan circle v1 text" + key).digest()[:3])
    groups = []
    for g in range(8):
        seven = digits[7 * g:7 * g + 7]
        eight = "".join(ALPHABET[d] for d in seven + [check(g + 1, seven)])
        groups.append(eight[:4] + "-" + eight[4:])
    return "\n".join(groups[g] + " " + groups[g + 1] for g in range(0, 8, 2))


def fingerprint(key):
    s = "".join(ALPHABET[d] for d in base32(hkdf(key, b"boucan circle v1 fingerprint", 5)))
    return s[:4] + "-" + s[4:]


def rotate(v, n):
    return (v << n | v >> 32 - n) & 0xFFFFFFFF


def rounds(s):
    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = s[x] + s[y] & 0xFFFFFFFF
            s[z] = rotate(s[z] ^ s[x], n)
    for _ in range(10):
        for column in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                       (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*column)
    return s


def state(key, last):
    return list(struct.unpack("<16I", b"expand 32-byte k" + key + last))


def block(key, count, nonce):
    start = state(key, struct.pack("<I", count) + nonce)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(rounds(list(start)), start)))


def stream(key, count, nonce, data):
    out = b""
    for i in range(0, len(data), 64):
        out += bytes(a ^ b for a, b in zip(data[i:i + 64], block(key, count + i // 64, nonce)))
    return out


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\x01", "little")) * r % ((1 << 130) - 5)
    return (total + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def seal(key, nonce, plain):
    s = rounds(state(key, nonce[:16]))
    key, nonce = struct.pack("<8I", *s[:4], *s[12:]), bytes(4) + nonce[16:]
    sealed = stream(key, 1, nonce, plain)
    padded = sealed + bytes(-len(sealed) % 16) + struct.pack("<QQ", 0, len(sealed))
    return sealed + poly1305(block(key, 0, nonce)[:32], padded)


KEYS = [bytes(range(1, 33)), bytes(32), b"\xff" * 32, hashlib.sha256(b"a key").digest()]
T = text(KEYS[0])
FLAT = T.replace("-", "").replace(" ", "").replace("\n", "")


def swapped(s, i, j):
    s = list(s)
    s[i], s[j] = s[j], s[i]
    return "".join(s)


def other(s, i):
    return s[:i] + ALPHABET[(ALPHABET.index(s[i]) + 1) % 32] + s[i + 1:]


def unseen():
    """Two errors in one group that its own check does not see."""
    for a in ALPHABET:
        for b in ALPHABET:
            s = FLAT[:16] + a + b + FLAT[18:]
            seven = [ALPHABET.index(c) for c in s[16:23]]
            if s != FLAT and ALPHABET[check(3, seven)] == s[23]:
                return s


PLAIN = bytes(range(200))
NONCE = bytes(range(100, 124))
vectors = {
    "about": "Vectors of spec/circle.md. Made by make_circle.py.",
    "keys": [{
        "key": k.hex(), "text": text(k), "fingerprint": fingerprint(k),
        "network": hkdf(k, b"boucan circle v1 network", 32).hex(),
        "announcements": hkdf(k, b"boucan circle v1 announcements", 32).hex(),
    } for k in KEYS],
    "typed": [{"key": KEYS[0].hex(), "text": s} for s in (
        FLAT, FLAT.lower(), T.replace("0", "O").replace("1", "l"), T.replace("0", "o").replace("1", "I"),
        "\ufeff" + T.replace("-", "–").replace("\n", "\r\n") + "\n", ".".join(FLAT), T.replace("\n", ", "))],
    "bad": [{"text": s, "says": says} for s, says in (
        ("", "these are 0"),
        (FLAT[:-1], "these are 63"),
        (FLAT + "0", "these are 65"),
        (other(FLAT, 0), "group 1 of 8"),
        (other(FLAT, 37), "group 5 of 8"),
        (other(FLAT, 63), "group 8 of 8"),
        (swapped(FLAT, 16, 20), "group 3 of 8"),
        (swapped(FLAT, 30, 31), "group 4 of 8"),
        (FLAT[8:16] + FLAT[:8] + FLAT[16:], "group 1 of 8"),
        (FLAT[:40] + FLAT[41:], "group 6 of 8"),
        (FLAT[:40] + "U" + FLAT[41:], "group 6"),
        (unseen(), "compare it again"),
        (T + " " * 1024, "longer than 1024 bytes"))],
    "sealed": {
        "key": KEYS[0].hex(), "nonce": NONCE.hex(), "plain": PLAIN.hex(),
        "packet": (NONCE + seal(hkdf(KEYS[0], b"boucan circle v1 announcements", 32), NONCE, PLAIN)).hex(),
    },
}
with open("circle.json", "w", encoding="utf-8") as f:
    json.dump(vectors, f, indent=1, ensure_ascii=False)
    f.write("\n")
