"""Skew: whether serving computes the features that training computed, told cell by cell."""

from quality.skew.compare import skew
from quality.skew.report import SkewReport
from quality.skew.rule import SkewRule

__all__ = ["SkewReport", "SkewRule", "skew"]
