"""The report of a search, as text; what a browser makes of it is in `test_browser.py`."""

import copy
import html.parser
import json
import re
import time

import numpy as np
import pytest

import kgrow
from kgrow import cli, views
from kgrow._ownership import is_locked
from kgrow.report import report_of
from kgrow.report.content import MOST_CLASSES, exits_of, mistakes_of, training_of
from kgrow.reporting.answer import answer_of, kilobytes
from kgrow.run import Run
from kgrow.task import Split, Task

VOID = {"meta", "img", "input", "link", "br"}


class Tags(html.parser.HTMLParser):
    """Checks that elements end where they should, and keeps ids and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    settings = {"trials": 2, "epochs": 4, "limits": {"flash_bytes": "64KB", "ram_bytes": "64KB"}, "verbose": 0}
    return kgrow.search("digits", directory=tmp_path_factory.mktemp("report"), project_name="run", **settings)


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    result.report(path)
    return path.read_text(encoding="utf-8")


def test_page_is_whole_and_small_and_needs_nothing_else(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids))
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in tags.addresses)
    assert {address[1:] for address in tags.addresses if address[0] == "#"} <= set(tags.ids)
    assert len(page) < 1_500_000
    assert "Permission is hereby granted" in page  # uPlot's licence travels with it


def test_answer_comes_first_and_says_what_is_left_of_each_limit(result, page):
    artefact = result.document["best"]["artefacts"][0]
    words = answer_of(result.document)
    assert words.startswith(
        f"{100 * artefact['test_accuracy']:.1f} % of the test images in {kilobytes(artefact['bytes'])}"
    )
    assert f"{(64_000 - artefact['bytes']) / 1000:.1f} KB of flash to spare" in words
    assert page.index(words) < page.index("<main>")


def test_it_is_written_fast(result, tmp_path):
    started = time.monotonic()
    result.report(tmp_path / "report.html")
    assert time.monotonic() - started < 30  # far above what it takes: a loaded machine must not fail it


def test_a_file_that_exists_is_left_alone_unless_it_may_be_replaced(result, tmp_path, capsys):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite"):
        result.report(path)
    assert cli.main(["report", str(result.directory), "--out", str(path)]) == cli.BAD_USAGE
    assert path.read_text() == "mine"
    with pytest.raises(FileExistsError):
        result.report(tmp_path, overwrite=True)
    assert cli.main(["report", str(result.directory), "--out", str(path), "--overwrite"]) == cli.DONE
    assert "<!doctype html>" in path.read_text()
    assert capsys.readouterr().out.strip() == str(path)


def test_names_of_the_user_are_text_and_never_markup(result):
    evil = '<script>alert("x")</script>&"\''
    document = copy.deepcopy(result.document)
    document["task"]["name"] = evil
    document["candidates"][0]["error"] = "</script><img src=x onerror=alert(1)>"
    task = Task.of(
        (result.task.train.images, result.task.train.labels),
        test_data=(result.task.test.images, result.task.test.labels),
        class_names=[evil, "n" * 200, *map(str, range(2, 10))],
    )
    page = report_of(document, result.directory, result._events(), result.network, task)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert any(evil in text for text in tags.text)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert json.loads(data[1])["candidates"][0]["error"] == "</script><img src=x onerror=alert(1)>"


def task_of(labels, num_classes):
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 1)).astype(np.uint8)
    train = Split(np.zeros((num_classes, 8, 8, 1), np.uint8), np.arange(num_classes, dtype=np.int32))
    test = Split(images, labels.astype(np.int32))
    return Task("made", train, train, test, tuple(f"class {number}" for number in range(num_classes)))


def test_confusion_recall_and_precision_are_those_of_the_answers():
    labels = np.array([0, 0, 0, 1, 1, 3])
    answers = np.array([0, 0, 1, 1, 0, 3])
    task = task_of(labels, 4)
    found = mistakes_of(10.0 * np.eye(4)[answers], task)
    assert found["counts"] == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    recalls, precisions = ([row[name] for row in found["classes"]] for name in ("recall", "precision"))
    assert recalls == [pytest.approx(2 / 3), 0.5, None, 1.0]  # a class without test images
    assert precisions == [pytest.approx(2 / 3), 0.5, None, 1.0]
    assert [(each["label"], each["answer"]) for each in found["examples"]] == [
        (task.class_names[0], task.class_names[1]),
        (task.class_names[1], task.class_names[0]),
    ]


def test_mistakes_come_the_surest_first():
    labels, logits = np.zeros(5, int), np.array([[0, 1], [0, 3], [0, 2], [5, 0], [0, 9]], float)
    sure = [each["sure"] for each in mistakes_of(logits, task_of(labels, 2))["examples"]]
    assert len(sure) == 4
    assert sure == sorted(sure, reverse=True)


def test_of_many_classes_those_with_the_most_mistakes_are_shown():
    count = 200
    labels = np.repeat(np.arange(count), 2)
    answers = np.where((labels >= 50) & (labels < 60), labels + 10, labels)
    found = mistakes_of(np.eye(count)[answers], task_of(labels, count))
    assert len(found["shown"]) == MOST_CLASSES
    assert set(range(50, 70)) <= set(found["shown"])
    assert len(found["classes"]) == count


def test_exits_of_thresholds_are_those_of_the_rule(result):
    logits = result.network.logits(result.task.test.images)
    found = exits_of(result.network, logits, result.task)
    first, last = found["points"][0], found["points"][-1]
    assert first["macs"] == found["costs"][0]
    assert first["leaving"] == [len(result.task.test), *[0] * (len(logits) - 1)]
    assert first["accuracy"] == pytest.approx(result.document["best"]["heads"][0]["test_accuracy"], abs=0.02)
    assert last["macs"] <= found["costs"][-1]
    for point in found["points"]:
        assert np.dot(point["leaving"], found["costs"]) / len(result.task.test) == pytest.approx(point["macs"])


def test_changes_are_marked_only_where_something_changed(result):
    events = result._events()
    shown = training_of(events)
    assert shown["epochs"] == [1, 2, 3, 4]
    assert {change["what"] for change in shown["changes"]} >= {"grew"}
    nothing = [{**event, "event": "pruned"} for event in events if event["event"] == "grew"][-1:]
    assert training_of([*events, *nothing])["changes"] == shown["changes"]
    assert training_of([]) is None


def test_an_unfinished_search_shows_what_is_there_and_says_what_is_missing(tmp_path, result, capsys):
    run = tmp_path / "run"
    for name in ("config.yaml", "source.json", "config.json", "trials/0000/events.jsonl"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes((result.directory / name).read_bytes())
    assert cli.main(["report", str(run)]) == cli.DONE
    page = (run / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "not finished" in page
    assert "come with its result" in page
    assert "<td>0000</td>" in page


def test_watching_ends_with_the_search_or_when_nobody_goes_on_with_it(tmp_path, result, monkeypatch):
    monkeypatch.setattr(views, "LEFT_S", 0.0)
    monkeypatch.setattr(views, "WATCHED_S", 0.01)
    assert cli.main(["report", str(tmp_path / "nowhere"), "--watch"]) == cli.BAD_USAGE
    run = tmp_path / "run"
    for name in ("config.yaml", "source.json", "config.json", "trials/0000/events.jsonl"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes((result.directory / name).read_bytes())
    assert cli.main(["report", str(run), "--watch"]) == cli.DONE
    assert "not finished" in (run / "report.html").read_text()
    assert cli.main(["report", str(result.directory), "--watch", "--out", str(tmp_path / "r.html")]) == cli.DONE
    with Run.open(tmp_path / "own", {}):
        assert is_locked(tmp_path / "own")
    assert not is_locked(tmp_path / "own")


def test_a_foreign_folder_is_named(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("mine")
    assert cli.main(["report", str(tmp_path)]) == cli.BAD_USAGE
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("count", "words"), [(999, "999 bytes"), (11_836, "11.8 KB"), (4_200_000, "4.20 MB"), (-5, "-5 bytes")]
)
def test_bytes_are_told_in_thousands(count, words):
    assert kilobytes(count) == words
