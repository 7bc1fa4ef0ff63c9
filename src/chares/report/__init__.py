"""A plan as plain dicts, and these as JSON, on a terminal, as a page, in a notebook.

from chares import report
outline = report.outline(plan, lang="ja")
report.print_outline(outline)
"""

from chares.report.lawbook import law_text
from chares.report.listing import fact_rows, fact_text
from chares.report.measured import (
    own_fit_data,
    own_fit_text,
    prediction_csv,
    prediction_summary,
    validation_text,
)
from chares.report.messages import LANGUAGES
from chares.report.mixed_words import mixed_outline
from chares.report.notebook import plan_html, plan_text
from chares.report.numerals import shown
from chares.report.page_html import page
from chares.report.plain import SCHEMA_VERSION, outline
from chares.report.ranking import (
    csv_text,
    print_ranking,
    ranking_csv,
    ranking_outline,
)
from chares.report.ranking_words import split_text
from chares.report.sheets import sheet
from chares.report.sizing_words import (
    sides_outline,
    size_outline,
    sized_columns,
    sized_row,
)
from chares.report.terminal import print_outline
from chares.report.tree import why_text
from chares.report.verdicts import verdict_text

__all__ = [
    "LANGUAGES",
    "SCHEMA_VERSION",
    "csv_text",
    "fact_rows",
    "fact_text",
    "law_text",
    "mixed_outline",
    "outline",
    "own_fit_data",
    "own_fit_text",
    "page",
    "plan_html",
    "plan_text",
    "prediction_csv",
    "prediction_summary",
    "print_outline",
    "print_ranking",
    "ranking_csv",
    "ranking_outline",
    "sheet",
    "shown",
    "sides_outline",
    "size_outline",
    "sized_columns",
    "sized_row",
    "split_text",
    "validation_text",
    "verdict_text",
    "why_text",
]
