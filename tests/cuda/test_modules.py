"""Every layer, aggregation and model on a GPU: outputs and gradients as on the CPU, and no new wait of the host."""

import json
from pathlib import Path

import pytest

from graphkit.testing.device import check_cuda
from graphkit.testing.device.compare import instances, waits_per_step

INSTANCES = {name: (make, kind) for name, make, kind in instances()}
COUNTED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "gpu" / "waits.json").read_text())
USUAL = {"known": 0, "new": 2}  # of what is not in the file


@pytest.mark.parametrize("name", INSTANCES)
def test_as_on_the_cpu(name, device):
    check_cuda(*INSTANCES[name], device)


@pytest.mark.parametrize("name", INSTANCES)
def test_no_step_waits_more_often_than_it_did(name, gpu):
    allowed = COUNTED["rows"].get(name, USUAL)
    for graph, counts in waits_per_step(*INSTANCES[name], gpu).items():
        assert counts.num_waits <= allowed[graph], f"on a {graph} graph the host waits more often:\n{counts}"
