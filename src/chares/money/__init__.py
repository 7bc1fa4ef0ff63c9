"""What it costs: the run, the machine, the years; each scope complete in itself.

bill = money.price(case, use, site, facts)
bill.figures["bill.total"], bill.scope
"""

from chares.money.costs import chips_for, value_after
from chares.money.finance import level_payment, loan_balance, loan_to_value
from chares.money.pricing import price
from chares.money.rates import rent
from chares.money.statement import (
    SCOPES,
    Bill,
    Line,
    LoanYear,
    Ownership,
    Scope,
    Stand,
    Use,
)

__all__ = [
    "SCOPES", "Bill", "Line", "LoanYear", "Ownership", "Scope", "Stand", "Use", "chips_for",
    "level_payment", "loan_balance", "loan_to_value", "price", "rent", "value_after",
]  # fmt: skip
