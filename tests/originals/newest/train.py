# ruff: noqa
# mypy: ignore-errors
# Left as its authors would have written it: that is what is tested.
"""An algorithm that was written for the original clients and knows nothing of KPL Lab."""

import os
import struct
import time

import kpl_helper as helper
from kpl_dataset import BasicType, ReadOnlyDataset, WriteOnlyDataset


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


class SummaryWriter:
    """As much of TensorBoard's writer as curves need."""

    def __init__(self, folder):
        self.file = open(os.path.join(folder, "events.out.tfevents.1.host"), "wb")

    def add_scalar(self, tag, value, step):
        one = message(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
        event = b"\x09" + struct.pack("<d", time.time()) + b"\x10" + varint(step)
        event += message(5, message(1, one))
        head = struct.pack("<Q", len(event))
        self.file.write(head + struct.pack("<I", masked_crc(head)))
        self.file.write(event + struct.pack("<I", masked_crc(event)))
        self.file.flush()


def main():
    helper.ready()
    print("client:", helper.__file__)
    parameter = helper.get_parameter()
    output = helper.get_output_path("save")
    reader = ReadOnlyDataset(helper.get_input_path("data"), "root")
    names = sorted({record["class_name"] for record in reader})
    print("classes:", names, "lr:", parameter.optimizer.lr)
    writer = SummaryWriter(output)
    for step in range(int(parameter.steps)):
        writer.add_scalar("loss", 1.0 / (step + 1), step)
        helper.send_progress((step + 1) / parameter.steps)
        time.sleep(parameter.seconds)
    if parameter.kill:
        helper.kill()
        time.sleep(120)
    with open(os.path.join(output, "model.txt"), "w") as file:
        file.write(",".join(names))
    helper.save_model(os.path.join(output, "model.txt"), "saved-model", "one file")
    os.mkdir("made")
    made = WriteOnlyDataset("made", "root", {"n": BasicType.Int})
    for n in range(4):
        made.write({"n": n})
    made.close()
    helper.save_dataset("made", "saved-dataset", "in its format", as_serialized=True)
    os.mkdir("plain")
    with open("plain/notes.txt", "w") as file:
        file.write("note")
    helper.save_dataset("plain", "saved-files", "plain files")
    os.mkdir("again")
    for name in ("environment.yml", "parameter.yml", "train.py"):
        with open(name) as source, open(os.path.join("again", name), "w") as target:
            target.write(source.read())
    helper.save_algorithm("again", "saved-algorithm", "its own code")
    helper.done()


if __name__ == "__main__":
    main()
