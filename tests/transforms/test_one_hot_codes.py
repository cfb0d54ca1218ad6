"""Integer codes as one-hot columns: the sum of embeddings, and clear errors."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphkit.nn.encoders import CodeEncoder
from graphkit.transforms import OneHotCodes

CODES = (4, 2, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_a_linear_map_of_them_is_a_sum_of_embeddings(dtype):
    x = torch.stack([torch.randint(count, (7,)) for count in CODES], dim=1).to(dtype)
    data = Data(x=x)
    made = OneHotCodes(CODES)(data)
    encoder = CodeEncoder(5, CODES)
    table = torch.cat([embedding.weight for embedding in encoder.embeddings]).to(made.x.dtype)
    torch.testing.assert_close(made.x @ table, encoder(x).to(made.x.dtype))
    assert made.x.dtype == (torch.float32 if dtype == torch.int64 else dtype)
    assert torch.equal(data.x, x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[4, 0, 0]], "column 0 of row 0 is 4, must be a whole number in 0..3"),
        ([[0.5, 0, 0]], "is 0.5, must be a whole number"),
        ([[0, 0]], "needs 3 columns of codes, got 2"),
    ],
)
def test_what_is_no_code(x, message):
    with pytest.raises(ValueError, match=message):
        OneHotCodes(CODES)(Data(x=torch.tensor(x)))
