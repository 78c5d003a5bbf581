"""What goes wrong in production, made to go wrong in tests, at points that seeds choose.

`proxy` breaks the network, `disk` the local files, `clock` the time; `proxy` and `disk` may also kill. `plans` draws
what happens at a point, `operations` says what the storage does meanwhile and what must be true afterwards, `matrix`
runs it all.
"""
