"""Writes or reads records by one client, and prints how many a second.

Usage: ``python _dataset_worker.py CLIENT JOB FOLDER CONTENT_BYTES COUNT LIMIT``. It is run by
several Pythons, each with other packages: ``kpl`` is whichever ``kpl_dataset`` there is,
``kpl-synced`` the same with its files forced to the disk, ``upb`` protobuf itself, ``lmdb`` LMDB
with msgpack. Every client takes and gives the same dicts, which is checked.

Reading takes at most LIMIT of the COUNT records in a pass, again and again for a while. The first
pass is left out: it warms up the caches of the machine and the client's own.
"""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median

TYPE = {
    "path": "String",
    "content": "ByteArray",
    "contentType": "String",
    "class_name": "String",
    "class_id": "Int",
}
LMDB_BYTES = 1 << 32
PASSES_SECONDS = 0.5


def records(size: int, count: int) -> list[dict]:
    """Labelled images, as the platform imports them."""
    source = random.Random(1)
    return [
        {
            "path": f"Digits/five/{number}.png",
            "content": source.randbytes(size),
            "contentType": "image/png",
            "class_name": "five",
            "class_id": number % 1000,
        }
        for number in range(count)
    ]


def kpl_write(folder: Path, data: list[dict]) -> None:
    from kpl_dataset import WriteOnlyDataset

    writer = WriteOnlyDataset(str(folder), "root", TYPE)
    for record in data:
        writer.write(record)
    writer.close()


def kpl_write_synced(folder: Path, data: list[dict]) -> None:
    kpl_write(folder, data)
    for path in filter(Path.is_file, folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def kpl_open(folder: Path):
    from kpl_dataset import ReadOnlyDataset

    reader = ReadOnlyDataset(str(folder), None)

    def in_order():
        reader.reset()
        return reader

    return len(reader), in_order, reader.__getitem__


def lmdb_write(folder: Path, data: list[dict]) -> None:
    import lmdb
    import msgpack

    store = lmdb.open(str(folder / "lmdb"), map_size=LMDB_BYTES)
    with store.begin(write=True) as transaction:
        for number, record in enumerate(data):
            transaction.put(struct.pack(">Q", number), msgpack.packb(record), append=True)
    store.close()


def lmdb_open(folder: Path):
    import lmdb
    import msgpack

    store = lmdb.open(str(folder / "lmdb"), map_size=LMDB_BYTES, readonly=True, lock=False)
    transaction = store.begin(buffers=True)
    unpack, get, pack = msgpack.unpackb, transaction.get, struct.Struct(">Q").pack

    def in_order():
        return map(unpack, transaction.cursor().iternext(keys=False))

    return store.stat()["entries"], in_order, lambda number: unpack(get(pack(number)))


def upb_open(folder: Path):
    """Parse records by protobuf's own C implementation, and take the values out of its messages."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="b", syntax="proto3")
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for name, number, kind in (("t", 2, 9), ("b", 3, 12), ("f", 4, 1), ("i", 5, 3)):
        feature.field.add(name=name, number=number, type=kind, label=1, oneof_index=0)
    record = file.message_type.add(name="FeatureMap")
    entry = record.nested_type.add(name="MapEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=11, type_name=".b.Feature", label=1)
    record.field.add(name="map", number=1, type=11, type_name=".b.FeatureMap.MapEntry", label=3)
    index = file.message_type.add(name="Index")
    index.field.add(name="index", number=1, type=kinds.TYPE_INT64, label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message = {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"b.{name}"))
        for name in ("FeatureMap", "Index")
    }
    offsets = list(message["Index"].FromString((folder / "root.index").read_bytes()).index)
    parse, data = message["FeatureMap"].FromString, (folder / "root.data").open("rb", 0)
    read = os.pread

    def get(number: int) -> dict:
        start = offsets[number]
        fields = parse(read(data.fileno(), offsets[number + 1] - start, start)).map
        return {
            "path": fields["path"].b.decode(),
            "content": fields["content"].b,
            "contentType": fields["contentType"].b.decode(),
            "class_name": fields["class_name"].b.decode(),
            "class_id": fields["class_id"].i,
        }

    count = len(offsets) - 1
    return count, lambda: map(get, range(count)), get


WRITE = {"kpl": kpl_write, "kpl-synced": kpl_write_synced, "lmdb": lmdb_write}
OPEN = {"kpl": kpl_open, "lmdb": lmdb_open, "upb": upb_open}


def timed_write(client: str, folder: Path, size: int, count: int) -> float:
    write, data = WRITE[client], records(size, count)
    for name in ("warm-up", "timed"):
        (folder / name).mkdir(exist_ok=True)
    write(folder / "warm-up", data[:10])
    begun = time.perf_counter()
    write(folder / "timed", data)
    return count / (time.perf_counter() - begun)


def checked(get, size: int, count: int) -> None:
    """Make sure that the client gives what was written."""
    for number, record in enumerate(records(size, min(count, 10))):
        if get(number) != record:
            raise SystemExit(f"record {number} is not the one that was written")


def timed_pass(found, count: int, size: int) -> float:
    """Take `count` records from an iterator; return the seconds."""
    total = 0
    begun = time.perf_counter()
    for record in islice(found, count):
        total += len(record["content"])
    seconds = time.perf_counter() - begun
    if total != count * size:
        raise SystemExit(f"read {total} bytes of content instead of {count * size}")
    return seconds


def timed_read(client: str, job: str, folder: Path, size: int, limit: int) -> float:
    count, in_order, get = OPEN[client](folder)
    checked(get, size, count)
    numbers = list(range(count))
    random.Random(2).shuffle(numbers)
    taken = min(count, limit)
    passes: list[float] = []
    while sum(passes[1:]) < PASSES_SECONDS:
        found = in_order() if job == "read" else map(get, numbers)
        passes.append(timed_pass(found, taken, size))
    return taken / median(passes[1:])


def main() -> None:
    client, job, where, *shape = sys.argv[1:]
    folder, (size, count, limit) = Path(where), map(int, shape)
    if job == "write":
        rate = timed_write(client, folder, size, min(count, limit))
    else:
        rate = timed_read(client, job, folder, size, limit)
    print(json.dumps(rate))


if __name__ == "__main__":
    main()
