"""Sends image files to a board that runs the sketch `classify`, and prints its answers.

    pip install pyserial
    python send.py --model out /dev/ttyACM0 photo.ppm photos/

The folder `out` is the bundle that the model came from: its `run.py` reads the images.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

BAUD, SECONDS = 115200, 30


def as_bytes(image, shape, run):
    """Returns an image as the board reads it: of its size, gray or RGB.

    Args:
        image: uint8 (height, width[, channels]).
        shape: Height, width and channels that the board reads.
        run: The module `run` of a bundle.
    """
    image = image[..., np.newaxis] if image.ndim == 2 else image
    image = image if image.shape[:2] == shape[:2] else run.resized(image, shape[:2])
    image = run.with_channels(image.astype(np.float32), shape[2])
    return np.clip(np.rint(image), 0, 255).astype(np.uint8).tobytes()


class Board:
    """A board at the other end of a port.

    Args:
        port: Object with `write` and `readline`, such as `serial.Serial`.
    """

    def __init__(self, port):
        self.port = port
        self.port.write(b"?")
        greeting = self._line()
        if not greeting.startswith("ready "):
            raise ValueError(f"The board must be ready, but says {greeting!r}.")
        width, height, channels = map(int, greeting.removeprefix("ready ").split("x"))
        self.shape = (height, width, channels)

    def classify(self, content):
        """Returns the board's line for the bytes of an image."""
        self.port.write(b"!" + content)
        return self._line()

    def _line(self):
        line = self.port.readline().decode(errors="replace").strip()
        if not line:
            raise ValueError(f"The board must answer within {SECONDS} seconds, but says nothing.")
        return line


def main():
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Send images to a board and print its answers.")
    parser.add_argument("port", help="such as /dev/ttyACM0 or COM3")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a file, or a folder of images")
    parser.add_argument("--model", default="out", metavar="FOLDER", help="the bundle of the model (out)")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(options.model).resolve()))
    import run  # of the bundle
    import serial  # pyserial

    with serial.Serial(options.port, BAUD, timeout=SECONDS) as port:
        board = Board(port)
        for name in options.images:
            for path in run.image_files(name)[0]:
                print(f"{path}: {board.classify(as_bytes(run.read_image(path), board.shape, run))}")


if __name__ == "__main__":
    main()
