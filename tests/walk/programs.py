"""Programs that tests send off as tasks."""

from __future__ import annotations

ALL_REDUCE = '''\
"""Each process tells the first its number; all are told the sum. No library is needed."""
import json, os, socket, time

rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if rank == 0:
    door = socket.create_server(("", place[1]))
    lines = [door.accept()[0] for _ in range(size - 1)]
    files = [line.makefile("rw") for line in lines]
    total = sum(int(file.readline()) for file in files)
    for file in files:
        file.write(f"{total}\\n")
        file.flush()
else:
    until = time.monotonic() + 60
    while True:
        try:
            line = socket.create_connection(place)
            break
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
    file = line.makefile("rw")
    file.write(f"{rank}\\n")
    file.flush()
    total = int(file.readline())
print(f"rank {rank} of {size} on node {os.environ['NODE_RANK']}: {total}", flush=True)
out = os.path.join(os.environ["KPL_ENV_OUTPUT_ROOT_PATH"], "shards")
with open(os.path.join(out, f"{rank}.json"), "w") as file:
    json.dump({"rank": rank, "total": total}, file)
if os.environ.get("FAIL_AT") == str(rank):
    raise ValueError(f"rank {rank} has an odd shard")
if os.environ.get("FAIL_AT"):
    time.sleep(600)
'''

DISTRIBUTED = """\
version: 1
image: {from_image: python:3.11}
train:
  resource: {limits: {cpu: 0.5, memory: 192}}
  outputs: [{key: shards, kind: model}]
  cmd: python3 main.py
"""
