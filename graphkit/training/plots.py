"""Pictures of runs: learning curves, and what a trained model predicts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.figures import new_figure, nth_colour, nth_marker, save_figure
from graphkit.metrics import format_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graphkit.training.result import Result


def plot_results(results: list[Result], path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw losses and validation scores of one or several runs against epochs, phase after phase.

    Runs of one model, strategy and task with several seeds become one curve: their mean, with a band of one standard
    deviation, as far as all were trained. Of a single run the losses of layers or blocks are drawn too, where a
    strategy logs them.

    Args:
        results: The runs.
        path: Where to save the picture; the ending names the format (default: nowhere).
    """
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    for number, runs in enumerate(_by_seeds(results)):
        colour, result = nth_colour(number), runs[0]
        name = result.model.split("(")[0] + (f", {len(runs)} seeds" if len(runs) > 1 else "")
        _curve(left, runs, "train_loss", color=colour, label=f"{name}, train")
        for part in _parts_of_the_loss(result) if len(results) == 1 else []:
            _curve(left, runs, f"train_loss_{part}", lw=0.8, label=part.replace("_", " "))
        _curve(left, runs, "val_loss", color=colour, ls="--", label=f"{name}, validation")
        tests = [run.test for run in runs if run.test is not None]
        test = format_score(sum(tests) / len(tests) if tests else None, result.metric)
        _curve(right, runs, f"val_{result.metric}", color=colour, label=f"{name}, validation (test {test})")
        if len(runs) == 1:
            _mark_phases(left, right, result, colour)
    left.set(xlabel="epoch", ylabel="loss", title=results[0].task)
    right.set(xlabel="epoch", ylabel=results[0].metric, title="dotted: best validation; grey: next phase")
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    save_figure(figure, path)
    return figure


def plot_confusion(prediction: Tensor, label: Tensor, names: Sequence[Any]) -> Figure:
    """Draw how often each class was taken for each other one.

    Args:
        prediction: Probabilities of classes ``[n, num_classes]``.
        label: Classes ``[n]``.
        names: What the classes are called.
    """
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    counts = multiclass_confusion_matrix(prediction.argmax(1), label, len(names))
    shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    size = min(8.0, 2.5 + 0.45 * len(names))
    figure = new_figure(size + 0.8, size)
    axes = figure.add_subplot()
    figure.colorbar(axes.imshow(shares, cmap="cividis", vmin=0, vmax=1), label="share of the class")
    texts = [str(name) for name in names]
    axes.set_xticks(range(len(names)), texts, rotation=45, fontsize="small")
    axes.set_yticks(range(len(names)), texts, fontsize="small")
    axes.set(xlabel="predicted", ylabel="label")
    for (row, column), count in np.ndenumerate(counts.numpy()) if len(names) <= 12 else ():
        light = shares[row, column] < 0.5
        axes.text(column, row, f"{count:d}", ha="center", va="center", fontsize=8, color="white" if light else "black")
    return figure


def plot_calibration(prediction: Tensor, label: Tensor, num_bins: int = 10) -> Figure:
    """Draw how often predictions are right against how sure they are, with the expected calibration error.

    Args:
        prediction: Probabilities of classes ``[n, num_classes]``.
        label: Classes ``[n]``.
        num_bins: In how many parts confidences are put (default: 10).
    """
    confidence, chosen = prediction.double().max(1)
    right = (chosen == label).double()
    place = (confidence * num_bins).long().clamp(max=num_bins - 1)
    count, sure, correct = (
        torch.bincount(place, weights, num_bins) for weights in (torch.ones_like(right), confidence, right)
    )
    filled = count > 0
    error = float((sure - correct).abs().sum() / len(label))
    figure = new_figure(5, 4.5)
    axes = figure.add_subplot(title=f"expected calibration error {error:.3f}")
    axes.plot([0, 1], [0, 1], color="0.6", lw=0.8, label="as sure as right")
    x, y, sizes = (part[filled].numpy() for part in (sure / count, correct / count, 20 + 180 * count / count.max()))
    axes.plot(x, y, color=nth_colour(0), lw=1.2)
    axes.scatter(x, y, sizes, nth_colour(0), label="predictions")
    axes.set(xlabel="probability of the predicted class", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left", fontsize="small")
    axes.grid(alpha=0.3)
    return figure


def plot_embeddings(states: Tensor, label: Tensor, names: Sequence[Any], umap: bool = False) -> Figure:
    """Draw states in two dimensions, coloured by class.

    Args:
        states: The states ``[n, channels]``.
        label: Classes ``[n]``.
        names: What the classes are called.
        umap: Whether by UMAP instead of the two principal components (default: ``False``).

    Raises:
        ImportError: If umap-learn is not installed, which UMAP needs.
    """
    places, labels = _by_umap(states) if umap else _principal_components(states)
    figure = new_figure(6, 4.5)
    axes = figure.add_subplot()
    for number, name in enumerate(names):
        own = places[(label == number).numpy()]
        axes.scatter(own[:, 0], own[:, -1], 9, nth_colour(number), marker=nth_marker(number), label=name)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def plot_edges(pairs: Tensor, gains: Tensor, node: int | None, title: str) -> Figure:
    """Draw a small graph, its edges the wider the more a prediction owes to them.

    Args:
        pairs: The joined pairs of nodes ``[2, n]``.
        gains: By how much the probability of the predicted class falls without each ``[n]``.
        node: The node that is predicted; ``None`` if the graph as a whole is.
        title: What stands above.
    """
    import networkx as nx
    from matplotlib.lines import Line2D

    drawn = nx.Graph(pairs.T.tolist())
    drawn.add_nodes_from([] if node is None else [node])
    where = nx.kamada_kawai_layout(drawn)
    figure = new_figure(6, 5)
    axes = figure.add_subplot(title=title)
    axes.axis("off")
    own = [nth_colour(4) if name == node else "0.85" for name in drawn]
    nx.draw_networkx_nodes(drawn, where, ax=axes, node_size=110, node_color=own)
    nx.draw_networkx_labels(drawn, where, ax=axes, font_size=6, font_color="black")
    widths = (0.5 + 5 * gains.abs() / gains.abs().max().clamp(min=0.01)).tolist()
    colours = [nth_colour(0 if gain > 0 else 1) if abs(gain) > 1e-3 else "0.8" for gain in gains.tolist()]
    nx.draw_networkx_edges(drawn, where, pairs.T.tolist(), ax=axes, width=widths, edge_color=colours)
    lines = [Line2D([], [], color=colour, lw=3) for colour in (nth_colour(0), nth_colour(1), "0.8")]
    figure.legend(lines, ["speaks for it", "against it", "hardly matters"], loc="outside lower center", ncols=3)
    return figure


def _principal_components(states: Tensor) -> tuple[np.ndarray, list[str]]:
    centred = states.double() - states.double().mean(0)
    left, lengths, _ = torch.linalg.svd(centred, full_matrices=False)
    shares = lengths.square() / lengths.square().sum().clamp(min=1e-300)
    labels = [f"first component, {shares[0]:.0%}", f"second component, {shares[1:2].sum():.0%}"]
    return (left * lengths)[:, :2].numpy(), labels


def _by_umap(states: Tensor) -> tuple[np.ndarray, list[str]]:
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "kind='umap' needs umap-learn: pip install umap-learn (kind='embeddings' does not)"
        ) from error
    return np.asarray(UMAP(random_state=0).fit_transform(states.float().numpy())), ["UMAP 1", "UMAP 2"]


def _by_seeds(results: list[Result]) -> list[list[Result]]:
    """The runs that differ in nothing but the seed together, all others alone."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        groups.setdefault((result.model, result.strategy, result.task, result.metric), []).append(result)
    together = [len({run.seed for run in runs}) == len(runs) for runs in groups.values()]
    return [part for runs, one in zip(groups.values(), together) for part in ([runs] if one else [[r] for r in runs])]


def _curve(axes: Axes, runs: Sequence[Result], key: str, label: str, **style: Any) -> None:
    """The epochs, counted over all phases, that have a value of all runs, and the values."""
    found = [{step: row[key] for step, row in enumerate(run.history, 1) if row.get(key) is not None} for run in runs]
    steps = sorted(set.intersection(*map(set, found)))
    values = np.array([[one[step] for step in steps] for one in found])
    axes.plot(steps, values.mean(0), label=label, **style)
    if len(runs) > 1:
        mean, std = values.mean(0), values.std(0, ddof=1)
        axes.fill_between(steps, mean - std, mean + std, color=style.get("color"), alpha=0.2, lw=0)


def _mark_phases(left: Axes, right: Axes, result: Result, colour: str) -> None:
    start = 0
    for phase in result.phases:
        right.axvline(start + phase["best_epoch"], color=colour, lw=0.8, ls=":")
        start += phase["epochs"]
        if phase is not result.phases[-1]:
            left.axvline(start + 0.5, color="0.7", lw=0.8)
            right.axvline(start + 0.5, color="0.7", lw=0.8)


def _parts_of_the_loss(result: Result) -> list[str]:
    """The layers or blocks whose training losses were logged one by one."""
    keys = result.history[0] if result.history else {}
    return [key.removeprefix("train_loss_") for key in keys if key.startswith("train_loss_")]
