"""Composition: what runs, when, and on what."""
