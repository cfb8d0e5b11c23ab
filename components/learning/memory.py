"""How much memory a process has, and what may be kept in it."""

import logging
import os
from typing import Literal

from components.learning import control_group

log = logging.getLogger(__name__)
Cache = Literal["memory", "disk", "none"]
GIB = 2**30


class Limits:
    """What a process may keep."""

    def __init__(self, share: float) -> None:
        """Takes the share of the memory that examples may take."""
        self._share = share
        self._available_bytes = available_bytes()
        self._logged: set[Cache] = set()

    def place_for(self, size_bytes: int, wanted: Cache | Literal["auto"]) -> Cache:
        """Where examples are kept from epoch to epoch; logs each choice once.

        Args:
            size_bytes: of the examples.
            wanted: as configured; auto: in memory where they fit into the share, else nowhere.
        """
        fits = size_bytes <= self._share * self._available_bytes
        chosen: Cache = ("memory" if fits else "none") if wanted == "auto" else wanted
        if chosen not in self._logged:
            self._logged.add(chosen)
            self._log(chosen, size_bytes, fits, "auto" if wanted == "auto" else "as configured")
        return chosen

    def _log(self, chosen: Cache, size_bytes: int, fits: bool, why: str) -> None:
        log.log(
            logging.WARNING if chosen == "memory" and not fits else logging.INFO,
            "cache %s (%s): the examples take %.3g GiB, and a share of %g of %.3g GiB of memory is %s",
            chosen,
            why,
            size_bytes / GIB,
            self._share,
            self._available_bytes / GIB,
            "enough" if fits else "not enough",
        )


def available_bytes() -> int:
    """The machine's memory, or what the process's control group may use of it, as in a container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Version 2 says "max" where there is no limit.
    found = control_group.limits("memory", "memory.max", "memory.limit_in_bytes")
    return min([machine, *(int(limit) for limit in found if limit.isdecimal())])
