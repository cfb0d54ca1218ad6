"""Numbers of a table with columns of mixed kinds."""

from __future__ import annotations

from typing import Any

TEXT_WORDS = 3.0  # a column whose cells have more words on average holds texts, not categories
TEXT_CHANNELS = 64
MOST_CATEGORIES = 64


def encoder(frame: Any) -> Any:
    """A transformer of scikit-learn for the columns of a pandas frame.

    Numbers stay as they are, missing ones too; truth values are 0 and 1; each of the most frequent categories has a
    column, and so have the main components of the TF-IDF vectors of texts.

    Args:
        frame: The table.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    texts = [name for name in frame.columns if _holds_texts(frame[name])]
    numbers = [name for name in frame.columns if frame[name].dtype.kind in "iufb"]
    categories = [name for name in frame.columns if name not in texts and name not in numbers]
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False)
    parts = [("passthrough", numbers), (one_hot, categories)]
    for name in texts:
        vectors = TfidfVectorizer(max_features=20_000)
        width = min(TEXT_CHANNELS, len(set(frame[name].dropna())))
        filled = FunctionTransformer(_without_gaps)
        parts.append((make_pipeline(filled, vectors, TruncatedSVD(max(width - 1, 1), random_state=0)), name))
    return make_column_transformer(*parts)


def _holds_texts(column: Any) -> bool:
    known = column.dropna()
    if column.dtype.kind not in "OTU" or not len(known) or not known.map(lambda cell: isinstance(cell, str)).all():
        return False
    return float(known.str.split().str.len().mean()) > TEXT_WORDS


def _without_gaps(column: Any) -> Any:
    return column.fillna("")
