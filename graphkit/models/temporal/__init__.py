"""Models of events, which answer from what they have seen before."""

from graphkit.models.temporal.base import EventModel
from graphkit.models.temporal.edge_bank import EdgeBank
from graphkit.models.temporal.graph_mixer import GraphMixer
from graphkit.models.temporal.nat import NAT
from graphkit.models.temporal.static_embedding import StaticEmbedding
from graphkit.models.temporal.tgn import JODIE, TGN, DyRep

__all__ = ["JODIE", "NAT", "TGN", "DyRep", "EdgeBank", "EventModel", "GraphMixer", "StaticEmbedding"]
