"""Raw files: right or refused, whole or not there."""

from __future__ import annotations

import errno
import re
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import graphkit.datasets as datasets
from graphkit.datasets import DamagedFileError, MissingFilesError, raw
from graphkit.datasets.catalog import card
from tests.datasets.conftest import Quiet, Toy, serve


def test_a_file_is_copied_from_the_mirror_and_the_mirror_is_left_alone(toy: Toy) -> None:
    assert datasets.check("toy") == {"toys/toy.npz": "mirror"}
    before = sorted(toy.mirror.rglob("*"))
    datasets.load("toy")
    assert toy.local.read_bytes() == toy.content
    assert sorted(toy.mirror.rglob("*")) == before
    assert datasets.check("toy") == {"toys/toy.npz": "local"}
    assert toy.leftovers() == []


def test_local_files_need_neither_mirror_nor_network(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.write_card("https://example.org/toy.npz")
    toy.local.parent.mkdir(parents=True)
    shutil.copy(toy.in_mirror, toy.local)
    monkeypatch.delenv("GRAPHKIT_MIRROR")
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("the network was tried"))
    assert datasets.load("toy").split.sizes == (4, 2, 2)


def test_a_missing_file_says_where_it_comes_from_and_where_to_put_it(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_MIRROR")
    with pytest.raises(MissingFilesError) as caught:
        datasets.load("toy")
    assert str(caught.value) == (
        "dataset 'toy': 1 raw file(s) are missing, beginning with toys/toy.npz; no mirror is set (GRAPHKIT_MIRROR); "
        "its card names no download.\n"
        "Set GRAPHKIT_MIRROR to a folder that holds them, or place them by hand:\n"
        f"  {toy.local}  (sha256 {toy.digest})"
    )
    assert datasets.check("toy") == {"toys/toy.npz": "missing"}
    assert datasets.available() == {"toy": "missing"}
    assert not toy.processed.exists()
    assert toy.leftovers() == []


def test_a_mirror_without_the_file_is_named(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.in_mirror.unlink()
    with pytest.raises(MissingFilesError, match=f"the mirror {re.escape(str(toy.mirror))} has no copy"):
        datasets.load("toy")
    monkeypatch.setenv("GRAPHKIT_MIRROR", "/no/such/place")
    with pytest.raises(MissingFilesError, match="the mirror /no/such/place does not exist"):
        datasets.load("toy")


@pytest.mark.parametrize("damage", ["tampered", "truncated"])
@pytest.mark.parametrize("place", ["mirror", "local"])
def test_a_damaged_file_is_refused(toy: Toy, damage: str, place: str) -> None:
    broken = toy.content[:-10] if damage == "truncated" else toy.content[:-1] + b"!"
    path = toy.in_mirror if place == "mirror" else toy.local
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(broken)
    with pytest.raises(DamagedFileError) as caught:
        datasets.load("toy")
    message = str(caught.value)
    assert f"dataset 'toy': {path} is damaged or another version: found {len(broken)} bytes with sha256 " in message
    assert f"expected {len(toy.content)} bytes with sha256 {toy.digest}; " in message
    remedy = "repair the mirror" if place == "mirror" else "delete it and load again"
    assert remedy in message
    assert toy.local.exists() == (place == "local")
    assert not toy.processed.exists()
    assert toy.leftovers() == []
    if damage == "truncated":
        assert datasets.check("toy") == {"toys/toy.npz": "damaged"}


def test_a_full_disk_leaves_nothing(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_writing(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match=f"no space left on the disk while writing {re.escape(str(toy.local))}; free"):
        datasets.load("toy")
    assert not toy.local.exists()
    assert toy.leftovers() == []


def test_an_interrupted_copy_leaves_nothing(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_writing(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        datasets.load("toy")
    assert not toy.local.exists()
    assert toy.leftovers() == []
    monkeypatch.undo()


def _fail_writing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def stream(source: object, target: Path, length: int, place: str) -> None:
        target.write_bytes(b"the first half")
        raise error

    monkeypatch.setattr(raw, "_stream", stream)


# Downloads ---------------------------------------------------------------------------------------------------------


class _BreaksOff(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"only this")


def test_a_file_is_downloaded_and_checked(toy: Toy, server: str) -> None:
    toy.write_card(f"{server}/gone.npz", f"{server}/toys/toy.npz")
    assert datasets.load("toy").num_features == 3
    assert toy.local.read_bytes() == toy.content


def test_a_download_with_other_content_is_refused(toy: Toy, server: str) -> None:
    toy.in_mirror.write_bytes(b"something else")
    toy.write_card(f"{server}/toys/toy.npz")
    with pytest.raises(MissingFilesError, match="is damaged or another version: found 14 bytes") as caught:
        datasets.load("toy")
    assert f"expected {len(toy.content)} bytes with sha256 {toy.digest}" in str(caught.value)
    assert not toy.local.exists()
    assert toy.leftovers() == []


def test_a_download_that_breaks_off_is_refused_even_without_a_known_digest(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAPHKIT_MIRROR")
    for address in serve(_BreaksOff):
        toy.write_card(f"{address}/toy.npz", known=False)
        with pytest.raises(MissingFilesError, match="broke off after 9 of 1000000 bytes"):
            datasets.load("toy")
    assert not toy.local.exists()


def test_without_a_network_the_message_says_so(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_MIRROR")
    toy.write_card("http://127.0.0.1:9/toy.npz")
    with pytest.raises(MissingFilesError, match=r"download failed: http://127\.0\.0\.1:9/toy\.npz \(.*refused\)"):
        datasets.load("toy")


def test_a_file_comes_out_of_an_archive_by_its_name_only(toy: Toy, server: str) -> None:
    with zipfile.ZipFile(toy.mirror / "toys.zip", "w") as archive:
        archive.writestr("toys/toy.npz", toy.content)
        archive.writestr("toys/other.npz", b"not wanted")
    toy.write_card(f"{server}/toys.zip#toys/toy.npz")
    datasets.load("toy")
    assert [path.name for path in (toy.data / "raw").rglob("*") if path.is_file()] == ["toy.npz"]
    toy.local.unlink()
    toy.processed.unlink()
    toy.write_card(f"{server}/toys.zip#toys/missing.npz")
    with pytest.raises(MissingFilesError, match=r"toys\.zip holds no file toys/missing\.npz"):
        datasets.load("toy")


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/evil", "a/../../b", "C:\\evil", "..\\evil"])
def test_an_archive_with_paths_to_the_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "good")
        archive.writestr(name, "evil")
    with pytest.raises(DamagedFileError, match="holds the unsafe file name"):
        raw.open_archive(path)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    path.write_bytes(b"PK but no archive")
    with pytest.raises(DamagedFileError, match=r"bad\.zip is not a readable zip archive"):
        raw.open_archive(path)


def test_unknown_content_is_used_with_a_warning(toy: Toy) -> None:
    toy.write_card(known=False)
    with pytest.warns(UserWarning, match=r"no sha256 is known for toys/toy\.npz; its content was not verified"):
        datasets.load("toy")


def test_fetch_takes_only_what_it_is_asked_for(toy: Toy) -> None:
    assert raw.fetch(card("toy").files, "toy") == {"toys/toy.npz": toy.local}
    assert raw.fetch([], "toy") == {}


def test_unpacking_leaves_space_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100 << 20))
    with raw.open_archive(tmp_path / "set.zip") as opened:
        raw.unpack(opened, "zeros", tmp_path / "zeros")
        assert (tmp_path / "zeros").stat().st_size == 100 << 20
        monkeypatch.setattr(raw.shutil, "disk_usage", lambda _: SimpleNamespace(free=99 << 20))
        with pytest.raises(OSError, match=r"no space left on the disk while writing .*again"):
            raw.unpack(opened, "zeros", tmp_path / "again")
    assert not (tmp_path / "again").exists()
