"""What stands where, from when, on which power: the site and its phases.

site = build.timeline(case, limits, facts)
site.figure("site.days_to_chips(100000)")
"""

from chares.build.dates import chips_on, elapsed
from chares.build.phases import Fleet, Hold, Lot, Phase
from chares.build.power import (
    Chain,
    facility_power_per_chip,
    it_power_per_chip,
    power_on,
    powered_chips,
    supply_on,
)
from chares.build.site import Comparison, Timeline, timeline
from chares.build.supplies import Source

__all__ = [
    "Chain", "Comparison", "Fleet", "Hold", "Lot", "Phase", "Source", "Timeline",
    "chips_on", "elapsed", "facility_power_per_chip", "it_power_per_chip", "power_on",
    "powered_chips", "supply_on", "timeline",
]  # fmt: skip
