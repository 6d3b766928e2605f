"""Stand-in until the real module is here; overwrite it."""


def segment_counts(w, c):
    return w, c
