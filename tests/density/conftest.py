"""What the tests of the density search share: sparse networks for the tiny task."""

import pytest

from kgrow.density import Layout, density_network
from kgrow.graph import Scaling


@pytest.fixture(scope="session")
def network_of(tiny_task):
    """Returns a fresh network for the tiny task: 192 inputs, three classes."""

    def build(hidden=(24, 16), densities=(0.2, 0.25, 0.5), seed=0, mask_seed=0):
        layout = Layout((192, *hidden, 3), densities)
        scaling = Scaling(tiny_task.pixel_mean, tiny_task.pixel_std)
        return density_network(layout, tiny_task.input_shape, scaling, seed=seed, mask_seed=mask_seed)

    return build
