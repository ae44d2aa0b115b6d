"""What the tests share: a task that is learned in seconds, and networks that are built in less.

TensorFlow is imported inside the fixtures, so that tests which do not need it start at once.
"""

import importlib.util
import os
import sys
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest

from kgrow.graph.values import digest_of
from kgrow.registry import OPEN
from kgrow.task import Task
from kgrow.testing import samples

hypothesis.settings.register_profile("kgrow", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("kgrow")

# Several workers with several threads each would wait for one another. TensorFlow reads it when it is imported.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# Tests of the example of a plug-in; they run where it is installed.
collect_ignore = [] if importlib.util.find_spec("kgrow_plugin_example") else ["plugin"]


def _forget():
    for registry in OPEN:
        registry.__dict__.pop("entries", None)
        registry._values.clear()


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Returns what installs a package `plugged 1.5` of one module, with entry points."""

    def install(module, points):
        metadata = tmp_path / "plugged-1.5.dist-info"
        metadata.mkdir()
        (tmp_path / "plugged.py").write_text(module)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.5\n")
        (metadata / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(tmp_path)
        _forget()

    yield install
    _forget()
    sys.modules.pop("plugged", None)


@pytest.fixture(scope="session")
def noise():
    return samples.noise


@pytest.fixture(scope="session")
def tiny_task():
    return samples.tiny_task()


@pytest.fixture(scope="session")
def digits():
    return Task.of("digits")


@pytest.fixture(scope="session")
def tiny_architecture():
    return samples.tiny_architecture()


@pytest.fixture(scope="session")
def tiny_space(tiny_architecture):
    """A space of that one architecture: what is searched are its keep ratios."""
    from kgrow.searching import SearchSpace

    class Tiny(SearchSpace):
        def build(self, input_shape, num_classes, scaling=None, *, width=1.0, **choices):
            return tiny_architecture

    return Tiny()


@pytest.fixture(scope="session")
def varied_architecture():
    return samples.varied_architecture()


SHARED = []


def shared(network):
    """Returns a network that no test may change; each module is held to it."""
    SHARED.append((network, digest_of(network.state())))
    return network


@pytest.fixture(scope="session")
def tiny_network():
    """Shared by all tests: look at it, change a copy."""
    return shared(samples.tiny_network())


@pytest.fixture(scope="session")
def varied_network():
    """Shared by all tests: look at it, change a copy."""
    return shared(samples.varied_network())


@pytest.fixture(scope="module", autouse=True)
def shared_networks_stay_as_they_are():
    """Which module changes one decides otherwise about those that follow it in the same process."""
    yield
    assert all(digest_of(network.state()) == before for network, before in SHARED), "a shared network was changed"


@pytest.fixture
def varied_copy():
    """A copy of `varied_network` to change in any way but growing; it is put back for the next test."""
    return samples.varied_copy()


@pytest.fixture(scope="module")
def eagerly():
    with samples.eagerly():
        yield


@pytest.fixture(scope="session")
def cross_entropy():
    return samples.cross_entropy


@pytest.fixture(scope="session")
def tiny_settings():
    return samples.tiny_settings()


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory, tiny_task, tiny_architecture, tiny_settings):
    """A life from beginning to end at keep ratios 0.5 and 0.3: its run directory, and snapshots between epochs."""
    from kgrow.lifecycle import Lifecycle
    from kgrow.run import Run
    from kgrow.training import Observer

    with Run.open(tmp_path_factory.mktemp("unbroken") / "0000", {}) as run:
        snapshots = {}

        def remember(life):
            epoch = sum(event["event"] == "epoch" for event in life.events)
            snapshots[epoch] = life.snapshot(epoch)
            return False

        Lifecycle(tiny_task, tiny_architecture, (0.5, 0.3), tiny_settings, run, Observer()).train(stop=remember)
        yield SimpleNamespace(run=run, keep_ratios=(0.5, 0.3), snapshots=snapshots)


def _timeless(events):
    return [{key: value for key, value in event.items() if key != "seconds"} for event in events]


@pytest.fixture(scope="session")
def outcome_of():
    """Returns a run's events without their times, and every array of its best checkpoint and of the last if kept."""

    def outcome(run):
        files = {name: run.load_arrays(name) for name in ("best.npz", "last.npz") if run.has(name)}
        arrays = {f"{name}:{key}": value for name, (values, _) in files.items() for key, value in values.items()}
        logs = [_timeless(metadata.pop("events")) for _, metadata in files.values()]
        return _timeless(run.events()), logs, [metadata for _, metadata in files.values()], arrays

    return outcome


@pytest.fixture(scope="session")
def same_arrays():
    """Returns whether two mappings hold bitwise equal arrays under the same names."""

    def same(first, second):
        return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)

    return same


@pytest.fixture(scope="session")
def float_model(varied_network):
    """All heads of `varied_network` in float32."""
    from kgrow.exporting import EXPORTERS

    return EXPORTERS["float32"].convert(varied_network, (0, 1, 2))


@pytest.fixture(scope="session")
def make_empty_model():
    """Makes a model that runs nothing, yet needs an operation of some version to be known."""
    from kgrow.exporting.assembly import Assembly, schema

    def make(name, version):
        source = schema.ModelT()
        source.version = 3
        assembly = Assembly(source)
        assembly.subgraph()
        assembly.opcode(name, version)
        return assembly.to_bytes()

    return make


@pytest.fixture(scope="session")
def int8_model(varied_network):
    """All heads of `varied_network` in int8."""
    from kgrow.exporting import EXPORTERS

    return EXPORTERS["int8"].convert(varied_network, (0, 1, 2), "uint8", samples.noise(varied_network, 256))
