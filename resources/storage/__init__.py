"""Owns every byte that outlives a run: stores, content-addressed objects, datasets, provenance, memos and refs."""
