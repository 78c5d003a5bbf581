"""Owns local copies of what a remote store holds: one bounded folder per host, shared by all its processes.

The way of a read: `cache` looks and waits, `download` fetches and verifies, `leases` keeps what is in use.
"""
