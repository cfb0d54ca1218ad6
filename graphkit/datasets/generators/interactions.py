"""Users and items of planted communities."""

from __future__ import annotations

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.core.constraints import Count, NonNegative, Seed, UnitInterval, checked
from graphkit.datasets.generators.base import Generated


@checked
def interactions(
    *,
    num_users: Count = 600,
    num_items: Count = 400,
    communities: Count = 8,
    per_user: Count = 20,
    outside: UnitInterval = 0.05,
    popularity: NonNegative = 0.5,
    seed: Seed = 0,
) -> Generated:
    """Users who choose items of their own community above all, and popular ones above others.

    Every user and every item belongs to a community, in turn. A user chooses a number of distinct items that varies as
    a log-normal distribution around its mean, at least 5 and at most half of all; the odds of an item fall as a power
    of its place among those of its community, times ``outside`` if it is that of others. Times are uniform.

    Args:
        num_users: The number of users (default: 600).
        num_items: The number of items (default: 400).
        communities: The number of communities (default: 8).
        per_user: The mean number of interactions of a user (default: 20).
        outside: The odds of an item of another community, as a share of those of one's own; 1 leaves nothing to find
            but popularity (default: 0.05).
        popularity: The exponent by which the odds of items fall; 0 makes all alike (default: 0.5).
        seed: The seed (default: 0).
    """
    if num_items < 10:
        raise ValueError(f"interactions: num_items={num_items}, must be at least 10, as users choose 5 or more")
    rng = np.random.default_rng(seed)
    of_user, of_item = (np.arange(count) % communities for count in (num_users, num_items))
    odds = (1.0 + np.arange(num_items) // communities) ** -popularity
    counts = np.clip(np.rint(per_user * rng.lognormal(-0.32, 0.8, num_users)), 5, num_items // 2).astype(np.int64)
    chosen = []
    for users in np.array_split(np.arange(num_users), -(-num_users // 512)):
        weight = odds * np.where(of_user[users, None] == of_item, 1.0, outside)
        with np.errstate(divide="ignore"):  # of odds that are 0
            keys = np.log(weight) + rng.gumbel(size=weight.shape)  # the largest are a draw without replacement
        order = np.argsort(-keys, axis=1)
        row, rank = np.nonzero(np.arange(num_items) < counts[users, None])
        chosen.append(np.stack([users[row], order[row, rank]]))
    pairs = torch.from_numpy(np.concatenate(chosen, axis=1))
    pairs[1] += num_users
    node_type = (torch.arange(num_users + num_items) >= num_users).long()
    time = torch.from_numpy(rng.random(pairs.size(1)))
    return Generated([Data(edge_index=pairs, node_type=node_type, edge_time=time)])
