"""Every common check fails on a class that breaks what it checks, and says so."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import LCMAggregation, MaxAggregation, MeanAggregation
from torch_geometric.transforms import BaseTransform

from graphkit.core.reads import Reads
from graphkit.models import GCN
from graphkit.nn import GCNConv
from graphkit.ops import sparsity_pattern, spmm
from graphkit.testing import (
    CHECKS,
    assert_permutation_equivariant,
    check_aggregation,
    check_layer,
    random_graph,
)
from graphkit.testing.checked_module import CheckedModule
from graphkit.transforms import Precompute
from graphkit.transforms.rewiring import RandomEdges


class _Layer(GCNConv):
    """A correct layer, except for what a subclass changes in ``change``."""

    def __init__(self):
        super().__init__(5, 4)

    def forward(self, x, edge_index, edge_weight=None):
        return self.change(super().forward(x, edge_index, edge_weight))

    def change(self, out):
        return out


class _KnowsNodeNumbers(_Layer):
    def change(self, out):
        return out.cumsum(0)


class _NormalisesOverTheBatch(_Layer):
    def change(self, out):
        return out - out.mean(0)


class _NaNWithoutEdges(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        return super().forward(x, edge_index, edge_weight) * (edge_index.size(1) / edge_index.size(1))


class _SinglePrecision(_Layer):
    def change(self, out):
        return out.float()


class _WrongGradient(_Layer):
    def change(self, out):
        return out.detach() + 0.5 * (out - out.detach())


class _UnusedParameter(_Layer):
    def __init__(self):
        super().__init__()
        self.spare = nn.Parameter(torch.zeros(1))


class _StaleCache(_Layer):
    kept = None

    def change(self, out):
        if self.kept is None:
            self.kept = out.detach()
        return out + 0 * out if self.kept.shape != out.shape else out - out.detach() + self.kept


class _CachesInferenceTensors(_Layer):
    ids = None

    def forward(self, x, edge_index, edge_weight=None):
        if self.ids is None:
            self.ids = torch.arange(edge_index.size(1))
        return super().forward(x, edge_index, None if edge_weight is None else edge_weight[self.ids])


class _FixedRandomness(_Layer):
    def change(self, out):
        return out + torch.rand(out.shape, generator=torch.Generator().manual_seed(torch.seed() % 2**31))


class _ForgetsTheBias(_Layer):
    def reset_parameters(self):
        self.lin.reset_parameters()
        if self.bias.abs().max() > 1e30:
            nn.init.zeros_(self.bias)


class _SeedIgnored(_Layer):
    def reset_parameters(self):
        nn.init.ones_(self.lin.weight)
        nn.init.zeros_(self.bias)


class _PrintsAnAddress(_Layer):
    def __repr__(self):
        return object.__repr__(self)


class _ChangesItsInput(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        x += 1
        return super().forward(x, edge_index, edge_weight)


class _AlwaysDrops(_Layer):
    def change(self, out):
        return nn.functional.dropout(out, 0.5)


class _NeverDrops(_Layer):
    dropout = 0.5


class _Backwards(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        return super().forward(x, edge_index.flip(0), edge_weight)


class _IgnoresWeights(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        return super().forward(x, edge_index)


class _TakesOnlyThePattern(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        return super().forward(x, sparsity_pattern(edge_index, x.size(0)), edge_weight)


class _DetachesValues(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        return super().forward(x, edge_index.detach(), edge_weight)


class _WeighsNothing(_Layer):
    def forward(self, x, edge_index):
        return super().forward(x, sparsity_pattern(edge_index, x.size(0)))


class _NodesFirst(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        if x.dim() == 2:
            return super().forward(x, edge_index, edge_weight)
        return super().forward(x.movedim(0, -2), edge_index, edge_weight)[:, :4]


class _UnclearAboutShapes(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        if x.dim() != 2:
            raise ValueError("no")
        return super().forward(x, edge_index, edge_weight)


class _TakesAnyWidth(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        return super().forward(torch.nn.functional.pad(x, (0, 5 - x.size(1))), edge_index, edge_weight)


class _IgnoresHooks(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        return spmm(edge_index, self.lin(x), edge_weight)


class _OnesAreSpecial(_Layer):
    def forward(self, x, edge_index, edge_weight=None):
        out = super().forward(x, edge_index, edge_weight)
        return out if edge_weight is None else 2 * out


BROKEN_LAYERS = [
    (_KnowsNodeNumbers, "permutation", "not permutation equivariant: largest componentwise error"),
    (_NormalisesOverTheBatch, "batch_independence", "depends on the rest of the batch"),
    (_NormalisesOverTheBatch, "isolated_nodes", "not left alone"),
    (_NaNWithoutEdges, "empty_edge_set", "division by zero"),
    (_SinglePrecision, "float64", "float64 in, torch.float32 out"),
    (_WrongGradient, "gradcheck", "wrong gradient"),
    (_UnusedParameter, "parameters_get_gradients", "spare gets no gradient"),
    (_CachesInferenceTensors, "training_after_inference", "Inference tensors cannot be saved for backward"),
    (_StaleCache, "state_dict", "another output"),
    (_FixedRandomness, "determinism", "different numbers"),
    (_ForgetsTheBias, "reset_parameters", "does not reset bias"),
    (_SeedIgnored, "seed_matters", "do not depend on the seed"),
    (_PrintsAnAddress, "repr", "shows a memory address"),
    (_ChangesItsInput, "input_unchanged", "changed its input"),
    (_AlwaysDrops, "evaluation_mode", "outputs vary"),
    (_NeverDrops, "evaluation_mode", "drops nothing"),
    (_Backwards, "edge_direction", "does not see its source"),
    (_IgnoresWeights, "reads", "edge_weight is said to be read, but another one changes nothing"),
    (_IgnoresWeights, "sparse_adjacency", "another output than edge_index gives"),
    (_TakesOnlyThePattern, "sparse_adjacency", "another output than edge_index gives"),
    (_DetachesValues, "sparse_adjacency", "another gradient of the values than of edge_weight"),
    (_WeighsNothing, "sparse_adjacency", "values that are not read are taken silently"),
    (_NodesFirst, "static_graph", "another output than its features one after the other"),
    (_UnclearAboutShapes, "static_graph", "refused without a clear word"),
    (_TakesAnyWidth, "bad_data", "accepted without a word, with another result: x: a column too few"),
    (_IgnoresHooks, "message_hooks", "a hook by register_propagate_forward_pre_hook is never called"),
    (_OnesAreSpecial, "unit_weights", "unit edge weights"),
]


@pytest.mark.parametrize(("cls", "check", "message"), BROKEN_LAYERS)
def test_broken_layer_is_caught(cls, check, message):
    with pytest.raises((AssertionError, ZeroDivisionError), match=message):
        CHECKS["layer"][check](CheckedModule(cls, "layer"))


def test_check_layer_names_the_check():
    with pytest.raises(AssertionError, match=r"-permutation: not permutation equivariant"):
        check_layer(lambda: _KnowsNodeNumbers())


class _OtherForward(GCN):
    def forward(self, batch):
        return 2 * super().forward(batch)


class _StepUsesAnotherLayer(GCN):
    def step(self, i, history, batch):
        out = super().step(i, history, batch)
        return out + self.layers[0].lin.weight.sum()


class _ReadsWeights(GCN):
    def propagate(self, layer, h, batch):
        return nn.functional.linear(h, layer.lin.weight)


class _DeniesWeights(GCN):
    reads = Reads()


class _ForgetsItsArgument(GCN):
    def config(self):
        return super().config() | {"num_layers": 3}


class _HidesEdgesFromMasks(GCN):
    def propagate(self, layer, h, batch):
        return spmm(batch.edge_index, layer.lin(h), batch.get("edge_weight"))


@pytest.mark.parametrize(
    ("cls", "check", "message"),
    [
        (_HidesEdgesFromMasks, "masked_model", "the model reads edges, but their masks have no effect"),
        (_OtherForward, "layered_contract", "not the composition"),
        (_StepUsesAnotherLayer, "separate_layers", "step 1 uses the weights of layer 0"),
        (_ReadsWeights, "hooks_are_called", "weights of 'layers.0' count, but a hook on it is not called"),
        (_DeniesWeights, "reads", "edge_weight is said not to be read, but another one changes the output"),
        (_ForgetsItsArgument, "config", "config round trip"),
    ],
)
def test_broken_model_is_caught(cls, check, message):
    with pytest.raises(AssertionError, match=message):
        CHECKS["model"][check](CheckedModule(lambda: cls(5, 6, num_layers=2, out_channels=4), "model"))


def test_a_model_that_needs_a_precomputed_structure_gets_it():
    class _Needy(GCN):
        def required_transform(self):
            return RandomEdges(3)

        def forward(self, batch):
            assert batch.num_edges >= 6 or batch.num_nodes == 1
            return super().forward(batch)

    CHECKS["model"]["empty_edge_set"](CheckedModule(lambda: _Needy(5, 6, out_channels=4), "model"))


def test_aggregations():
    check_aggregation(MeanAggregation)
    check_aggregation(MaxAggregation)


def test_padding_that_leaks_into_other_groups_is_caught():
    checked = CheckedModule(lambda: LCMAggregation(5, 4), "aggregation")
    with pytest.raises(AssertionError, match="depends on the rest of the batch"):
        CHECKS["aggregation"]["batch_independence"](checked)


class _InPlace(BaseTransform):
    def __call__(self, data):
        return self.forward(data)

    def forward(self, data):
        data.x = data.x + 1
        return data


class _GlobalRandomness(BaseTransform):
    def forward(self, data):
        data.x = data.x + torch.rand(1).to(data.x.dtype)
        return data


class _DanglingEdge(BaseTransform):
    def forward(self, data):
        data.edge_index = torch.tensor([[0], [99]])
        return data


class _WeightsOfOldEdges(BaseTransform):
    def forward(self, data):
        data.edge_index = data.edge_index[:, :-1]
        return data


class _SinglePrecisionFeatures(BaseTransform):
    def forward(self, data):
        data.x = data.x.float()
        return data


class _GuessesFromTheFirstEdge(BaseTransform):
    def forward(self, data):
        data.first = torch.as_tensor(data.edge_index).reshape(-1)[:2]
        return data


class _ChangesItsSeed(Precompute):
    def __init__(self, seed: int = 1):
        self.seed = 2 * seed

    def forward(self, data):
        return data


class _NumbersNodes(BaseTransform):
    def forward(self, data):
        data.x = data.x + torch.arange(data.num_nodes)[:, None]
        return data


@pytest.mark.parametrize(
    ("cls", "check", "error", "message"),
    [
        (_InPlace, "input_unchanged", AssertionError, "changed its input"),
        (_GlobalRandomness, "determinism", AssertionError, "two runs differ"),
        (_GuessesFromTheFirstEdge, "bad_data", AssertionError, "another result: x: an array"),
        (_DanglingEdge, "valid_output", IndexError, "names target node 99"),
        (_WeightsOfOldEdges, "valid_output", AssertionError, "edge_attr for"),
        (_SinglePrecisionFeatures, "dtype", AssertionError, "became torch.float32"),
        (_ChangesItsSeed, "config", AssertionError, r"config\(\) changes"),
        (_NumbersNodes, "permutation", AssertionError, "features of"),
    ],
)
def test_broken_transform_is_caught(cls, check, error, message):
    with pytest.raises(error, match=message):
        CHECKS["transform"][check](cls)


def test_public_assertions_report_the_largest_error():
    graph = random_graph(3, 4)
    with pytest.raises(AssertionError, match=r"largest componentwise error 8 at \[1, 0\]"):
        assert_permutation_equivariant(lambda data: torch.tensor([[0.0], [1.0], [9.0]]), graph, seed=2)
    with pytest.raises(AssertionError, match=r"torch\.float64 of shape \[3, 5\], expected"):
        assert_permutation_equivariant(lambda data: data.x if data.x is not graph.x else data.x[:, :2], graph)


def test_relabelling_moves_every_kind_of_attribute():
    graph = Data(x=torch.tensor([[0.0], [1.0], [2.0]]), edge_index=torch.tensor([[0, 1], [1, 2]]))
    graph.edge_weight = torch.tensor([5.0, 6.0])
    from graphkit.testing import relabelled

    out = relabelled(graph, torch.tensor([2, 0, 1]), torch.tensor([1, 0]))
    assert out.x.view(-1).tolist() == [2, 0, 1]
    assert out.edge_index.tolist() == [[2, 1], [0, 2]]
    assert out.edge_weight.tolist() == [6, 5]
