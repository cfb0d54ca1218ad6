"""What models of events remember: state in buffers, which ``reset_state`` empties."""

from graphkit.nn.temporal.event_mixer import EventMixer
from graphkit.nn.temporal.memory import TGNMemory
from graphkit.nn.temporal.message_log import MessageLog
from graphkit.nn.temporal.message_store import MessageStore
from graphkit.nn.temporal.neighbor_attention import NeighborAttention
from graphkit.nn.temporal.neighbor_caches import NeighborCaches
from graphkit.nn.temporal.neighbors import RecentNeighbors
from graphkit.nn.temporal.pres import PRES
from graphkit.nn.temporal.state import GrowingState
from graphkit.nn.temporal.time_encoding import TimeEncoding

__all__ = [
    "PRES",
    "EventMixer",
    "GrowingState",
    "MessageLog",
    "MessageStore",
    "NeighborAttention",
    "NeighborCaches",
    "RecentNeighbors",
    "TGNMemory",
    "TimeEncoding",
]
