"""Tables of nodes and edges as tasks."""

from graphkit.tasks.tables.labels import labels_of, split_of
from graphkit.tasks.tables.tables import Tables, from_graph, pandas_needed, read_folder

__all__ = ["Tables", "from_graph", "labels_of", "pandas_needed", "read_folder", "split_of"]
