"""Measure speed ratios: ``python -m benchmarks.speed [names]`` (default: all)."""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks.speed import common

MODULES = (
    "aggregation",
    "attention",
    "compiled",
    "decoupled",
    "drew",
    "edges",
    "embedding",
    "features",
    "forward",
    "gate",
    "implicit",
    "grand",
    "heterophily",
    "kl",
    "link",
    "metanetworks",
    "ncn",
    "ops",
    "path_nn",
    "polynomials",
    "recommend",
    "rewiring",
    "routing",
    "samplers",
    "sheaf",
    "small_graphs",
    "temporal",
    "training",
)


def registered() -> dict[str, common.Entry]:
    """All benchmarks by name."""
    for module in MODULES:
        importlib.import_module(f"benchmarks.speed.{module}")
    return common.REGISTRY


def main() -> None:
    """Run the named benchmarks, print a table and write one JSON file each."""
    registry = registered()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(registry)}")
    parser.add_argument("--dry-run", action="store_true", help="print only, write no result files")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write no result files; name what is over 15 %% slower than committed on this processor and fail then",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(registry):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; choose from {', '.join(registry)}")
    calibration = common.calibrate()
    print("calibration: " + ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in calibration.items()))
    print(f"{'benchmark':<28}{'ours':>11}{'opponent':>11}{'ratio':>8}{'goal':>6}{'library':>9}  against")
    rows = []
    for name in arguments.names or registry:
        try:
            row = common.measure(registry[name])
        except ModuleNotFoundError as missing:
            print(f"{name:<28}skipped: {missing}")
            continue
        rows.append(row)
        goal = "-" if row["goal"] is None else f"{row['goal']:g}x"
        library = f"{row['library_ratio']:.1f}x" if "library_ratio" in row else "-"
        against = (
            row["against"] if row.get("library") in (None, row["against"]) else f"{row['against']}; {row['library']}"
        )
        print(
            f"{name:<28}{1e3 * row['ours_seconds']:>8.1f} ms{1e3 * row['opponent_seconds']:>8.1f} ms"
            f"{row['ratio']:>7.1f}x{goal:>6}{library:>9}  {against}",
            flush=True,
        )
        if not arguments.dry_run and not arguments.check:
            common.save({**common.memory_of(registry[name]), **row}, calibration)
    print(f"\n{'geometric means':<28}{'opponents':>16}{'libraries':>16}", *common.family_means(rows), sep="\n")
    if arguments.check:
        findings = [finding for row in rows if (finding := common.slower_than_committed(row))]
        print("", *(findings or ["nothing got slower by more than 15 %"]), sep="\n")
        sys.exit(any("SLOWER" in finding for finding in findings))


if __name__ == "__main__":
    main()
