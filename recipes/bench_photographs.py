"""Measures what networks that start with a published one's weights are worth on photographs.

    python recipes/bench_photographs.py --photographs FOLDER [--only NAME] [--quick] [--json]

FOLDER has `train` and `test` with a folder per class; the goals are those of the flowers of `tf_flowers`. The weights
are those of `kgrow[lite0]`. Accuracies are those of the int8 file on the test images, which choose nothing; each search
has one core.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from _bench import Figure, figure, main, one_core, search

REDUCTIONS = "a minute per search, images of 32x32, and without a folder images of colors"
SIDE, QUICK_SIDE, QUICK_S = 96, 32, 40
PRETRAINED = ("--start", "lite0", "--augmentation", "photo")
FEW, SEEDS = 60, 3


def flash_256k(folder: Path, quick: bool) -> Iterator[Figure]:
    """A file of 256 KB that needs 256 KB of RAM, in ten minutes."""
    yield from _within("flash_256k", folder, (*PRETRAINED, *_limits("256KB", "256KB")), 600, ">= 0.84", quick)


def ram_128k(folder: Path, quick: bool) -> Iterator[Figure]:
    """The same with 128 KB of RAM."""
    yield from _within("ram_128k", folder, (*PRETRAINED, *_limits("256KB", "128KB")), 600, "", quick)


def scratch(folder: Path, quick: bool) -> Iterator[Figure]:
    """The same from scratch."""
    yield from _within("scratch", folder, _limits("256KB", "256KB"), 600, "", quick)


def flash_512k(folder: Path, quick: bool) -> Iterator[Figure]:
    """A file of 512 KB in half an hour."""
    limits = ("--limit", "flash=512KB")
    yield from _within("flash_512k", folder, (*PRETRAINED, *limits), 1800, ">= 0.88", quick)


def flash_4m(folder: Path, quick: bool) -> Iterator[Figure]:
    """A file of 4 MB in an hour."""
    limits = ("--limit", "flash=4MB")
    yield from _within("flash_4m", folder, (*PRETRAINED, *limits), 3600, ">= 0.92", quick)


def few(folder: Path, quick: bool) -> Iterator[Figure]:
    """What the weights gain with 60 images a class and 300 KB, paired over three seeds."""
    gains = []
    for seed in range(1 if quick else SEEDS):
        with tempfile.TemporaryDirectory() as place:
            part = _few(folder, Path(place), seed)
            arguments = ("--limit", "flash=300KB", "--seed", str(seed))
            found = [next(_within("few", part, (*arguments, *more), 300, "", quick)).value for more in (PRETRAINED, ())]
        gains.append(found[0] - found[1])
        yield figure(f"few_pretrained_{seed}", found[0], "", "", "kgrow search FOLDER --start lite0")
        yield figure(f"few_scratch_{seed}", found[1], "", "", "kgrow search FOLDER")
    yield figure("few_gain", float(np.mean(gains)), "of the test images, mean", ">= 0.08", "")


def _limits(flash: str, ram: str) -> tuple[str, ...]:
    return ("--limit", f"flash={flash}", "--limit", f"ram={ram}")


def _within(name: str, folder: Path, arguments: Sequence[str], max_s: int, goal: str, quick: bool) -> Iterator[Figure]:
    size = ["--image-size", str(QUICK_SIDE if quick else SIDE)]
    allowed_s = QUICK_S if quick else max_s
    with one_core():
        result, seconds, command = search([str(folder), *size, *arguments, "--max-time", f"{allowed_s}s"])
    artefact = result["best"]["artefacts"][0]
    yield figure(f"{name}_accuracy", artefact["test_accuracy"], "", goal, command)
    yield figure(f"{name}_bytes", artefact["bytes"], "bytes", "", command)
    yield figure(f"{name}_ram", artefact["ram_bytes"], "bytes", "", command)
    yield figure(f"{name}_seconds", seconds, "s", f"<= {1.05 * allowed_s + 10:.0f}", command)


def _few(folder: Path, place: Path, seed: int) -> Path:
    """Links some training images of each class, and all test images, into a folder."""
    generator = np.random.default_rng(seed)
    for part in sorted((folder / "train").iterdir()):
        images = sorted(part.iterdir())
        target = place / "train" / part.name
        target.mkdir(parents=True)
        for row in generator.permutation(len(images))[:FEW]:
            (target / images[row].name).symlink_to(images[row].absolute())
    (place / "test").symlink_to((folder / "test").absolute())
    return place


def _colors(place: Path) -> Path:
    """Makes a folder of images in three colors."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for part, number in (("train", 40), ("test", 10)):
        for color, name in enumerate(("red", "green", "blue")):
            (place / part / name).mkdir(parents=True)
            for index in range(number):
                pixels = generator.integers(0, 150, (40, 40, 3), np.uint8)
                pixels[..., color] += 100
                Image.fromarray(pixels).save(place / part / name / f"{index}.png")
    return place


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--photographs", type=Path)
    known, others = parser.parse_known_args()
    sys.argv[1:] = others
    with tempfile.TemporaryDirectory() as made:
        given = known.photographs
        if given is None and "--quick" in others:
            given = _colors(Path(made))
        elif given is None and not {"-h", "--help"} & set(others):
            sys.exit("bench_photographs.py: give --photographs FOLDER, or --quick")
        usual = {each.__name__: functools.partial(each, given) for each in (flash_256k, ram_128k, scratch)}
        lengthy = {each.__name__: functools.partial(each, given) for each in (flash_512k, flash_4m, few)}
        sys.exit(main(__doc__.partition("\n")[0], usual, REDUCTIONS, lengthy))
