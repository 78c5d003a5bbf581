"""What goes wrong in production, made to go wrong in tests, at a point that a seed chooses.

`proxy` breaks the network, `disk` the local files and the processor's luck, `clock` the time.
"""
