#!/usr/bin/env python3
"""Writes blob.json, the vectors of spec/blob.md.

It is a second implementation, written from that page with nothing but Python's
standard library, and shares no code with the program that the vectors test.
Run it in this folder; its output never changes unless it does.
"""
import base64
import hashlib
import json

CHUNK = 1 << 20
WIDTH = 1024
RAW, DAG_PB = 0x55, 0x70
ASK, HAVE, WRONG = 1, 2, 3
PIECE, LAST, SIZE, LEAVES = 0x10, 0x11, 0x12, 0x13
REFUSALS = {"not here": 0x20, "busy": 0x21, "unreadable": 0x22, "gone": 0x23}
WHOLE, MANIFEST, RANGE = 1, 2, 3


def sha(b):
    return hashlib.sha256(b).digest()


def u32(n):
    return n.to_bytes(4, "big")


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def cid(codec, digest):
    return bytes([1, codec, 0x12, 0x20]) + digest


def text(c):
    return "b" + base64.b32encode(c).decode().lower().rstrip("=")


# Names (section 2).


def leaves_of(fill, size):
    full = sha(bytes([fill]) * CHUNK)
    out = [full] * (size // CHUNK)
    if size % CHUNK or not size:
        out.append(sha(bytes([fill]) * (size % CHUNK)))
    return out


def root(leaves, size):
    """The CID of a blob, and the block of its root."""
    level = [(cid(RAW, l), min(CHUNK, size - i * CHUNK)) for i, l in enumerate(leaves)]
    level = [(c, n, n) for c, n in level]  # CID, bytes of the file, Tsize
    block = None
    while len(level) > 1 or (block is None and len(leaves) > 1):
        above = []
        for at in range(0, len(level), WIDTH):
            group = level[at : at + WIDTH]
            block = b""
            for c, _, tsize in group:
                link = b"\x0a\x24" + c + b"\x12\x00\x18" + varint(tsize)
                block += b"\x12" + varint(len(link)) + link
            total = sum(n for _, n, _ in group)
            data = b"\x08\x02\x18" + varint(total) + b"".join(b"\x20" + varint(n) for _, n, _ in group)
            block += b"\x0a" + varint(len(data)) + data
            tsize = len(block) + sum(t for _, _, t in group)
            above.append((cid(DAG_PB, sha(block)), total, tsize))
        level = above
    return level[0][0], block


def name(fill, size):
    return root(leaves_of(fill, size), size)[0]


# Frames (section 4).


def frame(kind, payload=b""):
    return bytes([kind]) + u32(len(payload)) + payload


def item(kind, c, first=0, count=0):
    return bytes([kind]) + c + (u32(first) + u32(count) if kind == RANGE else b"")


def chunk(b, *lengths):
    """The frames of a chunk, cut into pieces of these lengths and the rest."""
    out, at = b"", 0
    for n in lengths:
        out += frame(PIECE, b[at : at + n])
        at += n
    return out + frame(LAST, b[at:])


def manifest(size, leaves):
    out = frame(SIZE, size.to_bytes(8, "big"))
    for at in range(0, len(leaves), 8192):
        out += frame(LEAVES, b"".join(leaves[at : at + 8192]))
    return out


SMALL = name(0x61, 5)
EMPTY = name(0, 0)
LARGE_SIZE = 3 * CHUNK + 7
LARGE = name(0x62, LARGE_SIZE)
LARGE_LEAVES = leaves_of(0x62, LARGE_SIZE)
TWO = name(0, CHUNK + 1)


def names():
    sizes = [(0, 0), (0x61, 5), (0, CHUNK - 1), (0, CHUNK), (0, CHUNK + 1), (0x62, LARGE_SIZE)]
    sizes += [(0, 1024 * CHUNK), (0, 1024 * CHUNK + 1), (0, 1025 * CHUNK), (0, 1_100_000_000), (0xFF, 2049 * CHUNK + 12345)]
    for fill, size in sizes:
        c, block = root(leaves_of(fill, size), size)
        v = {"fill": fill, "size": size, "cid": text(c)}
        if block and len(block) < 1024:
            v["root"] = block.hex()
        yield v


def asking():
    def items(*its):
        return {"kind": "ask", "items": [
            {"kind": {WHOLE: "whole", MANIFEST: "manifest", RANGE: "range"}[k], "cid": text(c)}
            | ({"first": r[0], "count": r[1]} if r else {}) for k, c, *r in its]}, frame(ASK, b"".join(item(*i) for i in its))

    def have(*cids):
        return {"kind": "have", "cids": [text(c) for c in cids]}, frame(HAVE, b"".join(cids))

    def wrong(c, n):
        return {"kind": "wrong", "cid": text(c), "chunk": n}, frame(WRONG, c + u32(n))

    def vector(what, *frames):
        return {"name": what, "frames": [f for f, _ in frames], "hex": b"".join(b for _, b in frames).hex()}

    yield vector("one blob of one chunk", items((WHOLE, SMALL)))
    yield vector("three small blobs in one frame", items((WHOLE, SMALL), (WHOLE, EMPTY), (WHOLE, SMALL)))
    yield vector("a manifest", items((MANIFEST, LARGE)))
    yield vector("one chunk", items((RANGE, LARGE, 0, 1)))
    yield vector("the last chunks there can be", items((RANGE, LARGE, 262144 - 1024, 1024)))
    yield vector("all kinds of items, then frames behind it",
                 items((MANIFEST, LARGE), (WHOLE, SMALL), (RANGE, LARGE, 1, 3)), items((WHOLE, EMPTY)), have(SMALL))
    yield vector("two that became whole", have(SMALL, LARGE))
    yield vector("a small blob that did not match", wrong(SMALL, 0))
    yield vector("a chunk that did not match", wrong(LARGE, 262143))


def chunks():
    def vector(what, b, hexed):
        return {"name": what, "length": len(b), "sha256": sha(b).hex(), "hex": hexed.hex()}

    b = bytes(i * 7 % 251 for i in range(5000))
    yield vector("in one piece", b[:5], chunk(b[:5]))
    yield vector("empty", b"", chunk(b""))
    yield vector("in two pieces", b[:1500], chunk(b[:1500], 1024))
    yield vector("with an empty end", b[:2048], chunk(b[:2048], 1024, 1024))
    yield vector("in pieces of several lengths", b, chunk(b, 1024, 2000, 1111))
    for what, kind in REFUSALS.items():
        yield {"name": what, "refusal": what, "hex": frame(kind).hex()}
    yield {"name": "refused after a piece", "refusal": "unreadable", "hex": (frame(PIECE, b[:1024]) + frame(0x22)).hex()}


def manifests():
    def vector(what, fill, size):
        leaves = leaves_of(fill, size)
        return {"name": what, "cid": text(name(fill, size)), "size": size, "leaves": b"".join(leaves).hex(),
                "hex": manifest(size, leaves).hex()}

    yield vector("two chunks", 0, CHUNK + 1)
    yield vector("four chunks", 0x62, LARGE_SIZE)
    for what, kind in REFUSALS.items():
        yield {"name": what, "refusal": what, "hex": frame(kind).hex()}
    yield {"name": "refused after the size", "refusal": "unreadable",
           "hex": (frame(SIZE, LARGE_SIZE.to_bytes(8, "big")) + frame(0x22)).hex()}


def bad():
    def asks(what, cls, hexed):
        return {"name": what, "read": "asking", "class": cls, "hex": hexed.hex()}

    def chunked(what, cls, most, hexed):
        return {"name": what, "read": "chunk", "class": cls, "most": most, "hex": hexed.hex()}

    def manifested(what, cls, hexed, c=LARGE):
        return {"name": what, "read": "manifest", "class": cls, "cid": text(c), "hex": hexed.hex()}

    def head(kind, n):
        return bytes([kind]) + u32(n)

    whole = item(WHOLE, SMALL)
    yield asks("a kind that nobody sends", "unknown-kind", frame(0, whole))
    yield asks("a kind of the other side", "unknown-kind", frame(LAST, whole))
    yield asks("an ask frame with nothing", "wrong-length", frame(ASK))
    yield asks("an ask frame shorter than an item", "wrong-length", frame(ASK, whole[:-1]))
    yield asks("an ask frame one byte too long", "wrong-length", head(ASK, 65537))
    yield asks("a claim of all there can be", "wrong-length", head(ASK, 0xFFFFFFFF))
    yield asks("a have frame with nothing", "wrong-length", frame(HAVE))
    yield asks("a have frame with a part of a CID", "wrong-length", frame(HAVE, SMALL + SMALL[:-1]))
    yield asks("a have frame with one CID too many", "wrong-length", frame(HAVE, SMALL * 1025))
    yield asks("a wrong frame one byte short", "wrong-length", frame(WRONG, SMALL + b"\0\0\0"))
    yield asks("a wrong frame one byte long", "wrong-length", frame(WRONG, SMALL + b"\0\0\0\0\0"))
    yield asks("an item of another kind", "malformed-item", frame(ASK, b"\x04" + SMALL))
    yield asks("a part of a second item", "malformed-item", frame(ASK, whole + whole[:-1]))
    yield asks("a range without its end", "malformed-item", frame(ASK, item(RANGE, LARGE, 0, 1)[:-1]))
    yield asks("one item too many", "malformed-item", frame(ASK, whole * 1025))
    yield asks("all of a blob of several chunks", "malformed-item", frame(ASK, item(WHOLE, LARGE)))
    yield asks("the manifest of a blob of one chunk", "malformed-item", frame(ASK, item(MANIFEST, SMALL)))
    yield asks("chunks of a blob of one chunk", "malformed-item", frame(ASK, item(RANGE, SMALL, 0, 1)))
    yield asks("no chunks", "malformed-item", frame(ASK, item(RANGE, LARGE, 0, 0)))
    yield asks("one chunk too many", "malformed-item", frame(ASK, item(RANGE, LARGE, 0, 1025)))
    yield asks("a chunk behind the last there can be", "malformed-item", frame(ASK, item(RANGE, LARGE, 262144, 1)))
    yield asks("a range over the last there can be", "malformed-item", frame(ASK, item(RANGE, LARGE, 262143, 2)))
    yield asks("a range that wraps around", "malformed-item", frame(ASK, item(RANGE, LARGE, 0xFFFFFFFF, 1)))
    yield asks("a CID of version 0", "malformed-item", frame(ASK, bytes([WHOLE]) + b"\0" + SMALL[1:]))
    yield asks("a CID of another hash", "malformed-item", frame(ASK, bytes([WHOLE]) + SMALL[:2] + b"\x13\x20" + SMALL[4:]))
    yield asks("a have frame with another CID", "malformed-item", frame(HAVE, SMALL + b"\x02" + SMALL[1:]))
    yield asks("a wrong frame with another CID", "malformed-item", frame(WRONG, b"\x02" + SMALL[1:] + u32(0)))
    yield asks("a wrong frame past the last chunk there can be", "malformed-item", frame(WRONG, LARGE + u32(262144)))
    yield asks("a wrong frame for a second chunk of one", "malformed-item", frame(WRONG, SMALL + u32(1)))
    yield asks("a head cut short", "cut-short", head(ASK, 37)[:-1])
    yield asks("a payload cut short", "cut-short", frame(ASK, whole)[:-1])
    yield asks("a payload left out", "cut-short", head(ASK, 37))

    b = bytes(3000)
    yield chunked("nothing", "cut-short", 3000, b"")
    yield chunked("a kind of the other side", "unknown-kind", 3000, frame(ASK, b))
    yield chunked("a size in its place", "unknown-kind", 3000, frame(SIZE, bytes(8)))
    yield chunked("leaves in its place", "unknown-kind", 3000, frame(LEAVES, bytes(32)))
    yield chunked("a kind that nobody sends", "unknown-kind", 3000, frame(0x24))
    yield chunked("a piece one byte too short", "wrong-length", 3000, chunk(b[:2000], 1023))
    yield chunked("a piece one byte too long", "wrong-length", 1 << 20, head(PIECE, 262145))
    yield chunked("an end one byte too long", "wrong-length", 1 << 20, head(LAST, 262145))
    yield chunked("a claim of all there can be", "wrong-length", 1 << 20, head(LAST, 0xFFFFFFFF))
    yield chunked("a refusal with a payload", "wrong-length", 3000, frame(0x20, b"\0"))
    yield chunked("one byte too long", "wrong-chunk-length", 2999, chunk(b))
    yield chunked("one byte too long after pieces", "wrong-chunk-length", 2999, chunk(b, 1024, 1024))
    yield chunked("pieces without an end", "cut-short", 3000, chunk(b, 1024, 1024)[: 2 * (5 + 1024)])
    yield chunked("an end cut short", "cut-short", 3000, chunk(b)[:-1])

    good = manifest(LARGE_SIZE, LARGE_LEAVES)
    yield manifested("no size", "unknown-kind", frame(LEAVES, b"".join(LARGE_LEAVES)))
    yield manifested("a size twice", "unknown-kind", frame(SIZE, LARGE_SIZE.to_bytes(8, "big")) * 2)
    yield manifested("a chunk in its place", "unknown-kind", chunk(b"abc"))
    yield manifested("a size of 7 bytes", "wrong-length", frame(SIZE, bytes(7)))
    yield manifested("a size of one chunk", "impossible-size", frame(SIZE, CHUNK.to_bytes(8, "big")))
    yield manifested("a size one past the limit", "impossible-size", frame(SIZE, ((256 << 30) + 1).to_bytes(8, "big")))
    yield manifested("a size of 2^63", "impossible-size", frame(SIZE, (1 << 63).to_bytes(8, "big")))
    yield manifested("a size of 2^64-1", "impossible-size", frame(SIZE, b"\xff" * 8))
    yield manifested("part of a leaf", "wrong-length", good[:13] + frame(LEAVES, bytes(33)))
    yield manifested("a leaf too few", "wrong-length", manifest(LARGE_SIZE, LARGE_LEAVES[:-1]))
    yield manifested("a leaf too many", "wrong-length", manifest(LARGE_SIZE, LARGE_LEAVES + LARGE_LEAVES[:1]))
    yield manifested("leaves in two frames where one holds them", "wrong-length",
                     good[:13] + frame(LEAVES, LARGE_LEAVES[0]) + frame(LEAVES, b"".join(LARGE_LEAVES[1:])))
    yield manifested("cut short within the leaves", "cut-short", good[:-1])
    yield manifested("cut short after the size", "cut-short", good[:13])
    yield manifested("another leaf", "wrong-manifest", manifest(LARGE_SIZE, LARGE_LEAVES[:-1] + LARGE_LEAVES[:1]))
    yield manifested("leaves out of order", "wrong-manifest", manifest(LARGE_SIZE, LARGE_LEAVES[::-1]))
    yield manifested("another size with as many chunks", "wrong-manifest", manifest(LARGE_SIZE + 1, LARGE_LEAVES))
    yield manifested("the manifest of another blob", "wrong-manifest", good, TWO)


def main():
    vectors = {
        "about": "Vectors of spec/blob.md, section 11. Made by make_blob.py.",
        "names": list(names()), "asking": list(asking()), "chunk": list(chunks()),
        "manifest": list(manifests()), "bad": list(bad()),
    }
    with open("blob.json", "w") as f:
        json.dump(vectors, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
