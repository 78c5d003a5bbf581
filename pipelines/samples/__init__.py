"""Seeded look-alikes of the example data: invented rows in the shape of the real files, for use without a network.

They are for trying things out. No number in them was measured anywhere; nothing learned from them holds for real data.
"""
