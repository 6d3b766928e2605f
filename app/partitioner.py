"""Stand-in until the real module is here; overwrite it."""

import numpy as np, zlib


def split_by_partition(words, counts, P):
    ids = np.array([zlib.crc32(w.encode()) % P for w in words.to_pylist()])
    return [
        (words.take(np.flatnonzero(ids == q)), counts.take(np.flatnonzero(ids == q)))
        for q in range(P)
    ]
