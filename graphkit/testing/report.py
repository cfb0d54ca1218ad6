"""What came of many checks: all failures at once, and what was not asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from unittest import SkipTest

from graphkit.core.reads import UnreadWarning
from graphkit.testing.discovery import Case


@dataclass(frozen=True)
class CheckReport:
    """What the checks found that all went well.

    Attributes:
        passed: The names of cases that passed.
        failed_as_expected: Those that failed, as was said before.
        not_claimed: Those that were not run, because the class does not claim what they check.
    """

    passed: list[str]
    failed_as_expected: list[str]
    not_claimed: list[str]

    @classmethod
    def of(cls, cases: Iterable[Case]) -> CheckReport:
        """Run all cases.

        Raises:
            AssertionError: Naming all that failed, and why.
        """
        report, failures = cls([], [], []), {}
        for case in cases:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UnreadWarning)  # graphs of the checks have all that can be read
                    case.run()
            except SkipTest:
                report.not_claimed.append(case.name)
            except Exception as error:
                if case.expected_failure is None:
                    failures[case.name] = error
                else:
                    report.failed_as_expected.append(case.name)
            else:
                if case.expected_failure is None:
                    report.passed.append(case.name)
                else:
                    reason = f"passes although it is expected to fail ({case.expected_failure})"
                    failures[case.name] = AssertionError(reason)
        if not failures:
            return report
        lines = [f"{name}: {error}" for name, error in failures.items()]
        count = "" if len(lines) == 1 else f"{len(lines)} checks failed:\n"
        raise AssertionError(count + "\n".join(lines)) from ExceptionGroup("failed checks", [*failures.values()])

    def __str__(self) -> str:
        parts = [f"{len(self.passed)} checks passed"]
        rest = {"failed as expected": self.failed_as_expected, "not claimed": self.not_claimed}
        for what, names in rest.items():
            checks = dict.fromkeys(name.rpartition("-")[2] for name in names)
            parts += [f"{what}: {', '.join(checks)}"] if checks else []
        return "; ".join(parts)
