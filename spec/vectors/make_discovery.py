#!/usr/bin/env python3
"""Makes discovery.json from spec/discovery.md, without the program: python3 make_discovery.py > discovery.json"""
import hashlib, json, socket, struct

ID = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
INSTANCE = "GK2V5Q7XN3JZ4LWTB6YDHRC2MA"
NAME = "Anna's box no. 1"
A, PTR, TXT, AAAA, SRV, NSEC, ANY = 1, 12, 16, 28, 33, 47, 255
TYPES = "_services._dns-sd._udp.local."
NODE, WEB = "_boucan._tcp.local.", "_http._tcp.local."


def host(i):
    return "boucan-" + i[-6:].lower().replace("_", "x").replace("-", "x")


def field(s):
    b = s.encode()
    return bytes([len(b)]) + b


def beacon(flags=0, port=4001, next=5, id="id", instance="in", name="", wanted=""):
    return (b"BCAN\x01" + bytes([flags]) + struct.pack(">HB", port, next)
            + field(id) + field(instance) + field(name) + field(wanted))


class Message:
    """One DNS message; names are compressed except in SRV records."""

    def __init__(self, response):
        self.b = bytearray(struct.pack(">HH8x", 0, 0x8400 if response else 0))
        self.seen = {}

    def count(self, section):
        at = 4 + 2 * section
        n, = struct.unpack_from(">H", self.b, at)
        struct.pack_into(">H", self.b, at, n + 1)

    def name(self, s, compress=True):
        labels = s.rstrip(".").split(".")
        while labels:
            rest = ".".join(labels)
            if compress and rest in self.seen:
                self.b += struct.pack(">H", 0xC000 | self.seen[rest])
                return
            if compress:
                self.seen[rest] = len(self.b)
            self.b += field(labels.pop(0))
        self.b.append(0)

    def question(self, name):
        self.count(0)
        self.name(name)
        self.b += struct.pack(">HH", ANY, 1)

    def record(self, section, name, kind, data, ttl, flush):
        self.count(section)
        self.name(name)
        self.b += struct.pack(">HHIH", kind, 0x8001 if flush else 1, ttl, 0)
        at = len(self.b)
        if kind == PTR:
            self.name(data)
        elif kind == SRV:
            self.b += struct.pack(">HHH", 0, 0, data[0])
            self.name(data[1], compress=False)
        elif kind == TXT:
            self.b += b"".join(field(s) for s in data)
        else:
            self.b += data
        struct.pack_into(">H", self.b, at - 2, len(self.b) - at)


def records():
    """What a node announces, in order: name, type, data, TTL, cache flush."""
    h, node = host(ID) + ".local.", host(ID) + "." + NODE
    text = ["id=" + ID, "instance=" + INSTANCE, "name=" + NAME, "proto=boucan/1"]
    rs = [(TYPES, PTR, NODE, 4500, False), (NODE, PTR, node, 4500, False),
          (node, SRV, (4001, h), 120, True), (node, TXT, text, 4500, True)]
    web = NAME.replace(".", "-") + "." + WEB
    rs += [(TYPES, PTR, WEB, 4500, False), (WEB, PTR, web, 4500, False),
           (web, SRV, (8080, h), 120, True), (web, TXT, ["path=/"], 4500, True)]
    return rs + [(h, A, socket.inet_aton("169.254.77.1"), 120, True),
                 (h, AAAA, socket.inet_pton(socket.AF_INET6, "fe80::ff:fe00:7701"), 120, True)]


def response(answers, additional=()):
    m = Message(True)
    for section, rs in ((1, answers), (3, additional)):
        for name, kind, data, ttl, flush in rs:
            m.record(section, name, kind, data, ttl, flush)
    return m.b.hex()


def probe():
    m = Message(False)
    rs = [r for r in records() if r[4]]
    names = []
    for r in rs:
        if r[0] not in names:
            names.append(r[0])
    for n in names:
        m.question(n)
    for name, kind, data, ttl, _ in rs:
        m.record(2, name, kind, data, ttl, False)
    return m.b.hex()


def goodbye():
    return response([(n, k, d, 0, f) for n, k, d, _, f in records() if n != TYPES])


def interval(peers):
    seconds = min(max(peers * 0.125, 5), 60)
    return {"peers": peers, "seconds": seconds, "promise": -(-seconds // 1)}


def beacons():
    for c in (dict(id=ID, instance=INSTANCE, name="Anna's box"),
              dict(flags=2, port=1, id="a", instance="b"),
              dict(flags=6, port=65535, next=255, id="i" * 64, instance="n" * 32, name="é" * 32, wanted="w" * 64),
              dict(flags=1, id=ID, instance=INSTANCE)):
        full = dict(flags=0, port=4001, next=5, name="", wanted="") | c
        yield {"packet": beacon(**full).hex()} | full


def sealed():
    """What a circle's boxes seal (section 10)."""
    starts = [("a", "b"), (ID, INSTANCE)]
    for stamp, count, named, c in ((1790000000000, 1, [], dict(id=ID, instance=INSTANCE, name=NAME, flags=2)),
                                   (0, 4294967295, starts, dict(flags=1, id="i" * 64, instance="n" * 32, name="é" * 32, wanted="w" * 64)),
                                   (-1, 2, starts * 2, dict(id="a", instance="b"))):
        full = dict(flags=0, port=4001, next=5, name="", wanted="") | c
        marks = [hashlib.sha256(i.encode() + b"\0" + n.encode()).digest()[:8] for i, n in named]
        plain = struct.pack(">qI", stamp, count) + b"".join(marks).ljust(32, b"\0") + beacon(**full)
        yield {"plain": plain.ljust(288, b"\0").hex(), "stamp": stamp, "count": count,
               "names": [{"id": i, "instance": n} for i, n in named], "beacon": full}


def bad_beacons():
    good = beacon(name="name", wanted="want")

    def put(i, *v):
        return good[:i] + bytes(v) + good[i + len(v):]
    return [{"why": why, "packet": p.hex()} for why, p in (
        ("empty", b""),
        ("another magic", put(0, ord("b"))),
        ("another version", put(4, 2)),
        ("unknown flag", put(5, 8)),
        ("no port", put(6, 0, 0)),
        ("no promise", put(8, 0)),
        ("cut in the header", good[:8]),
        ("cut before the first field", good[:9]),
        ("cut in a field", good[:11]),
        ("last field missing", good[:-5]),
        ("last field cut", good[:-1]),
        ("no id", beacon(id="")),
        ("no instance", beacon(instance="")),
        ("id with a slash", beacon(id="a/b")),
        ("id too long", beacon(id="i" * 65)),
        ("instance too long", beacon(instance="n" * 33)),
        ("name too long", beacon(name="m" * 65)),
        ("wanted with a space", beacon(wanted="a b")),
        ("wanted too long", beacon(wanted="w" * 65)))]


def responses():
    rs = records()
    label = host(ID) + "." + NODE
    whole = {"label": label, "id": ID, "instance": INSTANCE, "name": NAME, "port": 4001,
             "addresses": ["169.254.77.1", "fe80::ff:fe00:7701"]}
    other = "other." + NODE
    ptr = (NODE, PTR, "Other." + NODE, 4500, False)
    srv = ("Other." + NODE, SRV, (9, "other.local."), 120, True)

    def txt(*text):
        return "OTHER._Boucan._tcp.local.", TXT, text, 4500, True

    def case(about, packet, claims=(), bare=(), gone=()):
        return {"about": about, "packet": packet, "claims": list(claims), "bare": list(bare), "gone": list(gone)}
    return [
        case("an announcement", response(rs), [whole]),
        case("an answer with additional records", response(rs[1:2], rs[2:4] + rs[8:]), [whole]),
        case("a goodbye", goodbye(), gone=[label]),
        case("a pointer alone", response([ptr]), bare=[other]),
        case("no TXT record", response([ptr, srv]), bare=[other]),
        case("names of other case, of two equal keys the first, a hostile name",
             response([ptr, srv, txt("ID=one", "id=two", "Instance=1", "name=a\0b\u202ec\n")]),
             [{"label": other, "id": "one", "instance": "1", "name": "abc", "port": 9, "addresses": []}]),
        case("an id of other characters", response([ptr, srv, txt("id=../..", "instance=1")]), bare=[other]),
        case("no instance", response([ptr, srv, txt("id=one")]), bare=[other]),
        case("an instance that is too long", response([ptr, srv, txt("id=one", "instance=" + "n" * 33)]), bare=[other]),
        case("another service", response([(WEB, PTR, "x." + WEB, 4500, False)])),
    ]


print(json.dumps({
    "about": "Vectors of spec/discovery.md. Made by make_discovery.py.",
    "hosts": [{"id": i, "host": host(i) + ".local"} for i in (ID, "aB_-9Z", "x")],
    "intervals": [interval(n) for n in (0, 1, 40, 41, 100, 480, 481, 100000)],
    "beacons": list(beacons()),
    "badBeacons": bad_beacons(),
    "sealed": list(sealed()),
    "mdns": {
        "self": {"ID": ID, "Instance": INSTANCE, "Name": NAME, "Port": 4001, "HTTPPort": 8080, "Protocol": "boucan/1"},
        "addresses": ["169.254.77.1/16", "fe80::ff:fe00:7701/64"],
        "announcement": response(records()), "goodbye": goodbye(), "probe": probe(),
    },
    "responses": responses(),
}, indent=1, ensure_ascii=False))
