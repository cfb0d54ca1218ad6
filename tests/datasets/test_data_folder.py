"""The data folder: bounded, closed, shared by processes, cleared, and not needed."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import graphkit as gk
from graphkit import datasets
from graphkit.datasets import DamagedFileError, MissingFilesError, raw
from graphkit.datasets.clearing import clear
from tests.datasets.conftest import Quiet, Toy, serve


class _Endless(Quiet):
    """Sends zeros till the other side hangs up."""

    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(1 << 20))
                type(self).sent += 1 << 20
        except OSError:
            pass


@pytest.mark.parametrize(("member", "most"), [("", 16), ("#toy.npz", 32)])
def test_a_download_stops_at_the_size_that_the_card_names(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, member: str, most: int
) -> None:
    monkeypatch.delenv("GRAPHKIT_MIRROR")
    _Endless.sent = 0
    for address in serve(_Endless):
        toy.write_card(f"{address}/toy.zip{member}")
        with pytest.raises(MissingFilesError, match=r"toy\.zip is longer than the \d+ bytes that its card allows"):
            datasets.load("toy")
    assert _Endless.sent <= most << 20
    assert not toy.local.exists()
    assert toy.leftovers() == []


def test_a_member_of_an_archive_stops_at_the_size_that_the_card_names(toy: Toy, server: str) -> None:
    with zipfile.ZipFile(toy.mirror / "toys.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toys/toy.npz", bytes(100 << 20))
    toy.write_card(f"{server}/toys.zip#toys/toy.npz")
    with pytest.raises(MissingFilesError, match=r"toys/toy\.npz is longer than the \d+ bytes that its card allows"):
        datasets.load("toy")
    assert toy.leftovers() == []


@pytest.mark.parametrize("known", [True, False])
def test_a_download_leaves_space_on_the_disk(
    toy: Toy, server: str, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(raw.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    toy.write_card(f"{server}/toys/toy.npz", known=known)
    with pytest.raises(
        OSError, match=f"no space left .* while writing {re.escape(str(toy.local))}; free .*0.0 MiB are"
    ):
        datasets.load("toy")
    assert toy.leftovers() == []


def test_a_link_does_not_lead_out_of_the_data_root(toy: Toy, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (toy.data / "raw").mkdir(parents=True)
    (toy.data / "raw" / "toys").symlink_to(outside)
    with pytest.raises(DamagedFileError, match=r"toys/toy\.npz leads out of .*raw by a symbolic link; replace"):
        datasets.load("toy")
    assert not list(outside.iterdir())
    (toy.data / "raw" / "toys").unlink()
    (toy.data / "raw").rmdir()
    (toy.data / "raw").symlink_to(outside)  # the whole folder on another disk
    datasets.load("toy")
    assert (outside / "toys" / "toy.npz").is_file()


def test_what_a_killed_process_has_left_is_removed(toy: Toy) -> None:
    for left in ("raw/toys/.toy.npz.abc.tmp", "processed/.toy.pt.abc.tmp/half", ".raw.abc.tmp/archive"):
        (toy.data / left).parent.mkdir(parents=True, exist_ok=True)
        (toy.data / left).write_text("half")
    datasets.load("toy")
    assert toy.leftovers() == []


def _load_and_tell(place: str, barrier: object) -> None:
    barrier.wait()
    task = datasets.load("karate").sampled(gk.samplers.GraphSAINTNode(20, 5))
    gk.transforms.apply(_Slow(place), [task.data])
    list(task.batches("train", shuffle=True))


class _Slow(gk.transforms.Precompute):
    """Notes every computation."""

    expensive = True

    def __init__(self, place: str) -> None:
        self.place = place

    def forward(self, data: object) -> object:
        with open(self.place, "a") as file:
            file.write("computed\n")
        time.sleep(0.2)
        return data


def test_of_two_processes_one_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    barrier = multiprocessing.get_context("fork").Barrier(2)
    arguments = (str(tmp_path / "computed"), barrier)
    processes = [multiprocessing.get_context("fork").Process(target=_load_and_tell, args=arguments) for _ in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "computed").read_text() == "computed\n"
    assert not [path for path in (tmp_path / "data").rglob(".*")]


READ_ONLY = """
import warnings, sys
from tests.datasets.conftest import *
import graphkit as gk
from graphkit.datasets import catalog
from pathlib import Path
catalog.shipped = lambda kind: Path(sys.argv[1])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    task = gk.load("toy").transform(gk.features.RandomWalkPE(3)).sampled(gk.samplers.GraphSAINTNode(5, 4))
    gk.load("toy", split="random/0")
    print(gk.Trainer(max_epochs=2, progress=False).fit(gk.models.GCN.from_task(task), task).epochs)
print(*(warning.message for warning in caught if "cannot be written" in str(warning.message)), sep=chr(10))
"""


def test_a_read_only_data_root_still_trains(toy: Toy) -> None:
    toy.data.mkdir()
    script = f"mount --bind {toy.data} {toy.data} && mount -o remount,ro,bind {toy.data} && "
    command = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'{script} exec "$@"',
        "sh",
        sys.executable,
        "-c",
        READ_ONLY,
        str(toy.cards),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout.splitlines() == [
        "2",
        f"{toy.data} cannot be written, so nothing that is fetched or computed is kept; set GRAPHKIT_DATA to another",
    ], done.stderr
    assert not list(toy.data.iterdir())


def test_clearing_leaves_nothing_but_what_is_the_users(toy: Toy, tmp_path: Path) -> None:
    (toy.data / "transforms").mkdir(parents=True)
    (toy.data / "transforms" / "own.py").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "toy.pt").write_text("mine")
    before = sorted(toy.data.rglob("*"))
    own = gk.NodeTask("toy", gk.load("toy").data, gk.load("toy").split)
    for task in (gk.load("toy"), own):
        task = task.transform(gk.features.RandomWalkPE(3))
        for sampler in (gk.samplers.GraphSAINTRandomWalk(3), gk.samplers.ClusterSampler(2)):
            list(task.sampled(sampler).batches("train", shuffle=True))
    (toy.data / "processed" / ".toy.pt.abc.tmp").mkdir()
    (toy.data / "processed" / "toy").mkdir()  # of an older graphkit
    (toy.data / "samplers" / "toy" / ".clusters-0123456789abcdef01234567.pt.lock").touch()
    results = {path for path in toy.data.rglob("*") if {"transforms", "samplers"} & set(path.parts)}
    of_toy = {path for path in results if "toy" in path.parts}
    for of in ("toy/", ""):
        assert len([*toy.data.glob(f"transforms/{of}RandomWalkPE*/*.pt")]) == 1
        assert len([*toy.data.glob(f"samplers/{of}*.pt")]) == 2
    assert clear("toy") > 1000
    assert set(toy.data.rglob("*")) == results - of_toy | set(before)
    assert clear("toy") == 0
    assert clear() > 1000
    assert sorted(toy.data.rglob("*")) == before
    assert clear() == 0
