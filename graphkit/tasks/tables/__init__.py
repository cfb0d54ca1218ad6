"""Tables of nodes and edges as tasks."""

from graphkit.tasks.tables.labels import classes_to_share, labels_of, told_split
from graphkit.tasks.tables.sources import from_graph, pandas_needed, read_folder
from graphkit.tasks.tables.tables import Made, Tables, names_of_pairs

__all__ = [
    "Made",
    "Tables",
    "classes_to_share",
    "from_graph",
    "labels_of",
    "names_of_pairs",
    "pandas_needed",
    "read_folder",
    "told_split",
]
