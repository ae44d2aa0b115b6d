"""What every criterion owes."""

import inspect

import numpy as np
import pytest

import kgrow.pruning
from kgrow.pruning import CRITERIA, Criterion, prune
from kgrow.pruning.select import select

NAMES = list(CRITERIA)
pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def batches(tiny_task):
    images, labels = tiny_task.train.images, tiny_task.train.labels
    return [(images[:16], labels[:16]), (images[16:24], labels[16:24])]


@pytest.fixture(scope="module")
def scores(eagerly, varied_network, batches, cross_entropy):
    """Per name twice the scores, by equal but separate objects, and the network's state before and after."""
    before = varied_network.state()
    found = {
        name: [make(5).saliency(varied_network, batches, cross_entropy) for _ in range(2)]
        for name, make in CRITERIA.items()
    }
    return found, before, varied_network.state()


def test_every_exported_criterion_has_a_name_in_the_table():
    exported = [getattr(kgrow.pruning, name) for name in kgrow.pruning.__all__]
    classes = {c for c in exported if inspect.isclass(c) and issubclass(c, Criterion)}
    assert {type(make(0)) for make in CRITERIA.values()} == classes - {Criterion}


def test_every_criterion_is_final():
    assert all(type(make(0)).__mro__[1] is Criterion for make in CRITERIA.values())


@pytest.mark.parametrize("name", NAMES)
def test_scores_have_the_kernels_shapes(name, scores, varied_network):
    found = scores[0][name][0]
    assert [s.shape for s in found] == [tuple(kernel.weight.shape) for kernel in varied_network.kernels()]


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_finite_and_not_negative(name, scores):
    assert all(np.isfinite(s).all() and (s >= 0).all() for s in scores[0][name][0])


@pytest.mark.parametrize("name", NAMES)
def test_scores_tell_connections_apart(name, scores):
    flat = np.concatenate([s.ravel() for s in scores[0][name][0]])
    assert len(np.unique(flat)) > flat.size / 2


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_the_same_twice(name, scores):
    assert all(np.array_equal(first, second) for first, second in zip(*scores[0][name], strict=True))


def test_scoring_changes_no_variable(scores):
    _, before, after = scores
    assert all(np.array_equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("name", NAMES)
def test_pruning_keeps_the_exact_count_of_the_best(name, scores, varied_copy, batches, cross_entropy):
    sizes = [varied_copy.architecture.kernel_params(index) for index in range(3)]
    prune(varied_copy, {0: 0.5, 2: 0.25}, CRITERIA[name](5), batches, cross_entropy)
    assert [varied_copy.kept_params(index) for index in range(3)] == [sizes[0] // 2, sizes[1], sizes[2] // 4]
    kernels = varied_copy.kernels()
    in_block = [index for index, kernel in enumerate(kernels) if kernel.name.startswith("block_0/")]
    found = [scores[0][name][0][index] for index in in_block]
    expected = select(found, [np.ones(s.shape) for s in found], sizes[0] // 2)
    for index, mask in zip(in_block, expected, strict=True):
        assert np.array_equal(kernels[index].mask, mask)


@pytest.mark.parametrize("name", NAMES)
def test_pruning_changes_no_weight_it_keeps(name, varied_copy, batches, cross_entropy):
    before = varied_copy.state()
    prune(varied_copy, {0: 0.5, 1: 0.5, 2: 0.5}, CRITERIA[name](5), batches, cross_entropy)
    for variable, value in varied_copy.state().items():
        if variable.endswith("/kernel"):
            mask = varied_copy.named_variables()[variable.replace("/kernel", "/mask")]
            assert np.array_equal(value, before[variable] * mask)
        elif not variable.endswith("/mask"):
            assert np.array_equal(value, before[variable])


@pytest.mark.parametrize("name", NAMES)
def test_criterion_is_a_value(name):
    assert CRITERIA[name](3) == CRITERIA[name](3)
    assert eval(repr(CRITERIA[name](3)), vars(kgrow.pruning)) == CRITERIA[name](3)
