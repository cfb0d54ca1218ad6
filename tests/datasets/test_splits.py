from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphkit.datasets import catalog
from graphkit.datasets.catalog import Card, SplitFamily
from graphkit.datasets.splits import Request, choose, make_split
from graphkit.tasks import Split

LABELS = torch.tensor([0] * 60 + [1] * 90 + [2] * 55)


def _card(*families: SplitFamily) -> Card:
    texts = dict.fromkeys(("title", "description", "source", "licence", "citation"), "")
    return Card(name="toy", kind="node", splits=families, **texts)


def _made(card: Card, split: int | str, labels: torch.Tensor, stored: list, edge_index: object = None) -> Split:
    """A split of one graph with these labels and edges."""
    return make_split(Request(card, *choose(card, split), [Data(y=labels, edge_index=edge_index)], stored))


PER_CLASS = SplitFamily("random", "per_class", "", per_class=(20, 30))
FRACTIONS = SplitFamily("random-60-20-20", "fractions", "", fractions=(0.6, 0.2, 0.2))
FOLDS = SplitFamily("cv-10", "folds", "", count=10)
PAIRS = SplitFamily("pairs", "pair_folds", "", count=10)
COMPONENT = SplitFamily("component", "largest_component", "", count=1)
ALL = _card(PER_CLASS, FRACTIONS, FOLDS, PAIRS, COMPONENT)


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (0, ("random", 0)),
        (7, ("random", 7)),
        (np.int64(3), ("random", 3)),
        ("cv-10", ("cv-10", 0)),
        ("cv-10/9", ("cv-10", 9)),
    ],
)
def test_names_and_numbers(split: object, expected: tuple[str, int]) -> None:
    family, index = choose(ALL, split)
    assert (family.name, index) == expected


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("cv-10/10", r"split 10 of family 'cv-10' does not exist, its indices are 0\.\.9; splits: random/SEED, "),
        (-1, r"split -1 of family 'random' does not exist, its indices are 0, 1, 2, \.\.\."),
        ("cv10", r"unknown split family 'cv10'; did you mean 'cv-10'\?"),
        ("cv-10/x", r"split 'cv-10/x' has no whole number after '/'"),
        (1.0, "split must be a number or 'family/index', got 1.0"),
        (True, "split must be a number or 'family/index', got True"),
        (None, "split must be a number or 'family/index', got None"),
    ],
)
def test_wrong_splits_are_refused(split: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(ALL, split)


def test_per_class_counts_and_seeds() -> None:
    split = _made(ALL, "random/3", LABELS, [])
    assert split.name == "random/3"
    assert torch.bincount(LABELS[split.train]).tolist() == [20, 20, 20]
    assert torch.bincount(LABELS[split.val]).tolist() == [30, 30, 30]
    assert sum(split.sizes) == LABELS.numel()
    assert split.hash == _made(ALL, "random/3", LABELS, []).hash
    assert split.hash != _made(ALL, "random/4", LABELS, []).hash
    with pytest.raises(ValueError, match="class 1 has 40 members, too few for 20 training and 30 validation ids"):
        _made(ALL, "random/0", torch.tensor([0] * 60 + [1] * 40), [])


def test_fractions_leave_unlabelled_nodes_out() -> None:
    labels = LABELS.clone()
    labels[:5] = -1
    split = _made(ALL, "random-60-20-20/0", labels, [])
    assert split.sizes == (120, 40, 40)
    assert min(ids.min() for ids in (split.train, split.val, split.test)) >= 5
    regression = torch.linspace(-1, 1, 10)
    assert _made(ALL, "random-60-20-20/0", regression, []).sizes == (6, 2, 2)


def test_a_drawn_split_does_not_follow_labels_drawn_from_the_same_seed() -> None:
    """``default_rng(0).permutation`` would put all mines of a field of seed 0 into the training part."""
    labels = torch.zeros(1000, dtype=torch.int64)
    labels[np.random.default_rng(0).permutation(1000)[:200]] = 1
    split = _made(ALL, "random-60-20-20/0", labels, [])
    assert 0.1 < labels[split.test].float().mean() < 0.3


@pytest.mark.parametrize("labels", [LABELS, torch.tensor([0, 1, 2] * 67 + [2, 2])])
def test_folds_are_stratified_and_test_each_id_once(labels: torch.Tensor) -> None:
    made = [_made(ALL, f"cv-10/{fold}", labels, []) for fold in range(10)]
    tested = torch.cat([split.test for split in made])
    assert tested.sort().values.tolist() == list(range(labels.numel()))
    for fold, split in enumerate(made):
        assert torch.equal(split.val, made[(fold + 1) % 10].test)
        assert sum(split.sizes) == labels.numel()
        counts = torch.bincount(labels[split.test], minlength=3)
        assert (counts - torch.bincount(labels) / 10).abs().max() <= 1
    assert not torch.equal(made[0].test, torch.arange(made[0].test.numel()))


def test_the_largest_component_keeps_its_part_of_the_stored_split() -> None:
    stored = (torch.tensor([0, 1]), torch.tensor([2, 3, 6]), torch.tensor([4, 5, 7]))
    edge_index = torch.tensor([[1, 2, 4, 0, 7], [2, 4, 7, 3, 4]])  # {1, 2, 4, 7}, {0, 3}, {5}, {6}
    split = _made(ALL, "component", torch.zeros(8, dtype=torch.int64), [stored], edge_index)
    assert [ids.tolist() for ids in (split.train, split.val, split.test)] == [[1], [2], [4, 7]]


def test_equal_classes_have_the_numbers_of_the_card() -> None:
    card = _card(
        SplitFamily("equal", "equal_classes", "", sizes=(60, 50, 90)),
        SplitFamily("inside", "equal_classes_component", "", sizes=(15, 10, 5)),
    )
    split = _made(card, "equal/1", LABELS, [])
    assert split.sizes == (60, 50, 90)
    assert torch.bincount(LABELS[split.train]).tolist() == [20, 20, 20]
    assert split.hash == _made(card, "equal/1", LABELS, []).hash != _made(card, "equal/2", LABELS, []).hash
    edge_index = torch.tensor([range(29), range(1, 30)])  # a path of 30 of the 60 nodes
    labels = torch.arange(60) % 3
    inside = _made(card, "inside/0", labels, [], edge_index)
    assert torch.cat([inside.train, inside.val, inside.test]).sort().values.tolist() == list(range(30))
    assert torch.bincount(labels[inside.train]).tolist() == [5, 5, 5]


def test_pairs_stay_together() -> None:
    labels = torch.tensor([0, 1] * 50)
    for fold in range(10):
        split = _made(ALL, f"pairs/{fold}", labels, [])
        assert split.sizes == (80, 10, 10)
        for ids in (split.train, split.val, split.test):
            assert torch.equal(ids[::2] + 1, ids[1::2])
            assert (ids[::2] % 2 == 0).all()


def test_sizes_are_compared_with_the_card() -> None:
    ids = (torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3]))
    each = SplitFamily("each", "stored", "", count=2, sizes=((2, 1, 1), (1, 1, 2)))
    assert _made(_card(each), 0, LABELS, [ids, ids]).sizes == (2, 1, 1)
    with pytest.raises(ValueError, match=r"split 'each/1' has the sizes \(2, 1, 1\), but the card says \(1, 1, 2\)"):
        _made(_card(each), 1, LABELS, [ids, ids])


def test_overlap_is_refused() -> None:
    ids = (torch.tensor([0, 1]), torch.tensor([1]), torch.tensor([3]))
    with pytest.raises(ValueError, match="train and val overlap in 1 ids"):
        _made(_card(SplitFamily("bad", "stored", "", count=1)), 0, LABELS, [ids])


def test_the_errica_folds_are_those_of_the_file(real: object) -> None:
    import json

    from graphkit.datasets.raw import fetch

    card = catalog.card("enzymes")
    family = card.splits[0]
    path = next(iter(fetch(family.files, "enzymes").values()))
    content = json.loads(path.read_text())
    tested = []
    for index, fold in enumerate(content):
        split = _made(card, index, torch.zeros(600), [])
        assert split.name == f"errica/{index}"
        assert set(split.test.tolist()) == set(fold["test"])
        assert set(split.train.tolist()) == set(fold["model_selection"][0]["train"])
        assert set(split.val.tolist()) == set(fold["model_selection"][0]["validation"])
        tested += split.test.tolist()
    assert sorted(tested) == list(range(600))
