"""What failures leave of the speed, and when the job ends.

paces = (Pace(online, chips, speed_from_mfu(chips, peak, mfu)), ...)
weeks = run.simulate(case, Job(compute, paces, chip), site, facts)
weeks.figure("run.days(100000)")
"""

from chares.run.checkpoints import (
    daly_interval,
    goodput,
    linear_goodput,
    state_from_compute,
    write_time,
)
from chares.run.hazards import (
    Cause,
    Hazard,
    expected_interruptions,
    mean_time_to_interruption,
    spare_nodes,
)
from chares.run.simulating import Setting, Weeks, simulate
from chares.run.stretches import Stretch, Week, time_at_pace
from chares.run.work import Job, Pace, speed_from_mfu, speed_from_steps

__all__ = [
    "Cause", "Hazard", "Job", "Pace", "Setting", "Stretch", "Week", "Weeks", "daly_interval",
    "expected_interruptions", "goodput", "linear_goodput", "mean_time_to_interruption", "simulate",
    "spare_nodes", "speed_from_mfu", "speed_from_steps", "state_from_compute", "time_at_pace",
    "write_time",
]  # fmt: skip
