"""What a finished search says of itself, when somebody has changed it: found, and named, before it is believed."""

import copy
import hashlib
import json
import shutil

import numpy as np
import pytest

import kgrow
from kgrow._encoding import decode_arrays, encode_arrays
from kgrow.graph import Cell, CellBlock, Head, of_cells
from kgrow.searching import SearchSpace

FILES = ("result.json", "config.json")
WRONG = (None, True, 3, 2.5, "text", [], {}, [[]], {"a": {"b": None}}, [None], 10**400)


class Small(SearchSpace):
    """Of one architecture that is trained in a second."""

    def build(self, input_shape, num_classes, scaling=None, *, width=1.0, **choices):
        blocks = CellBlock((Cell("conv", 8, stride=2),), Head(4)), CellBlock((Cell("conv", 8, inputs=(0,)),), Head(4))
        return of_cells(input_shape, num_classes, scaling, blocks)


SETTINGS = {"space": Small(), "trials": 2, "epochs": 2, "verbose": 0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return kgrow.search("digits", directory=tmp_path_factory.mktemp("runs"), **SETTINGS)


@pytest.fixture
def received(finished, tmp_path):
    """A copy of the run."""
    return shutil.copytree(finished.directory, tmp_path / "digits")


def edit(run, change, name="result.json"):
    """Changes a document of a run."""
    document = json.loads((run / name).read_text())
    change(document)
    (run / name).write_text(json.dumps(document))


def places(value, path=()):
    """Yields the path of every value in a document."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def parent_of(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


# Lists and objects that are null where nothing was measured.
MAY_BE_UNKNOWN = ("val_accuracy_interval", "recall_interval", "unpruned", "market")


def is_wrong(value, other):
    """Returns whether no field that holds one value may hold the other."""
    if value is None or other is None:
        return isinstance(value, list | dict) or isinstance(other, list | dict | bool)
    number = (int, float)
    both_numbers = isinstance(value, number) and isinstance(other, number) and abs(other) < 1e300
    if bool in (type(value), type(other)) or not both_numbers:
        return type(value) is not type(other)
    return isinstance(value, int) and isinstance(other, float)


def check_load(finished, run, where):
    """Loads a run, which gives the same result or an error that names the file."""
    try:
        loaded = kgrow.load(run)
    except ValueError as error:
        message = str(error)
    else:
        assert loaded.document == finished.document, where
        return
    assert any(str(run / name) in message for name in FILES), (where, message)


def test_result_of_another_minor_version_is_refused_with_both_versions(received):
    edit(received, lambda document: document.update(kgrow_version="0.1.0"))
    with pytest.raises(ValueError, match=r"a run of kgrow 0\.2\.0, but .*result.json' is of kgrow 0\.1\.0"):
        kgrow.load(received)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_field_of_a_wrong_type_and_every_missing_one_is_named(finished, received, name):
    original = json.loads((received / name).read_text())
    for path in places(original):
        for wrong in WRONG:
            document = copy.deepcopy(original)
            value = parent_of(document, path)[path[-1]] if path else document
            is_free = "values" in path[:-1] and type(wrong) in (int, float, str)  # any hyper-parameter may be
            is_unknown = wrong is None and path and path[-1] in MAY_BE_UNKNOWN
            if is_free or is_unknown or not is_wrong(value, wrong):
                continue
            if path:
                parent_of(document, path)[path[-1]] = wrong
            (received / name).write_text(json.dumps(document if path else wrong))
            try:
                kgrow.load(received)
            except ValueError as error:
                message = str(error)
            else:
                message = "loaded"
            assert any(str(received / file) in message for file in FILES), (path, wrong, message)
        if path and isinstance(path[-1], str) and "values" not in path:  # which hyper-parameters there are is free
            document = copy.deepcopy(original)
            del parent_of(document, path)[path[-1]]
            (received / name).write_text(json.dumps(document))
            check_load(finished, received, (path, "removed"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "5", "NaN", '{"a": Infinity}', "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500, "\xff"],
)
def test_text_that_is_no_document_is_named(received, name, text):
    (received / name).write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{name}"):
        kgrow.load(received)


@pytest.mark.parametrize("name", ["trials/0000/fork.json", "trials/0000/outcome.json", "architecture.json"])
def test_documents_of_the_search_alone_do_no_harm(finished, received, name):
    (received / name).write_text("[" * 100_000)
    check_load(finished, received, name)


def test_result_is_loaded_as_it_was(finished, received):
    loaded = kgrow.load(received)
    assert loaded.document == finished.document
    images = finished.task.test.images[:20]
    np.testing.assert_array_equal(loaded.network.logits(images), finished.network.logits(images))


def test_next_steps_are_those_of_a_run_that_was_moved(finished, received, capsys, monkeypatch):
    monkeypatch.chdir(received.parent)
    kgrow.load(received).summary()
    told = capsys.readouterr().out
    assert "kgrow benchmark digits\n" in told
    assert str(finished.directory) not in told


def change_weights(run, change):
    """Changes the best weights of a run, and their hash with them."""
    name = f"trials/{json.loads((run / 'result.json').read_text())['best']['trial']}/best.npz"
    arrays, metadata = decode_arrays((run / name).read_bytes(), name)
    change(arrays, metadata)
    content = encode_arrays(arrays, metadata)
    (run / name).write_bytes(content)

    def record(document):
        entry = next(entry for entry in document["files"] if entry["path"] == name)
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    edit(run, record)


def blank(arrays, metadata):
    for array in arrays.values():
        array[...] = 0


def test_weights_that_were_exchanged_are_refused(received):
    best = json.loads((received / "result.json").read_text())["best"]["trial"]
    other = next(path for path in sorted(received.glob("trials/*/best.npz")) if path.parent.name != best)
    shutil.copy(other, received / "trials" / best / "best.npz")
    with pytest.raises(ValueError, match=r"best\.npz' must be the file that the search wrote"):
        kgrow.load(received)


def test_weights_that_answer_otherwise_than_recorded_are_refused_even_with_a_fitting_hash(received):
    change_weights(received, blank)
    edit(received, lambda document: document["best"].update(kept_params=0))
    with pytest.raises(ValueError, match=r"result\.json' must tell how good the network is, but"):
        kgrow.load(received)


def shift_mean(architecture):
    architecture["scaling"]["mean"] = [100.0]


def test_scaling_that_was_changed_is_refused(received):
    edit(received, lambda document: shift_mean(document["best"]["architecture"]))
    with pytest.raises(ValueError, match=r"`best\.architecture` and `seed` must be those of"):
        kgrow.load(received)
    change_weights(received, lambda arrays, metadata: shift_mean(metadata["architecture"]))
    with pytest.raises(ValueError, match="must tell how good the network is"):
        kgrow.load(received)


@pytest.mark.parametrize("trial", ["/etc", "../../other/trials/0000", "0000/../0001", "9999", "12", ""])
def test_trial_is_no_path(received, tmp_path, trial):
    def rename(document):
        document["best"]["trial"] = document["candidates"][0]["trial"] = trial
        document["files"].append({**document["files"][1], "path": f"trials/{trial}/best.npz"})

    edit(received, rename)
    with pytest.raises((ValueError, FileNotFoundError), match=r"`best\.trial`|weights of the best trial"):
        kgrow.load(received)


@pytest.mark.parametrize(
    ("num_classes", "message"),
    [(10**9, "at most 100000 classes"), (10**5, r"must end in 100000 logits")],
)
def test_document_that_asks_for_a_huge_network_is_refused_before_it_is_built(received, num_classes, message):
    def enlarge(architecture):
        architecture["num_classes"] = num_classes

    edit(received, lambda document: enlarge(document["best"]["architecture"]))
    change_weights(received, lambda arrays, metadata: enlarge(metadata["architecture"]))
    with pytest.raises(ValueError, match=message):
        kgrow.load(received)


@pytest.mark.parametrize("weights", [5, "heavy", ["heavy"], {"0": 1.0}])
def test_class_weights_that_are_no_numbers_are_named_though_both_documents_agree(received, weights):
    for name in FILES:
        edit(received, lambda document: document["config"].update(class_weights=weights), name)
    with pytest.raises(ValueError, match=r"result\.json is damaged: `config\.class_weights"):
        kgrow.load(received)


def test_arrays_that_a_few_bytes_stand_for_are_refused(received):
    file = received / "trials" / json.loads((received / "result.json").read_text())["best"]["trial"] / "best.npz"
    np.savez_compressed(file, __metadata__=np.frombuffer(b'{"names": ["w"], "metadata": {}}', np.uint8), w=np.zeros(9))
    with pytest.raises(ValueError, match=r"best\.npz is damaged: '__metadata__' is compressed"):
        decode_arrays(file.read_bytes(), str(file))


@pytest.mark.parametrize("how", ["as one file", "as a folder"])
def test_files_of_a_run_are_no_target_of_an_export(finished, received, how, monkeypatch):
    before = (received / "model.tflite").read_bytes()
    monkeypatch.chdir(received)
    for target in ("model.tflite", received / "MODEL.tflite", received.parent / "digits" / "." / "model.tflite"):
        with pytest.raises(ValueError, match="`path` must not be a file of a search, but"):
            finished.export(target if how == "as one file" else received / "trials")
    assert (received / "model.tflite").read_bytes() == before
    assert finished.export(received / "other.tflite").bytes == len(before)


def test_search_whose_file_was_replaced_claims_nothing(finished, received):
    other = finished.export(received.parent / "float32.tflite", quantize="float32")
    shutil.copy(other.path, received / "model.tflite")
    with pytest.raises(ValueError, match=r"model\.tflite' must be the file that the search wrote, .* Move it away"):
        kgrow.search("digits", directory=received.parent, **SETTINGS)
    assert (received / "model.tflite").stat().st_size == other.bytes
    (received / "model.tflite").rename(received / "mine.tflite")
    again = kgrow.search("digits", directory=received.parent, **SETTINGS)
    assert again.document["files"] == finished.document["files"]
    assert (received / "mine.tflite").stat().st_size == other.bytes


@pytest.mark.parametrize("name", ["mnist", "cifar100", "huggingface:squad", "no_such_set"])
def test_data_set_that_a_run_names_is_not_downloaded_unasked(received, tmp_path, name, monkeypatch):
    import tensorflow_datasets as tfds

    def download(*arguments, **options):
        raise AssertionError("downloaded")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", download)
    edit(received, lambda document: document["source"].update(dataset=name, data_dir=str(tmp_path)))
    with pytest.raises(
        ValueError, match=rf"`dataset` must be on this machine, .*--dataset {name}|must be the name of a data set"
    ):
        kgrow.load(received)


def test_data_elsewhere_on_the_network_are_not_fetched_unasked(received):
    edit(received, lambda document: document["source"].update(data_dir="gs://bucket/sets"))
    with pytest.raises(ValueError, match=r"`data_dir` must be given for .* nothing is fetched unasked"):
        kgrow.load(received)
