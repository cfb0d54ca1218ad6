"""Texts of nodes as features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Seed
from graphkit.core.reads import Reads
from graphkit.transforms.features.base import NodeFeatures

SENTENCES = "sentence-transformers:"


class TextEmbedding(NodeFeatures):
    r"""Adds embeddings of the texts of nodes.

    What may be in a text is in its embedding: explanations of a language model that has read the labels of test nodes
    tell them. Nothing is ever downloaded.

    - ``"tfidf"``: TF-IDF vectors, reduced to ``dim`` by a truncated singular value decomposition (latent semantic
      analysis), both fitted to the texts of the graph
    - ``"hashing"``: counts of words in ``dim`` buckets with signs, scaled to unit length; a text's vector depends on
      the text alone
    - ``"sentence-transformers:<name>"``: the vectors of that model, if the package is installed and the model on disk;
      ``dim`` is the model's

    Args:
        column: The attribute that holds a text per node, a list of strings (default: ``"text"``).
        encoder: How texts become vectors (default: ``"tfidf"``).
        dim: The number of channels (default: 128).
        seed: The seed of the decomposition (default: 0).
        cat: Whether the columns are appended to ``x``; otherwise they replace it (default: ``True``).

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + dim]``; columns that few texts do not fill hold zeros.

    Raises:
        ValueError: If there is no such encoder, or not one text per node.
        ImportError: If sentence-transformers is not installed.

    Example:
        >>> data = Data(text=["a graph", "a tree"], edge_index=torch.tensor([[0], [1]]), num_nodes=2)
        >>> TextEmbedding(encoder="hashing", dim=8)(data).x.shape
        torch.Size([2, 8])
    """

    checks = Checks(skip="it reads texts, which the checks' graphs do not have")
    reads = Reads(x=False, edge_index=False)

    def __init__(
        self, column: str = "text", encoder: str = "tfidf", dim: Count = 128, seed: Seed = 0, cat: bool = True
    ) -> None:
        if encoder not in ("tfidf", "hashing") and not encoder.startswith(SENTENCES):
            raise ValueError(f"TextEmbedding: encoder={encoder!r}, must be 'tfidf', 'hashing' or '{SENTENCES}<name>'")
        self.column, self.encoder, self.dim, self.seed, self.cat = column, encoder, dim, seed, cat
        self.own_space = encoder == "tfidf"

    def columns(self, data: Data) -> Tensor:
        """The embedding of each text."""
        texts = data.get(self.column)
        if not isinstance(texts, Sequence) or isinstance(texts, str) or not all(isinstance(t, str) for t in texts):
            raise ValueError(
                f"TextEmbedding: the graph's {self.column!r} is {type(texts).__name__}, must be a list of strings, one "
                "per node; an empty one where there is none"
            )
        if len(texts) != data.num_nodes:
            raise ValueError(f"TextEmbedding: {len(texts)} texts in {self.column!r} for {data.num_nodes} nodes")
        return torch.from_numpy(np.asarray(self._vectors(list(texts)), dtype=np.float64))

    def _vectors(self, texts: list[str]) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer

        if not texts:
            return np.zeros((0, self.dim))
        if self.encoder == "hashing":
            return HashingVectorizer(n_features=self.dim).transform(texts).toarray()
        if self.encoder.startswith(SENTENCES):
            return self._sentences(texts)
        if not any(text.split() for text in texts):
            return np.zeros((len(texts), self.dim))
        return _main_components(TfidfVectorizer(sublinear_tf=True).fit_transform(texts), self.dim, self.seed)

    def _sentences(self, texts: list[str]) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            needed = "pip install sentence-transformers"
            raise ImportError(f"TextEmbedding: encoder={self.encoder!r} needs: {needed}") from error
        return SentenceTransformer(self.encoder.removeprefix(SENTENCES), local_files_only=True).encode(texts)


def _main_components(table: Any, dim: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import TruncatedSVD

    out = np.zeros((table.shape[0], dim))
    width = min(dim, table.shape[1] - 1, table.shape[0])
    if width > 0:
        out[:, :width] = TruncatedSVD(width, random_state=seed).fit_transform(table)
    return out
