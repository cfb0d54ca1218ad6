"""Trees of sets: planned where the host waits for the sizes of the sets alone."""

import torch

from graphkit.nn.aggr import LCMAggregation

INDEX = torch.tensor([4, 0, 0, 2, 0, 4, 0, 2, 0, 5])


def test_a_new_partition_is_waited_for_once_or_twice(gpu):
    aggregation = LCMAggregation(3, 4, order="given").double()
    x = torch.randn(10, 3, dtype=torch.float64)
    expected = aggregation(x, INDEX, dim_size=7)
    aggregation, x, index = aggregation.to(gpu.device), x.to(gpu.device), INDEX.to(gpu.device)
    with gpu.counting() as new:
        out = aggregation(x, index, dim_size=7)
    torch.testing.assert_close(out.cpu(), expected)
    with gpu.counting() as known:
        aggregation(x, index, dim_size=7)
    assert (new.num_waits, known.num_waits) == (2, 0), f"{new}\n{known}"
