"""Every block of code in the README, on the first page and in the guide runs, and prints what the page says.

``testcode`` blocks of a page run one after another, as a reader would type them; a ``testoutput`` block is compared
with what was printed since the last one (``...`` stands for anything). A ``code-block`` with a caption is a file of
this name. In ``sh`` blocks every ``graphkit`` command runs; those of the class ``slow``, and in the README those whose
comment begins with ``(download`` or ``(a minute``, do in the slow tests, which ``.ci/run`` runs. In the README those of
``minutes)`` or ``hours)`` never do.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest

from graphkit.cli import main

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS.parent / "benchmarks" / "results"
PAGES = [DOCS.parent / "README.md", DOCS / "index.rst", *sorted((DOCS / "guide").glob("*.rst"))]
BLOCK = re.compile(
    r"^\.\. (testcode|testoutput|code-block)::[ ]*(\S*)\n((?:[ ]{3}:\w+:.*\n)*)\n((?:[ ]{3}.*\n|\n)+)", re.M
)
MARKDOWN = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)  # what else the README shows, the first page has, too
LONG, HOURS = re.compile(r"# \((?:download|a minute).*"), re.compile(r"# \(.*(?:hours|minutes)\)")
# Shown, not run here: `make` and `pip` are what .ci/run does, benchmarks have tests of their own.
OTHER_COMMANDS = ("make ", "source ", "export ", "pip", "python -m benchmarks.", "python -m graphkit.demo", "pytest ")
OTHER_COMMANDS += ("python train_large.py ", "torchrun ", "srun ")
FILES = ("yaml", "toml", "python")  # with a caption


@dataclass
class Block:
    """A block of code: its directive, language, options, text and line."""

    kind: str
    language: str
    text: str
    line: int
    options: dict[str, str] = field(default_factory=dict)

    @property
    def slow(self) -> bool:
        return self.options.get("class") == "slow"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text, found = page.read_text(), []
    if page.suffix == ".md":
        for match in MARKDOWN.finditer(text):
            found += _by_length(match[1], text[: match.start()].count("\n") + 1)
        return found
    for match in BLOCK.finditer(text):
        kind, language, options, code = match.groups()
        line = text[: match.start()].count("\n") + 1
        named = dict(re.findall(r":(\w+): *(.*)", options))
        found.append(Block(kind, language, textwrap.dedent(code), line, named))
    return found


def _by_length(text: str, line: int) -> Iterator[Block]:
    """A block of commands, of which those that take long stand apart; those that take hours are left out."""
    lines = [part for part in text.splitlines(keepends=True) if not HOURS.search(part)]
    quick, long = ("".join(part for part in lines if bool(LONG.search(part)) is slow) for slow in (False, True))
    yield Block("code-block", "sh", quick, line)
    if long:
        yield Block("code-block", "sh", long, line, {"class": "slow"})


def commands(block: Block) -> list[str]:
    """The lines of a shell block, with continuations joined and without comments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]


def run_commands(block: Block) -> None:
    for command in commands(block):
        name, *arguments = shlex.split(command)
        if name == "graphkit":
            with contextlib.ExitStack() as stack:
                if ">" in arguments:
                    arguments, (file,) = arguments[:-2], arguments[-1:]
                    stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(file, "w"))))
                assert main(arguments) == 0, f"line {block.line}: {command}"


def run_page(page: Path, slow: bool = False) -> None:
    """Run the blocks of a page in the current folder, those that take long too where ``slow``."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = io.StringIO()
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block in blocks(page):
        place = f"{page.name}, line {block.line}"
        if block.kind == "testcode":
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, place, "exec"), namespace)
        elif block.kind == "testoutput":
            if not checker.check_output(block.text, printed.getvalue(), flags):
                pytest.fail(f"{place}: the page says\n{block.text}\nbut this was printed\n{printed.getvalue()}", False)
            printed = io.StringIO()
        elif "caption" in block.options:
            Path(block.options["caption"]).write_text(block.text)
        elif slow or not block.slow:
            run_commands(block)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, as a reader begins in; what a page does to variables ends with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with mock.patch.dict(os.environ, GRAPHKIT_DATA=str(tmp_path / "data")):
        yield


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path) -> None:
    run_page(page)


@pytest.mark.parametrize("page", ["tables", "compare", "search", "explain"])
def test_a_journey_is_short(page: str) -> None:
    code = [block.text for block in blocks(DOCS / "guide" / f"{page}.rst") if block.kind != "testoutput"]
    assert sum(bool(line.strip()) for text in code for line in text.splitlines()) < 60


SLOW_PAGES = [page for page in PAGES if any(block.slow for block in blocks(page))]


@pytest.fixture
def results_of_the_reader(tmp_path: Path) -> Iterator[None]:
    """What a page does to kept results, in a clone, it does to a copy."""
    clone = tmp_path / "clone"
    shutil.copytree(RESULTS, clone / RESULTS.relative_to(DOCS.parent))
    with mock.patch("graphkit.recipes.files.checkout", return_value=clone):
        yield


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("reader", "results_of_the_reader")
def test_kept_results_stay_as_they_are() -> None:
    before, picture = contents(RESULTS), Path("clone/benchmarks/results/drew/ring-transfer.png")
    written = picture.stat().st_mtime_ns
    assert main(["reproduce", "drew/ring-transfer", "--judge"]) == 0
    assert picture.stat().st_mtime_ns > written
    assert contents(RESULTS) == before


@pytest.mark.slow
@pytest.mark.usefixtures("reader", "results_of_the_reader", "mirror")
@pytest.mark.parametrize("page", SLOW_PAGES, ids=lambda page: page.stem)
def test_what_takes_long(page: Path) -> None:
    """As a reader runs it, from the top of the page: what takes long needs the files that were written before."""
    measured = contents(RESULTS)
    run_page(page, slow=True)
    assert contents(RESULTS) == measured, "a page overwrites results"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_escapes(page: Path) -> None:
    """What looks like code is a block that the tests above know."""
    found, text = blocks(page), page.read_text()
    if page.suffix == ".rst":
        shown = re.findall(r"^ *\.\. (?:testcode|testoutput|code-block|code|sourcecode)::", text, re.M)
        assert len(found) == len(shown)
    assert not re.search(r"^ *(?!\.\. ).*::\n\n +\S|^ *>>> ", text, re.M), "code outside of a block"
    for block in found:
        place = f"line {block.line}"
        if block.kind == "code-block":
            assert block.language == "sh" or ("caption" in block.options and block.language in FILES), place
        for command in commands(block) if block.language == "sh" else ():
            assert command.startswith(("graphkit ", *OTHER_COMMANDS)), f"{place}: {command}"


def test_a_page_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.rst"
    page.write_text(".. testcode::\n\n   print(1 + 1)\n\n.. testoutput::\n\n   3\n")
    with pytest.raises(pytest.fail.Exception, match="the page says\n3"):
        run_page(page)
    page.write_text(".. code-block:: sh\n\n   graphkit list nothing\n")
    with pytest.raises(AssertionError, match="graphkit list nothing"):
        run_page(page)
