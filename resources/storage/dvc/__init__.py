"""Owns the edge to DVC: its metadata for any version, and the repositories of its users. Nothing here runs in a run."""
