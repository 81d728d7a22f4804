"""Makes an empty wheel: ``python wheel.py NAME VERSION [LINE OF METADATA]``."""

import sys
import zipfile

name, version, *more = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.py", "")
    head = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *more]
    wheel.writestr(f"{info}/METADATA", "\n".join(head) + "\n")
    tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    wheel.writestr(f"{info}/WHEEL", tag)
    wheel.writestr(f"{info}/RECORD", "")
