"""One line at the end of a test session about golden folders that nothing checked."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    folders = sorted({reason.split("'")[1] for reason in reasons if "no adapter for golden folder" in reason})
    if folders:
        terminalreporter.write_line(f"golden: no adapter for {len(folders)} folders: {', '.join(folders)}", yellow=True)
