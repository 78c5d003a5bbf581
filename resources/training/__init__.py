"""Fits models, keeps them as signed bundles, scores with them, and makes them again."""
