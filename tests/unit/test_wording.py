from __future__ import annotations

from kpl_lab.wording import counted


def test_a_number_of_things_is_one_or_several() -> None:
    assert [counted(count, "GPU") for count in (0, 1, 2)] == ["0 GPUs", "1 GPU", "2 GPUs"]
    assert counted(2, "version or log", "versions and logs") == "2 versions and logs"
