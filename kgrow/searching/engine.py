"""`Ray`: a cluster that trains the candidates of a search, instead of this process."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_name, check_positive
from kgrow._rules import check_fields, instance_of, optional, within

LOCAL, RAY = "local", "ray"
# Environment variables by which KerasTuner's own chief and workers identify each other.
KERAS_TUNER = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


def check_address(value: Any, name: str) -> str:
    """Returns the text of an address.

    Raises:
        ValueError: If it is not an address.
    """
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    is_port = re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535
    if not (is_port and re.fullmatch(r"[A-Za-z0-9_.:\[\]-]+", host)):
        raise ValueError(
            f"`{name}` (`--address`) must be HOST:PORT of the head of a Ray cluster, such as 'box:6379', but got "
            f"{value!r}."
        )
    return value


@dataclasses.dataclass(frozen=True)
class Ray:
    """A Ray cluster that trains several candidates at once.

    Args:
        address: Head of the cluster, `"HOST:PORT"`. By default the cluster of `RAY_ADDRESS`, the one that this machine
            belongs to, or else this machine alone.
        cpus: Number of processors of each trial; the same number of threads trains it.
        gpus: Number of GPUs of each trial; by default one if the cluster has any, else none.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float | None = None

    def __post_init__(self) -> None:
        gpus = optional(within("[0, inf)"))
        check_fields(self, {"address": optional(check_address), "cpus": check_positive, "gpus": gpus})

    def resources(self, available: Mapping[str, float]) -> dict[str, float]:
        """Returns the resources requested from Ray for each trial.

        Args:
            available: Resources of the cluster.
        """
        gpus = self.gpus if self.gpus is not None else float(available.get("GPU", 0) > 0)
        return {"num_cpus": self.cpus, "num_gpus": gpus}

    def trials_at_once(self, available: Mapping[str, float]) -> int:
        """Returns the number of trials that fit on a cluster.

        Args:
            available: Resources of the cluster.

        Raises:
            ValueError: If not even one fits.
        """
        asked = self.resources(available)
        has = {"num_cpus": available.get("CPU", 0.0), "num_gpus": available.get("GPU", 0.0)}
        room = min(int(has[name] / amount + 1e-9) for name, amount in asked.items() if amount)
        if not room:
            raise ValueError(
                f"`tuning.engine` must ask for what the cluster has, {has['num_cpus']:g} processors and "
                f"{has['num_gpus']:g} GPUs, but a trial takes {asked['num_cpus']:g} and {asked['num_gpus']:g}. Start "
                "more nodes, or pass `tuning=kgrow.Tuning(engine=kgrow.Ray(cpus=..., gpus=...))`."
            )
        return room


def check_engine(value: Any, name: str) -> str | Ray:
    """Returns the name of an engine, or a cluster.

    Raises:
        ValueError: If it is neither, or Ray is not installed.
    """
    if isinstance(value, str):
        check_name((LOCAL, RAY), value, name)
    else:
        instance_of(Ray, as_said=f"one of '{LOCAL}', '{RAY}' or a `Ray`")(value, name)
    if value != LOCAL and importlib.util.find_spec("ray") is None:
        raise ValueError(
            f"`{name}` must be '{LOCAL}' as long as Ray is not installed, but got {value!r}. Install it: "
            "pip install 'kgrow[ray]'."
        )
    return value


def check_environment(environment: Mapping[str, str]) -> None:
    """Raises ValueError if variables request KerasTuner's own distributed mode, which is not supported."""
    given = [name for name in KERAS_TUNER if name in environment]
    if given:
        raise ValueError(
            f"`tuning.engine` must be 'ray' for a search on several machines, but the environment sets {given[0]}, "
            "which would start a chief or a worker of KerasTuner. Unset it, and choose --engine ray."
        )
