"""Run suites unit by unit, keep what is finished, judge the whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.constraints import Jobs, checked
from graphkit.core.display import progress_bar
from graphkit.core.files import read_record, write_record
from graphkit.core.hashing import hash_config, hash_tensors
from graphkit.core.object_hash import hash_object
from graphkit.core.parallel import parallel
from graphkit.expressivity.protocols import Protocol, RandomWeights
from graphkit.expressivity.random_models import Factory, RandomModels, reproducible
from graphkit.expressivity.result import Expressivity, SuiteResult, slug
from graphkit.expressivity.suites import Suite, load_suite
from graphkit.models import PyGModel
from graphkit.training.result import hardware, versions

_SAVE_SECONDS = 5.0


@checked
def expressivity(
    model: Factory | nn.Module,
    suites: str | Suite | Sequence[str | Suite] = ("pairs", "cfi", "csl"),
    transform: BaseTransform | Callable[[Data], Data] | None = None,
    protocol: Protocol | None = None,
    name: str | None = None,
    jobs: Jobs = 1,
    folder: str | os.PathLike[str] = "runs/expressivity",
    fresh: bool = False,
    progress: bool | None = None,
) -> Expressivity:
    """Count the pairs of graphs that a model tells apart, beside exact Weisfeiler-Leman verdicts and published counts.

    Finished units (graphs, or trained pairs) are saved in a file per suite; the same call goes on where one was
    interrupted. The file is named by a digest of graphs, protocol, transform, model, and what it gives for the first
    pair. Everything runs on the CPU.

    Args:
        model: A function from the number of node features to a model with one output row per graph; or such a model,
            whose weights are drawn anew by ``reset_parameters``.
        suites: Names of :data:`~graphkit.expressivity.NAMES`, or your own :class:`Suite`; one or several (default:
            those that need no files).
        transform: Any PyG transform, e.g. a feature or a rewiring, applied to every graph and every relabelled copy.
            What it adds as further attributes of nodes is joined to ``x`` (default: none).
        protocol: :class:`RandomWeights` or :class:`PairedTraining` (default: ``RandomWeights()``).
        name: What the model is called in tables (default: its class and the transform's).
        jobs: Parallel processes of joblib; results are bit-equal for any number (default: 1).
        folder: Where finished units are saved (default: ``runs/expressivity``).
        fresh: Measure finished units again (default: ``False``).
        progress: Show a bar (default: on a terminal).

    Raises:
        ValueError: If a suite does not exist, or the model does not give one finite row per graph of the first pair.
            Later pairs for which it raises one are counted as refused.
        FileNotFoundError: If a suite's raw files are missing and cannot be had; the message says how to place them.
        KeyboardInterrupt: After Ctrl-C; says how much is saved.

    Example:
        >>> import tempfile
        >>> from graphkit.models import GIN
        >>> from graphkit.transforms.features import RandomWalkPE
        >>> result = expressivity(GIN(1, 8, readout="sum"), ["pairs"], folder=tempfile.mkdtemp())
        >>> result.suites["pairs"].num_separated
        0
        >>> model = lambda num_features: GIN(num_features, 8, readout="sum")
        >>> result = expressivity(model, ["pairs"], RandomWalkPE(8), folder=tempfile.mkdtemp())
        >>> result.suites["pairs"].num_separated
        3
    """
    protocol = RandomWeights() if protocol is None else protocol
    chosen = [suites] if isinstance(suites, str | Suite) else suites
    loaded = [load_suite(suite) if isinstance(suite, str) else suite for suite in chosen]
    models = RandomModels(model, transform)
    results, seconds = {}, 0.0
    with reproducible():
        described = [_probe(models, suite, protocol) for suite in loaded]  # what cannot run fails before any work
        name = name or _name(described[0][0], transform)
        for suite, (_, digest) in zip(loaded, described):
            key = hash_config([digest, suite.hash, hash_object(protocol), versions()], 16)
            place = Path(folder) / slug(name) / f"{suite.name}-{protocol.name.replace(' ', '-')}-{key}.json"
            finished = _FinishedUnits(place, key, fresh)
            findings = finished.complete(models, suite, protocol, jobs, progress)
            results[suite.name] = SuiteResult(suite, protocol.judge(suite, findings))
            seconds += finished.seconds
        return Expressivity(
            name=name,
            model=repr(described[0][0]),
            transform=None if transform is None else repr(transform),
            protocol=protocol.config(),
            suites=results,
            seconds=seconds,
            hardware=hardware(torch.device("cpu")),
            versions=versions(),
        )


class _FinishedUnits:
    """The findings of one suite's finished units, and their file."""

    def __init__(self, path: Path, key: str, fresh: bool) -> None:
        self.path, self.key = path, key
        self.findings: dict[str, Any] = {}  # by unit
        self.seconds = 0.0
        if not fresh:
            self._read()

    def complete(
        self, models: RandomModels, suite: Suite, protocol: Protocol, jobs: int, progress: bool | None
    ) -> list[dict[str, Any]]:
        """The findings of all units, those that are not there yet measured."""
        units = protocol.units(suite)
        unfinished = {unit: graphs for unit, graphs in enumerate(units) if str(unit) not in self.findings}
        before, started = self.seconds, time.monotonic()
        saved = started
        try:
            for unit, finding in _measure_all(models, suite, protocol, unfinished, len(units), jobs, progress):
                self.findings[str(unit)] = finding
                now = time.monotonic()
                self.seconds = before + now - started
                if now - saved > _SAVE_SECONDS:
                    self._write()
                    saved = now
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(self.findings)} of {len(units)} parts of {suite.name} are saved in {self.path}; the same "
                "command does the rest"
            ) from None
        finally:
            if unfinished:
                self._write()
        return [self.findings[str(unit)] for unit in range(len(units))]

    def _read(self) -> None:
        """What is there; nothing, if the file is damaged."""
        try:
            content = read_record(self.path)
            if content["key"] == self.key:
                self.findings, self.seconds = dict(content["units"]), float(content["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def _write(self) -> None:
        write_record(self.path, {"key": self.key, "seconds": self.seconds, "units": self.findings})


def _measure_all(
    models: RandomModels,
    suite: Suite,
    protocol: Protocol,
    unfinished: dict[int, list[int]],
    total: int,
    jobs: int,
    progress: bool | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    from joblib import delayed

    calls = (  # copies, as graphs of a dataset are views of the tensors of all, which would go along
        delayed(_measure)(protocol, models, [suite.graphs[position].clone() for position in graphs], unit)
        for unit, graphs in unfinished.items()
    )
    with progress_bar(total=total, initial=total - len(unfinished), desc=suite.name, show=progress) as bar:
        for result in parallel(calls, jobs):
            bar.update()
            yield result


def _measure(protocol: Protocol, models: RandomModels, graphs: list[Data], unit: int) -> tuple[int, dict[str, Any]]:
    """One unit, in whatever process joblib chose."""
    with reproducible():
        try:
            return unit, protocol.measure(models, graphs, unit)
        except ValueError as error:  # it could take the first pair: this one is too large, or otherwise not for it
            return unit, {"refused": str(error)}


def _probe(models: RandomModels, suite: Suite, protocol: Protocol) -> tuple[nn.Module, str]:
    """A model with random weights, and a digest of model, transform, and what they give for the first pair."""
    prepared = models.prepare([suite.graphs[position] for position in suite.pairs[0].tolist()])
    out = models.outputs(prepared, 0)
    if protocol.channels not in (None, out.size(1)):
        raise ValueError(f"{protocol.name} needs {protocol.channels} outputs, the model has {out.size(1)}")
    model = models.build(prepared[0].num_features, 0)
    code = hash_object([[type(module) for module in model.modules()], models.transform])
    return model, hash_config([repr(model), code, hash_tensors(out, *(graph.x for graph in prepared))], 32)


def _name(model: nn.Module, transform: BaseTransform | None) -> str:
    model = model.module if isinstance(model, PyGModel) else model
    return type(model).__name__ + ("" if transform is None else f" + {type(transform).__name__}")
