"""Names of the command line, and packages of others that add to them or break their contract."""

import sys

import numpy as np
import pytest

from kgrow import arguments, cli
from kgrow._plugins import PluginError, Registry
from kgrow.config import Config
from kgrow.registry import (
    AUGMENTATIONS,
    CHANNEL_CRITERIA,
    CRITERIA,
    DISTRIBUTIONS,
    ESTIMATORS,
    EXPERIMENTAL,
    EXPORTERS,
    OBJECTIVES,
    ORACLES,
    PRESETS,
    SPACES,
    broken,
    origin,
)

PACKAGE = "the package 'plugged 1.5'"
MODULE = """
import numpy as np
from kgrow.exporting import Exporter
from kgrow.pruning import Criterion
from kgrow.searching import SPACES, SearchSpace


class Good(Criterion):
    def saliency(self, network, batches, loss):
        return [np.abs(kernel.weight.numpy()) for kernel in network.kernels()]


class Seeded(Good):
    def __init__(self, seed=0):
        self.seed = seed


class Needy(Good):
    def __init__(self, needed):
        pass


class Misshapen(Criterion):
    def saliency(self, network, batches, loss):
        return [np.zeros(3) for kernel in network.kernels()]


class Single(Criterion):
    def saliency(self, network, batches, loss):
        return np.zeros(3)


class Negative(Good):
    def saliency(self, network, batches, loss):
        return [-score for score in super().saliency(network, batches, loss)]


class Meddling(Good):
    def saliency(self, network, batches, loss):
        kernel = network.kernels()[0].weight
        kernel.assign(kernel * 2.0)
        return super().saliency(network, batches, loss)


class Raising(Criterion):
    def saliency(self, network, batches, loss):
        raise KeyError("no such layer")


class Elsewhere(SearchSpace):
    def build(self, input_shape, num_classes, scaling=None, *, width=1.0, **choices):
        return SPACES["compact"].build(input_shape, num_classes + 1, scaling)


class Nowhere(SearchSpace):
    def build(self, input_shape, num_classes, scaling=None, *, width=1.0, **choices):
        return None


def made_nowhere():
    return Nowhere()


class Within(Nowhere):
    pass


class Textual(Exporter):
    def convert(self, network, exit_indices, input_dtype="uint8", representative_dataset=None):
        return "a model"


class Trampling(Exporter):
    def convert(self, network, exit_indices, input_dtype="uint8", representative_dataset=None):
        network.kernels()[0].weight.assign(network.kernels()[0].weight * 2.0)
        return b"\\0\\0\\0\\0TFL3"


nothing = object()
"""
POINTS = """
[kgrow.criteria]
good = plugged:Good
seeded = plugged:Seeded
needy = plugged:Needy
misshapen = plugged:Misshapen
single = plugged:Single
negative = plugged:Negative
meddling = plugged:Meddling
raising = plugged:Raising
snip = plugged:Good
gone = plugged_elsewhere:Good
missing = plugged:Missing
alien = plugged:Elsewhere
[kgrow.spaces]
elsewhere = plugged:Elsewhere
nowhere = plugged:Nowhere
made = plugged:made_nowhere
[kgrow.exporters]
textual = plugged:Textual
trampling = plugged:Trampling
"""


@pytest.fixture
def _plugged(plug_in):
    """Installs a package whose things break their contracts, but for one."""
    plug_in(MODULE, POINTS)


plugged = pytest.mark.usefixtures("_plugged")


@pytest.mark.parametrize(
    "registry",
    [
        *(
            AUGMENTATIONS,
            CHANNEL_CRITERIA,
            CRITERIA,
            DISTRIBUTIONS,
            ESTIMATORS,
            EXPERIMENTAL,
            EXPORTERS,
            OBJECTIVES,
            ORACLES,
            PRESETS,
        ),
        SPACES,
    ],
    ids=lambda it: it.what,
)
def test_every_name_leads_to_a_thing_of_its_kind(registry):
    for name in registry.own:
        thing = registry[name]
        made = thing(0) if registry in (CRITERIA, CHANNEL_CRITERIA) else thing
        assert isinstance(made, registry.base) or callable(made)
        assert registry[name] is thing


def test_unknown_name_is_no_key_and_entries_of_kgrow_itself_raise_their_own_errors():
    assert "snop" not in CRITERIA
    with pytest.raises(KeyError):
        CRITERIA["snop"]
    with pytest.raises(ModuleNotFoundError):
        Registry("thing", "kgrow:Task", {"one": "kgrow.nosuch:Thing"})["one"]


@plugged
def test_name_of_another_package_is_taken_and_shown_without_importing_it():
    assert Config.of({"pruning": "good"}).pruning.criterion == "good"
    (commands,) = (action for action in arguments.parser(shows_all=True)._actions if action.dest == "command")
    assert "good" in commands.choices["search"].format_help()
    assert "plugged" not in sys.modules
    assert CRITERIA["seeded"](7).seed == 7
    assert "good" not in CRITERIA.own


@plugged
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gone", "must be importable, but raised ModuleNotFoundError: No module named 'plugged_elsewhere'"),
        ("missing", "must be importable, but raised AttributeError"),
        ("alien", "must give a `Criterion`, but gives"),
        ("needy", "must be made without arguments, but raised TypeError"),
    ],
)
def test_what_cannot_be_made_is_named_with_its_package_and_entry_point(name, problem):
    with pytest.raises(PluginError, match=problem) as error:
        CRITERIA[name](0)
    assert f"the entry point `kgrow.criteria: {name} = plugged" in str(error.value)
    assert PACKAGE in str(error.value)


@plugged
def test_name_that_is_taken_is_an_error_of_who_asks_for_it():
    with pytest.raises(
        PluginError, match=r"`criterion` 'snip' must be one thing, but both kgrow's own .*SNIP and"
    ) as error:
        CRITERIA["snip"]
    assert PACKAGE in str(error.value)
    assert CRITERIA["magnitude"](0)


@plugged
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("misshapen", r"must give one array per kernel, of shapes .*, but gives \[\(3,\)"),
        ("single", "must give one array per kernel, of shapes .*, but gives ndarray"),
        ("negative", "must give finite scores that are not negative, but gives others"),
        ("meddling", "must leave the network as it was, but changes block_0"),
        ("raising", "raised KeyError: 'no such layer'"),
    ],
)
def test_criterion_that_breaks_its_contract_is_named_with_its_package(name, problem, varied_copy, tiny_task):
    from kgrow.pruning import prune

    with pytest.raises(PluginError, match=problem) as error:
        prune(varied_copy, {0: 0.5}, CRITERIA[name](0), [], None)
    assert f"of the entry point `kgrow.criteria: {name} = plugged:{name.capitalize()}` of {PACKAGE}" in str(error.value)


@plugged
@pytest.mark.parametrize(
    ("name", "problem"),
    [("elsewhere", r"must build for images of \(8, 8, 3\) in 3 classes"), ("nowhere", "must build an `Architecture`")],
)
def test_space_that_breaks_its_contract_is_named_with_its_package(name, problem, tiny_task):
    from kgrow.searching.limits import Limits
    from kgrow.searching.proposals import Proposals

    with pytest.raises(PluginError, match=problem) as error:
        Proposals(SPACES[name], tiny_task, limits=Limits())
    assert PACKAGE in str(error.value)


@plugged
@pytest.mark.parametrize(
    ("name", "problem"),
    [("textual", "must give the bytes of a TensorFlow Lite model"), ("trampling", "must leave the network alone")],
)
def test_exporter_that_breaks_its_contract_is_named_with_its_package(name, problem, varied_copy):
    from kgrow.exporting.exporter import converted_by

    with pytest.raises(PluginError, match=problem) as error:
        converted_by(EXPORTERS[name], varied_copy, (2,), "uint8", np.zeros((1, 8, 8, 3), np.uint8))
    assert PACKAGE in str(error.value)


@plugged
def test_object_is_named_by_the_entry_point_of_its_own_group_or_by_its_package_alone():
    assert "`kgrow.spaces: elsewhere = plugged:Elsewhere`" in origin(SPACES["elsewhere"])  # a criterion has that target
    assert "`kgrow.spaces: made = plugged:made_nowhere`" in origin(SPACES["made"])
    other = sys.modules["plugged"].Within()
    assert str(broken(other, "be", "is not")) == f"`Within` of {PACKAGE} must be, but is not."


def test_object_of_no_package_is_named_by_its_class():
    assert str(broken(PluginError("x"), "be", "is not")) == "`kgrow._plugins.PluginError` must be, but is not."


@plugged
@pytest.mark.slow
def test_plugin_that_fails_in_a_search_ends_it_in_one_line(tmp_path, capsys):
    options = ["--criterion", "raising", "--epochs", "2", "--keep-ratio", "0.5", "--verbose", "0"]
    assert cli.main(["search", "digits", *options, "--out", str(tmp_path / "run")]) == cli.BAD_USAGE
    said = capsys.readouterr().err.strip()
    assert PACKAGE in said
    assert said.count("\n") == 0
