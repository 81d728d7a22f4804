"""Archives that mean harm, are broken, or are merely strange; each made when it is asked for."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

Maker = Callable[[], bytes]


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    """Return a tar of raw members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def plain(name: str, data: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), data


def pax(path: str) -> tarfile.TarInfo:
    """Return a member whose name is said in an extended header."""
    info = tarfile.TarInfo("harmless")
    info.pax_headers = {"path": path}
    return info


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.devmajor, info.devminor = 1, 8
    return info


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def zip_link(name: str, target: bytes) -> bytes:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    return zipped((info, target))


def raw_zip_name(raw: bytes, data: bytes = b"x", *, flags: int = 0) -> bytes:
    """Return a zip whose one name is ``raw`` bytes; without ``flags`` it promises no UTF-8."""
    head = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 20, flags, 0, 0, 0, zlib.crc32(data), len(data), len(data),
        len(raw), 0,
    )  # fmt: skip
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, flags, 0, 0, 0, zlib.crc32(data), len(data), len(data),
        len(raw), 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    body = head + raw + data
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry) + len(raw), len(body), 0)
    return body + entry + raw + end


def lying_zip() -> bytes:
    """Return a zip whose directory says 10 bytes where 20 million come out."""
    whole = bytearray(zipped(("bomb", bytes(20_000_000))))
    at = whole.rindex(b"PK\x01\x02")
    whole[at + 24 : at + 28] = struct.pack("<L", 10)
    whole[22:26] = struct.pack("<L", 10)
    return bytes(whole)


def overlapping_zip() -> bytes:
    """Return a zip whose thousand entries are all the same bytes."""
    one = zipped(("a", bytes(1_000_000)))
    at, end = one.rindex(b"PK\x01\x02"), one.rindex(b"PK\x05\x06")
    entry = bytearray(one[at:end])
    entries = b""
    for n in range(1000):
        name = b"%06d" % n
        entry[28:30] = struct.pack("<H", len(name))
        entries += bytes(entry[:46]) + name
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(entries), at, 0)
    return one[:at] + entries + tail


def encrypted_zip() -> bytes:
    whole = bytearray(zipped(("secret", b"x")))
    whole[6] |= 1
    whole[whole.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(whole)


def damaged_zip() -> bytes:
    data = bytes(range(256)) * 20
    whole = bytearray(zipped(("a", data)))
    for n in range(60, 80):
        whole[n] ^= 0x55
    return bytes(whole)


def cut(archive: bytes, share: float = 0.5) -> bytes:
    return archive[: int(len(archive) * share)]


def noise(size: int) -> bytes:
    """Return bytes that do not shrink, the same each time."""
    state, out = 1, bytearray()
    while len(out) < size:
        state = state * 6364136223846793005 + 1442695040888963407 & (2**64 - 1)
        out += state.to_bytes(8, "little")
    return bytes(out[:size])


REFUSED: dict[str, Maker] = {
    "tar up": lambda: tar(plain("../../etc/cron.d/evil")),
    "tar up in the middle": lambda: tar(plain("a/../../evil")),
    "tar absolute": lambda: tar(plain("/tmp/evil")),
    "tar link": lambda: tar(special("a", tarfile.SYMTYPE, "/etc/passwd")),
    "tar link and a file through it": lambda: tar(
        special("a", tarfile.SYMTYPE, "/tmp"), plain("a/evil")
    ),
    "tar hard link": lambda: tar(special("a", tarfile.LNKTYPE, "/etc/passwd")),
    "tar device": lambda: tar(special("null", tarfile.CHRTYPE)),
    "tar block device": lambda: tar(special("disk", tarfile.BLKTYPE)),
    "tar pipe": lambda: tar(special("pipe", tarfile.FIFOTYPE)),
    "tar twice": lambda: tar(plain("a", b"good"), plain("a", b"evil")),
    "tar twice by other spelling": lambda: tar(plain("x/a", b"good"), plain("./x//a", b"evil")),
    "tar file and folder": lambda: tar(plain("a"), plain("a/b")),
    "tar folder and file": lambda: tar(special("a", tarfile.DIRTYPE), plain("a")),
    "tar zero byte": lambda: tar(pax("a\0b")),
    "tar up behind a harmless name": lambda: tar(pax("../evil")),
    "tar backslash": lambda: tar(plain("..\\..\\evil")),
    "tar too deep": lambda: tar(plain("a/" * 200 + "b")),
    "tar long name": lambda: tar(plain("a" * 3000)),
    "tar name that is no text": lambda: tar(plain(os.fsdecode(b"a/\xff.bin"))),
    "tar folder that is no text": lambda: tar(special(os.fsdecode(b"\xff"), tarfile.DIRTYPE)),
    "tar bomb": lambda: tar(plain("zeros", bytes(100_000_000)), mode="w:gz"),
    "tar.bz2 bomb": lambda: tar(plain("zeros", bytes(100_000_000)), mode="w:bz2"),
    "tar many entries": lambda: tar(*(plain(str(n)) for n in range(300))),
    "tar cut": lambda: cut(tar(plain("a", noise(100_000)))),
    "tar.gz cut": lambda: cut(tar(plain("a", noise(100_000)), mode="w:gz")),
    "tar.bz2 cut": lambda: cut(tar(plain("a", noise(100_000)), mode="w:bz2")),
    "tar.xz cut": lambda: cut(tar(plain("a", noise(100_000)), mode="w:xz")),
    "zip up": lambda: zipped(("../evil", b"x")),
    "zip absolute": lambda: zipped(("/tmp/evil", b"x")),
    "zip drive": lambda: raw_zip_name(b"C:\\evil"),
    "zip name that is no text": lambda: raw_zip_name(b"\xff.bin", flags=0x800),
    "zip link": lambda: zip_link("a", b"/etc/passwd"),
    "zip bomb": lambda: zipped(("zeros", bytes(100_000_000))),
    "zip that lies about sizes": lying_zip,
    "zip of one entry a thousand times": overlapping_zip,
    "zip encrypted": encrypted_zip,
    "zip damaged": damaged_zip,
    "zip cut": lambda: cut(zipped(("a", noise(100_000)))),
    "zip up in gbk": lambda: raw_zip_name("../数据".encode("gbk")),
    "nothing": lambda: b"",
    "text": lambda: b"just some text, no archive at all\n" * 50,
    "gzip of text": lambda: zlib.compress(b"x" * 1000, wbits=31),
    "half a header": lambda: tar(plain("a"))[:300],
}
