#!/usr/bin/env python3
"""Writes names.json, the vectors of spec/records.md, section 5.

It is a second implementation, written from that page with nothing but Python's
standard library. Run it in this folder.
"""
import sys

sys.dont_write_bytecode = True  # this folder holds sources and vectors only

from make_records import write

CONTROL = (
    list(range(0x00, 0x20)) + list(range(0x7F, 0xA0)) + [0x61C, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF]
    + list(range(0x202A, 0x202F)) + list(range(0x2066, 0x2070)) + [0xFFF9, 0xFFFA, 0xFFFB]
    + list(range(0xE0000, 0xE0020))
)
SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
DEVICES = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"] + [
    p + n for p in ("COM", "LPT") for n in "0123456789¹²³"]


def first_bytes(s, most):
    return s.encode()[:most].decode(errors="ignore")


def upper(s):
    return "".join(chr(ord(c) - 32) if "a" <= c <= "z" else c for c in s)


def trim_part(part, most=255):
    if len(part.encode()) <= most:
        return part
    dot, ext = part.rfind("."), ""
    if 0 < dot < len(part) - 1 and len(part[dot:].encode()) <= 16:
        part, ext = part[:dot], part[dot:]
    return first_bytes(part, most - len(ext.encode())) + ext


def clean_part(part):
    part = "".join(c for c in part if ord(c) not in CONTROL)
    part = "".join("_" if c in '<>:"|?*\ufffd' else c for c in part)
    part = trim_part(part.strip(" .")).rstrip(" .")
    if upper(part.split(".")[0].rstrip(" ")) in DEVICES:
        part = trim_part("_" + part).rstrip(" .")
    return part


def decode(raw):
    """UTF-8, every byte of what is not replaced by U+FFFD."""
    return "".join("\ufffd" if 0xDC80 <= ord(c) <= 0xDCFF else c
                   for c in raw.decode(errors="surrogateescape"))


def clean_name(raw):
    if len(raw) > 8192:
        raw = raw[-8192:]
        while raw and raw[0] & 0xC0 == 0x80:
            raw = raw[1:]
    parts = [clean_part(p) for p in decode(raw).replace("\\", "/").split("/")]
    parts = [p for p in parts if p]
    while len("/".join(parts).encode()) > 1024:
        parts = parts[1:]
    return "/".join(parts) or "unnamed"


def clean_text(raw, most, line):
    s = raw.decode(errors="ignore").replace("\r\n", "\n")
    for c in "\n\v\f\r\x85\u2028\u2029":
        s = s.replace(c, " " if line else "\n")
    if line:
        s = s.replace("\t", " ")
    s = "".join(c for c in s if c in "\n\t" or ord(c) not in CONTROL).strip(SPACE)
    return first_bytes(s, most).strip(SPACE)


NAMES = [
    "", "a", "photo.jpg", "été.txt", "e\u0301te\u0301.txt", "日本語/写真.jpg", "ملف.pdf", "👩‍👩‍👧.png", "Zurich 2026/день.txt",
    "../../etc/passwd", "/etc/passwd", "a/./b/../c", "C:\\Users\\me\\photo.jpg", "\\\\server\\share\\x",
    "a//b", "a/", "/", ".", "..", "...", ". .", " ", "a ", " a", "a.", "a. .", ".hidden", "a/.git/config",
    "a .txt", "a/ b /c", "CON", "con", "Con.txt", "con .txt", "CON.", "a/NUL/b", "COM1", "com0.tar.gz", "COM10", "LPT¹",
    "COM", "COMx", "CONIN$", "conout$.log", "console", "_CON", "con\u0131n$", "aux/aux.h", "a<b>.html", 'a"b|c?d*e:f',
    "a\0b", "a\tb\nc", "a\x7fb\x85c", "\u202ephoto.gpj.exe", "a\u200eb\u200fc", "a\u2066b\u2069", "\ufeffa", "a\u2028b",
    "a\u200db\u200cc", "\ufffd", "a\ufffdb", "\u00a0a\u00a0", "\U000e0001a", "🏴\U000e0067\U000e0062\U000e007f",
    "a" * 255, "a" * 256, "a" * 251 + ".jpg", "a" * 252 + ".jpg", "é" * 128, "é" * 127 + "a", "日" * 85 + ".txt",
    "a" * 250 + ".tar.gz", "a." + "b" * 254, "a" * 254 + ".", "a" * 254 + " b", "a" * 300 + "." + "b" * 15, "a" * 300 + "." + "b" * 16,
    " " * 260 + "photo.jpg", "CON" + " " * 260 + "x.jpg", "CON." + "a" * 251, "CON." + "a" * 300,
    "/".join(["a" * 204] * 5), "/".join(["a" * 204] * 4 + ["a" * 205]), "/".join(["a" * 255] * 5), "b/" * 600 + "c",
    "x/" + "a" * 9000 + ".jpg", "é" * 5000,
]
RAW_NAMES = [b"caf\xe9.jpg", b"\xff\xfe", b"a\xed\xa0\x80b", b"\xf0\x9f\x91", b"a/\xff/b", b"\xc0\xaf"]
TEXTS = [
    ("", 10), ("a", 1), ("ab", 1), ("a", 0), (" a ", 10), ("a b", 2), ("a\nb", 9), ("a\r\nb", 9), ("a\rb", 9), ("a\n\rb", 9),
    ("a\tb", 9), ("\ta\n", 9), ("a\vb\fc\x85d\u2028e\u2029f", 20), ("a\0b\x1bc\x7fd\x9fe", 9),
    ("a\u202eb\u2066c\u200ed\ufeffe\u206ff", 9), ("a\u200db\u200cc", 20), ("\u3000a\u00a0\u2009", 9), ("é", 1), ("aé", 2), ("日本", 5),
    ("👍", 3), ("a 👍", 5), ("\ufffd", 3), ("  \n\t ", 9), ("a\r\n\r\nb", 9), ("x\U000e0001y", 9), ("x\U000e0067y", 9),
]
RAW_TEXTS = [(b"caf\xe9!", 9), (b"\xff", 9), (b"a\xed\xa0\x80b", 9), (b"\xff a", 9), (b"\r\xff\n", 9), (b"a\r\xff\nb", 9)]


def name_vectors():
    def given(raw):
        try:
            return {"in": raw.decode()}
        except UnicodeDecodeError:
            return {"in_hex": raw.hex()}

    names = [n.encode() for n in NAMES] + RAW_NAMES
    texts = [(s.encode(), n) for s, n in TEXTS] + RAW_TEXTS
    return {
        "about": "spec/records.md, section 5; made by make_records.py",
        "names": [{**given(n), "out": clean_name(n)} for n in names],
        "lines": [{**given(s), "most": n, "out": clean_text(s, n, True)} for s, n in texts],
        "texts": [{**given(s), "most": n, "out": clean_text(s, n, False)} for s, n in texts],
    }


if __name__ == "__main__":
    write("names.json", name_vectors())
