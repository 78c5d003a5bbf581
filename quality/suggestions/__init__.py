"""Rules that healthy partitions suggest: a contract and a Great Expectations suite, each rule with its evidence."""

from quality.suggestions.limits import MIN_PARTITIONS
from quality.suggestions.suggest import Suggested, suggest
from quality.suggestions.text import as_yaml
from quality.suggestions.values import Rule

__all__ = ["MIN_PARTITIONS", "Rule", "Suggested", "as_yaml", "suggest"]
