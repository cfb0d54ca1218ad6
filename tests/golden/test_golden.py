"""Every golden file of every folder, through the folder's adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.files import check_file, find_adapter, golden_root


def _cases() -> list:
    root = golden_root()
    cases = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []:
        files = sorted(folder.glob("*.npz"))
        if files and find_adapter(folder.name) is None:
            reason = f"no adapter for golden folder {folder.name!r} ({len(files)} files not checked)"
            cases.append(pytest.param(folder, id=folder.name, marks=pytest.mark.skip(reason=reason)))
        else:
            cases += [pytest.param(file, id=f"{folder.name}/{file.stem}") for file in files]
    return cases


@pytest.mark.parametrize("path", _cases())
def test_golden(path: Path):
    check_file(path, find_adapter(path.parent.name).check)


def test_there_are_golden_files():
    root = golden_root()
    assert _cases(), f"no folders with .npz files in {root}; set GRAPHKIT_GOLDEN to a folder of golden folders"
