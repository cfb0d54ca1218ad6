"""FastRP from a given projection: the powers, their sum or concatenation."""

from __future__ import annotations

import torch

from graphkit.algorithms import fastrp
from tests.golden.files import GoldenFile

METHODS = ("FastRP",)
ORACLE = "authors' code"

TOLERANCE = 1e-10


def check(file: GoldenFile) -> None:
    weights = file["power_weights"].tolist()
    powers = [file[key] for key in file if key.startswith("power") and key[5:].isdigit()]
    assert not weights or len(weights) == len(powers), f"{file.path}: power_weights"
    assert bool(file.scalar("final_standardise_columns")) == bool(weights), f"{file.path}: final_standardise_columns"
    given = {
        "edge_index": torch.stack([file.tensor("edge_row"), file.tensor("edge_col")]).long(),
        "edge_weight": file.tensor("edge_weight"),
        "num_nodes": int(file.scalar("num_nodes")),
        "normalization": "trans" if file.scalar("normalise_by_degree") else "adj",
        "beta": float(file.scalar("degree_power")),
        "projection": file.tensor("projection"),
    }
    for i, part in enumerate(fastrp(**given, weights=len(powers), normalize=False).chunk(len(powers), 1), start=1):
        file.assert_close(f"power{i}", part, TOLERANCE)
    out = fastrp(**given, weights=weights or len(powers), normalize=bool(file.scalar("l2_normalise_rows")))
    file.assert_close("out", out, TOLERANCE)
