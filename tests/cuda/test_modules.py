"""Every layer, aggregation and model on a GPU: outputs and gradients as on the CPU, nothing left on the CPU."""

import pytest

from graphkit.testing import discover
from graphkit.testing.device import check_cuda
from graphkit.testing.instances import factories

INSTANCES = {
    name: (make, kind)
    for kind in ("layer", "aggregation", "model")
    for cls in discover()[kind].values()
    if cls.__module__.startswith("graphkit.")
    for name, make in factories(cls).items()
}


@pytest.mark.parametrize("name", INSTANCES)
def test_as_on_the_cpu(name, device):
    check_cuda(*INSTANCES[name], device)
