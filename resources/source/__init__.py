"""Raw files: where they lie, what they hold, and how their rows become an immutable snapshot."""

from resources.source.spec import EventTime, Source

__all__ = ["EventTime", "Source"]
