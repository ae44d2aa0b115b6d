"""`Trying`: what the exported network of a run says of a picture."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from kgrow.run import MODEL

MAX_PICTURE_BYTES, NUM_LABELS = 30_000_000, 5


class Trying:
    """Exported networks that answer pictures; the last one that was asked stays open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # an interpreter runs one picture at a time
        self._key: tuple[Path, int] | None = None
        self._classifier: Any = None

    def answer(self, run: Path, picture: bytes) -> dict[str, Any]:
        """Classifies a picture.

        Args:
            run: Run directory.
            picture: Bytes of an image file.

        Returns:
            `labels`, the most probable ones with their probabilities, the best first; `exit_index`, and `ms`, the
            time from the pixels to the answer.

        Raises:
            ValueError: If it is no image, or the network is damaged; the message says so.
            FileNotFoundError: If the run has no network.
        """
        with tempfile.TemporaryDirectory() as folder, self._lock:
            path = Path(folder) / "picture"
            path.write_bytes(picture)
            classifier = self._opened(run)
            try:
                image = classifier.read(path)
            except ValueError as error:
                raise ValueError(str(error).replace(f"'{path}'", "The picture")) from error
            started = time.perf_counter()
            answer = classifier(image)
            milliseconds = 1000 * (time.perf_counter() - started)
            labels = [{"label": label, "probability": share} for label, share in classifier.top(answer, NUM_LABELS)]
        return {"labels": labels, "exit_index": answer.exit_index, "ms": milliseconds}

    def _opened(self, run: Path) -> Any:
        from kgrow_device.run import Classifier  # its interpreter is slow to import

        key = run, (run / MODEL).stat().st_mtime_ns
        if key != self._key:
            self._classifier, self._key = Classifier(run), key
        return self._classifier
