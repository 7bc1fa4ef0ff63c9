"""One builder per stage: what its section of the outline says, shows and draws."""

from chares.report.sections.bill import money_section
from chares.report.sections.law import permit_section, question
from chares.report.sections.site import site_section
from chares.report.sections.training import training_section
from chares.report.sections.weeks import run_section

# in the order in which they are read
SECTIONS = (site_section, training_section, run_section, money_section, permit_section)

__all__ = ["SECTIONS", "question"]
