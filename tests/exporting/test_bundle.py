"""What is written for a device."""

import dataclasses
import errno
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kgrow_device import run as device
from PIL import Image

from kgrow._files import temporary, write_atomic
from kgrow.benchmark import benchmark
from kgrow.exporting import EarlyExit, ExportOptions, export, set_threshold
from kgrow.exporting import bundle as bundles
from kgrow.exporting.assembly import parse
from kgrow.exporting.bundle import (
    FORMAT,
    METADATA,
    _is_bundle,
    _replace_folder,
    check_target,
    read_bundle,
    self_describing,
)
from kgrow.exporting.measure import open_interpreter
from kgrow.exporting.micro import check_micro
from kgrow.network.early_exit import softmax
from kgrow.reporting.artefacts import print_artefact, print_benchmark
from kgrow.task.pixels import resize


@pytest.fixture(scope="module")
def bundle(varied_network, tiny_task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "out"
    export(varied_network, tiny_task, folder, ExportOptions("int8", early_exit=EarlyExit(0.7), max_drop=1.0))
    return folder


@pytest.fixture(scope="module")
def staged(varied_network, tiny_task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "stages"
    options = ExportOptions("int8", early_exit=EarlyExit(0.7, stages=True), max_drop=1.0)
    export(varied_network, tiny_task, folder, options)
    return folder


def test_folder_holds_what_a_device_needs(bundle, staged):
    assert {path.name for path in bundle.iterdir()} == {
        "model.tflite",
        "labels.txt",
        "metadata.json",
        "run.py",
        "model_data.h",
        "model_data.cc",
    }
    assert (bundle / "labels.txt").read_text().split() == ["red", "green", "blue"]
    assert {path.name for path in staged.iterdir()} >= {f"stage_{stage}.tflite" for stage in range(3)}


def test_metadata_says_what_was_measured_and_is_inside_the_model_twice(bundle, varied_network):
    document = json.loads((bundle / "metadata.json").read_text())
    for entry in document.pop("files"):
        content = (bundle / entry["path"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert document.pop("latency_ms") <= document.pop("latency_p95_ms")  # differ each time, so are not in the model
    assert document.pop("name") == "out"
    assert {"CONV_2D", "IF", "REDUCE_MAX"} <= set(document.pop("operations"))
    assert document["input"]["shape"] == [8, 8, 3]
    assert document["classes"] == ["red", "green", "blue"]
    assert document["early_exit"]["threshold"] == 0.7
    assert document["early_exit"].pop("mean_latency_ms") > 0
    assert len(document["early_exit"].pop("latency_ms")) == 3
    with zipfile.ZipFile(bundle / "model.tflite") as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("metadata.json")) == document
        assert archive.read("labels.txt") == (bundle / "labels.txt").read_bytes()


def test_c_array_is_the_model_without_its_zip(bundle):
    source = (bundle / "model_data.cc").read_text()
    data = bytes(int(value, 16) for value in re.findall(r"0x([0-9a-f]{2}),", source))
    assert f"out_model_data_size = {len(data)};" in source  # named after its folder
    assert not check_micro(data)
    _, (model,) = read_bundle(bundle / "model.tflite")
    assert parse(data).subgraphs[0].inputs is not None
    assert len(data) < len(model)
    compiler = shutil.which("c++")
    if compiler:
        subprocess.run([compiler, "-fsyntax-only", "-Wall", "-Werror", bundle / "model_data.cc"], check=True)


def test_earlier_bundle_is_replaced_but_other_files_are_left_alone(tiny_network, tiny_task, tmp_path):
    for _ in range(2):
        export(tiny_network, tiny_task, tmp_path / "out")
        (tmp_path / "out" / "__pycache__").mkdir()  # as importing `run` leaves it
    (tmp_path / "out" / "letter.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files"):
        export(tiny_network, tiny_task, tmp_path / "out")
    assert (tmp_path / "out" / "letter.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "file").write_text("mine")
    for wrong, options in (
        ("model.h5", None),
        ("file", None),
        ("x.tflite", ExportOptions(early_exit=EarlyExit(stages=True))),
    ):
        with pytest.raises(ValueError, match="`path` must"):
            export(tiny_network, tiny_task, tmp_path / wrong, options)


@pytest.mark.parametrize("files", ["5", "[5]", '[{"path": 5}]', '[{"path": ".."}]', '[{"path": "a/b"}]', "[" * 100_000])
def test_folder_that_only_looks_like_a_bundle_is_left_alone(files, tmp_path):
    (tmp_path / METADATA).write_text(f'{{"format": "{FORMAT}", "files": {files}}}')
    with pytest.raises(FileExistsError, match="holds other files"):
        check_target(tmp_path, ExportOptions())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_pipe_in_place_of_a_description_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / METADATA)
    with pytest.raises(FileExistsError, match="holds other files"):
        check_target(tmp_path, ExportOptions())


def test_neighbors_of_a_bundle_are_nobodys_scratch(tiny_network, tiny_task, tmp_path):
    for name in ("out.old", "out.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "letter.txt").write_text("mine")
    for _ in range(2):
        export(tiny_network, tiny_task, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.old", "out.partial"]
    assert (tmp_path / "out.old" / "letter.txt").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="root cannot become somebody else and back there")
@pytest.mark.parametrize("mode", [0o555, 0o1777], ids=["closed", "sticky"])
def test_folder_that_cannot_be_replaced_is_filled(mode):
    # Root ignores permission bits, so root becomes "nobody" for a moment; pytest's own tmp_path is closed to others.
    with tempfile.TemporaryDirectory() as parent:
        target = Path(parent) / "out"
        target.mkdir()
        os.chmod(target, 0o777)
        os.chmod(parent, mode)
        user = os.geteuid()
        if user == 0:
            os.setresuid(65534, 65534, 0)
        try:
            assert check_target(target, ExportOptions()) == target
            for content in (b"old", b"new"):
                _replace_folder(target, {"a.txt": content, "metadata.json": b'{"files": []}'})
            if mode == 0o555:
                with pytest.raises(PermissionError, match="`path` must be in a folder that can be written"):
                    check_target(target.parent / "other", ExportOptions())
        finally:
            os.setresuid(user, user, user)
            os.chmod(parent, 0o755)
        assert (target / "a.txt").read_bytes() == b"new"


def test_earlier_bundle_comes_back_if_it_cannot_be_replaced(tmp_path, monkeypatch):
    target = tmp_path / "out"
    _replace_folder(target, {"a.txt": b"old"})
    replace = os.replace

    def fail_once(source, destination):
        if os.path.basename(source) == "new":
            raise OSError("no space left")
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fail_once)
    with pytest.raises(OSError, match="no space left"):
        _replace_folder(target, {"a.txt": b"new"})
    assert (target / "a.txt").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_link_stands_for_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    _replace_folder(tmp_path / "link", {"a.txt": b"new"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["out.tflite", "out/model.tflite"])
def test_temporary_name_of_an_export_is_never_written_through(name, tmp_path):
    (tmp_path / "victim").write_text("mine")
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    temporary(target).symlink_to(tmp_path / "victim")
    if target.parent == tmp_path:
        bundles.write(target, [b"model"], {}, {})
    else:
        bundles._fill_folder(target.parent, {"model.tflite": b"model", METADATA: b'{"files": []}'})
    assert (tmp_path / "victim").read_text() == "mine"
    assert target.read_bytes() == b"model"
    assert not temporary(target).is_symlink()


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, None])
def test_folder_that_cannot_be_moved_is_filled(number, tmp_path, monkeypatch):
    target = tmp_path / "volume"
    target.mkdir()
    old = {"format": FORMAT, "files": [{"path": "stage_0.tflite"}, {"path": "labels.txt"}]}
    for name, data in {"stage_0.tflite": b"old", "labels.txt": b"old", METADATA: json.dumps(old).encode()}.items():
        (target / name).write_bytes(data)
    replace = os.replace

    def refuse(source, destination):
        if Path(source) == target:
            raise OSError(number, "another volume begins here")
        replace(source, destination)

    if number is None:
        monkeypatch.chdir(target)  # whoever stands in it
    new = {
        METADATA: json.dumps({"format": FORMAT, "files": [{"path": "model.tflite"}]}).encode(),
        "model.tflite": b"new",
    }
    monkeypatch.setattr(os, "replace", refuse)
    left = []

    def look(path, data):
        if path.parent == target:  # whenever a kill comes, the same export may follow
            temporary(path).write_bytes(b"half")
            left.append(_is_bundle(target))
        write_atomic(path, data)

    monkeypatch.setattr(bundles, "write_atomic", look)
    _replace_folder(Path() if number is None else target, new)
    assert left == [True] * 3
    assert {path.name: path.read_bytes() for path in target.iterdir()} == new
    assert [path.name for path in tmp_path.iterdir()] == ["volume"]


def test_path_below_a_file_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"`path` must be in a folder, but '.*/file' is a file"):
        check_target(tmp_path / "file" / "sub" / "out", ExportOptions())


def test_run_classifies_without_kgrow(bundle, staged, tiny_task, tmp_path):
    image, picture = tmp_path / "red.npy", tmp_path / "large.ppm"
    large = np.repeat(np.repeat(tiny_task.test.images[0], 3, axis=0), 3, axis=1)
    np.save(image, resize(large[np.newaxis], (8, 8))[0])
    picture.write_bytes(b"P6\n# a comment\n24 24 255\n" + large.tobytes())
    for folder in (bundle, staged):
        done = subprocess.run(
            [sys.executable, "-I", folder / "run.py", "--json", image, picture],
            capture_output=True,
            text=True,
            check=True,
        )
        first, second = map(json.loads, done.stdout.splitlines())
        assert not re.search(r"^\s*(import|from) (kgrow|tensorflow)", (folder / "run.py").read_text(), re.MULTILINE)
        assert first["label"] == second["label"]
        assert first["probability"] == pytest.approx(second["probability"], abs=1e-6)
        assert done.stderr.count("resizing images to 8x8") == 1


def test_stages_of_one_head_are_a_whole_model(tiny_network, tiny_task, tmp_path):
    options = ExportOptions(exit_index=0, early_exit=EarlyExit(0.7, stages=True))
    artefact = export(tiny_network, tiny_task, tmp_path / "out", options)
    assert artefact.test_accuracy is not None
    (row,) = benchmark(tmp_path / "out", tiny_task)["rows"]
    assert row["test_accuracy"] == artefact.test_accuracy


@pytest.mark.parametrize("stage", range(3))
def test_one_file_of_several_stages_is_no_model(stage, staged, tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((8, 8, 3), np.uint8))
    model = staged / f"stage_{stage}.tflite"
    command = [sys.executable, "-I", staged / "run.py", "--model", model, tmp_path / "image.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "must be the folder of all stages" in done.stderr
    with pytest.raises(ValueError, match="the files of all stages"):
        benchmark(model)


def test_device_reads_pictures_as_training_does(tmp_path):
    from kgrow_device.run import read_image

    from kgrow.task.folder import decode

    generator = np.random.default_rng(0)
    color = Image.fromarray(generator.integers(0, 256, (8, 16, 3), dtype=np.uint8))
    turned = color.getexif()
    turned[0x0112] = 6  # the camera was held upright
    color.save(tmp_path / "turned.png", exif=turned)
    clear = color.convert("RGBA")
    clear.putalpha(Image.fromarray(generator.integers(0, 256, (8, 16), dtype=np.uint8)))
    clear.save(tmp_path / "clear.png")
    color.quantize(16).save(tmp_path / "palette.gif", transparency=3)
    for name in ("turned.png", "clear.png", "palette.gif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), decode(tmp_path / name, is_colored=True))
    deep = Image.fromarray(generator.integers(0, 65536, (8, 16), dtype=np.uint16))
    deep.save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), decode(tmp_path / "deep.png", False)[..., 0])


@pytest.mark.parametrize("fault", ["text", "truncated", "foreign", "missing", "no image", "words", "empty"])
def test_run_says_what_is_wrong(fault, bundle, tmp_path):
    model, image = bundle / "model.tflite", tmp_path / "image.npy"
    np.save(image, np.zeros((8, 8, 3), np.uint8))
    content = model.read_bytes()
    if fault == "text":
        image = tmp_path / "image.ppm"
        image.write_text("no image at all")
    elif fault == "empty":
        image.write_bytes(b"")
    elif fault == "words":
        np.save(image, np.full((8, 8, 3), "red"))
    elif fault == "no image":
        np.save(image, np.zeros((8, 8, 3, 2)))
    else:
        model = tmp_path / "model.tflite"
        if fault != "missing":
            model.write_bytes({"truncated": content[:2000], "foreign": b"something else"}[fault])
    done = subprocess.run(
        [sys.executable, "-I", bundle / "run.py", "--model", model, image], capture_output=True, text=True, check=False
    )
    assert done.returncode in (1, 2)
    assert "run.py: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata.json", b'{"format": "another"}', "must hold a description that `kgrow export` wrote"),
        ("metadata.json", json.dumps({"format": FORMAT}).encode(), "as `input.shape`, but holds nothing"),
        ("metadata.json", b"[" * 100_000, "must hold a description that `kgrow export` wrote"),
        ("metadata.json", b'{"format": "kgrow', "must hold a description that `kgrow export` wrote"),
        ("model.tflite", b"TFL3", "must be the model that metadata.json describes"),
    ],
)
def test_run_refuses_a_folder_that_was_changed(name, content, message, bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "copy")
    (folder / name).write_bytes(content)
    command = [sys.executable, "-I", folder / "run.py", tmp_path / "image.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("changed", [{"exit_indices": [0, 1]}, {"threshold": [0.5]}, {"threshold": []}])
def test_stages_without_a_threshold_or_an_exit_each_are_refused(changed, staged, tmp_path):
    description, models = read_bundle(staged)
    changed = {**description, "early_exit": {**description["early_exit"], **changed}}
    folder = tmp_path / "out"
    bundles.write(folder, [self_describing(model, changed) for model in models], changed, {})
    for read in (device.Classifier, benchmark):
        with pytest.raises(ValueError, match="must hold a stage, and a threshold before the last one, for every exit"):
            read(folder)


@pytest.mark.parametrize("order", [(0, 2, 1), (0, 1), (0, 1, 1), (0, 1, 2, 2)])
def test_folder_that_lists_other_than_all_stages_in_order_is_refused(order, staged, tmp_path):
    folder = shutil.copytree(staged, tmp_path / "out")
    description = json.loads((folder / METADATA).read_text())
    entries = {entry["path"]: entry for entry in description["files"]}
    description["files"] = [entries[f"stage_{stage}.tflite"] for stage in order]
    (folder / METADATA).write_text(json.dumps(description))
    for read in (device.Classifier, benchmark):
        with pytest.raises(ValueError, match="must hold a stage, and a threshold before the last one, for every exit"):
            read(folder)


@pytest.mark.parametrize(
    "labels", [np.full(4, 3), np.zeros(3, int), np.zeros((4, 3), int), np.zeros(4), -np.ones(4, int)]
)
def test_labels_that_do_not_match_are_an_error_on_the_device(labels, bundle, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((4, 8, 8, 3), np.uint8))
    np.save(tmp_path / "labels.npy", labels)
    program = Path(__file__).parents[2] / "export" / "benchmark.py"
    data = ["--images", tmp_path / "images.npy", "--labels", tmp_path / "labels.npy"]
    command = [sys.executable, program, "--model", bundle, *data]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "benchmark.py: `--labels` must" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("which", ["bundle", "staged", "file"])
def test_threshold_is_changed_in_place_as_if_it_had_been_exported_so(
    which, request, tiny_task, varied_network, tmp_path
):
    source = request.getfixturevalue("staged" if which == "staged" else "bundle")
    target = tmp_path / ("model.tflite" if which == "file" else "out")
    if which == "file":
        shutil.copy(source / "model.tflite", target)
    else:
        shutil.copytree(source, target)
    set_threshold(target, 0.45)
    description, models = read_bundle(target)
    rule = description["early_exit"]
    assert (rule["threshold"], rule["mean_macs"], description["test_accuracy"]) == (0.45, None, None)
    for model in models:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            assert json.loads(archive.read("metadata.json"))["early_exit"]["threshold"] == 0.45
    fresh = tmp_path / "fresh"
    exits = EarlyExit(0.45, fallback=rule["fallback"], stages=which == "staged")
    artefact = export(varied_network, tiny_task, fresh, ExportOptions("int8", early_exit=exits, max_drop=1.0))
    (row,) = benchmark(target, tiny_task)["rows"]
    assert row["test_accuracy"] == artefact.test_accuracy
    if which != "file":
        images = [tmp_path / f"{number}.npy" for number in range(8)]
        for path, image in zip(images, tiny_task.test.images, strict=False):
            np.save(path, image)
        commands = ([sys.executable, "-I", folder / "run.py", "--json", *images] for folder in (target, fresh))
        ours, theirs = (subprocess.run(command, capture_output=True, check=True).stdout for command in commands)
        assert ours == theirs != b""


@pytest.mark.slow
@pytest.mark.parametrize("stages", [False, True])
def test_thresholds_per_head_reach_the_device(stages, tiny_task, varied_network, tmp_path):
    def exits_on_device():
        classifier = device.Classifier(tmp_path / "out")
        return [classifier.run(image[np.newaxis])[1] + 1 for image in tiny_task.test.images]

    def exits_of(thresholds):
        return varied_network.predict_early(tiny_task.test.images, thresholds, fallback="last")[2].tolist()

    first, second = np.median(softmax(varied_network.logits(tiny_task.test.images)).max(axis=-1), axis=1)[:2].tolist()
    options = ExportOptions(early_exit=EarlyExit((first, 0.0), stages=stages))
    artefact = export(varied_network, tiny_task, tmp_path / "out", options)
    assert artefact.early_exit["threshold"] == [first, 0.0]
    assert set(exits_of((first, 0.0))) == {1, 2}
    assert exits_on_device() == exits_of((first, 0.0))
    stream = io.StringIO()
    print_artefact(dataclasses.asdict(artefact), stream)
    assert f"Early exit at confidence {first:.3g}, 0" in stream.getvalue()
    set_threshold(tmp_path / "out", (1.5, second))
    assert set(exits_of((1.5, second))) == {2, 3}
    assert exits_on_device() == exits_of((1.5, second))
    with pytest.raises(ValueError, match="one for each of the 2 heads before the last"):
        set_threshold(tmp_path / "out", (0.5,))
    export(
        varied_network, tiny_task, tmp_path / "out", ExportOptions(early_exit=EarlyExit(0.5, fallback="most_confident"))
    )
    with pytest.raises(ValueError, match=r"`threshold` must be one confidence, .* its most confident one answers"):
        set_threshold(tmp_path / "out", (0.5, 0.6))


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, 5, "out; int x"])
def test_threshold_of_a_folder_without_a_name_for_c_is_changed(name, tiny_task, varied_network, tmp_path):
    options = ExportOptions("int8", early_exit=EarlyExit(0.7), max_drop=1.0)
    export(varied_network, tiny_task, tmp_path / "flowers", options)
    file = tmp_path / "flowers" / METADATA
    description = json.loads(file.read_text())
    del description["operations"], description["name"]  # as earlier versions wrote it
    file.write_text(json.dumps(description if name is None else {**description, "name": name}))
    set_threshold(tmp_path / "flowers", 0.45)
    assert b"flowers_model_data" in (tmp_path / "flowers" / "model_data.h").read_bytes()
    changed = json.loads(file.read_text())
    assert changed["name"] == "flowers"
    assert "CONV_2D" in changed["operations"]
    assert changed["latency_ms"] is None


def test_threshold_of_what_has_no_exits_is_refused(tiny_network, tiny_task, tmp_path):
    export(tiny_network, tiny_task, tmp_path / "plain.tflite")
    with pytest.raises(ValueError, match=r"`path` must have early exits, but '.*plain.tflite' has none"):
        set_threshold(tmp_path / "plain.tflite", 0.5)


def test_benchmark_on_other_classes_is_an_error(bundle, digits):
    with pytest.raises(ValueError, match="`dataset` must have the classes of the model, red, green, blue"):
        benchmark(bundle, digits)


def test_benchmark_says_when_test_images_may_have_been_learned(bundle, tiny_task):
    assert benchmark(bundle, tiny_task)["is_same_data"] is True
    other = dataclasses.replace(tiny_task, train=tiny_task.test, test=tiny_task.train)
    document = benchmark(bundle, other)
    assert document["is_same_data"] is False
    printed = io.StringIO()
    print_benchmark(document, printed)
    assert "may have learned some" in " ".join(printed.getvalue().split())


def test_benchmark_of_a_file_without_data_has_no_accuracy(bundle, staged):
    (row,) = benchmark(bundle)["rows"]
    assert row["test_accuracy"] is None
    assert benchmark(bundle)["is_same_data"] is None
    assert row["format"] == "int8 + exits"
    assert row["bytes"] == (bundle / "model.tflite").stat().st_size
    assert 0 < row["latency_ms"] <= row["latency_p95_ms"]
    printed = io.StringIO()
    print_benchmark(benchmark(bundle), printed)
    assert "Timed on noise" in printed.getvalue()
    (stages,) = benchmark(staged / "")["rows"]
    assert stages["macs"] == row["macs"]
    assert stages["ram_bytes"] <= row["ram_bytes"]


def test_benchmark_refuses_what_is_not_exported(bundle, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes((bundle / "model.tflite").read_bytes()[:3000])
    with pytest.raises(ValueError, match="carries no description"):
        benchmark(damaged)
    for missing in (tmp_path, tmp_path / "nothing.tflite"):
        with pytest.raises(FileNotFoundError):
            benchmark(missing)
    with pytest.raises(ValueError, match="num_threads"):
        benchmark(bundle, num_threads=0)
    changed = tmp_path / "changed"
    shutil.copytree(bundle, changed)
    (changed / "model.tflite").write_bytes((bundle / "model.tflite").read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"model.tflite' must be the model that metadata.json describes, but differs"):
        benchmark(changed)


@pytest.mark.parametrize(
    ("field", "value"),
    [("classes", ["red", "blue", "green"]), ("early_exit", None), ("exit_index", 1), ("input", {"dtype": "uint8"})],
)
def test_folder_that_says_other_than_its_model_is_refused(field, value, bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "out")
    description = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps({**description, field: value}))
    for read in (read_bundle, device.Classifier, benchmark):
        with pytest.raises(ValueError, match=rf"metadata.json' must .*`{field}"):
            read(folder)


@pytest.mark.parametrize("where", ["weights", "description", "zip", "mark", "seal"])
def test_damage_anywhere_in_a_lone_file_is_refused_by_all_who_read_it(where, bundle, tmp_path):
    content = bytearray((bundle / "model.tflite").read_bytes())
    positions = {"weights": 1000, "description": content.index(b'"classes"'), "zip": content.index(b"PK")}
    content[{**positions, "mark": content.index(device.SEAL), "seal": -1}[where]] ^= 1
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(content)
    for read in (read_bundle, device.Classifier, benchmark, open_interpreter, lambda path: set_threshold(path, 0.5)):
        with pytest.raises(ValueError, match=r"damaged.tflite' must be as it was exported, but its hash is another"):
            read(damaged)
    done = subprocess.run(
        [sys.executable, "-I", bundle / "run.py", "--model", damaged, damaged], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "damaged.tflite' must be as it was exported" in done.stderr


def test_another_threshold_renews_the_hash(bundle, tmp_path):
    target = shutil.copy(bundle / "model.tflite", tmp_path / "model.tflite")
    before = target.read_bytes()
    set_threshold(target, 0.2)
    after = target.read_bytes()
    assert after[-64:] != before[-64:]
    assert after[-64:].decode() == hashlib.sha256(after[:-64]).hexdigest()
    assert device.Classifier(target).metadata["early_exit"]["threshold"] == 0.2


def test_files_without_a_hash_still_run(bundle, tiny_task, tmp_path):
    content = (bundle / "model.tflite").read_bytes()
    earlier = tmp_path / "earlier.tflite"  # as versions without the hash wrote it
    earlier.write_bytes(content)
    with zipfile.ZipFile(earlier, "a") as archive:
        archive.comment = b""
    assert not earlier.read_bytes()[:-64].endswith(device.SEAL)
    image = tiny_task.test.images[0]
    assert device.Classifier(earlier)(image).label == device.Classifier(bundle)(image).label
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(content[: content.index(b"PK\x03\x04")])
    assert open_interpreter(foreign).get_input_details()


def description_or_none(path):
    try:
        return read_bundle(path)[0]
    except ValueError:
        return None


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_damage_is_refused_or_does_no_harm(bundle, where, bit):
    content = bytearray((bundle / "model.tflite").read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        description = description_or_none(Path(file.name))
    assert description is None or description["classes"] == ["red", "green", "blue"]
