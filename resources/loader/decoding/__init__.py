"""Columns of encoded values, images first of all, decoded ahead."""
