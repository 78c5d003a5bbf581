"""Loads samples: Arrow files to batches, in an order that is a pure function of the dataset, a seed and a position."""

from resources.loader.loader import Loader
from resources.loader.state import State
from resources.loader.stats import LoaderStats

__all__ = ["Loader", "LoaderStats", "State"]
