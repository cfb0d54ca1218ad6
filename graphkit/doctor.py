"""``graphkit doctor``: what is installed, what is live, and what is wrong."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

DISTRIBUTION = "graphkit-pyg"
SHOWN = (
    "torch",
    "torch-geometric",
    "torch-scatter",
    "triton",
    "lightning-fabric",
    "torchmetrics",
    "numpy",
    "scipy",
    "numba",
    "ogb",
    "pandas",
)
#: Releases of one package family that were compromised.
BAD_RELEASES = {name: {"2.6.2", "2.6.3"} for name in ("lightning-fabric", "lightning", "pytorch-lightning")}
LEAST_FREE_GIB = 1.0


def report() -> dict[str, Any]:
    """Collect everything that ``graphkit doctor`` shows.

    Returns:
        Sections of facts (``versions``, ``sparse``, ``device``, ``data``), and ``problems``: one sentence each with its
        remedy, none when all is well.

    Example:
        >>> sorted(report())
        ['data', 'device', 'problems', 'sparse', 'versions']
    """
    problems = [*_shadowing(), *_bad_releases(), *_unmet_requirements()]
    sections: dict[str, Any] = {"versions": _versions()}
    for name, look in (("sparse", _sparse), ("device", _device), ("data", _data)):
        sections[name], complaints = look()
        problems += complaints
    return sections | {"problems": problems}


def render(facts: dict[str, Any]) -> str:
    """A report as text.

    Args:
        facts: What :func:`report` returned.
    """
    lines = []
    for section in ("versions", "sparse", "device", "data"):
        lines.append(section)
        lines += [f"  {key:<18} {value}" for key, value in facts[section].items()]
    lines += [f"problem: {problem}" for problem in facts["problems"]] or ["no problems"]
    return "\n".join(lines)


def main() -> int:
    """Print the report; 1 if there is a problem, else 0."""
    facts = report()
    print(render(facts))
    return 1 if facts["problems"] else 0


# Packages ------------------------------------------------------------------------------------------------------------


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> dict[str, str]:
    import graphkit

    place = Path(str(graphkit.__file__)).parent
    shown = {
        "graphkit": f"{getattr(graphkit, '__version__', 'unknown')} in {place}",
        "python": platform.python_version(),
    }
    return shown | {name: _version(name) or "not installed" for name in SHOWN}


def _shadowing() -> list[str]:
    """The package index has an unrelated distribution called graphkit, which installs into the same folder."""
    try:
        other = metadata.distribution("graphkit")
    except metadata.PackageNotFoundError:
        return []
    remedy = f"run: pip uninstall graphkit && pip install --force-reinstall --no-deps {DISTRIBUTION} (from a clone: .)"
    return [f"graphkit {other.version}, an unrelated project, is installed and hides or overwrites this one; {remedy}"]


def _bad_releases() -> list[str]:
    return [
        f"{name} {version} is a compromised release; run: pip install --upgrade '{name}!=2.6.2,!=2.6.3', and treat "
        "secrets on this machine as known to others"
        for name, bad in BAD_RELEASES.items()
        if (version := _version(name)) in bad
    ]


def _unmet_requirements() -> list[str]:
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [f"the distribution {DISTRIBUTION} is not installed; run `pip install .` in the clone"]
    problems = []
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            have = "not installed" if version is None else f"{version} is installed"
            problems.append(f"graphkit needs {requirement}, {have}; run: pip install '{requirement}'")
    return problems


# Parts ---------------------------------------------------------------------------------------------------------------

Part = tuple[dict[str, Any], list[str]]


def _sparse() -> Part:
    from graphkit.ops import backend

    optional = {"torch_scatter": "no (optional)", "triton": "no (optional, for CUDA)"}
    live = {name: "yes" if usable else optional.get(name, "no") for name, usable in backend.available().items()}
    try:
        with backend.use_backend("torch_scatter"):
            pass
    except (ImportError, OSError, RuntimeError) as error:
        if live["torch_scatter"] != "yes":
            return live, []
        remedy = "pip install --force-reinstall --no-cache-dir --no-deps --no-build-isolation torch-scatter"
        return live, [f"torch-scatter is installed but does not load ({error.__cause__ or error}); run: {remedy}"]
    return live, []


def _device() -> Part:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts = {
        "GPU": ", ".join(gpus) or "none",
        "CUDA": torch.version.cuda or "not in this torch",
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
    }
    return facts, []


def _data() -> Part:
    from graphkit.core.resources import data_root, shipped

    root = data_root()
    standing = next(folder for folder in (root, *root.parents) if folder.is_dir())
    free = shutil.disk_usage(standing).free / 2**30
    mirror = os.environ.get("GRAPHKIT_MIRROR")
    facts = {"root": str(root), "free disk": f"{free:.1f} GiB", "mirror": mirror or "not set"}
    problems = []
    if free < LEAST_FREE_GIB:
        problems.append(f"only {free:.1f} GiB are free in {standing}; make room or set GRAPHKIT_DATA to another disk")
    if not os.access(standing, os.W_OK):
        problems.append(f"{standing} cannot be written; set GRAPHKIT_DATA to a folder of yours")
    if mirror and not Path(mirror).expanduser().is_dir():
        problems.append(f"GRAPHKIT_MIRROR={mirror} is not a folder; correct or unset it")
    for kind, pattern in (("datasets", "*.toml"), ("recipes", "*/*.yaml")):
        try:
            count = len(list(shipped(kind).glob(pattern)))
        except FileNotFoundError as error:
            problems.append(str(error))
            continue
        facts[kind] = f"{count} in {shipped(kind)}"
        if count == 0:
            problems.append(f"{shipped(kind)} holds no {kind}; the installation is broken, install again")
    if not problems:
        facts["offline now"] = _at_hand()
        from graphkit.datasets import catalog

        problems += [f"{error}; correct or remove it" for error in catalog.broken()]
    return facts, problems


def _at_hand() -> str:
    from collections import Counter

    from graphkit import datasets

    states = Counter(datasets.available().values())
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
