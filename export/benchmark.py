"""Measures a model that kgrow exported on the device itself. Needs NumPy and an interpreter, nothing else.

    python benchmark.py [--model PATH] [--images X.npy] [--labels Y.npy] [--threads N] [--runs N] [--json]

Without images it takes random pixels, whose early exits say nothing. Times are of one image, after a warm-up; memory is
the largest this process ever held, as far as the system says so.
"""

import argparse
import json
import sys
import time
from pathlib import Path

try:
    import resource
except ImportError:  # on Windows
    resource = None

import numpy as np
from run import Classifier, complain, interpreter_class, print_anything, read_array, run_program

PERCENTILES = (50, 90, 95, 99)
WARMUP = 20
BYTES_PER_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def measure(classifier, images, labels, num_runs):
    """Returns a report as plain values.

    Args:
        classifier: The model.
        images: Raw pixels (num_images, height, width, channels), gone through again and again.
        labels: int (num_images,), or None.
        num_runs: Inferences timed.
    """
    batches = [classifier.prepare(image) for image in images]
    for _ in range(WARMUP):
        classifier.run(batches[0])
    milliseconds, exits, classes = [], [], []
    for run in range(num_runs):
        started = time.perf_counter()
        probabilities, exit_index = classifier.run(batches[run % len(batches)])
        milliseconds.append((time.perf_counter() - started) * 1e3)
        exits.append(exit_index)
        classes.append(int(probabilities.argmax()))
    milliseconds, exits = np.array(milliseconds), np.array(exits)
    report = {"runs": num_runs, "latency_ms": statistics(milliseconds)}
    report["exits"] = [
        {
            "exit_index": int(index),
            "fraction": float(np.mean(exits == index)),
            **statistics(milliseconds[exits == index]),
        }
        for index in np.unique(exits)
    ]
    if len(classifier.runners) > 1:
        report["stages"] = stage_times(classifier, batches[0], max(num_runs // 10, 20))
    if labels is not None:
        report["accuracy"] = float(np.mean(np.array(classes) == np.resize(labels, num_runs)))
    report["peak_rss_bytes"] = peak_rss_bytes()
    return report


def peak_rss_bytes():
    """Returns the most memory that this process ever held, or None where the system does not say."""
    return resource and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_RSS_UNIT


def stage_times(classifier, batch, num_runs):
    """Returns the median milliseconds of each stage alone."""
    known, medians = {"image": batch}, []
    for runner in classifier.runners:
        inputs = {name: known[name] for name in runner.get_input_details()}
        milliseconds = []
        for _ in range(num_runs):
            started = time.perf_counter()
            outputs = runner(**inputs)
            milliseconds.append((time.perf_counter() - started) * 1e3)
        known.update(outputs)
        medians.append(float(np.median(milliseconds)))
    return medians


def statistics(milliseconds):
    """Returns mean and percentiles."""
    values = {f"p{percent}": float(np.percentile(milliseconds, percent)) for percent in PERCENTILES}
    return {"mean": float(np.mean(milliseconds)), **values}


def read_data(options, classifier):
    """Returns images (num_images, height, width, channels) and class indices (num_images,) or None."""
    if options.images:
        images = read_array(options.images)
    else:
        images = classifier.scaled(np.random.default_rng(0).integers(0, 256, (8, *classifier.shape), dtype=np.uint8))
    if images.ndim not in (3, 4):
        raise ValueError(
            "`--images` must hold images (num_images, height, width) or (num_images, height, width, channels), but has "
            f"shape {images.shape}. Save one image as `images[np.newaxis]`."
        )
    if not len(images) or (options.runs is not None and options.runs < 1):
        raise ValueError("there must be at least one image and one run")
    if not options.labels:
        return images, None
    labels = read_array(options.labels)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(f"`--labels` must hold one class index per image, {len(images)}, but are {labels.shape}.")
    last = len(classifier.labels) - 1
    if not 0 <= labels.min() <= labels.max() <= last:
        raise ValueError(f"`--labels` must be in [0, {last}], but reach from {labels.min()} to {labels.max()}.")
    return images, labels


def main():
    """Runs the command line; returns the exit code."""
    print_anything()
    parser = argparse.ArgumentParser(description="Measure a model that kgrow exported.")
    parser.add_argument("--model", default=Path(__file__).parent, metavar="PATH", help="default: this folder")
    parser.add_argument("--images", metavar="X.npy", help="raw pixels (num_images, height, width, channels)")
    parser.add_argument("--labels", metavar="Y.npy", help="class indices, for the accuracy")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--runs", type=int, metavar="N", help="default: every image once, or 200")
    parser.add_argument("--threshold", type=float, metavar="T", help="confidence to answer with early, for stages")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        classifier = Classifier(options.model, options.threads, options.threshold)
        images, labels = read_data(options, classifier)
        runs = options.runs or (len(images) if options.images else 200)
        report = {"threads": classifier.num_threads, "runtime": interpreter_class().__module__.split(".")[0]}
        report.update(measure(classifier, images, labels, runs))
    except (ValueError, ImportError, OSError) as error:
        complain("benchmark.py", error)
        return 2
    print(json.dumps(report, indent=2) if options.json else table(report))
    return 0


def table(report):
    """Returns the report as text."""
    lines = [f"{report['runs']} runs on {report['threads']} thread(s) of {report['runtime']}, milliseconds per image"]
    names = ["mean", *(f"p{percent}" for percent in PERCENTILES)]
    lines.append(f"{'':12}" + "".join(f"{name:>10}" for name in names) + f"{'images':>10}")
    rows = [("all", report["latency_ms"], 1.0)]
    if len(report["exits"]) > 1:
        rows += [(f"exit {e['exit_index']}", e, e["fraction"]) for e in report["exits"]]
    lines += [
        f"{name:12}" + "".join(f"{row[key]:10.3f}" for key in names) + f"{100 * fraction:8.1f} %"
        for name, row, fraction in rows
    ]
    if "stages" in report:
        lines.append("stages alone " + " ".join(f"{value:.3f}" for value in report["stages"]))
    if "accuracy" in report:
        lines.append(f"accuracy {100 * report['accuracy']:.2f} %")
    peak = report["peak_rss_bytes"]
    return "\n".join([*lines, "peak memory -" if peak is None else f"peak memory {peak / 2**20:.1f} MiB"])


if __name__ == "__main__":
    run_program(main)
