"""Owns one run of a loader over a dataset in the bucket, in a process of its own: some epochs, the first of them cold.

`_codec_run.py DIGEST FOLDER EPOCHS` prints what each epoch took as JSON.
"""

import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from _loading_run import Stage, _private_bytes  # noqa: E402
from _loading_s3 import MANY_BYTES, _store  # noqa: E402
from _usage import timed  # noqa: E402

BATCH = 4096


def main() -> None:
    """Load the epochs, each batch copied once to a staging buffer; what is written behind the reader counts apart."""
    import obstore.store

    import resources.loader.passing
    import resources.loader.stored
    from resources.loader import Loader
    from resources.storage.cache.intake import behind

    del obstore, resources
    digest, folder, epochs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    store, stage, told = _store(folder, MANY_BYTES), Stage(), []
    base = _private_bytes()
    loader = Loader(digest, BATCH, store=store)
    for _ in range(epochs):
        before, first_s, began = store.cache.stats().fetched_bytes, 0.0, time.perf_counter()

        def epoch() -> None:
            nonlocal first_s
            for batch in loader.numpy():
                stage.copy(batch)
                first_s = first_s or time.perf_counter() - began  # noqa: B023

        took = timed(epoch)
        behind().flush()
        told.append(
            took
            | {
                "first_s": first_s,
                "fetched_bytes": store.cache.stats().fetched_bytes - before,
                "private_mb": (_private_bytes() - base) / 1e6,
            }
        )
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
