"""Pictures show what a result says, and draw for odd results too."""

import builtins
import copy
import io

import numpy as np
import pytest

import kgrow
from kgrow._figure import new_figure
from kgrow.reporting.pictures import (
    plot_architecture,
    plot_confusion,
    plot_exits,
    plot_history,
    plot_pareto,
)

CLASSES = ("a", "b", "<c>\x1b[31m")


def trial(name, accuracy, size, status="done"):
    interval = None if accuracy is None else [accuracy - 0.05, min(1.0, accuracy + 0.05)]
    found = {"trial": name, "val_accuracy": accuracy, "val_accuracy_interval": interval}
    return {**found, "flash_bytes": size, "status": status}


DOCUMENT = {
    "task": {"name": "tiny"},
    "candidates": [
        trial("0000", 0.7, 3_000),
        trial("0001", 0.9, 2_000),
        trial("0002", 0.8, 1_000),
        trial("0003", None, 500, "failed"),
        trial("0004", 0.99, 100, "stopped"),
    ],
    "best": {
        "trial": "0001",
        "heads": [{"macs": 100, "test_accuracy": 0.7}, {"macs": 300, "test_accuracy": 0.8}],
        "early_exit": [
            {"threshold": threshold, "test_accuracy": 0.7 + threshold / 10, "mean_macs": 100 + 200 * threshold}
            for threshold in (0.1, 0.5, 0.9)
        ],
        "artefacts": [{"test_accuracy": 0.8125, "bytes": 2_345, "quantization": "int8"}],
    },
}
EVENTS = [
    {"event": "grew", "epoch": 0, "change": {}},
    {"event": "epoch", "epoch": 0, "val_accuracy": [0.5]},
    {"event": "grew", "epoch": 1, "change": {}},
    {"event": "epoch", "epoch": 1, "val_accuracy": [0.6, 0.55]},
    {"event": "inserted", "epoch": 2, "change": {}},  # of no picture's interest
    {"event": "cut", "epoch": 2, "change": {}},
    {"event": "epoch", "epoch": 2, "val_accuracy": [0.7]},
]


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue().startswith(b"\x89PNG")


def test_pareto_shows_every_trial_with_an_accuracy_and_the_front():
    figure = plot_pareto(DOCUMENT)
    (axes,) = figure.axes
    assert {text.get_text() for text in axes.texts} == {"0000", "0001", "0002", "0004"}
    front = axes.lines[-1].get_xydata().tolist()
    assert front == [[1_000, 80.0], [2_000, 90.0]]  # neither the dominated nor the stopped one
    assert drawn(figure)


def test_history_shows_each_head_from_its_birth_and_marks_changes_once():
    figure = plot_history(EVENTS, "tiny")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["head 1", "head 2", "a block comes", "cut"]
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[1, 55]])
    assert drawn(figure)


def test_confusion_counts_every_image():
    labels, answers = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    figure = plot_confusion(labels, answers, CLASSES)
    (axes,) = figure.axes
    shown = {(text.get_position()[1], text.get_position()[0]): int(text.get_text()) for text in axes.texts}
    assert shown == {(0, 0): 1, (0, 1): 1, (1, 1): 2, (1, 2): 1, (2, 2): 1}
    assert all("\x1b" not in label.get_text() for label in axes.get_xticklabels())
    assert drawn(figure)


def test_confusion_of_many_classes_and_of_a_class_without_images_is_drawn():
    figure = plot_confusion(np.arange(40) % 39, np.arange(40) % 39, [str(number) for number in range(60)])
    assert not figure.axes[0].texts
    assert drawn(figure)


def test_exits_show_the_curve_and_every_head():
    figure = plot_exits(DOCUMENT["best"])
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[120, 71], [200, 75], [280, 79]])
    np.testing.assert_allclose([line.get_xydata()[0] for line in axes.lines[1:]], [[100, 70], [300, 80]])
    assert drawn(figure)


def test_architecture_shows_every_kernel_and_what_is_kept(varied_network):
    kept = {kernel.name: kernel.size // 2 for kernel in varied_network.kernels()}
    figure = plot_architecture(varied_network.architecture, kept)
    (axes,) = figure.axes
    bars = [bar.get_width() for bar in axes.patches]
    kernels = varied_network.architecture.kernels()
    assert bars == [width for kernel in kernels for width in (kernel.kernel_params, kept[kernel.name])]
    assert sum("head" in text.get_text() for text in axes.texts) == 3
    assert drawn(figure)


# A result


@pytest.fixture
def result(tmp_path, tiny_network, tiny_task):
    return kgrow.Result(tmp_path, copy.deepcopy(DOCUMENT), tiny_network, tiny_task)


def test_result_is_one_line(result, tmp_path):
    assert repr(result) == f"Result('tiny', test accuracy 81.25 % in 2345 bytes (int8), '{tmp_path}')"
    assert "\n" not in repr(result)


def test_result_draws_its_pictures(result):
    assert all(drawn(figure) for figure in (result.plot_pareto(), result.plot_exits(), result.plot_architecture()))
    figure = result.plot_confusion()
    assert sum(int(text.get_text()) for text in figure.axes[0].texts) == len(result.task.test)


def test_log_that_is_gone_is_named(result):
    for draw in (result.plot_history, result.plot_timeline):
        with pytest.raises(FileNotFoundError, match=r"there is no '.*trials/0001'"):
            draw()


# A task


def test_preview_shows_images_in_turn_and_changed_copies(tiny_task):
    figure = tiny_task.preview(num_images=4, num_changes=2)
    assert len(figure.axes) == 12
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == [*tiny_task.class_names, tiny_task.class_names[0]]
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert all(pixels.min() >= 0 and pixels.max() <= 1 for pixels in shown)
    assert any(not np.array_equal(shown[0], pixels) for pixels in (shown[4], shown[8]))
    unchanged = tiny_task.preview("none", num_images=2, num_changes=1)
    shown = [np.asarray(axes.images[0].get_array()) for axes in unchanged.axes]
    np.testing.assert_allclose(shown[0], shown[2], atol=1e-6)
    assert drawn(figure)


def test_preview_draws_gray_and_four_channels(digits):
    assert drawn(digits.preview(num_images=3, num_changes=0))
    images = np.random.default_rng(0).normal(size=(30, 6, 6, 4)).astype(np.float32)
    assert drawn(kgrow.Task.of((images, np.arange(30) % 3)).preview(num_images=50, num_changes=1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_images": 0}, "`num_images`"),
        ({"num_changes": -1}, "`num_changes`"),
        ({"augmentation": "x"}, "`augmentation`"),
    ],
)
def test_preview_of_nothing_is_refused(tiny_task, options, words):
    with pytest.raises(ValueError, match=words):
        tiny_task.preview(**options)


def test_notebooks_get_text_that_is_no_markup(tiny_task):
    shown = tiny_task._repr_html_()
    assert shown.startswith("<pre>Task(")
    assert shown.count("<") == 2


def test_missing_library_is_named_with_what_installs_it(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'kgrow\[plot\]'"):
        new_figure(1, 1)


def test_a_figure_shows_itself_in_a_notebook_that_knows_no_matplotlib():
    assert new_figure(2, 1)._repr_png_().startswith(b"\x89PNG")
