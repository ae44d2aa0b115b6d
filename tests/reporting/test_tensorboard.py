"""Tests of what TensorBoard is given."""

from types import SimpleNamespace

import numpy as np
import pytest

from kgrow.reporting.tensorboard import FIGURES, FOLDER, write_mistakes, write_tensorboard
from kgrow.run import Run

pytest.importorskip("tensorboard")


def trial(name, accuracy):
    figures = dict.fromkeys(FIGURES, 3) | {"val_accuracy": accuracy}
    return {"trial": name, "values": {"depth": 2, "width": 0.5, "block_0/keep_ratio": 0.25}, "epochs": 7, **figures}


def test_each_trial_with_an_accuracy_has_its_values_and_figures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    with Run.open(tmp_path / "run", {}) as run:
        write_tensorboard(run, [trial("0000", 0.75), trial("0001", None)], {})
    assert [path.name for path in (run.path / FOLDER).iterdir()] == ["0000"]
    log = EventAccumulator(str(run.path / FOLDER / "0000"))
    log.Reload()
    content = log.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    given = HParamsPluginData.FromString(content).session_start_info.hparams
    assert given["block_0/keep_ratio"].number_value == 0.25
    assert set(log.Tags()["tensors"]) >= set(FIGURES)


def test_logs_of_an_earlier_process_go_and_what_others_put_there_stays(tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        write_tensorboard(run, [trial("0000", 0.75), trial("0001", 0.5)], {})
        own = run.path / FOLDER / "mine" / "events.out.tfevents.1"
        own.parent.mkdir()
        own.write_text("mine")
        write_tensorboard(run, [trial("0000", 0.75)], {})
        names = sorted(path.name for path in (run.path / FOLDER).iterdir())
        assert names == ["0000", "mine"]
        write_tensorboard(run, [trial("0000", 0.75)], {})
        assert own.read_text() == "mine"
        assert len(list((run.path / FOLDER / "0000").iterdir())) == 1


@pytest.mark.parametrize("folder", ["", "0000"])
def test_nothing_is_written_through_a_link(tmp_path, folder):
    (tmp_path / "mine").mkdir()
    with Run.open(tmp_path / "run", {}) as run:
        link = run.path / FOLDER / folder
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(tmp_path / "mine")
        with pytest.raises(ValueError, match="inside the run directory"):
            write_tensorboard(run, [trial("0000", 0.75)], {})
    assert not any((tmp_path / "mine").iterdir())


def test_curves_have_a_point_per_epoch_head_and_block(tmp_path):
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = [
        {"event": "grew", "epoch": 0, "change": {}, "kept_params": [10]},
        {"event": "epoch", "epoch": 0, "loss": 2.0, "val_accuracy": [0.5], "is_settled": False},
        {"event": "grew", "epoch": 1, "change": {}, "kept_params": [10, 20]},
        {"event": "epoch", "epoch": 1, "loss": 1.0, "val_accuracy": [0.6, 0.4], "is_settled": True},
    ]
    with Run.open(tmp_path / "run", {}) as run:
        write_tensorboard(run, [trial("0000", 0.75)], {"0000": events})
    log = EventAccumulator(str(run.path / FOLDER / "0000"))
    log.Reload()
    found = {
        name: [(point.step, float(tf.make_ndarray(point.tensor_proto))) for point in log.Tensors(name)]
        for name in log.Tags()["tensors"]
        if name.startswith("epochs/")
    }
    assert found == {
        "epochs/loss": [(1, 2.0), (2, 1.0)],
        "epochs/val_accuracy/head_1": [(1, pytest.approx(0.5)), (2, pytest.approx(0.6))],
        "epochs/val_accuracy/head_2": [(2, pytest.approx(0.4))],
        "epochs/alive/block_1": [(1, 10.0), (2, 10.0)],
        "epochs/alive/block_2": [(1, 0.0), (2, 20.0)],
    }


def test_images_that_are_answered_wrongly_are_shown_with_what_they_were_taken_for(tmp_path, tiny_task):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    labels = tiny_task.test.labels
    logits = np.eye(3, dtype=np.float32)[labels] * 5
    logits[7] = np.roll(logits[7], 1)
    network = SimpleNamespace(logits=lambda images: [logits[:, ::-1], logits])
    with Run.open(tmp_path / "run", {}) as run:
        write_tensorboard(run, [trial("0000", 0.75)], {})
        write_mistakes(run, "0000", network, tiny_task)
        run.child(FOLDER).clear()  # it knows all of its files
        assert not list((run.path / FOLDER).rglob("events*"))
        write_tensorboard(run, [trial("0000", 0.75)], {})
        write_mistakes(run, "0000", network, tiny_task)
    log = EventAccumulator(str(run.path / FOLDER / "0000"))
    log.Reload()
    assert [tag for tag in log.Tags()["tensors"] if tag.startswith("mistakes")] == ["mistakes/01"]
    told = log.SummaryMetadata("mistakes/01").summary_description
    names = tiny_task.class_names
    assert told.startswith(f"{names[labels[7]]}, taken for {names[(labels[7] + 1) % 3]} with 9")
