"""What the container of one step may use."""

from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import NotFound

from components.errors import UserError

GIB = 2**30
MIN_GIB = 0.1
MIN_CPUS = 0.1
BUILT_IN_NETWORKS = ("none", "host")
MAX_PROCESSES = 4096
"""Threads counted: a step that breeds them ends before the machine does."""


@dataclass(frozen=True)
class Limits:
    """What the container of one step may use.

    Attributes:
        network: `none`, `host`, or a network of the engine.
        memory_gib: None: all that there is.
        cpus: cores; None: all that there are.
    """

    network: str = "none"
    memory_gib: float | None = None
    cpus: float | None = None

    def check(self, client: docker.DockerClient) -> None:
        """Refuses what the engine could not grant.

        Raises:
            UserError: names the option.
        """
        cores = client.info()["NCPU"]
        if self.cpus is not None and not MIN_CPUS <= self.cpus <= cores:
            raise UserError(f"--cpus is {self.cpus:g}; it must be from {MIN_CPUS} to the engine's {cores} cores")
        if self.memory_gib is not None and not self.memory_gib >= MIN_GIB:
            raise UserError(f"--memory is {self.memory_gib:g}; it must be at least {MIN_GIB} GiB")
        if self.network not in BUILT_IN_NETWORKS:
            try:
                client.networks.get(self.network)
            except NotFound:
                raise UserError(f"--network is {self.network}, which the engine has not; use none or host") from None

    def arguments(self) -> dict[str, Any]:
        """The arguments of `docker run`, as the package docker names them."""
        chosen: dict[str, Any] = {"network_mode": self.network, "pids_limit": MAX_PROCESSES}
        if self.memory_gib is not None:
            # Memory and swap together may be no more than memory: no swap.
            chosen["mem_limit"] = chosen["memswap_limit"] = int(self.memory_gib * GIB)
        if self.cpus is not None:
            chosen["nano_cpus"] = int(self.cpus * 1e9)
        return chosen
