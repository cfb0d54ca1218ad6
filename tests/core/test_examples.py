"""Examples know what they must import."""

from __future__ import annotations

from graphkit.core.examples import missing_imports
from graphkit.nn import gcn_conv


def test_what_an_example_takes_for_granted_is_imported_from_where_users_do() -> None:
    text = ">>> layer = GCNConv(2, 3)\n>>> layer(torch.ones(1, 2), edge_index)"
    assert missing_imports(text, gcn_conv.__name__) == ["import torch", "from graphkit.nn import GCNConv"]
    model = ">>> [len(Data(x=row)) for row in rows]\n>>> def f(row): return row"
    assert missing_imports(model, "graphkit.core.graph_input") == ["from torch_geometric.data import Data"]


def test_what_it_imports_or_defines_is_not() -> None:
    text = ">>> import torch\n>>> from graphkit.nn import GCNConv\n>>> n = 2\n>>> GCNConv(n, len(torch.ones(3)))"
    assert missing_imports(text, gcn_conv.__name__) == []
