"""What the BREC paper counts for other methods."""

from __future__ import annotations

# The paper's "regular" holds four of our categories.
COLUMNS: dict[str, tuple[str, ...]] = {
    "basic": ("basic",),
    "regular": ("regular", "strongly regular", "4-vertex condition", "distance regular"),
    "extension": ("extension",),
    "CFI": ("CFI",),
}

SOURCE = "Wang and Zhang (ICML 2024), main table, as later papers quote it; what is not confirmed is recalled"

# Pairs told apart by column.
CONFIRMED: dict[str, tuple[int, int, int, int]] = {
    "3-WL": (60, 50, 100, 60),
    "SPD-WL": (16, 14, 41, 12),
    "NGNN": (59, 48, 59, 0),
    "SUN": (60, 50, 100, 13),
    "KP-GNN": (60, 106, 98, 11),
    "I2-GNN": (60, 100, 100, 21),
    "PPGN": (60, 50, 100, 23),
    "delta-k-LGNN": (60, 50, 100, 6),
    "GSN": (60, 99, 95, 0),
    "Graphormer": (16, 12, 41, 10),
}
NOT_CONFIRMED: dict[str, tuple[int, int, int, int]] = {
    "S3": (52, 48, 5, 0),
    "S4": (60, 99, 84, 0),
    "N1": (60, 99, 93, 0),
    "N2": (60, 138, 100, 0),
    "M1": (60, 50, 100, 41),
    "DE+NGNN": (60, 50, 100, 21),
    "DS-GNN": (58, 48, 100, 16),
    "DSS-GNN": (58, 48, 100, 15),
    "SSWL+": (60, 50, 100, 38),
    "GNN-AK": (60, 50, 97, 15),
    "KC-SetGNN": (60, 50, 100, 1),
    "DropGNN": (52, 41, 82, 2),
    "OSAN": (56, 8, 79, 5),
}
BREC = CONFIRMED | {f"{name} (not confirmed)": counts for name, counts in NOT_CONFIRMED.items()}
