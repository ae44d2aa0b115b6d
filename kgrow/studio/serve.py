"""`serve`: opens the page and serves it until an interrupt."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import webbrowser
from pathlib import Path

from kgrow._checks import check_path
from kgrow.commands import say
from kgrow.run import is_unfinished

HOST = "127.0.0.1"  # this computer alone
# Seconds that an answer may take after an interrupt.
LAST_ANSWERS_S = 3


def serve(out: str, port: int = 0, opens: bool = True) -> None:
    """Serves the page on this computer until an interrupt, which ends a running search too; that can go on later.

    Args:
        out: Directory of the runs.
        port: Port; 0 for a free one.
        opens: Whether a browser is opened; the address is printed in any case.

    Raises:
        ImportError: If the packages of the extra are not installed; the message names it.
        OSError: If the port is in use.
        ValueError: If the port is none.
    """
    runs = Path(check_path(out, "--out"))
    if runs.exists() and not runs.is_dir():
        raise FileExistsError(f"`--out` must be a directory of runs, but '{runs}' is a file.")
    try:
        import uvicorn

        from kgrow.studio.app import Studio
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("uvicorn", "starlette", "anyio"):
            raise
        raise ImportError("`kgrow studio` needs Starlette and uvicorn: pip install 'kgrow[studio]'") from error
    with _listening(port) as listener:
        token, number = secrets.token_urlsafe(24), listener.getsockname()[1]
        studio = Studio(runs)
        server = uvicorn.Server(
            uvicorn.Config(
                studio.guarded(token, number),
                log_level="warning",
                ws="none",
                access_log=False,  # it would hold the token
                server_header=False,
                timeout_graceful_shutdown=LAST_ANSWERS_S,
            )
        )
        # The window of the terminal is closed; under `nohup` that is ignored.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            signal.signal(signal.SIGHUP, server.handle_exit)
        address = f"http://{HOST}:{number}/{token}/"
        say(f"kgrow studio is at\n  {address}\nThe address is a key: keep it to yourself. Ctrl-C ends the studio.")
        if opens and not _opened(address):
            say("No browser could be opened here. Open the address yourself.")
        try:
            with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again at its end
                server.run(sockets=[listener])
        finally:
            studio.searches.close()
    say("The studio has ended.")
    last = studio.searches.state
    if last is not None and is_unfinished(runs / last["run"]):
        say(f"Its search {last['run']!r} can go on: start the studio again, and open that run.")


def _listening(port: int) -> socket.socket:
    """Returns a socket that listens on a port of this computer."""
    if not 0 <= port < 2**16:
        raise ValueError(f"`--port` must be in [0, 65535], but got {port}. Without it a free one is taken.")
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise OSError(
            f"`--port` must be free, but {port} cannot be used: {error.strerror}. Give another `--port`, or none for a "
            "free one."
        ) from error
    return listener


def _opened(address: str) -> bool:
    if sys.platform.startswith("linux") and not os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}:
        return False  # a browser for terminals would take this one
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
