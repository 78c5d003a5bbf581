"""Owns the choice of shards that stay in a cache which has no room for all of a dataset.

Each epoch reads every shard once, in an order of its own. Whatever is kept, as many bytes as the cache lacks are
fetched again: least if the cache never lets go of what it has for something that comes no sooner. (Belady, A study of
replacement algorithms for a virtual-storage computer, 1966: what is needed farthest in the future goes. Of shards in a
new random order that is as likely the one as the other, so the same may stay for good.) A choice by the shards alone is
the same in every process, with nothing to be told between them.
"""

from collections.abc import Sequence

from resources.storage.content import StoredFile


def kept(files: Sequence[StoredFile], budget_bytes: int) -> frozenset[str]:
    """Return the digests of the files to keep: as many as fit, the small ones first, then what fits into the rest.

    The bytes that are not kept are fewer than those beyond the budget and one file together.

    >>> files = [StoredFile(digest=digit * 64, md5="0" * 32, size_bytes=int(digit)) for digit in "1342"]
    >>> sorted(digest[0] for digest in kept(files, 6))
    ['1', '2', '3']
    """
    small_first = sorted(
        {file.digest: file for file in files}.values(), key=lambda file: (file.size_bytes, file.digest)
    )
    chosen: list[StoredFile] = []
    left_bytes = budget_bytes
    for file in small_first:
        if file.size_bytes > left_bytes:
            break
        chosen.append(file)
        left_bytes -= file.size_bytes
    rest = small_first[len(chosen) :]
    # A larger one in the place of one that was chosen uses more of the budget.
    for number, file in enumerate(chosen):
        fitting = [other for other in rest if other.size_bytes <= file.size_bytes + left_bytes]
        if fitting and fitting[-1].size_bytes > file.size_bytes:
            left_bytes -= fitting[-1].size_bytes - file.size_bytes
            chosen[number] = fitting[-1]
            rest.remove(fitting[-1])
    return frozenset(file.digest for file in chosen)
