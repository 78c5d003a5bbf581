"""How a dataset loads on this machine, and what to change: what `penstock data advise` tells."""
