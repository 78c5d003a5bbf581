"""Owns the names of the stages of a pipeline, in the order they run."""

STAGES = ("raw", "features", "model", "evaluation", "deployment")
