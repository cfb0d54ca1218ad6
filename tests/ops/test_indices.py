"""Index arithmetic against loops."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkit.ops.indices import last_of_each, occurrence


@given(st.lists(st.integers(0, 4)))
def test_keys_that_occur_again(keys):
    given_keys = torch.tensor(keys, dtype=torch.long)
    assert occurrence(given_keys).tolist() == [keys[:i].count(key) for i, key in enumerate(keys)]
    last = [i for i, key in enumerate(keys) if key not in keys[i + 1 :]]
    assert last_of_each(given_keys).tolist() == last
