"""A user's stream of events, checked and in the order of time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, TemporalData
from torch_geometric.utils.num_nodes import maybe_num_nodes

from graphkit.tasks.checks import as_labels
from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.times import as_times


def as_data(events: Any, place: str) -> Any:
    """The events as a graph; anything but PyG's streams is left to its checks."""
    if not isinstance(events, TemporalData):
        return events
    for key in ("src", "dst", "t"):
        if key not in events:
            raise ValueError(f"{place}: the TemporalData has no {key}")
    further = [key for key in events.keys() if key not in ("src", "dst", "t", "msg", "y")]  # noqa: SIM118
    if further:
        warnings.warn(f"{place}: {', '.join(further)} of the TemporalData is not read", stacklevel=4)
    data = Data(edge_index=torch.stack([events.src, events.dst]), edge_time=events.t)
    for key, name in (("msg", "edge_attr"), ("y", "edge_label")):
        if key in events:
            data[name] = events[key]
    data.num_nodes = maybe_num_nodes(data.edge_index)
    return data


def times_of(time: Any, count: int, place: str) -> Tensor:
    """The times as int64 or float64."""
    if not count:
        raise ValueError(f"{place} has no events; give some")
    if time is None:
        raise ValueError(f"{place}: events have no times; set data.edge_time [num_events]")
    times = as_times(time, place)
    if times.shape != (count,):
        raise ValueError(
            f"{place}: edge_time has the shape {list(times.shape)} for {count} events; give each one number"
        )
    if not np.isfinite(times).all():
        raise ValueError(f"{place}: the time of event {int(np.argmin(np.isfinite(times)))} is missing or infinite")
    return torch.from_numpy(times.astype(np.float64 if times.dtype.kind == "f" else np.int64))


def warn_of_oddities(data: Data, place: str) -> None:
    """Say what is more likely a slip than a stream."""
    first, time = int(data.edge_index.min()), data.edge_time
    if first > 0:
        warnings.warn(
            f"{place}: the first {first} nodes have no events; if ids begin at {first}, subtract it", stacklevel=4
        )
    gap, span = time.diff().max(), time[-1] - time[0]
    if 2 * gap > span:
        start = time[time.diff().argmax()]
        warnings.warn(
            f"{place}: nothing happens between {start.item()} and {(start + gap).item()}, most of the time from "
            f"{time[0].item()} to {time[-1].item()}; are all times of one unit?",
            stacklevel=4,
        )


def in_time(data: Data, time: Tensor, split: Split, place: str) -> tuple[Data, Split]:
    """Events in the order of time and the parts of the split among them, which must follow each other."""
    order = torch.arange(time.numel())
    if bool((time.diff() < 0).any()):
        warnings.warn(f"{place}: its events are not in the order of time; they are sorted by it", stacklevel=4)
        time, order = time.sort(stable=True)
    number = order.argsort()
    parts = {stage: number[getattr(split, stage)].sort().values for stage in STAGES}
    for first, second in (("train", "val"), ("val", "test")):
        if parts[first][-1] >= parts[second][0]:
            raise ValueError(
                f"{place}: event {int(order[parts[first][-1]])} of the {first} part of split {split.name!r} is later "
                f"than event {int(order[parts[second][0]])} of its {second} part; use Split.by_time"
            )
    plain = Data(edge_index=data.edge_index[:, order], edge_time=time, num_nodes=data.num_nodes)
    if data.edge_attr is not None:
        if data.edge_attr.dim() > 2:
            shape = list(data.edge_attr.shape)
            raise ValueError(f"{place}: messages have the shape {shape}, must be [num_events, channels]; flatten them")
        plain.edge_attr = data.edge_attr[order].view(order.numel(), -1).to(torch.get_default_dtype())
    if data.get("edge_label") is not None:
        plain.edge_label = as_labels(data.edge_label, place, "edge_label")
        if plain.edge_label.shape[:1] != order.shape:
            shape = list(plain.edge_label.shape)
            raise ValueError(f"{place}: edge_label has the shape {shape} for {order.numel()} events; give each a label")
        plain.edge_label = plain.edge_label[order]
    if data.x is not None:
        plain.x = data.x
    return plain, Split(split.name, **parts, num_examples=split.num_examples)
