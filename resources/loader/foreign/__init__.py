"""Owns folders that other loaders wrote, as shards for ours: one file a format, and what they share."""
