import logging
import os

import pytest

from components.learning import control_group
from components.learning.memory import Limits, available_bytes
from components.learning.processors import available_cores

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
VERSION_1 = "5:cpu,cpuacct:/\n4:memory:/pods/one\n0::/\n"
VERSION_2 = "0::/pods/one\n"


@pytest.fixture
def in_cgroup(tmp_path, monkeypatch):
    """Puts the process into a control group whose folders hold these files."""

    def put(text: str, files: dict[str, str]) -> None:
        (tmp_path / "cgroup").write_text(text)
        for name, limit in files.items():
            path = tmp_path / "fs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{limit}\n")
        monkeypatch.setattr(control_group, "OF_PROCESS", tmp_path / "cgroup")
        monkeypatch.setattr(control_group, "ROOT", tmp_path / "fs")

    return put


@pytest.mark.parametrize(
    ("text", "files", "limit"),
    [
        (VERSION_2, {"pods/one/memory.max": "1048576"}, 2**20),
        (VERSION_2, {"pods/one/memory.max": "max"}, MACHINE),
        (VERSION_2, {"pods/one/memory.max": "max", "pods/memory.max": "4096"}, 4096),
        (VERSION_2, {"memory.max": "8192"}, 8192),  # a container whose own path is not mounted
        (VERSION_1, {"memory/pods/one/memory.limit_in_bytes": "1048576", "pods/one/memory.max": "1"}, 2**20),
        (VERSION_1, {"memory/pods/one/memory.limit_in_bytes": "9223372036854771712"}, MACHINE),
        (VERSION_2, {}, MACHINE),
        ("", {}, MACHINE),
    ],
)
def test_the_limit_is_that_of_the_machine_or_of_the_control_group(in_cgroup, text, files, limit):
    in_cgroup(text, files)
    assert available_bytes() == limit


@pytest.mark.parametrize(
    ("text", "files", "cores"),
    [
        (VERSION_2, {"pods/one/cpu.max": "150000 100000", "cpu.max": "max 100000"}, 1.5),
        (VERSION_2, {"pods/one/cpu.max": "max 100000", "pods/cpu.max": "50000 100000"}, 0.5),
        (VERSION_2, {"pods/one/cpu.max": "900000000 100000"}, os.cpu_count()),
        (VERSION_1, {"cpu/pods/one/cpu.cfs_quota_us": "50000"}, os.cpu_count()),
        ("", {}, os.cpu_count()),
    ],
)
def test_cores_are_those_of_the_machine_or_of_the_control_group(in_cgroup, text, files, cores):
    in_cgroup(text, files)
    assert available_cores() == cores


def test_outside_linux_the_machine_is_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(control_group, "OF_PROCESS", tmp_path / "none")
    assert available_bytes() == MACHINE


@pytest.mark.parametrize(
    ("size_bytes", "wanted", "chosen"),
    [
        (500, "auto", "memory"),
        (501, "auto", "none"),
        (501, "memory", "memory"),
        (501, "disk", "disk"),
        (1, "disk", "disk"),
        (1, "none", "none"),
    ],
)
def test_examples_are_kept_where_they_are_wanted_and_fit(in_cgroup, size_bytes, wanted, chosen):
    in_cgroup(VERSION_2, {"pods/one/memory.max": "1000"})
    assert Limits(0.5).place_for(size_bytes, wanted) == chosen


def test_each_choice_is_logged_once_and_too_much_is_a_warning(in_cgroup, caplog):
    in_cgroup(VERSION_2, {"pods/one/memory.max": str(4 * 2**30)})
    caplog.set_level(logging.INFO)
    limits = Limits(0.25)
    for _ in range(2):
        limits.place_for(2**29, "auto")
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.message == (
        "cache memory (auto): the examples take 0.5 GiB, and a share of 0.25 of 4 GiB of memory is enough"
    )
    caplog.clear()
    Limits(0.25).place_for(2**31, "memory")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.endswith("the examples take 2 GiB, and a share of 0.25 of 4 GiB of memory is not enough")
