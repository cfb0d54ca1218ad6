"""States that spread on the graph in time, or by personalised PageRank."""

from graphkit.models.diffusion.air import AIR
from graphkit.models.diffusion.appnp import APPNP
from graphkit.models.diffusion.cde import CDE, DistributedOrderCDE
from graphkit.models.diffusion.dagnn import DAGNN
from graphkit.models.diffusion.grand import GRAND
from graphkit.models.diffusion.lazy_gnn import LazyGNN

__all__ = ["AIR", "APPNP", "CDE", "DAGNN", "GRAND", "DistributedOrderCDE", "LazyGNN"]
