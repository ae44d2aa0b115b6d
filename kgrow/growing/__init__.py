"""When the network grows, and by what."""

from kgrow.growing.fixed_schedule import FixedSchedule
from kgrow.growing.policy import Growth, GrowthPolicy, GrowthState

__all__ = ["FixedSchedule", "Growth", "GrowthPolicy", "GrowthState"]
