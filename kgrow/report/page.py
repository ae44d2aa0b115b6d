"""The report of a search: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import json
import string
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgrow._files import read_file
from kgrow.report import content
from kgrow.report.drawings import confusion_svg, network_svg
from kgrow.report.use import use_of
from kgrow.reporting.answer import answer_of, kilobytes, limits_of
from kgrow.reporting.wording import grouped, one_line, percent, with_interval
from kgrow.run import SETTINGS
from kgrow.uncertainty import interval

if TYPE_CHECKING:
    from kgrow.network import GrowingNetwork
    from kgrow.task import Task

ASSETS = resources.files("kgrow.report") / "assets"
MISSING = '<p class="quiet">{}</p>'


def report_of(
    document: Mapping[str, Any],
    directory: Path,
    events: Sequence[Mapping[str, Any]],
    network: GrowingNetwork,
    task: Task,
) -> str:
    """Returns the report of a finished search as an HTML page.

    Args:
        document: Content of its `result.json`.
        directory: Its run directory.
        events: Log of its best trial.
        network: Its best network.
        task: Its data.
    """
    logits = network.logits(task.test.images)
    kernels, exits = content.kernels_of(network), content.exits_of(network, logits, task)
    mistakes, training = content.mistakes_of(logits[-1], task), content.training_of(events)
    file = directory / SETTINGS
    made = content.provenance_of(document, read_file(file).decode(errors="replace") if file.is_file() else "")
    data = {"candidates": content.candidates_of(document), "training": training, "exits": exits and exits["points"]}
    data |= {"costs": exits and exits["costs"]}
    sections = [
        ("Candidates", _candidates(document)),
        ("Training", _training(training)),
        ("Network", network_svg(kernels)),
        ("Early exits", _exits(exits)),
        ("Mistakes", _mistakes(mistakes)),
        ("File", _files(document)),
        ("Use", use_of(directory)),
        ("How it was made", _made(made)),
    ]
    title = f"{one_line(document['task']['name'])}: {answer_of(document)}"
    return _page(title, _answer(document), sections, data)


def unfinished_report_of(name: str, events: Mapping[str, Sequence[Mapping[str, Any]]], why: str) -> str:
    """Returns the report of a search that has no result yet: what its trials have logged.

    Args:
        name: Name of the run.
        events: Log of each trial by its name.
        why: Sentence about what is missing.
    """
    trials = {trial: content.training_of(log) for trial, log in events.items()}
    begun = {trial: found for trial, found in trials.items() if found}
    rows = [
        [trial, str(len(found["epochs"])), percent(next(v for v in found["heads"][-1][::-1] if v is not None))]
        for trial, found in begun.items()
    ]
    table = _table(["trial", "epochs", "validation %, last head"], rows, "Trials so far")
    last = list(begun.values())[-1] if begun else None
    head = f"<h1>{html.escape(one_line(name))}: not finished</h1><p>{html.escape(why)}</p>"
    sections = [("Trials", table if rows else MISSING.format("No epoch has ended yet.")), ("Training", _training(last))]
    return _page(f"{one_line(name)}: not finished", head, sections, {"training": last})


def _page(title: str, head: str, sections: Sequence[tuple[str, str]], data: Mapping[str, Any]) -> str:
    def asset(name: str) -> str:
        return (ASSETS / name).read_text(encoding="utf-8")

    # In a script element nothing is escaped: only "<" could end it.
    values = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    body = "".join(
        f'<section id="{_anchor(name)}"><h2>{name}</h2>{found}</section>' for name, found in sections if found
    )
    links = " ".join(f'<a href="#{_anchor(name)}">{name}</a>' for name, found in sections if found)
    return string.Template(asset("page.html")).substitute(
        title=html.escape(title),
        head=head,
        links=links,
        body=body,
        css=asset("uPlot.min.css") + asset("page.css"),
        license=asset("uPlot-LICENSE.txt"),
        uplot=asset("uPlot.iife.min.js"),
        data=values,
        script=asset("page.js"),
    )


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _answer(document: Mapping[str, Any]) -> str:
    best = document["best"]
    accuracy = best["artefacts"][0]["test_accuracy"]
    words = with_interval(accuracy, interval(accuracy, document["task"]["num_test"]))
    bars = "".join(_bar(limit) for limit in limits_of(document))
    note = "" if document["complete"] else "<p>The search was ended before all its trials.</p>"
    return (
        f"<h1>{html.escape(one_line(document['task']['name']))}</h1>"
        f'<p class="answer">{html.escape(answer_of(document))}.</p>{note}'
        f'<p class="quiet">Trial {best["trial"]}; {words} % with its 95 % interval. The test images decided '
        "nothing.</p>"
        f"{bars}"
    )


def _bar(limit: Mapping[str, Any]) -> str:
    share = limit["value"] / limit["most"]
    words = f"{limit['name']}: {_amount(limit['value'], limit['unit'])} of {_amount(limit['most'], limit['unit'])}"
    return (
        f'<div class="limit"><span>{words}</span><div class="track" role="img" aria-label="{100 * share:.0f} % of the '
        f'limit"><div style="width:{min(100.0, 100 * share):.1f}%"></div></div></div>'
    )


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return kilobytes(value)
    return f"{value:.3g} {unit}" if unit == "ms" else f"{grouped(value)} {unit}".strip()


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str, words: int = 1) -> str:
    """Returns a table; all but the first columns are numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{'' if index < words else ' class=number'}>{html.escape(cell)}</{tag}>"
            for index, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{cells('th', headers)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _candidates(document: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{trial['trial']}{' (chosen)' if trial['is_best'] else ''}",
            with_interval(trial["accuracy"], trial["interval"]),
            grouped(trial["bytes"]),
            grouped(trial["ram"]),
            grouped(trial["macs"]),
            grouped(trial["kept"]),
        ]
        for trial in content.candidates_of(document)
    ]
    headers = ["trial", "validation % (95 %)", "flash bytes", "RAM bytes", "MACs", "connections"]
    return (
        "<p>Each point is a trained network: point at it for its figures, click it to keep them. The line joins those "
        'that no other beats in both.</p><div class="chart" data-chart="candidates"></div>'
        '<pre id="candidate" class="quiet" aria-live="polite"></pre>'
        + _table(headers, rows, "All trials; bytes as predicted")
    )


def _training(training: Mapping[str, Any] | None) -> str:
    if training is None:
        return MISSING.format("No epoch has ended yet.")
    return (
        "<p>Validation accuracy of each head. Lines mark where the structure changed.</p>"
        '<div class="chart" data-chart="history"></div>'
        "<p>Connections that are alive in each block, and all that came and went before each epoch.</p>"
        '<div class="chart" data-chart="timeline"></div>'
    )


def _exits(exits: Mapping[str, Any] | None) -> str:
    if exits is None:
        return MISSING.format("The network has one head only.")
    leaving = "".join(
        f"<h3>Leave at head {head + 1}, of {len(exits['examples'])}</h3>{_pictures(examples)}"
        for head, examples in enumerate(exits["examples"])
    )
    return (
        "<p>The first head whose largest probability reaches the threshold answers, and later ones are not run.</p>"
        '<div class="chart" data-chart="exits"></div>'
        '<p><label for="threshold">Threshold</label> <input id="threshold" type="range" min="0" '
        f'max="{content.NUM_THRESHOLDS - 1}" value="{round(exits["threshold"] * (content.NUM_THRESHOLDS - 1))}"> '
        '<output id="exit" for="threshold"></output></p>'
        f"<p>Test images with a threshold of {exits['threshold']}:</p>{leaving}"
    )


def _pictures(examples: Sequence[Mapping[str, Any]]) -> str:
    if not examples:
        return MISSING.format("None.")
    found = []
    for example in examples:
        label, answer = html.escape(example["label"]), html.escape(example["answer"])
        words = label if label == answer else f"{label}, answered {answer}"
        sure = "" if example["sure"] is None else f" ({percent(example['sure'])} %)"
        found.append(
            f'<figure><img alt="{words}" src="{example["image"]}"><figcaption>{words}{sure}</figcaption></figure>'
        )
    return f'<div class="pictures">{"".join(found)}</div>'


def _mistakes(mistakes: Mapping[str, Any]) -> str:
    classes, shown = mistakes["classes"], mistakes["shown"]
    rows = [
        [
            found["name"],
            grouped(found["images"]),
            "no test images"
            if found["recall"] is None
            else with_interval(found["recall"], found["recall_interval"], 1),
            percent(found["precision"]),
        ]
        for found in classes
    ]
    note = (
        f"<p>Of {len(classes)} classes the {len(shown)} with the most mistakes are shown.</p>"
        if len(shown) < len(classes)
        else ""
    )
    return (
        f"{note}{confusion_svg([classes[index]['name'] for index in shown], mistakes['counts'])}"
        + _table(["class", "test images", "recall % (95 %)", "precision %"], rows, "Recall and precision of each class")
        + f"<h3>Wrong, and most sure of it</h3>{_pictures(mistakes['examples'])}"
    )


def _files(document: Mapping[str, Any]) -> str:
    best = document["best"]
    rows = [
        [
            one_line(Path(found["path"]).name),
            found["quantization"],
            grouped(found["bytes"]),
            grouped(found["gzip_bytes"]),
            "-" if found["ram_bytes"] is None else grouped(found["ram_bytes"]),
            percent(found["test_accuracy"], 2),
            f"{found['latency_ms']:.3g}",
        ]
        for found in best["artefacts"]
    ]
    headers = ["file", "weights", "bytes", "gzip bytes", "RAM bytes", "test %", "ms"]
    words = (
        f"<p>The network itself, in float32, has a test accuracy of {percent(best['test_accuracy'], 2)} %: 8 bits and "
        "the file's arithmetic make the difference to the file.</p>"
    )
    without = best["unpruned"]
    if without is not None:
        words += (
            f"<p>Without pruning the file would have {grouped(without['bytes'])} bytes, need "
            f"{grouped(without['ram_bytes'])} bytes of RAM and take {without['latency_ms']:.3g} ms.</p>"
        )
    return _table(headers, rows, "Each file, measured by running it", 2) + words


def _made(made: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    command = (
        "The data were held in memory." if made["command"] is None else f"<code>{html.escape(made['command'])}</code>"
    )
    return (
        f"<p>{command}</p><p>Seed {made['seed']}, {grouped(made['seconds'])} s. Report made with "
        f"{html.escape(versions)} on {html.escape(made['machine'])}.</p><details><summary>config.yaml</summary>"
        f"<pre>{html.escape(made['settings'])}</pre></details>"
    )
