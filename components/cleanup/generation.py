"""The cache generation: what belongs to an older one than the previous can never be found again."""

DAY_S = 24 * 60 * 60


def generation(now_s: float, days: int) -> int:
    """The number of the UTC day since 1970, divided by `days` and rounded down.

    Every cached task has it among its inputs, so that KFP's cache finds results of the same generation only.

    Args:
        now_s: seconds since 1970.
        days: length of a generation.
    """
    return int(now_s // DAY_S) // days


def living_from_s(now_s: float, days: int) -> float:
    """When the previous generation began, in seconds since 1970.

    What was written before can never be found again, not even by a run that began in the previous generation.
    """
    return float((generation(now_s, days) - 1) * days * DAY_S)
