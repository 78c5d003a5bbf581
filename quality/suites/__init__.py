"""Great Expectations suites, compiled: one lazy Polars query for a suite, with the results of the pandas engine.

`declared` checks a suite without running it, `run.run_suite` runs it, `docs` shows the result in Great Expectations'
own Data Docs. Importing Great Expectations costs 8 CPU s: only `docs` and `fallback` do.
"""
