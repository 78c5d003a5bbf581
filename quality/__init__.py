"""Judgement: pure functions over Arrow and Polars. Knows nothing of Dagster, stores or files."""
