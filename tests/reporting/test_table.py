"""Tests of the final table: what a stranger reads in it, at any width and in any encoding."""

import copy
import io
import os
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from kgrow.reporting.next_steps import next_steps
from kgrow.reporting.table import print_summary, summary
from kgrow.reporting.wording import duration, grouped, one_line, percent

THRESHOLDS = (0.1, 0.15, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)


@pytest.fixture(autouse=True)
def wide_pipe(monkeypatch):
    """Room for all columns, unless a test asks for less."""
    monkeypatch.setenv("COLUMNS", "160")


def trial(name, ratio, accuracy, status="done", error=None):
    return {
        "trial": name,
        "keep_ratios": [ratio] * 4,
        "values": {"depth": 4, "width": 0.5},
        "same_as": None,
        "macs": 20_000_000,
        "val_accuracy": accuracy,
        "val_accuracy_interval": None,
        "mean_val_accuracy": None,
        "mean_val_loss": None,
        "estimated": False,
        "objective": accuracy,
        "flash_bytes": 741_000,
        "ram_bytes": 40_960,
        "prunable_params": 169_392,
        "kept_params": round(169_392 * ratio),
        "status": status,
        "error": error,
    }


RESULT = {
    "start": "scratch",
    "kgrow_version": "0.2.0",
    "task": {"name": "cifar10", "num_validation": 5_000, "num_test": 10_000},
    "source": {"dataset": "cifar10"},
    "seed": 0,
    "config": {"limits": {"params": 90_000, "macs": None, "flash_bytes": 800_000, "latency_ms": 1.5}},
    "wall_s": 5571.2,
    "candidates": [
        trial("0000", 0.5, 0.8712),
        trial("0001", 0.35, 0.8690),
        trial("0002", 0.25, None, "failed", "the loss became nan in epoch 12;\na lower rate may help"),
    ],
    "networks": {"offered": 36, "infeasible": 0},
    "pareto": [],
    "choice": {"prefer": "accurate", "contenders": [], "comparisons": []},
    "calibration": None,
    "best": {
        "trial": "0000",
        "architecture": {},
        "keep_ratios": [0.5] * 4,
        "prunable_params": 169_392,
        "kept_params": 84_696,
        "macs_dense": 20_000_000,
        "macs_sparse": 11_234_567,
        "heads": [
            {
                "val_accuracy": 0.71 + 0.05 * i,
                "val_accuracy_interval": [0.7 + 0.05 * i, 0.72 + 0.05 * i],
                "test_accuracy": 0.7 + 0.05 * i,
                "test_accuracy_interval": [0.69 + 0.05 * i, 0.71 + 0.05 * i],
                "macs": 5_000_000 * (i + 1),
            }
            for i in range(4)
        ],
        "test_accuracy": 0.85,
        "test_accuracy_interval": [0.843, 0.857],
        "baseline": {"class": "cat", "test_accuracy": 0.1, "is_beaten": True},
        "classes": [
            {
                "name": name,
                "num_test": 5_000,
                "has_few_test_images": False,
                "recall": 0.85,
                "recall_interval": [0.84, 0.86],
            }
            for name in ("cat", "dog")
        ],
        "unpruned": None,
        "market": None,
        "early_exit": [
            {
                "threshold": threshold,
                "test_accuracy": 0.7 + 0.015 * i,
                "test_accuracy_interval": [0.69 + 0.015 * i, 0.71 + 0.015 * i],
                "mean_macs": 5e6 + 1.56e6 * i,
            }
            for i, threshold in enumerate(THRESHOLDS)
        ],
        "artefacts": [
            {
                "path": "/data/kgrow_runs/cifar10/model.tflite",
                "quantization": "float32",
                "bytes": 741_234,
                "gzip_bytes": 391_234,
                "ram_bytes": 40_960,
                "test_accuracy": 0.8499,
                "test_accuracy_interval": [0.8428, 0.8568],
                "latency_ms": 1.2345,
                "max_abs_diff": 1.234e-5,
                "runtime": "ai_edge_litert 2.3.0",
            }
        ],
    },
}


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def printed(result):
    stream = io.StringIO()
    print_summary(result, stream)
    return stream.getvalue()


def rendered(result, width):
    console = Console(file=io.StringIO(), width=width, force_jupyter=False, color_system=None)
    console.print(summary(result), crop=False)
    return console.file.getvalue()


def words(text):
    return " ".join(text.split())


def changed(change):
    result = copy.deepcopy(RESULT)
    change(result)
    return result


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("120", 120), ("wide", 80), ("0", 80), (None, 80)])
def test_piped_table_is_plain_and_has_the_columns_of_its_environment(monkeypatch, columns, width):
    monkeypatch.delenv("COLUMNS")
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    text = printed(RESULT)
    assert "\x1b" not in text
    tables = text[: text.index("Next steps")]
    assert width - 20 < max(map(cell_len, tables.splitlines())) <= width
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(
    ("columns", "shown", "left_out"),
    [
        ("80", r"^0000 \*  done    4 x 0\.5  +87\.12 +87\.00 +0\.4321 +84 696$", "MACs, keep ratio"),
        ("60", r"^0000 \*  done +87\.12 +87\.00 +84 696$", "MACs, keep ratio, network, mean loss"),
    ],
)
def test_narrow_table_loses_its_least_important_columns_and_says_which(monkeypatch, columns, shown, left_out):
    def judge(result):
        result["candidates"][0] |= {"mean_val_accuracy": 0.87, "mean_val_loss": 0.4321}

    monkeypatch.setenv("COLUMNS", columns)
    text = printed(changed(judge))
    assert re.search(shown, text, re.MULTILINE)
    assert f"Columns left out at this width: {left_out}. " in words(text)
    assert "trial 0001\n" not in text  # no list


def test_table_says_which_trial_won_and_why():
    text = printed(RESULT)
    assert text.startswith("cifar10: 3 trials in 1 h 33 min, seed 0.\n")
    assert (
        "The best network has test accuracy 85.00 % (95 % interval 84.3 to 85.7) with 84 696 of 169 392 weights."
        in words(text)
    )
    assert re.search(r"0000 \*  done    4 x 0\.5  0\.5 0\.5 0\.5 0\.5 +87\.12 +- +- +84 696 +20 000 000", text)
    assert re.search(r"0002    failed +4 x 0\.5  0\.25 0\.25 0\.25 0\.25 +- +- +- +42 348 +20 000 000", text)
    reason = "its last head has the highest mean validation accuracy (87.12 %, trial 0001 86.90 %)."
    assert f"* Trial 0000 is chosen: {reason}" in words(text)
    assert "Trial 0002 failed: the loss became nan in epoch 12; a lower rate may help" in words(text)


def test_limits_are_shown_with_what_is_used_of_them():
    expected = "Within the limits: params 84 696 of 90 000, flash_bytes 741 234 of 800 000, latency_ms 1.23 of 1.5."
    assert expected in words(printed(RESULT))
    assert "Within" not in printed(changed(lambda result: result["config"].clear()))


def test_links_and_twins_are_named():
    def change(result):
        result["candidates"][1] |= {"same_as": "0000", "values": {"depth": 2, "width": 1.0, "links": "concat"}}

    assert "0001 as 0000 2 x 1 concat 0.35" in words(printed(changed(change)))


def test_estimated_accuracies_are_called_approximate_and_are_no_rivals():
    def change(result):
        result["candidates"][1] |= {"estimated": True, "val_accuracy": 0.99}
        result["calibration"] = {"estimator": "supernet", "kendall_tau": 0.714, "num_candidates": 10}

    text = words(printed(changed(change)))
    assert "0001 approximate 4 x 0.5" in text
    assert "* Trial 0000 is chosen: no other has a result." in text
    assert "approximate: supernet, Kendall tau 0.71 over 10 candidates" in text


def test_trial_that_was_cut_short_says_so():
    def change(result):
        result["candidates"][1] |= {"estimated": True, "status": "cut"}

    assert "0001 cut, approximate 4 x 0.5" in words(printed(changed(change)))


@pytest.mark.parametrize(
    ("rivals", "reason"),
    [
        (
            [0.8712, None],
            "no mean validation accuracy is higher (87.12 %, trial 0001 87.12 %), and it keeps the fewest weights.",
        ),
        ([0.9, None], "* Trial 0000 is chosen (87.12 %, trial 0001 90.00 %)."),
        ([None, None], "* Trial 0000 is chosen: no other has a result."),
    ],
)
def test_reason_claims_no_more_than_the_figures_show(rivals, reason):
    result = copy.deepcopy(RESULT)
    for candidate, accuracy in zip(result["candidates"][1:], rivals, strict=True):
        candidate |= {"val_accuracy": accuracy, "objective": accuracy, "kept_params": 100_000}
    assert reason in words(printed(result))


def test_reason_is_the_objective_where_energy_counts():
    result = copy.deepcopy(RESULT)
    result["candidates"][0]["objective"] = 0.6
    result["candidates"][1] |= {"val_accuracy": 0.9, "objective": 0.5}
    reason = "its objective is 0.6000, that of trial 0001 0.5000 (87.12 %, trial 0001 90.00 %)."
    assert f"* Trial 0000 is chosen: {reason}" in words(printed(result))


def test_networks_that_cannot_fit_are_counted():
    def change(result):
        result["networks"] = {"offered": 36, "infeasible": 30}

    counted = "30 of the 36 networks of the space break a limit"
    assert counted in words(printed(changed(change)))
    assert counted not in words(printed(RESULT))


def test_heads_have_accuracies_and_macs():
    text = printed(RESULT)
    assert re.search(r"^head +validation % \(95 %\) +test % \(95 %\) +MACs per image$", text, re.MULTILINE)
    assert re.search(r"^0 +71\.00 \(70\.0-72\.0\) +70\.00 \(69\.0-71\.0\) +5 000 000$", text, re.MULTILINE)
    assert re.search(r"^3 \(last\) +86\.00 \(85\.0-87\.0\) +85\.00 \(84\.0-86\.0\) +20 000 000$", text, re.MULTILINE)


def test_few_early_exit_rows_span_all_costs():
    text = printed(RESULT)
    section = text[text.index("Early exit") : text.index("Files")]
    thresholds = [line.split()[0] for line in section.splitlines() if re.match(r"0\.\d", line)]
    assert thresholds == ["0.1", "0.25", "0.7", "0.9", "0.999"]
    assert re.search(r"0\.999 +85\.00 \(84\.0-86\.0\) +20 600 000 +103\.0\n", section)


def test_early_exit_rows_of_equal_cost_are_shown_once():
    def flatten(result):
        for point in result["best"]["early_exit"]:
            point["mean_macs"] = 5e6

    text = printed(changed(flatten))
    assert text.count(" 5 000 000") == 2  # the first head, one exit row


def test_file_row_has_every_measurement_and_names_the_runtime():
    text = printed(RESULT)
    assert re.search(r"model\.tflite +float32 +741 234 +391 234 +84\.99 \(84\.3-85\.7\) +1\.23 +1\.2e-05\n", text)
    assert "one image on one thread of ai_edge_litert 2.3.0 on this machine" in words(text)
    assert "\n/data/kgrow_runs/cifar10/model.tflite\n" in text


def test_last_lines_are_the_commands_that_come_next(monkeypatch, tmp_path):
    def move(result):
        result["best"]["artefacts"][0]["path"] = str(tmp_path / "my runs" / "model.tflite")

    monkeypatch.chdir(tmp_path)
    assert printed(changed(move)).endswith(
        "\nNext steps\n"
        "Classify images:\n"
        "  python 'my runs/run.py' IMAGE\n"
        "Export for a device, with answers as early as a head is sure:\n"
        "  kgrow export 'my runs' --early-exit --out out\n"
        "Compare all formats:\n"
        "  kgrow benchmark 'my runs'\n"
    )


def test_answer_alone_is_three_lines_and_commands_and_names_where_the_rest_is():
    text = io.StringIO()
    print_summary(RESULT, text, details=False)
    answer, _, steps = text.getvalue().partition("\nNext steps\n")
    assert printed(RESULT).startswith(answer)
    assert len(answer.splitlines()) <= 7  # at 80 columns some lines are two
    assert "Trials" not in answer
    assert "  kgrow show /data/kgrow_runs/cifar10\n" in steps
    assert "  kgrow report /data/kgrow_runs/cifar10\n" in steps
    assert printed(RESULT).endswith(steps.partition("with pictures:\n")[2].partition("\n")[2])


def test_data_in_memory_are_given_again_in_the_next_step():
    def forget(result):
        result["source"]["dataset"] = None

    text = printed(changed(forget))
    assert "  kgrow.load('/data/kgrow_runs/cifar10', dataset).export('out', early_exit=True)\n" in text
    assert "kgrow benchmark" not in text


def test_command_is_not_broken_on_a_narrow_terminal():
    assert "\n  kgrow export /data/kgrow_runs/cifar10 --early-exit --out out\n" in rendered(RESULT, 40)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_cut_at_any_width(width):
    text = rendered(RESULT, width)
    tables = text[: text.index("Next steps")]  # what follows is there to be copied
    assert max(cell_len(line.rstrip()) for line in tables.splitlines()) <= width
    assert "…" not in text
    for number in ("169 392", "84 696", "20 000 000", "741 234", "84.99", "11 234 567"):
        assert number in text


def test_what_is_narrower_than_every_table_gets_rows_one_below_the_other():
    text = rendered(RESULT, 30)
    assert re.search(r"^trial 0000 \*\n  status +done\n", text, re.MULTILINE)


def judged(result):
    """Two contenders, the winner told apart from the third trial alone."""
    result["task"] |= {"num_validation": 45}
    for candidate, mean, loss in zip(result["candidates"], (0.52, 0.55, 0.2), (0.61, 0.72, 1.9), strict=True):
        candidate |= {"val_accuracy": mean, "mean_val_accuracy": mean, "mean_val_loss": loss, "flash_bytes": 9_000}
        candidate |= {"val_accuracy_interval": [mean - 0.1, mean + 0.1], "error": None, "status": "done"}
    compared = [
        {"trial": "0001", "difference": -0.03, "p_value": 0.61, "told_apart": False},
        {"trial": "0002", "difference": 0.32, "p_value": 0.001, "told_apart": True},
    ]
    result["choice"] = {"prefer": "accurate", "contenders": ["0000", "0001"], "comparisons": compared}


def test_what_cannot_be_told_apart_is_said_with_every_interval():
    text = words(printed(changed(judged)))
    why = "it has the lowest mean validation loss, 0.6100, of the 2 trials within one standard error of the highest"
    assert f"* Trial 0000 is chosen: {why} mean validation accuracy (52.00 %, trial 0001 55.00 %)." in text
    assert "On 45 validation images it cannot be told apart from trial 0001: the differences may be chance" in text
    assert "52.00 (42.0-62.0) 52.00 0.6100" in text


def test_preference_for_the_small_is_the_reason_where_it_was_asked_for():
    def prefer_small(result):
        judged(result)
        result["choice"]["prefer"] = "small"
        result["candidates"][0]["flash_bytes"] = 8_000

    assert "* Trial 0000 is chosen: it is the smallest of the 2 trials" in words(printed(changed(prefer_small)))


def with_classes(result):
    result["task"] |= {"num_test": 45}
    result["best"]["baseline"] = {"class": "cats", "test_accuracy": 43 / 45, "is_beaten": False}
    result["best"] |= {"test_accuracy": 43 / 45, "test_accuracy_interval": [0.852, 0.988]}
    result["best"]["classes"] = [
        {"name": name, "num_test": size, "has_few_test_images": size < 3, "recall": recall, "recall_interval": ends}
        for name, size, recall, ends in (
            ("cats", 43, 1.0, [0.918, 1.0]),
            ("dogs", 2, 0.0, [0.0, 0.658]),
            ("owls", 0, None, None),
        )
    ]


def test_answering_the_largest_class_alone_is_called_no_better_than_that():
    text = words(printed(changed(with_classes)))
    assert "The best network has test accuracy 95.56 % (95 % interval 85.2 to 98.8) with" in text
    assert (
        "A test accuracy of 95.6 % is no better than always answering 'cats', the largest class, which is right for "
        "95.6 % of the 45 test images."
    ) in text

    def beat(result):
        with_classes(result)
        result["best"]["baseline"]["is_beaten"] = True

    assert "always answering" not in printed(changed(beat))


def test_recall_of_each_class_is_shown_and_classes_of_few_images_are_marked():
    text = printed(changed(with_classes))
    assert re.search(r"^cats +43 +100\.0 \(91\.8-100\.0\)$", text, re.MULTILINE)
    assert re.search(r"^dogs +2 ! +0\.0 \(0\.0-65\.8\)$", text, re.MULTILINE)
    assert re.search(r"^owls +0 ! +-$", text, re.MULTILINE)
    assert "! Fewer than three test images, so that the recall says nothing: dogs, owls." in text


def test_of_many_classes_those_of_the_lowest_recall_are_shown():
    def multiply(result):
        entry = {"num_test": 50, "has_few_test_images": False, "recall_interval": [0, 1]}
        result["best"]["classes"] = [{**entry, "name": f"class {i}", "recall": 1 - i / 100} for i in range(60)]

    text = printed(changed(multiply))
    assert "Recall per class, the lowest 10 of 60\n" in text
    assert re.findall(r"^class (\d+)", text, re.MULTILINE) == [str(i) for i in range(59, 49, -1)]


def test_pareto_front_is_printed_with_the_choice():
    def add_front(result):
        costs = {"flash_bytes": 9_000, "ram_bytes": 4_096, "latency_ms": None}
        result["pareto"] = [candidate | costs for candidate in result["candidates"][:2]]

    text = printed(changed(add_front))
    assert "Pareto front: no other trial is as accurate at lower costs" in text
    assert re.search(r"^0001 +86\.90 +59 287 +20 000 000 +9 000 +4 096 +-$", text, re.MULTILINE)


def test_terminal_gets_color_unless_it_is_declined(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    print_summary(RESULT, stream)
    assert "\x1b[1;32m" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    print_summary(RESULT, stream)
    assert not re.search(r"\x1b\[[\d;]*3\dm", stream.getvalue())


def test_ascii_stream_gets_ascii():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")

    def rename(result):
        result["task"]["name"] = "Tiere–Zürich"
        result["best"]["artefacts"][0]["path"] = "/data/Zürich/model.tflite"

    print_summary(changed(rename), stream)
    text = raw.getvalue().decode("ascii")
    assert "-----" in text
    assert "|" not in text.replace("|diff|", "")
    assert "Z\\xfcrich" in text


def test_closed_pipe_is_left_to_the_caller():
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    with pytest.raises(BrokenPipeError):
        print_summary(RESULT, stream, details=False)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_markup_and_escape_codes_in_names_are_shown_as_text():
    def poison(result):
        result["task"]["name"] = "[red]\x1b[31mdata[/red]"

    assert printed(changed(poison)).startswith("[red] [31mdata[/red]: 3 trials")


@pytest.mark.parametrize(
    ("worded", "expected"),
    [
        (grouped(169_392), "169 392"),
        (grouped(999.6), "1 000"),
        (percent(0.98125, 2), "98.12"),
        (percent(1.0), "100.0"),
        (percent(None), "-"),
        (duration(4.4), "4 s"),
        (duration(59.6), "1 min"),
        (duration(3599), "1 h 0 min"),
        (duration(7500), "2 h 5 min"),
        (one_line(" a\tb\r\n\x1b[2Kc"), "a b [2Kc"),
    ],
)
def test_numbers_and_lines_are_worded_for_people(worded, expected):
    assert worded == expected


@pytest.mark.parametrize(("start", "is_told"), [("scratch", True), ("lite0", True), ("/models/mine.keras", False)])
def test_a_model_of_ones_own_is_not_told_to_be_cross_validated(start, is_told):
    """It may have seen every image; `kgrow.cross_validate` refuses it."""
    text = "\n".join(
        str(line) for line in next_steps({**RESULT, "start": start, "task": {**RESULT["task"], "num_test": 40}})
    )
    assert ("cross-validate" in text) == is_told
