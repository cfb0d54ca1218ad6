"""A data root of its own for every test, and a small dataset whose raw file lies in a small mirror."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from graphkit.datasets import catalog

CARD = """
name = "toy"
title = "A toy"
description = "Eight nodes."
kind = "node"
loader = "heterophilous_npz"
target = "multiclass"
metric = "accuracy"
source = "https://example.org"
licence = "none"
citation = "none"
files = [ {{ path = "toys/toy.npz", bytes = {bytes}, sha256 = "{sha256}", urls = [{urls}] }} ]

[arguments]
undirected = true

[expect]
nodes = 8
edges = 16
features = 3
outputs = 2

[[splits]]
name = "public"
reader = "stored"
count = 2
sizes = [4, 2, 2]
protocol = "by hand"

[[splits]]
name = "random"
reader = "fractions"
fractions = [0.5, 0.25, 0.25]
protocol = "drawn"
"""


@dataclass
class Toy:
    """The small dataset's places."""

    data: Path
    mirror: Path
    cards: Path
    content: bytes

    @property
    def in_mirror(self) -> Path:
        return self.mirror / "toys" / "toy.npz"

    @property
    def local(self) -> Path:
        return self.data / "raw" / "toys" / "toy.npz"

    @property
    def processed(self) -> Path:
        return self.data / "processed" / "toy.pt"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def write_card(self, *urls: str, known: bool = True) -> None:
        text = CARD.format(
            bytes=len(self.content) if known else 0,
            sha256=self.digest if known else "",
            urls=", ".join(f'"{url}"' for url in urls),
        )
        (self.cards / "toy.toml").write_text(text)
        catalog._read_all.cache_clear()

    def leftovers(self) -> list[str]:
        """Everything below the data root that is not a finished file."""
        return [str(path) for path in self.data.rglob("*") if path.name.startswith(".") or path.suffix == ".tmp"]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path / "data", tmp_path / "mirror", tmp_path / "cards", b"")
    made.in_mirror.parent.mkdir(parents=True)
    made.cards.mkdir()
    masks = np.zeros((3, 2, 8), dtype=bool)
    masks[0, :, :4] = masks[1, :, 4:6] = masks[2, :, 6:] = True
    np.savez(
        made.in_mirror,
        node_features=np.eye(8, 3, dtype=np.float32),
        node_labels=np.arange(8) % 2,
        edges=np.stack([np.arange(8), (np.arange(8) + 1) % 8], axis=1),
        train_masks=masks[0],
        val_masks=masks[1],
        test_masks=masks[2],
    )
    made.content = made.in_mirror.read_bytes()
    monkeypatch.setenv("GRAPHKIT_DATA", str(made.data))
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(made.mirror))
    monkeypatch.setattr(catalog, "shipped", lambda kind: made.cards)
    made.write_card()
    return made


@pytest.fixture(scope="session")
def parsed_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data root for all tests on real data, so that each set is parsed once."""
    return tmp_path_factory.mktemp("graphkit-data")


@pytest.fixture
def real(mirror: Path, parsed_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Real raw files, and no network."""
    monkeypatch.setenv("GRAPHKIT_DATA", str(parsed_root))
    monkeypatch.setattr("socket.socket.connect", _refuse)
    return mirror


def _refuse(*_: object) -> None:
    raise AssertionError("a test on local files tried the network")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("GRAPHKIT_MIRROR")
    yield from serve(functools.partial(Quiet, directory=str(toy.mirror)))


def serve(handler: object) -> Iterator[str]:
    """Run a server; yields its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
