"""What tests of links share."""

from __future__ import annotations

import pytest
from torch_geometric.utils import coalesce

from tests import tiny


@pytest.fixture
def graph():
    data = tiny.graph(60, 200, seed=3)
    data.edge_index = coalesce(data.edge_index)
    return data
