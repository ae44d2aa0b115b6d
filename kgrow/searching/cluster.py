"""`Chief` and `Worker`: what a process does in a search on several machines. Knows nothing of TensorFlow."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from kgrow._checks import check_text
from kgrow._rules import check_fields
from kgrow._units import check_seconds

LOOPBACK = "127.0.0.1"
# A worker at work lets the chief know at this interval.
BEAT_S = 2.0
# KerasTuner's names: a scheduler that starts its searches can start these.
ORACLE_IP, ORACLE_PORT, TUNER_ID = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID"


@dataclasses.dataclass(frozen=True)
class Address:
    """Where the chief listens.

    Args:
        host: Name or number of its machine.
        port: In 1..65535.
    """

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """Returns the address that `HOST:PORT` or `PORT` names; without a host it is this machine alone.

        Raises:
            ValueError: If the text is neither.

        Example:
            >>> str(Address.parse("8123"))
            '127.0.0.1:8123'
        """
        host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
            raise ValueError(
                f"`address` (`--chief`) must be HOST:PORT or PORT, such as '{LOOPBACK}:8123', but got {text!r}."
            )
        return Address(host or LOOPBACK, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def check_address(value: Any, name: str) -> str:
    """Returns the text of an address.

    Raises:
        ValueError: If it is none.
    """
    Address.parse(value)
    return check_text(value, name)


@dataclasses.dataclass(frozen=True)
class Chief:
    """This process serves the trials of a search, and exports the best of them when all have ended.

    Args:
        address: Where workers reach it, `"HOST:PORT"` or `"PORT"`; without a host only those of this machine do.
        lease_s: Seconds, or a text such as `"2m"`, after which a worker that is not heard of is given up: another one
            takes up its trial.
    """

    address: str
    lease_s: float = 60.0

    def __post_init__(self) -> None:
        check_fields(self, {"address": check_address, "lease_s": check_seconds})
        if self.lease_s < 2 * BEAT_S:
            raise ValueError(
                f"`lease_s` must be at least {2 * BEAT_S:g}, but got {self.lease_s!r}. A worker lets the chief know "
                f"that it lives every {BEAT_S:g} seconds."
            )


@dataclasses.dataclass(frozen=True)
class Worker:
    """This process trains trials that a chief serves.

    Args:
        address: Of the chief, `"HOST:PORT"` or `"PORT"`.
        wait_s: Seconds, or a text such as `"2m"`, that the chief may be out of reach, at the beginning and later.
        name: Of this worker, unlike that of any other; made of machine and process by default. One that is started
            again under its old name goes on with its trial at once.
    """

    address: str
    wait_s: float = 60.0
    name: str = dataclasses.field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")

    def __post_init__(self) -> None:
        check_fields(self, {"address": check_address, "wait_s": check_seconds, "name": check_text})
        # It names a folder, and goes with every call.
        object.__setattr__(self, "name", re.sub(r"[^A-Za-z0-9_.-]", "_", self.name).lstrip(".") or "worker")


def from_environment(environment: Mapping[str, str]) -> Chief | Worker | None:
    """Returns the part that KerasTuner's environment variables give to this process, if they are set.

    Raises:
        ValueError: If some of them are missing.
    """
    if ORACLE_IP not in environment:
        return None
    missing = [name for name in (ORACLE_PORT, TUNER_ID) if name not in environment]
    if missing:
        raise ValueError(
            f"`{ORACLE_IP}` is set, so `{'` and `'.join(missing)}` must be too: the port that the chief listens on, "
            "and a name with 'chief' in it for the chief and any other for a worker."
        )
    address = f"{environment[ORACLE_IP]}:{environment[ORACLE_PORT]}"
    name = environment[TUNER_ID]
    return Chief(address) if "chief" in name else Worker(address, name=name)
