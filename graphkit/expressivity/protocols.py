"""Two ways to say that a model tells two graphs apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit.core.constraints import Count, NonNegative, checked
from graphkit.diagnostics.separation import graph_outputs
from graphkit.expressivity.random_models import OUTPUTS, RandomModels, copies
from graphkit.expressivity.suites import Suite


@dataclass(frozen=True)
class Verdict:
    """Which pairs of a suite a model tells apart.

    Attributes:
        separated: Whether it is told apart, ``[num_pairs]``.
        unreliable: Whether it looked told apart, but so did copies of one graph, ``[num_pairs]``.
        refused: Whether the model raised a ``ValueError`` for one of the graphs, ``[num_pairs]``.
        noise: The largest difference between copies of one graph, relative to the outputs' size.
    """

    separated: Tensor
    unreliable: Tensor
    refused: Tensor
    noise: float


class Protocol(ABC):
    """Divides a suite into units of work that are measured one by one, in any order, and judges the whole.

    Attributes:
        name: What it is called.
        seeds: How many random models are tried.
        channels: How many outputs a model must have; ``None`` if any number will do.
    """

    name: str
    seeds: int
    channels: int | None = None

    @abstractmethod
    def units(self, suite: Suite) -> list[list[int]]:
        """Positions of the graphs that belong to each unit."""

    @abstractmethod
    def measure(self, models: RandomModels, graphs: Sequence[Data], unit: int) -> dict[str, Any]:
        """Plain values measured on one unit, with ``noise``; determined by the arguments."""

    @abstractmethod
    def judge(self, suite: Suite, findings: Sequence[Mapping[str, Any]]) -> Verdict:
        """The verdict from the findings of all units; a unit that was refused holds nothing but ``refused``."""

    def config(self) -> dict[str, Any]:
        """Name and settings as plain values."""
        return {"name": self.name, **asdict(self)}  # type: ignore[call-overload]


@checked
@dataclass(frozen=True)
class RandomWeights(Protocol):
    r"""Deterministic: outputs of untrained models in double precision, against the noise of relabelled copies.

    With the outputs :math:`y` of a model with random weights and :math:`k` copies :math:`G_1, \dots, G_k` of each graph
    under random numberings of nodes and edges, :math:`G` and :math:`H` are told apart if for any seed

    .. math::
        \|y(G) - y(H)\| > 1000 \max\bigl(\max_i \|y(G_i) - y(G)\|,\; \max_i \|y(H_i) - y(H)\|,\;
        \epsilon \max(\|y(G)\|, \|y(H)\|)\bigr)

    with :math:`\epsilon = 2^{-52}`. Rounding never counts as power, and neither does a method that depends on the
    numbering of nodes.

    Args:
        seeds: How many random models are tried (default: 3).
        copies: The number of copies :math:`k` (default: 4).
    """

    seeds: Count = 3
    copies: Count = 4
    name = "random weights"
    factor = 1e3

    def units(self, suite: Suite) -> list[list[int]]:
        return [[position] for position in range(len(suite.graphs))]

    def measure(self, models: RandomModels, graphs: Sequence[Data], unit: int) -> dict[str, Any]:
        (graph,) = graphs
        prepared = models.prepare([graph, *copies(graph, self.copies, seed=unit)])
        outputs = [models.outputs(prepared, seed) for seed in range(self.seeds)]
        return {
            "outputs": [out[0].tolist() for out in outputs],
            "error": [float((out[1:] - out[0]).norm(dim=1).amax()) for out in outputs],
            "noise": max(relative_noise(out) for out in outputs),
        }

    def judge(self, suite: Suite, findings: Sequence[Mapping[str, Any]]) -> Verdict:
        like: Mapping[str, Any] = next(
            (unit for unit in findings if "outputs" in unit), {"outputs": [[0.0]], "error": [0.0]}
        )
        outputs = torch.tensor([unit.get("outputs", like["outputs"]) for unit in findings], dtype=torch.float64)
        error = torch.tensor([unit.get("error", like["error"]) for unit in findings], dtype=torch.float64)
        floor = torch.maximum(error, torch.finfo(torch.float64).eps * outputs.norm(dim=2))
        refused = torch.tensor(["refused" in unit for unit in findings])[suite.pairs].any(1)
        separated = torch.zeros(len(suite), dtype=torch.bool)
        for part in torch.arange(len(suite)).split(2**16):  # families have millions of pairs
            first, second = suite.pairs[part].t()
            distance = (outputs[first] - outputs[second]).norm(dim=2)
            separated[part] = (distance > self.factor * torch.maximum(floor[first], floor[second])).any(1)
        return Verdict(separated & ~refused, torch.zeros_like(separated), refused, _largest_noise(findings))


@checked
@dataclass(frozen=True)
class PairedTraining(Protocol):
    r"""BREC's reliable paired comparison: a model is trained to tell two graphs apart, then tested statistically.

    From `"An Empirical Study of Realized GNN Expressiveness" <https://arxiv.org/abs/2304.07702>`_ (Wang and Zhang, ICML
    2024). Of each graph 32 copies under random numberings are drawn. A new model with 16 outputs is trained on the
    pairs :math:`(G_i, H_i)`, in batches of 8 pairs in fixed order, with PyTorch's ``CosineEmbeddingLoss`` (target -1,
    margin 0), Adam (learning rate and weight decay 1e-4) and ``ReduceLROnPlateau``, for 20 epochs or until the epoch's
    loss is below 0.2. Then, in evaluation mode and with :math:`d_i = y(G_i) - y(H_i)`,

    .. math::
        T^2 = \bar d^\top \, \bigl(\mathrm{cov}(d) + (10^{-7} r)^2 I\bigr)^{-1} \, \bar d

    and :math:`T_0^2` is the same of 32 pairs of copies of :math:`G` alone. A model tells the pair apart if
    :math:`T^2 > 72.34` and :math:`|T^2 - T_0^2| > 10^{-6}`, and is reliable if :math:`T_0^2 < 72.34`. A pair counts if
    for any seed it is told apart by a reliable model; other seeds are not tried then.

    Where this differs from the official code: that computes in single precision with the pseudo-inverse of
    :math:`\mathrm{cov}(d)`, so that :math:`T^2 = 0` where copies give exactly equal outputs. Here precision is double,
    and the added term, with :math:`r` the root mean square of outputs, says that they count to seven digits, as in
    single precision. Copies are drawn here; BREC's files of copies are not read.

    Args:
        seeds: How many models are tried (default: 10).
        epochs: The largest number of epochs (default: 20).
    """

    seeds: Count = 10
    epochs: Count = 20
    name = "paired training"
    copies = 32
    batch_size = 16
    threshold = 72.34
    channels = OUTPUTS

    def units(self, suite: Suite) -> list[list[int]]:
        return suite.pairs.tolist()

    def measure(self, models: RandomModels, graphs: Sequence[Data], unit: int) -> dict[str, Any]:
        first, second = graphs
        sides = copies(first, self.copies, seed=2 * unit), copies(second, self.copies, seed=2 * unit + 1)
        pairs = models.prepare([graph for both in zip(*sides) for graph in both])
        same = models.prepare(copies(first, 2 * self.copies, seed=-1 - unit))
        finding: dict[str, Any] = {"separated": False, "unreliable": False, "noise": 0.0, "t_squared": []}
        for seed in range(self.seeds):
            statistic, reference, noise = self._train(models, pairs, same, seed)
            apart = statistic > self.threshold and abs(statistic - reference) > 1e-6
            finding["t_squared"].append([statistic, reference])
            finding["noise"] = max(finding["noise"], noise)
            finding["separated"] = apart and reference < self.threshold
            finding["unreliable"] |= apart and not finding["separated"]
            if finding["separated"]:
                break
        return finding

    def _train(
        self, models: RandomModels, pairs: list[Data], same: list[Data], seed: int
    ) -> tuple[float, float, float]:
        """The statistic of the pairs, that of the copies of one graph, and the copies' relative noise."""
        model = models.build(pairs[0].num_features, seed)
        starts = range(0, len(pairs), self.batch_size)
        batches = [Batch.from_data_list(pairs[start : start + self.batch_size]) for start in starts]
        graph_outputs(model, pairs[:1])  # fills in sizes that a model takes from its first input
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-4)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        loss_function = torch.nn.CosineEmbeddingLoss(margin=0.0)
        model.train()
        for _ in range(self.epochs):
            total = 0.0
            for batch in batches:
                optimizer.zero_grad()
                out = model(batch)
                loss = loss_function(out[0::2], out[1::2], -out.new_ones(out.size(0) // 2))
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * out.size(0) / len(pairs)
            if total < 0.2:
                break
            scheduler.step(total)
        trained, reference = graph_outputs(model, pairs), graph_outputs(model, same)
        if not torch.isfinite(trained).all():
            raise ValueError("the model's outputs are not finite after training; use a normalisation")
        size = float(reference.square().mean().sqrt())
        statistics = [t_squared(out[0::2] - out[1::2], (1e-7 * size) ** 2) for out in (trained, reference)]
        return statistics[0], statistics[1], relative_noise(reference)

    def judge(self, suite: Suite, findings: Sequence[Mapping[str, Any]]) -> Verdict:
        separated = torch.tensor([unit.get("separated", False) for unit in findings])
        unreliable = torch.tensor([unit.get("unreliable", False) for unit in findings]) & ~separated
        refused = torch.tensor(["refused" in unit for unit in findings])
        return Verdict(separated, unreliable, refused, _largest_noise(findings))


@checked
def t_squared(differences: Tensor, ridge: NonNegative = 0.0) -> float:
    r"""BREC's form of Hotelling's statistic, :math:`\bar d^\top (\mathrm{cov}(d) + \lambda I)^{+} \, \bar d`.

    Hotelling's own has a further factor, the number of rows; BREC's threshold is for this one.

    Args:
        differences: The rows :math:`d_i`, ``[num_rows, channels]``.
        ridge: The number :math:`\lambda` (default: 0: the pseudo-inverse of the covariance, as in BREC's code).

    Example:
        >>> t_squared(torch.tensor([[1.0], [3.0]]))
        2.0
        >>> t_squared(torch.ones(4, 1)), t_squared(torch.ones(4, 1), ridge=0.5)  # nothing varies
        (0.0, 2.0)
    """
    mean = differences.mean(0)
    covariance = torch.cov(differences.t()).view(mean.numel(), -1)
    inverse = torch.linalg.pinv(covariance + ridge * torch.eye(mean.numel(), dtype=mean.dtype), hermitian=True)
    return float(mean @ inverse @ mean)


def relative_noise(out: Tensor) -> float:
    """The largest distance of a row from the first, relative to the first; the rows belong to copies of one graph."""
    return float((out - out[0]).norm(dim=1).amax() / out[0].norm().clamp(min=torch.finfo(out.dtype).tiny))


def _largest_noise(findings: Sequence[Mapping[str, Any]]) -> float:
    return max((unit["noise"] for unit in findings if "noise" in unit), default=0.0)
