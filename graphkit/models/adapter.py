"""Let any PyG or home-made module take part."""

from __future__ import annotations

import inspect

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN

from graphkit.core.checks import Checks
from graphkit.core.config import Configurable
from graphkit.core.reads import reads_of
from graphkit.models.call import CalledWithBatch
from graphkit.models.readout import make_pool, read_out
from graphkit.nn.node_axis import check_width


class PyGModel(Configurable, CalledWithBatch):
    r"""Calls a module that takes ``x, edge_index, ...`` with what a batch holds.

    The trainer wraps such modules by itself; wrap by hand to add a readout for graph tasks.

    Args:
        module: Any module. Its ``forward`` either takes the batch (one required argument, not called ``x``), or takes
            arguments by the names of the batch's attributes: ``x``, ``edge_index``, ``edge_weight``, ``edge_attr``,
            ``batch``, ... Optional ones that the batch lacks keep their defaults. Torch's own modules, such as an
            ``nn.Sequential``, name features ``input``.
        readout: The name of an aggregation (``"mean"``, ``"sum"``, ``"lcm"``, ...) that pools its node outputs per
            graph, or ``"mask"`` to read the nodes that ``readout_mask`` marks (default: ``None``). One that learns
            needs the module's ``out_channels``.

    Raises:
        ValueError: If there is no such readout, or it needs a width that the module does not tell.
        TypeError: If a required argument is not an attribute of the batch, or no tensor comes back (when called).

    Example:
        >>> import torch
        >>> from torch_geometric.nn import GCN
        >>> model = PyGModel(GCN(4, 8, num_layers=2, out_channels=2))
        >>> model(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            lambda: PyGModel(GCN(5, 6, num_layers=2, out_channels=4)),
            lambda: PyGModel(GCN(5, 6, num_layers=2, out_channels=4), readout="sum"),
        ]
    )

    def __init__(self, module: nn.Module, readout: str | None = None) -> None:
        super().__init__()
        self.module = module
        self.readout = readout
        self.reads = reads_of(module)
        self.pool = make_pool(readout, getattr(module, "out_channels", None))
        forward = getattr(module, "_orig_mod", module).forward  # of what torch.compile was given
        parameters = inspect.signature(forward).parameters.values()
        self._named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not self._named:
            raise TypeError(
                f"{type(module).__name__}.forward does not say what it takes of a batch; give what is inside, or one "
                "with forward(x, edge_index) or forward(batch)"
            )
        required = [p.name for p in self._named if p.default is p.empty]
        self.takes_batch = len(required) == 1 and required[0] not in ("x", "input", "edge_index")

    def outputs(self, batch: Data) -> Tensor:
        """The module's outputs, as the readout says."""
        try:
            out = self.module(batch) if self.takes_batch else self.module(**self._inputs(batch))
        except RuntimeError:
            if batch.get("x") is not None:
                check_width(self.module, batch.x)
            raise
        if not isinstance(out, Tensor):
            raise TypeError(
                f"{type(self.module).__name__}.forward returned a {type(out).__name__}, but a tensor of outputs is "
                "needed; wrap it in a module whose forward returns that alone"
            )
        return read_out(self.readout, self.pool, out, batch)

    def _inputs(self, batch: Data) -> dict[str, Tensor]:
        values = {p.name: batch.get("x" if p.name == "input" else p.name) for p in self._named}
        arguments = {name: value for name, value in values.items() if value is not None}
        missing = [p.name for p in self._named if p.default is p.empty and p.name not in arguments]
        if missing:
            raise TypeError(
                f"{type(self.module).__name__}.forward needs {missing[0]!r}, which the batch does not have (it has "
                f"{', '.join(batch.keys())}); add it with a transform, or let forward take the whole batch"
            )
        return arguments

    def __repr__(self) -> str:
        return repr(self.module)
