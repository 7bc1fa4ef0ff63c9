"""Which rules are in force on a day, and what they say: a verdict with paragraph and flips.

Two doors of the planner: `limits` before anything is built (lawful megawatts by day), `check` late
(the plan's own numbers). Single questions: `export`, `importing`, `report`, `power`, `tariff`.

    >>> from datetime import date
    >>> export("h800-sxm", "CN", date(2023, 10, 22)).verdict
    'allowed'
    >>> export("h800-sxm", "CN", date(2023, 10, 23)).verdict
    'licence'
"""

from chares.permit.answers import VERDICTS, Verdict
from chares.permit.checking import check
from chares.permit.duties import Duty, tariff
from chares.permit.exporting import export, importing
from chares.permit.goods import Item, chip, from_numbers
from chares.permit.measures import (
    cluster_operations,
    performance_density,
    total_processing_performance,
)
from chares.permit.reporting import report, reports
from chares.permit.site_power import (
    LawfulPower,
    Limits,
    PowerSource,
    lawful_power,
    limits,
    power,
    power_sources,
)

__all__ = [
    "VERDICTS", "Duty", "Item", "LawfulPower", "Limits", "PowerSource", "Verdict", "check", "chip",
    "cluster_operations", "export", "from_numbers", "importing", "lawful_power", "limits",
    "performance_density", "power", "power_sources", "report", "reports", "tariff",
    "total_processing_performance",
]  # fmt: skip
