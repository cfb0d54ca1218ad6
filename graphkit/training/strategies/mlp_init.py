"""Training that begins without edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.attributes import attributes_of, edge_subgraph
from graphkit.core.constraints import Count
from graphkit.core.reads import reads_of
from graphkit.models.base import required_by
from graphkit.tasks import Task
from graphkit.tasks.loaders.pairs import PAIRS
from graphkit.training.engine import Engine
from graphkit.training.strategies.backprop import Backprop
from graphkit.training.strategies.base import Phase


class MLPInit(Backprop):
    r"""End-to-end training in two phases: of the model's twin without edges, then, from its weights, of the model.

    From `"MLPInit: Embarrassingly Simple GNN Training Acceleration with MLP Initialization"
    <https://arxiv.org/abs/2210.00102>`_ (Han et al., ICLR 2023).

    The twin is the model itself on the nodes alone, which costs no products with the graph; where layers average with
    self-loops, as those of a :class:`~graphkit.models.GCN` do, it is an MLP of the same weights, to which the model is
    equal where there is no edge. It is validated without edges, too, and its best weights are those that the second
    phase begins with. Weights that only neighbours reach stay as they were drawn in the first phase.

    Args:
        mlp_epochs: The number of epochs of the first phase; the trainer's ``max_epochs`` are those of the second one,
            and the most that the first one can have (default: 50).

    Raises:
        TypeError: If the model reads no edges, or what was computed of them beforehand, such as paths.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16)
        >>> result = gk.Trainer(max_epochs=20, strategy=MLPInit(mlp_epochs=5), progress=False).fit(model, task)
        >>> [(phase["phase"], phase["epochs"]) for phase in result.phases]
        [('mlp', 5), ('backprop', 20)]
    """

    _trains = False

    def __init__(self, mlp_epochs: Count = 50) -> None:
        self.mlp_epochs = mlp_epochs

    def check(self, model: nn.Module, task: Task) -> None:
        super().check(model, task)
        if not reads_of(model).edge_index:
            name = type(getattr(model, "module", model)).__name__
            raise TypeError(f"MLPInit begins without edges, but {name} reads none anyway; use Backprop")

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        known = {*PAIRS, "root_index", "train_index", "val_index", "test_index"}  # nodes, not what edges say of them
        pairs = [key for key in attributes_of("pair", task.example, "MLPInit") if key not in known]
        if pairs and required_by(model) is not None:
            raise TypeError(
                f"MLPInit begins without edges, but {type(model).__name__} reads {pairs[0]}, which was computed of "
                "them; use Backprop"
            )
        self._trains = False  # a loaded run has no phases, and predicts with edges

    def phases(self) -> list[Phase]:
        self._trains = True
        (phase,) = super().phases()  # of a single epoch where there are no weights
        return [Phase("mlp", max_epochs=min(self.mlp_epochs, phase.max_epochs or self.mlp_epochs)), phase]

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        return super().train_step(without_edges(batch) if phase.name == "mlp" else batch, phase)

    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        is_twin = self._trains and not self.finished
        return super().predict(without_edges(batch) if is_twin else batch, upto_layer, stage)


def without_edges(batch: Data) -> Data:
    """A shallow copy of a batch with its nodes and none of its edges."""
    none = torch.empty(0, dtype=torch.long, device=batch.edge_index.device)
    return edge_subgraph(batch, none, "MLPInit")
