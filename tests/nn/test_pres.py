"""PRES: straight lines are predicted, coherence has a gradient, ties and unseen nodes stay, others are untouched."""

from __future__ import annotations

import pytest
import torch

from graphkit.nn.temporal import PRES, TGNMemory
from tests.temporal.streams import stream


def test_a_memory_that_moves_on_a_line_is_predicted():
    pres, slope = PRES(3, 2).double(), torch.tensor([[1.0, -2.0]]).double()
    ids, last = torch.tensor([1]), torch.zeros(1).double()
    for time in (2.0, 3.0, 7.0):
        elapsed = time - last
        pres.observe(ids, last * slope, time * slope, elapsed)
        last += elapsed
    assert torch.allclose(pres.predict(ids, last * slope, torch.tensor([5])), 12 * slope)
    assert pres.count.tolist() == [0, 3, 0]
    assert not pres.sum_rate[[0, 2]].any()
    assert torch.allclose(pres.sum_rate_sq[1] / 3, slope[0].square())


def test_unseen_nodes_and_ties_are_predicted_to_stay():
    pres, ids, previous = PRES(2, 3), torch.tensor([0, 1]), torch.randn(2, 3)
    pres.observe(ids, previous, torch.randn(2, 3), torch.tensor([0, 4]))
    assert pres.count.tolist() == [0, 1]
    predicted = pres.predict(ids, previous, torch.tensor([9, 0]))
    assert torch.equal(predicted, previous)


def test_the_weight_says_how_much_measurements_count_and_can_be_learnt():
    ids, previous, measured, elapsed = torch.tensor([0]), torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([1])
    assert torch.equal(PRES(1, 2, weight=1, learn_weight=False)(ids, previous, measured, elapsed), measured)
    pres = PRES(1, 2, weight=0.25)
    out = pres(ids, previous, measured, elapsed)
    assert torch.allclose(out, 0.25 * measured)
    out.sum().backward()
    assert pres.logit.grad == pytest.approx(2 * 0.25 * 0.75)
    with pytest.raises(ValueError, match=r"PRES: weight=1, must be inside \(0, 1\) to be learnt"):
        PRES(1, 2, weight=1)


def test_coherence_has_a_gradient_to_the_measurement():
    pres = PRES(3, 4, weight=0.5, learn_weight=False, beta=0.3)
    previous, measured = torch.randn(3, 4), torch.randn(3, 4, requires_grad=True)
    previous[2] = 0
    out = pres(torch.arange(3), previous, measured, torch.ones(3))
    cosine = (previous * out).sum(1) / (previous.norm(dim=1) * out.norm(dim=1)).clamp(min=1e-8)
    expected = 0.3 * (1 - cosine[:2]).sum() / 3
    loss = pres.auxiliary_loss()
    assert torch.allclose(loss, expected)
    (grad,) = torch.autograd.grad(loss, measured, retain_graph=True)
    assert torch.allclose(grad, torch.autograd.grad(expected, measured)[0])
    assert grad[:2].any()
    assert not grad[2].any()
    assert pres.auxiliary_loss() == 0, "each correction counts once"
    pres.eval()(torch.arange(3), previous, measured, torch.ones(3))
    assert pres.auxiliary_loss() == 0


def test_state_is_emptied_and_saved():
    pres, ids = PRES(2, 1), torch.tensor([1])
    pres.observe(ids, torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([2]))
    other = PRES(2, 1)
    other.load_state_dict(pres.state_dict())
    assert other.mean_rate(ids) == 0.5
    pres.reset_state()
    assert pres.mean_rate(ids) == 0
    assert not pres.count.any()


def memories(**pres):
    torch.manual_seed(0)
    return TGNMemory(12, 0, 3, 4, correction=PRES(12, 3, **pres) if pres else None)


def batches(size):
    data = stream()
    for ids in torch.arange(data.num_edges).split(size):
        yield *data.edge_index[:, ids], data.edge_time[ids] + 1, torch.empty(ids.numel(), 0)


def test_measurements_alone_are_the_plain_memory():
    plain, pres = memories(), memories(weight=1, learn_weight=False)
    for batch in batches(20):
        assert torch.equal(*(memory(torch.arange(12))[0] for memory in (plain, pres)))
        plain.update_state(*batch)
        pres.update_state(*batch)


@pytest.mark.parametrize("training", [True, False])
def test_memories_are_corrected_and_each_update_is_one_rate(training):
    memory = memories(weight=0.6, learn_weight=False).train(training)
    states, times = torch.zeros(12, 3), torch.zeros(12)
    count, total = torch.zeros(12), torch.zeros(12, 3)
    for src, dst, t, msg in batches(20):
        before = memory.memory.clone()
        memory.update_state(src, dst, t, msg)
        changed = (memory.last_update > times).nonzero().view(-1)
        elapsed = (memory.last_update - times)[changed].unsqueeze(1)
        assert torch.equal(states, before)
        rate = (memory.memory - before)[changed] / elapsed
        count[changed] += 1
        total[changed] += rate
        states, times = memory.memory.clone(), memory.last_update.float()
    assert count.sum() > 40
    assert torch.equal(memory.correction.count, count)
    assert torch.allclose(memory.correction.sum_rate, total, atol=1e-6)


def test_coherence_trains_the_cell():
    memory = memories(weight=0.6, beta=0.5)
    given = list(batches(20))
    for batch in given[:3]:
        memory.update_state(*batch)
    memory(torch.arange(12))
    loss = memory.correction.auxiliary_loss()
    assert loss > 0
    loss.backward()
    assert memory.cell.weight_ih.grad.any()
    assert memory.correction.logit.grad
