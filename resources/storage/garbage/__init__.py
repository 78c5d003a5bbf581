"""What nothing needs any more: what is alive, how the rest is deleted beside running writers, pins and leases."""
