"""Glue: one Dagster asset factory a stage."""
