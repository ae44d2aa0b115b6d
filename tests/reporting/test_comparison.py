import io
import json

import numpy as np
import pytest

import kgrow
from kgrow import cli
from kgrow.reporting.comparison import Comparison


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    options = {"trials": 1, "directory": folder, "verbose": 0}
    return [
        kgrow.search("digits", epochs=epochs, project_name=name, **options)
        for epochs, name in ((1, "short"), (6, "long"))
    ]


def test_figures_stand_side_by_side_and_the_difference_is_that_of_the_same_images(two):
    short, long = two
    found = short.compare(long)
    assert found.figures["bytes"] == tuple(each.document["best"]["artefacts"][0]["bytes"] for each in two)
    assert found.difference == pytest.approx(found.figures["test accuracy"][1] - found.figures["test accuracy"][0])
    assert long.compare(short).difference == pytest.approx(-found.difference)
    assert found.p_value == long.compare(short).p_value
    assert short.compare(short).p_value == 1.0
    text = io.StringIO()
    found.print(text)
    assert found.verdict[:30] in " ".join(text.getvalue().split())
    assert "<pre>" in found._repr_html_()
    assert repr(found).startswith("Comparison(")


def test_searches_with_other_test_images_are_compared_by_their_figures_alone(two):
    other = kgrow.Task.of("digits", seed=5)
    found = two[0].compare(type(two[0])(two[0].directory, two[0].document, two[0].network, other))
    assert (found.difference, found.p_value) == (None, None)
    assert "cannot be compared" in found.verdict


@pytest.mark.parametrize(("only_first", "only_second", "is_told_apart"), [(0, 6, True), (3, 5, False), (0, 5, False)])
def test_a_difference_is_more_than_chance_by_mcnemars_test(two, only_first, only_second, is_told_apart):
    # Of n images that one network alone has right, chance gives all to the second one in 2 of 2^n cases.
    first, second = np.ones((2, 100), bool)
    first[:only_second], second[90 : 90 + only_first] = False, False
    found = Comparison(two[0].document, two[1].document, (first, second))
    assert ("more than chance" in found.verdict) == is_told_apart
    if not only_first:
        assert found.p_value == pytest.approx(2 * 0.5**only_second)


def test_the_command_prints_both(two, capsys):
    runs = [str(each.directory) for each in two]
    assert cli.main(["compare", *runs]) == cli.DONE
    assert "Two searches" in capsys.readouterr().out
    assert cli.main(["compare", *runs, "--json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out)["figures"]["bytes"]


def test_an_architecture_is_a_table_in_a_notebook(two):
    architecture = two[0].architecture
    table = architecture._repr_html_()
    assert table.count("<tr>") == 1 + len(architecture.kernels())
    assert f"{architecture.kernel_params()} connections" in table
