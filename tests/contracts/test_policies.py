"""Every policy of kgrow keeps the contract."""

from kgrow.structure import FixedGrowth
from kgrow.testing import PolicyContract


class TestFixedGrowth(PolicyContract):
    policy = FixedGrowth((2,))
