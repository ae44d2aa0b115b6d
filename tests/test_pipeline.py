"""The main job from data to a proven file, and the document it leaves."""

import dataclasses
import functools
import json
import shutil
import zipfile

import numpy as np
import pytest

import kgrow
from kgrow.exporting import classify
from kgrow.graph.edge import Edge
from kgrow.graph.genotype import Genotype
from kgrow.pruning import FisherChannel, FisherPruning
from kgrow.searching import Cells
from kgrow.searching.trials import NETWORKS_KEPT
from kgrow.task import Split

pytestmark = pytest.mark.slow

NUMBER = (int, float)
ARTEFACT = {
    "path": str,
    "quantization": str,
    "bytes": int,
    "gzip_bytes": int,
    "test_accuracy": NUMBER,
    "accuracy_drop": NUMBER,
    "agreement": NUMBER,
    "max_abs_diff": NUMBER,
    "latency_ms": NUMBER,
    "latency_p95_ms": NUMBER,
    "ram_bytes": int,
    "macs": int,
    "exit_index": int,
    "early_exit": type(None),
    "fine_tune_epochs": int,
    "runtime": str,
    "test_accuracy_interval": [NUMBER],
}
CANDIDATE = {
    "trial": str,
    "keep_ratios": [NUMBER],
    "values": dict,
    "status": str,
    "val_accuracy": NUMBER,
    "objective": NUMBER,
    "prunable_params": int,
    "kept_params": int,
    "macs": int,
    "flash_bytes": int,
    "ram_bytes": int,
    "epochs": int,
    "epochs_trained": int,
    "estimated": bool,
    "unfinished": bool,
    "same_as": type(None),
    "error": type(None),
    "traceback": type(None),
    "mean_val_accuracy": NUMBER,
    "mean_val_loss": NUMBER,
    "val_accuracy_interval": [NUMBER],
}
HEAD = {
    "val_accuracy": NUMBER,
    "val_accuracy_interval": [NUMBER],
    "test_accuracy": NUMBER,
    "test_accuracy_interval": [NUMBER],
    "macs": int,
}
CLASS = {
    "name": str,
    "num_train": int,
    "num_validation": int,
    "num_test": int,
    "has_few_test_images": bool,
    "recall": NUMBER,
    "recall_interval": [NUMBER],
}
EXIT = {"threshold": NUMBER, "test_accuracy": NUMBER, "test_accuracy_interval": [NUMBER], "mean_macs": NUMBER}
BEST = {
    "trial": str,
    "epochs_trained": int,
    "unfinished": bool,
    "architecture": dict,
    "keep_ratios": [NUMBER],
    "prunable_params": int,
    "kept_params": int,
    "macs_dense": int,
    "macs_sparse": int,
    "heads": [HEAD],
    "test_accuracy": NUMBER,
    "test_accuracy_interval": [NUMBER],
    "baseline": {"class": str, "test_accuracy": NUMBER, "is_beaten": bool},
    "classes": [CLASS],
    "early_exit": [EXIT],
    "artefacts": [ARTEFACT],
    "unpruned": type(None),  # a limit on connections removes no channels
    "market": type(None),
}
DOCUMENT = {
    "kgrow_version": str,
    "task": dict,
    "source": dict,
    "seed": int,
    "start": str,
    "complete": bool,
    "trials": int,
    "epochs": int,
    "config": dict,
    "candidates": [CANDIDATE],
    "networks": {"offered": int, "infeasible": int},
    "pareto": [{**CANDIDATE, "latency_ms": type(None)}],
    "choice": {
        "prefer": str,
        "contenders": [str],
        "comparisons": [{"trial": str, "difference": NUMBER, "p_value": (*NUMBER, type(None)), "told_apart": bool}],
    },
    "best": BEST,
    "calibration": type(None),
    "files": [{"path": str, "bytes": int, "sha256": str}],
    "wall_s": NUMBER,
}


def check(value, schema, where="result"):
    if isinstance(schema, dict):
        assert set(value) == set(schema), where
        for name, part in schema.items():
            check(value[name], part, f"{where}.{name}")
    elif isinstance(schema, list):
        assert value, where
        for part in value:
            check(part, schema[0], where)
    else:
        assert isinstance(value, schema), (where, value)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs")
    return kgrow.search("digits", limits=kgrow.Limits(params=12_000), epochs=4, directory=directory, verbose=0)


def test_result_json_has_the_documented_schema(result):
    document = json.loads((result.directory / "result.json").read_text())
    check(document, DOCUMENT)
    assert document == result.document


def test_the_best_candidate_cannot_be_told_apart_from_the_highest_accuracy_within_the_limit(result):
    candidates = {candidate["trial"]: candidate for candidate in result.document["candidates"]}
    best, choice = candidates[result.document["best"]["trial"]], result.document["choice"]
    contenders = [candidates[name] for name in choice["contenders"]]
    assert choice["contenders"][0] == best["trial"]
    assert max(it["mean_val_accuracy"] for it in candidates.values()) in [it["mean_val_accuracy"] for it in contenders]
    assert best["mean_val_loss"] == min(it["mean_val_loss"] for it in contenders)
    assert len(candidates) == 4
    assert {it["trial"] for it in choice["comparisons"]} == set(candidates) - {best["trial"]}
    assert sum(it["p_value"] is not None for it in choice["comparisons"]) == NETWORKS_KEPT - 1
    assert all(candidate["kept_params"] <= 12_000 for candidate in candidates.values())
    assert best["kept_params"] == result.network.kept_params() == result.document["best"]["kept_params"]


def test_candidates_share_the_epochs_before_their_first_difference(result):
    trained = [candidate["epochs_trained"] for candidate in result.document["candidates"]]
    assert trained[0] == 4
    assert all(epochs < 4 for epochs in trained[1:])


def test_the_pareto_front_is_of_the_candidates_and_begins_with_the_most_accurate(result):
    assert all(point["latency_ms"] is None for point in result.pareto)  # one network
    for point in result.pareto:
        assert {name: value for name, value in point.items() if name != "latency_ms"} in result.document["candidates"]
    accuracies = [point["mean_val_accuracy"] for point in result.pareto]
    assert max(c["mean_val_accuracy"] for c in result.document["candidates"]) == accuracies[0]


def test_the_written_file_answers_as_the_document_says(result):
    artefact = result.document["best"]["artefacts"][0]
    answers = classify(artefact["path"], result.task.test.images).argmax(axis=-1)
    assert np.mean(answers == result.task.test.labels) == pytest.approx(artefact["test_accuracy"])
    assert artefact["quantization"] == "int8"
    with zipfile.ZipFile(artefact["path"]) as archive:
        assert archive.read("labels.txt").decode().split() == list(result.task.class_names)


def test_disk_holds_the_best_weights_and_no_leftovers(result):
    weights = (result.directory / "trials").rglob("*.npz")
    names = {str(path.relative_to(result.directory)) for path in weights}
    assert f"trials/{result.document['best']['trial']}/best.npz" in names
    assert NETWORKS_KEPT <= len(names) <= 4
    assert all(name.endswith("/best.npz") for name in names)


def test_a_loaded_result_is_the_same_and_exports_an_earlier_exit(result, tmp_path):
    loaded = kgrow.load(result.directory, "digits")
    images = result.task.test.images[:20]
    np.testing.assert_array_equal(loaded.network.logits(images), result.network.logits(images))
    artefact = loaded.export(tmp_path / "early.tflite", exit_index=0, quantize="float32")
    assert artefact.bytes < result.document["best"]["artefacts"][0]["bytes"]
    assert artefact.test_accuracy == pytest.approx(result.document["best"]["heads"][0]["test_accuracy"], abs=1e-6)


def test_result_that_is_not_whole_is_refused(result, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(result.directory, run)
    (run / "trials" / result.document["best"]["trial"] / "best.npz").unlink()
    with pytest.raises(FileNotFoundError, match="must hold the weights of the best trial"):
        kgrow.load(run)
    (run / "result.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"result\.json is damaged: `kgrow_version` must be given, but is missing"):
        kgrow.load(run)


def test_run_whose_file_is_damaged_is_refused(result, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(result.directory, run)
    content = bytearray((run / "model.tflite").read_bytes())
    content[1000] ^= 1
    (run / "model.tflite").write_bytes(content)
    with pytest.raises(ValueError, match=r"model.tflite' must be the file that the search wrote, of [0-9]+ bytes, but"):
        kgrow.load(run)
    (run / "model.tflite").unlink()
    assert kgrow.load(run).document == result.document


def test_an_image_less_is_said_to_whoever_goes_on_or_loads(result):
    task = result.task
    fewer = dataclasses.replace(task, train=Split(task.train.images[1:], task.train.labels[1:]))
    with pytest.raises(ValueError, match=r"1 image was removed\. Pass `overwrite=True`"):
        kgrow.search(fewer, directory=result.directory.parent, project_name=result.directory.name, verbose=0)
    with pytest.raises(ValueError, match=r"was searched on, 'digits', but 1 image was removed\."):
        kgrow.load(result.directory, fewer)


def test_data_in_memory_are_loaded_as_they_were_resized_divided_and_named(tmp_path):
    generator = np.random.default_rng(0)
    data = generator.integers(0, 256, (60, 12, 12)).astype(np.uint8), np.arange(60) % 3
    task = kgrow.Task.of(data, image_size=8, class_names=["x", "y", "z"], validation_split=0.3, seed=5)
    training = {"preset": "base", "batch_size": 8}
    searched = kgrow.search(task, training=training, epochs=1, trials=1, directory=tmp_path, verbose=0)
    loaded = kgrow.load(searched.directory, data)
    assert loaded.task.fingerprint == searched.task.fingerprint
    assert len(loaded.task.validation) == 18
    assert loaded.task.class_names == tuple(loaded.document["task"]["class_names"]) == ("x", "y", "z")


def test_trials_that_are_added_to_a_finished_run_end_as_if_all_had_been_asked_for(tiny_task, tiny_space, tmp_path):
    options = {"space": tiny_space, "epochs": 4, "training": {"batch_size": 16}, "verbose": 0}

    def search(trials, folder):
        return kgrow.search(tiny_task, trials=trials, directory=tmp_path / folder, **options)

    first = search(2, "more")
    more, whole = search(5, "more"), search(5, "whole")
    assert len(more.document["candidates"]) == 5 > len(first.document["candidates"])
    for one, other in zip(more.document["candidates"], whole.document["candidates"], strict=True):
        assert {**one, "epochs_trained": 0} == {**other, "epochs_trained": 0}
    timed = {"artefacts": 0, "epochs_trained": 0, "unpruned": 0}
    assert {**more.document["best"], **timed} == {**whole.document["best"], **timed}
    assert (more.directory / "model.tflite").read_bytes() == (whole.directory / "model.tflite").read_bytes()
    assert search(3, "more").document == more.document  # fewer leave what there is


def test_the_same_call_again_returns_at_once_and_another_configuration_is_refused(result):
    settings = {"limits": kgrow.Limits(params=12_000), "directory": result.directory.parent, "verbose": 0}
    assert kgrow.search("digits", epochs=4, **settings).document == result.document
    with pytest.raises(ValueError, match="epochs was 4 and is now 5"):
        kgrow.search("digits", epochs=5, **settings)
    with pytest.raises(ValueError, match=r"architecture\.blocks is another one"):
        kgrow.search("digits", epochs=4, space="seed_plain", **settings)
    with pytest.raises(ValueError, match=r"task\.fingerprint was .* and is now"):
        kgrow.search(kgrow.Task.of("digits", validation_split=0.2), epochs=4, **settings)


def test_a_file_that_is_gone_is_written_again(result, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(result.directory, run)
    (run / "model.tflite").unlink()
    (run / "run.py").unlink()
    again = kgrow.search("digits", epochs=4, limits=kgrow.Limits(params=12_000), directory=tmp_path, verbose=0)
    for name in ("model.tflite", "run.py", "labels.txt"):
        assert (run / name).read_bytes() == (result.directory / name).read_bytes()
    assert again.document["best"]["heads"] == result.document["best"]["heads"]


def test_gray_float_images_and_one_hot_labels_of_an_odd_shape_work(tmp_path):
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = generator.normal(size=(90, 11, 7)) + labels[:, None, None]
    result = kgrow.search(
        (images, np.eye(3)[labels]),
        epochs=3,
        pruning={"keep_ratio": 0.6},
        config={"export": "float32"},
        directory=tmp_path,
        verbose=0,
    )
    assert result.document["task"]["dtype"] == "float32"
    assert result.architecture.input_shape == (11, 7, 1)
    assert result.document["best"]["artefacts"][0]["max_abs_diff"] < 1e-3


def test_network_that_answers_the_largest_class_alone_is_called_no_better_than_that(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (300, 16, 16)).astype(np.uint8)
    labels = np.repeat([0, 1, 2], [285, 10, 5])
    options = {"epochs": 1, "training": "base", "trials": 1, "directory": tmp_path, "verbose": 2}
    best = kgrow.search((images, labels), **options).document["best"]
    assert not best["baseline"]["is_beaten"]
    assert [entry["has_few_test_images"] for entry in best["classes"]] == [False, True, True]
    told = capsys.readouterr().err
    assert "than always answering '0', the largest class, which is right for 95.0 % of the 60 test images." in told


def test_more_blocks_than_a_schedule_grows_are_told_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"`preset` must have .* for networks of 5 blocks, but has"):
        kgrow.search("digits", space=Cells(blocks=("N",) * 5), directory=tmp_path, verbose=0)
    assert not any(tmp_path.iterdir())


def test_too_few_images_for_8_bits_are_told_before_anything_is_trained(tmp_path):
    images = np.zeros((14, 8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match="`dataset` must have at least 16 training images for an int8 file, but got"):
        kgrow.search((images, np.arange(14) % 2), config={"export": "int8"}, directory=tmp_path, verbose=0)
    assert not any(tmp_path.iterdir())


def test_limits_of_a_device_are_met_by_the_measured_file(tmp_path):
    limits = kgrow.Limits(flash_bytes=14_000, ram_bytes=4_000, latency_ms=50.0)
    result = kgrow.search("digits", limits=limits, trials=2, epochs=2, directory=tmp_path, verbose=0)
    artefact = result.document["best"]["artefacts"][0]
    assert artefact["quantization"] == "int8"
    assert artefact["bytes"] == (tmp_path / "digits" / "model.tflite").stat().st_size <= 14_000
    assert artefact["ram_bytes"] <= 4_000
    assert artefact["latency_ms"] <= 50.0
    predicted = result.document["candidates"][int(result.document["best"]["trial"])]
    assert predicted["flash_bytes"] == pytest.approx(artefact["bytes"], rel=0.06)
    assert len({(point["values"]["depth"], point["values"]["width"]) for point in result.pareto}) > 1
    assert all(0 < point["latency_ms"] < 50.0 for point in result.pareto)
    again = result.export(tmp_path / "again.tflite")  # by default in the format that the limits were about
    assert (again.quantization, again.bytes) == ("int8", artefact["bytes"])


def test_a_network_that_8_bits_cost_too_much_is_trained_with_them(tiny_task, tiny_space, tmp_path, monkeypatch):
    monkeypatch.setattr("kgrow.execution.LARGEST_DROP", -1.0)
    options = {"space": tiny_space, "pruning": {"keep_ratio": 0.5}, "epochs": 2, "verbose": 0}
    result = kgrow.search(tiny_task, config={"export": "int8"}, directory=tmp_path, **options)
    (artefact,) = result.document["best"]["artefacts"]
    assert artefact["fine_tune_epochs"] == 3
    assert (tmp_path / "tiny" / "model.tflite").stat().st_size == artefact["bytes"]


@pytest.mark.parametrize("is_same", [True, False])
def test_interrupted_fine_tuning_goes_on_for_the_same_network_only(
    is_same, tiny_task, tiny_space, tmp_path, monkeypatch
):
    from kgrow.exporting.fine_tuning import _Rounded

    original, trained = _Rounded.train_epoch, []
    monkeypatch.setattr("kgrow.execution.LARGEST_DROP", -1.0)
    options = {"space": tiny_space, "pruning": {"keep_ratio": 0.5}, "epochs": 2, "verbose": 0}
    unbroken = kgrow.search(tiny_task, config={"export": "int8"}, directory=tmp_path / "unbroken", **options)

    def until_second(self, epoch, on_step):
        if epoch == 1:
            raise KeyboardInterrupt
        original(self, epoch, on_step)

    monkeypatch.setattr(_Rounded, "train_epoch", until_second)
    with pytest.raises(KeyboardInterrupt):
        kgrow.search(tiny_task, config={"export": "int8"}, directory=tmp_path / "broken", **options)
    run = tmp_path / "broken" / "tiny"
    (checkpoint,) = run.glob("fine_tuning/*/checkpoint.npz")
    if not is_same:  # a trial that went on since has other weights, and their digest
        checkpoint.parent.rename(checkpoint.parent.with_name("0" * 16))
    monkeypatch.setattr(_Rounded, "train_epoch", lambda *told: trained.append(told[1]) or original(*told))
    result = kgrow.search(tiny_task, config={"export": "int8"}, directory=tmp_path / "broken", **options)
    assert trained == ([1, 2] if is_same else [0, 1, 2])
    assert (run / "model.tflite").read_bytes() == (tmp_path / "unbroken" / "tiny" / "model.tflite").read_bytes()
    assert not list(run.glob("fine_tuning/*/*.npz")) or not is_same
    assert result.test_accuracy == unbroken.test_accuracy


def test_interrupted_fine_tuning_of_an_export_goes_on_there(tiny_task, tiny_space, tmp_path, monkeypatch, capsys):
    from kgrow.exporting.fine_tuning import _Rounded

    original, trained = _Rounded.train_epoch, []

    def until_second(self, epoch, on_step):
        if epoch == 1:
            raise KeyboardInterrupt
        original(self, epoch, on_step)

    result = kgrow.search(tiny_task, space=tiny_space, epochs=2, directory=tmp_path, verbose=0)
    settings = {"quantize": "int8", "fine_tune_epochs": 3, "max_drop": 1.0}
    files = sorted(path for path in result.directory.rglob("*") if path.is_file())
    unbroken = result.export(tmp_path / "unbroken.tflite", **settings, verbose=0)
    monkeypatch.setattr(_Rounded, "train_epoch", until_second)
    with pytest.raises(KeyboardInterrupt):
        result.export(tmp_path / "broken.tflite", **settings)
    monkeypatch.setattr(_Rounded, "train_epoch", lambda *told: trained.append(told[1]) or original(*told))
    result.export(tmp_path / "other.tflite", **{**settings, "fine_tune_epochs": 1}, verbose=0)  # leaves those alone
    assert trained == [0]
    trained.clear()
    capsys.readouterr()
    again = kgrow.load(result.directory, tiny_task).export(tmp_path / "broken.tflite", **settings)
    assert trained == [1, 2]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == [f"fine-tuning with 8 bits, epoch {n} of 3" for n in (2, 3)]
    assert (tmp_path / "broken.tflite").read_bytes() == (tmp_path / "unbroken.tflite").read_bytes()
    assert again.test_accuracy == unbroken.test_accuracy
    assert sorted(path for path in result.directory.rglob("*") if path.is_file()) == files  # none of its epochs is left


def test_limit_that_no_network_keeps_to_trains_nothing(tmp_path):
    with pytest.raises(kgrow.LimitError, match=r"the quickest one breaks latency_ms .* > 1e-06 on this machine"):
        kgrow.search("digits", limits=kgrow.Limits(latency_ms=1e-6), epochs=2, directory=tmp_path, verbose=0)
    assert not (tmp_path / "digits" / "trials").exists()


def test_limit_that_only_the_file_breaks_is_explained_and_leaves_no_file(tmp_path):
    search = functools.partial(
        kgrow.search, "digits", limits=kgrow.Limits(latency_ms=1e-6), trials=1, epochs=2, directory=tmp_path, verbose=0
    )
    with pytest.raises(kgrow.LimitError):
        search()
    (tmp_path / "digits" / "latency.json").write_text('{"num_too_slow": 0}')  # as if it had been quicker before
    with pytest.raises(kgrow.LimitError, match=r"each breaks one: trial 0000: latency_ms .* > 1e-06"):
        search()
    assert not list((tmp_path / "digits").glob("*.tflite"))


@pytest.fixture
def quick(monkeypatch):
    """The time is over at once, and nobody knew before: the schedule is not shortened."""
    monkeypatch.setattr("kgrow.searching.time_limit.fitted", lambda settings, *_: settings)
    return {"epochs": 6, "training": {"batch_size": 16}, "trials": 2, "max_time": 1e-3, "verbose": 0}


def test_network_is_exported_as_it_stands_when_the_time_ends_and_the_same_call_goes_on(
    tiny_task, tiny_space, tmp_path, quick
):
    result = kgrow.search(tiny_task, space=tiny_space, directory=tmp_path, **quick)
    best = result.document["best"]
    assert (result.document["complete"], best["unfinished"], best["epochs_trained"]) == (False, True, 1)
    assert best["kept_params"] == best["prunable_params"]
    assert (result.directory / "model.tflite").exists()
    assert kgrow.load(result.directory, tiny_task).document == result.document
    ended = kgrow.search(tiny_task, space=tiny_space, directory=tmp_path, **{**quick, "max_time": None})
    alone = kgrow.search(tiny_task, space=tiny_space, directory=tmp_path / "b", **{**quick, "max_time": None})
    assert ended.document["complete"]
    for part in ("best", "candidates"):
        first, second = ended.document[part], alone.document[part]
        first, second = (
            (
                {**it, "artefacts": None, "unpruned": None}
                if part == "best"
                else [{**c, "epochs_trained": 0} for c in it]
            )
            for it in (first, second)
        )
        assert first == second


def test_limits_stay_hard_when_the_time_ends(tiny_task, tiny_space, tmp_path, quick):
    limits = kgrow.Limits(params=60)
    with pytest.raises(kgrow.LimitError, match=r"trial 0000: params [0-9]+ > 60"):
        kgrow.search(tiny_task, space=tiny_space, limits=limits, directory=tmp_path, **quick)
    assert not (tmp_path / "tiny" / "model.tflite").exists()


def test_halving_ends_in_candidates_trained_in_full(tiny_task, tiny_space, tmp_path):
    options = {"space": tiny_space, "tuning": {"estimator": "halving"}, "trials": 5, "epochs": 12, "verbose": 0}
    result = kgrow.search(tiny_task, directory=tmp_path, **options)
    assert [candidate["epochs"] for candidate in result.document["candidates"]].count(12) >= 3
    assert all(not candidate["estimated"] for candidate in result.document["pareto"])
    assert result.document["complete"]
    again = kgrow.search(tiny_task, directory=tmp_path, **options)
    assert again.document == result.document


def test_a_genotype_grows_and_loses_channels_and_becomes_a_file(tiny_task, tmp_path):
    edges = (Edge(2, 0, "sep3"), Edge(2, 1, "max3"), Edge(3, 2, "dil3"))
    space = Cells(Genotype(edges, edges), ("N", "R"), filters=8)
    config = {"training": {"batch_size": 8}, "pruning": {"channel_keep_ratio": 0.5}, "export": "int8"}
    result = kgrow.search(tiny_task, space=space, epochs=24, config=config, directory=tmp_path, verbose=0)
    best = result.document["best"]
    names = {node["name"] for block in best["architecture"]["blocks"] for node in block["nodes"]}
    assert {"block_0/cell_1/sep3_0_2/0", "block_1/cell_2/dil3_2_3/0"} <= names
    (artefact,) = best["artefacts"]
    assert artefact["macs"] == best["macs_dense"] < 0.5 * best["unpruned"]["macs"]
    assert artefact["test_accuracy"] >= 0.9


def test_evidence_decides_how_many_connections_and_channels_stay(tiny_task, tiny_space, tmp_path):
    def search(folder, **pruning):
        told = kgrow.Pruning(strategy="bayes", **pruning)
        return kgrow.search(tiny_task, space=tiny_space, pruning=told, epochs=4, directory=tmp_path / folder, verbose=0)

    with pytest.raises(ValueError, match="`criterion` must be 'fisher', or have a `min_saliency`"):
        search("magnitude")
    with pytest.raises(ValueError, match="`channel_criterion` must be 'fisher', or have a `min_saliency`"):
        search("gate", criterion="fisher", channel_keep_ratio=1.0)
    result = search("connections", criterion="fisher")
    assert f"min_saliency={1 / len(tiny_task.train)}," in result.document["config"]["criterion"]
    assert result.document["best"]["kept_params"] < result.document["best"]["prunable_params"]
    cheap = {"criterion": FisherPruning(min_saliency=1e-5), "channel_criterion": FisherChannel(min_saliency=1e-4)}
    result = search("channels", channel_keep_ratio=1.0, **cheap)
    (artefact,) = result.document["best"]["artefacts"]
    assert artefact["macs"] < result.document["best"]["unpruned"]["macs"]
