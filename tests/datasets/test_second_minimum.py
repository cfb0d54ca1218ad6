from __future__ import annotations

import torch

import graphkit as gk

SMALL = {"num_train": 400, "num_val": 50, "num_test": 60, "num_extrapolation": 30}


def as_number(bits: torch.Tensor) -> list[int]:
    return [int("".join(str(int(bit)) for bit in row), 2) for row in bits]


def test_the_label_is_the_second_smallest_with_multiplicity() -> None:
    task = gk.load("second-minimum", num_bits=3, **SMALL)
    repeated = 0
    for graph in task.graphs:
        numbers = sorted(as_number(graph.x))
        assert as_number(graph.y) == [numbers[1]]
        assert graph.num_edges == 0
        repeated += numbers[0] == numbers[1]
    assert repeated > 50


def test_sizes_and_parts() -> None:
    task = gk.load("second-minimum", **SMALL)
    sizes = torch.tensor([graph.num_nodes for graph in task.graphs])
    assert sorted(set(sizes[:510].tolist())) == list(range(2, 17))
    assert set(sizes[510:].tolist()) == {32}
    far = gk.load("second-minimum", "extrapolation", **SMALL)
    assert (task.split.name, far.split.name) == ("in-distribution", "extrapolation")
    assert task.split.sizes == (400, 50, 60)
    assert torch.equal(far.split.train, task.split.train)
    assert torch.equal(far.split.val, task.split.val)
    assert torch.equal(far.split.test, torch.arange(510, 540))


def test_the_score_counts_whole_answers() -> None:
    task = gk.load("second-minimum", **SMALL)
    metric = task.new_metric()
    labels = task.labels[:4]
    out = 2 * labels - 1
    out[0, 7] *= -1  # one wrong bit makes one wrong answer
    metric.update(out, labels)
    assert metric.compute() == 0.75
    missing = labels.clone()
    missing[0, 7] = float("nan")
    metric.reset()
    metric.update(out, missing)
    assert metric.compute() == 1.0
