"""Owns `penstock data`: one file a command, over what lies in the store."""
