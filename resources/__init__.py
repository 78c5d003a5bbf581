"""Machinery: storage, sources, transforms, training, registry. Plain objects; only `wiring` knows Dagster."""
