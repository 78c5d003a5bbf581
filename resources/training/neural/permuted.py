"""Owns the importance of a network's features: how much worse it gets where one is mixed up."""

from itertools import islice
from typing import TYPE_CHECKING

from resources.training.neural.learning import Learner
from resources.training.protocol import Samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS = 4096
"""Rows that it is measured on."""


def permutation_importance(learner: Learner, data: Samples, seed: int) -> list[float]:
    """Return how much the mean loss rises where the values of a feature are permuted among rows, for each feature.

    A feature without which the network is no worse has 0 (Breiman, Random Forests, 2001; Fisher, Rudin and Dominici,
    All Models are Wrong, but Many are Useful, 2019). Measured on some rows of the training.

    Args:
        learner: The network that has learned.
        data: What it learned from; the first `ROWS` of an epoch are taken.
        seed: Of the permutations.
    """
    import numpy as np

    features, label = first_rows(data, ROWS)
    draw, before = np.random.default_rng(seed), learner.losses(features, label)
    rises: list[float] = []
    for place in range(features.shape[1]):
        mixed = features.copy()
        mixed[:, place] = draw.permutation(mixed[:, place])
        rises.append(max(0.0, (learner.losses(mixed, label) - before) / len(label)))
    return rises


def first_rows(data: Samples, count: int) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Return features and labels of the first rows of an epoch, up to `count` of one batch."""
    [(_, features, label)] = islice(data.shuffled_from(0), 1)
    return features[:count], label[:count]
