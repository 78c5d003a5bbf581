"""Owns how long versions stay where; change the numbers here. The life cycle and `penstock data gc` both go by them."""

from resources.storage.lifecycle.policy import Policy

RETENTION = Policy()
