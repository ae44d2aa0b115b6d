"""Says what a camera sees: a line per frame, and one more when the answer has changed for good.

    python camera.py --model out [--source auto|picamera2|opencv|FOLDER] [--frames N]

`out` is a folder that `kgrow export` wrote; its `run.py` is used. A source `auto` is picamera2 if it is installed, else
OpenCV. A folder or a file stands for a camera whose frames are its pictures.
"""

import argparse
import itertools
import signal
import sys
import time
from pathlib import Path

import numpy as np

SIZE = (640, 480)


def picamera2_frames():
    """Yields frames of a Raspberry Pi camera, uint8 (height, width, 3) in RGB."""
    from picamera2 import Picamera2

    camera = Picamera2()
    # Its names are of a pixel's bytes from the last to the first.
    camera.configure(camera.create_video_configuration(main={"format": "BGR888", "size": SIZE}))
    camera.start()
    try:
        while True:
            yield camera.capture_array()
    finally:
        camera.stop()


def opencv_frames(number=0):
    """Yields frames of a USB camera, uint8 (height, width, 3) in RGB."""
    import cv2

    camera = cv2.VideoCapture(number)
    try:
        while True:
            is_read, frame = camera.read()
            if not is_read:
                raise OSError(f"Camera {number} must give frames, but gives none.")
            yield frame[..., ::-1]
    finally:
        camera.release()


def file_frames(path, run):
    """Yields pictures in the place of frames: one file, or all of a folder.

    Args:
        path: The file or the folder.
        run: The module `run` of a bundle.
    """
    files, errors = run.image_files(str(path))
    if errors:
        raise errors[0]
    for file in files:
        yield run.read_image(file)


def frames_of(source, run):
    """Returns an iterator over the frames of a source."""
    if source == "auto":
        try:
            import picamera2  # noqa: F401
        except ImportError:
            source = "opencv"
        else:
            source = "picamera2"
    known = {"picamera2": picamera2_frames, "opencv": opencv_frames}
    return known[source]() if source in known else file_frames(source, run)


class Steady:
    """An answer that does not flicker: probabilities are averaged, and a new class must be sure before it is said.

    Args:
        weight: Part of the last frame in the average, in (0, 1].
        sure: Smallest average probability of a new answer.
    """

    def __init__(self, weight=0.3, sure=0.6):
        self.weight, self.sure = weight, sure
        self.mean = self.index = None

    def update(self, probabilities):
        """Returns the index of the class that is seen, None until one is sure.

        Args:
            probabilities: float (num_classes,) of the last frame.
        """
        before = probabilities if self.mean is None else self.mean
        self.mean = (1 - self.weight) * before + self.weight * probabilities
        best = int(self.mean.argmax())
        if self.mean[best] >= self.sure:
            self.index = best
        return self.index


def watch(classifier, frames, steady, clock=time.perf_counter):
    """Yields a line per frame, and one more for each new steady answer.

    Args:
        classifier: A `Classifier` of the bundle's `run.py`.
        frames: Iterator over frames.
        steady: A `Steady`.
        clock: Returns seconds.
    """
    seen = None
    for frame in frames:
        started = clock()
        # --8<-- [start:frame]
        answer = classifier(classifier.scaled(frame))
        # --8<-- [end:frame]
        milliseconds = 1e3 * (clock() - started)
        yield f"{answer.label} {answer.probability:.2f} exit {answer.exit_index} {milliseconds:.1f} ms"
        index = steady.update(np.asarray(answer.probabilities))
        if index != seen:
            seen = index
            yield f"now: {classifier.labels[index]} {steady.mean[index]:.2f}"


def main():
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Say what a camera sees.")
    parser.add_argument("--model", default="out", metavar="FOLDER", help="what kgrow exported (out)")
    parser.add_argument("--source", default="auto", help="auto, picamera2, opencv, or a folder of pictures (auto)")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--frames", type=int, metavar="N", help="end after so many frames")
    parser.add_argument("--sure", type=float, default=0.6, metavar="P", help="smallest mean probability of an answer")
    options = parser.parse_args()
    if not (Path(options.model) / "run.py").is_file():
        print(f"camera.py: '{options.model}' must be a folder that `kgrow export` wrote.", file=sys.stderr)
        return 2
    sys.path.insert(0, str(Path(options.model).resolve()))
    import run  # of the bundle

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as systemd ends it: the camera is closed
    try:
        classifier = run.Classifier(options.model, options.threads)
        frames = itertools.islice(frames_of(options.source, run), options.frames)
        for line in watch(classifier, frames, Steady(sure=options.sure)):
            print(run.one_line(line), flush=True)
    except KeyboardInterrupt:
        return 0
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        run.complain("camera.py", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
