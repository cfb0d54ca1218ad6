"""Check the built documentation: ``python scripts/check_docs.py docs/_build/html [--browser PATH]``.

From the files alone: every link, anchor, picture and script of the site exists, nothing is loaded from another host,
pages have less than a megabyte and are made for small screens, no element asks for more than a phone's width, and the
search index knows every public name. Then each page is opened in a real browser on a phone's screen, if Chrome or
Chromium is installed: no console error, no broken picture, no raw formula, no sideways scrolling, and the search finds
what it should. The browser is driven by its own protocol and needs no further package.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import http.server
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import graphkit
from graphkit.recipes import Report

README = Path(__file__).parents[1] / "README.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
API = Path(__file__).parents[1] / "docs" / "api"
PHONE = 375  # pixels
LARGEST = 1_000_000  # bytes of a page without its pictures
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
SEARCHES = {  # names and words of the field, with a page that they must lead to
    "SheafDiffusion": "api/models/sheaf.html",
    "Trainer": "api/training.html",
    "EffectiveResistance": "api/rewiring.html",
    "early stopping": "guide/training.html",
    "oversmoothing": "glossary.html",
    "link prediction": "guide/tasks.html",
    "temporal": "glossary.html",
}

# The files alone ------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What one page links to, what can be linked to in it, and how wide it wants to be."""

    SCROLLS = re.compile(r"table-wrapper|highlight|math|sidebar-scroll|toc-scroll")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.wide: list[str] = []
        self.has_viewport = False
        self._open: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.anchors |= {found[key] for key in ("id", "name") if key in found}
        self.links += [found[key] for key in ("href", "src") if key in found]
        self.loads += [found["src"]] if "src" in found else [found.get("href", "")] if self._loads(tag, found) else []
        self.has_viewport |= found.get("name") == "viewport" and "device-width" in found.get("content", "")
        width = re.search(r"(?:^|;|\s)(?:min-)?width:\s*(\d+)px", found.get("style", "")) or re.match(
            r"(\d+)(?:px)?$", found.get("width", "") if tag in ("table", "td", "iframe", "video") else ""
        )
        contained = any(self.SCROLLS.search(classes) for _, classes in self._open)
        if width and int(width[1]) > PHONE and not contained:
            self.wide.append(f"<{tag}> of {width[1]} pixels")
        if tag not in ("meta", "link", "img", "br", "hr", "input", "source", "path", "use", "col"):
            self._open.append((tag, found.get("class", "")))

    @staticmethod
    def _loads(tag: str, attributes: dict[str, str]) -> bool:
        return tag == "link" and attributes.get("rel", "") in ("stylesheet", "preload", "icon", "shortcut icon")

    def handle_endtag(self, tag: str) -> None:
        if any(tag == name for name, _ in self._open):
            while self._open.pop()[0] != tag:
                pass


def check_files(site: Path) -> Iterator[str]:
    """Everything that is wrong with the files, one line each."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        if path.stat().st_size > LARGEST:
            yield f"{name}: {path.stat().st_size / 1e6:.1f} MB, must be at most {LARGEST / 1e6:.0f}"
        if not page.has_viewport:
            yield f"{name}: no viewport for small screens"
        yield from (f"{name}: {wide}, beyond a phone's width" for wide in page.wide)
        yield from (f"{name}: loads {address} from another host" for address in page.loads if urlsplit(address).netloc)
        for link in dict.fromkeys(page.links):
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            if not file.is_file():
                yield f"{name}: {link} does not exist"
            elif target.fragment and file in pages and unquote(target.fragment) not in pages[file].anchors:
                yield f"{name}: {link} names an anchor that does not exist"
    yield from check_search_index(site)
    yield from check_readme()


def check_readme() -> Iterator[str]:
    """The README's count of reproduced values, if it is not the one of today's results."""
    count = Report.of(RESULTS).summary()
    if count not in README.read_text(encoding="utf-8"):
        yield f"README.md: it should say: {count}"


def check_search_index(site: Path) -> Iterator[str]:
    """Public names that the search does not know."""
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    known = {entry[4] for entries in index["objects"].values() for entry in entries if isinstance(entry, list)}
    known |= {name for entries in index["objects"].values() if isinstance(entries, dict) for name in entries}
    for room in rooms():
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", ()):
            if callable(getattr(module, name)) and name not in known:
                yield f"searchindex.js: {room}.{name} cannot be found"


def rooms() -> set[str]:
    """The modules that `import graphkit` offers, and those that have a page."""
    offered = {getattr(graphkit, name) for name in graphkit.__all__}
    pages = "".join(page.read_text() for page in API.rglob("*.rst"))
    documented = set(re.findall(r"^\.\. automodule:: (\S+)\n(?!.*:no-members:)", pages, re.MULTILINE))
    return {room.__name__ for room in offered if inspect.ismodule(room)} | documented


# A real browser -------------------------------------------------------------------------------------------------------


class Browser:
    """A headless Chrome or Chromium, spoken to in the DevTools protocol through two pipes."""

    def __init__(self, program: str, profile: str) -> None:
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()

        def place_pipes() -> None:  # Chrome reads from 3 and writes to 4
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_child, from_child)]
            os.dup2(ends[0], 3), os.dup2(ends[1], 4)

        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # the same with and without a network
        self._process = subprocess.Popen(
            [program, *flags, alone, "about:blank"],
            preexec_fn=place_pipes,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child), os.close(from_child)
        self._buffer, self._number, self._session = b"", 0, None
        self.events: deque[dict[str, Any]] = deque()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        screen = {"width": PHONE, "height": 812, "deviceScaleFactor": 2, "mobile": True}
        self.call("Emulation.setDeviceMetricsOverride", **screen)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'", url)

    def wait(self, condition: str, what: str, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not self.value(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: {condition} does not come true within {seconds:g} s")
            time.sleep(0.05)

    def value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self) -> None:
        self._session = None
        self.call("Browser.close")
        self._process.wait(20)


def complaints(browser: Browser, root: str) -> Iterator[str]:
    """Errors on the console, and requests to other hosts, since the page was opened."""
    for event in browser.events:
        method, found = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            yield found["exceptionDetails"].get("exception", {}).get("description", found["exceptionDetails"]["text"])
        elif method == "Network.requestWillBeSent" and not found["request"]["url"].startswith((root, "data:", "blob:")):
            yield f"asks another host for {found['request']['url']}"
        elif method == "Runtime.consoleAPICalled" and found["type"] in ("error", "assert"):
            yield " ".join(str(argument.get("value", "")) for argument in found["args"])
        elif method == "Log.entryAdded" and found["entry"]["level"] == "error":
            place = found["entry"].get("url", root)
            if place.startswith(root) and not place.endswith("/favicon.ico"):
                yield f"{found['entry']['text']} {place}"


def check_in_browser(site: Path, program: str) -> Iterator[str]:
    """Everything that is wrong with the pages on a phone's screen, one line each."""
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            for path in sorted(site.rglob("*.html")):
                name = path.relative_to(site).as_posix()
                if not name.startswith("_modules/"):
                    yield from check_page(browser, root, name)
            for query, page in SEARCHES.items():
                browser.open(urljoin(root, f"search.html?q={quote(query)}"))
                try:
                    browser.wait(
                        f"[...document.querySelectorAll('#search-results a')].some(a => a.href.includes('{page}'))", ""
                    )
                except TimeoutError:
                    yield f"search: {query} does not lead to {page}"
        finally:
            browser.close()
            server.shutdown()


def check_page(browser: Browser, root: str, name: str) -> Iterator[str]:
    browser.open(urljoin(root, name))
    yield from (f"{name}: console: {text}" for text in complaints(browser, root))
    formulas = "!document.querySelector('.math') || document.querySelector('mjx-container') !== null"
    try:
        browser.wait(formulas, name)
    except TimeoutError:
        yield f"{name}: formulas are shown as they were typed"
    pictures = "[...document.images].filter(i => i.loading !== 'lazy' && !i.naturalWidth).map(i => i.src)"
    yield from (f"{name}: broken picture {source}" for source in browser.value(pictures))
    wide = "[...document.querySelectorAll('.table-wrapper')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    yield from (
        f"{name}: a table is too wide: {text!r}" for text in browser.value(f"{wide}.map(e => e.innerText.slice(0, 60))")
    )
    width = browser.value("document.documentElement.scrollWidth")
    if width > PHONE:
        widest = browser.value(
            f"[...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > {PHONE + 1})"
            ".map(e => e.tagName + '.' + e.className)[0]"
        )
        yield f"{name}: {width} pixels wide on a screen of {PHONE}, because of {widest}"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path, help="the folder of the built pages")
    parser.add_argument("--browser", help=f"Chrome or Chromium (default: {', '.join(BROWSERS)}, as found)")
    options = parser.parse_args()
    site = options.site.resolve()
    found = list(check_files(site))
    program = options.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print("no browser: only the files were checked; install chromium, or name one by --browser")
    else:
        found += check_in_browser(site, program)
    print("\n".join(found) or f"{site}: all links, pictures and names are there")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
