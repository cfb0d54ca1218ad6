"""Scores of pairs of nodes on top of any model for nodes."""

from graphkit.models.links.hlgnn import HLGNN
from graphkit.models.links.link_predictor import LinkPredictor
from graphkit.models.links.ncn import NCN, NCNC
from graphkit.models.links.pair_scorer import PairScorer

__all__ = ["HLGNN", "NCN", "NCNC", "LinkPredictor", "PairScorer"]
