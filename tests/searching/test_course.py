"""Tests of what a training is expected to cost."""

import dataclasses

import pytest

from kgrow.graph.image_size import at_image_size
from kgrow.lifecycle import PRESETS, Settings
from kgrow.pruning import Magnitude
from kgrow.registry import SPACES
from kgrow.searching.course import cost, course
from kgrow.searching.limits import Limits
from kgrow.searching.proposals import Proposals


class Images:
    input_shape, num_classes, dtype = (32, 32, 3), 10, "uint8"
    pixel_mean, pixel_std = (0.0,) * 3, (1.0,) * 3


PRESET = dataclasses.replace(PRESETS["default"], resolutions=((0, 0.75), (15, 1.0)))


@pytest.fixture
def proposals():
    return Proposals(SPACES["compact"], Images(), limits=Limits())


def test_network_grows_loses_channels_and_then_reads_whole_images(proposals):
    networks = course(proposals.full, proposals, Settings(PRESET, Magnitude()))
    assert [len(network.blocks) for network in networks] == [1, 2, 3] + [4] * 27
    assert [network.input_shape[0] for network in networks] == [24] * 15 + [32] * 15
    widths = [network.kernel_params() for network in networks]
    assert widths[12] == proposals.full.kernel_params() > 3 * widths[13]
    costs = [cost(network, 128) for network in networks]
    assert costs[12] == max(costs)
    assert costs[15] > costs[14]


def test_network_within_limits_stays_whole(proposals):
    limited = Proposals(SPACES["compact"], Images(), limits=Limits(flash_bytes=10**6))
    networks = course(limited.full, limited, Settings(PRESET, Magnitude()))
    assert networks[-1] == limited.full
    assert networks[4] == at_image_size(limited.full, (24, 24))


def test_growth_that_a_policy_decides_is_not_foreseen(proposals):
    networks = course(proposals.full, proposals, Settings(PRESET, Magnitude(), growth=object()))
    assert {len(network.blocks) for network in networks} == {4}


def test_small_networks_cost_more_than_their_arithmetic(proposals):
    narrow = SPACES["compact"].build((32, 32, 3), 10, width=0.125)
    assert narrow.macs() / proposals.full.macs() < cost(narrow, 128) / cost(proposals.full, 128) < 1
