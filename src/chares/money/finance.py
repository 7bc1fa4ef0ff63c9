"""Formulas of finance: annuities, two ways to charge interest, own against rent, loans.

Rates ``i`` are per second in SI like everything else (0.125 per year is 0.125 / YEAR), compounded
yearly, except where a formula says per period. The annuity is the textbook one (Brealey, Myers and
Allen, Principles of Corporate Finance, chapter 2).
"""

from __future__ import annotations

import numpy as np

from chares.ledger import Num, formula
from chares.units import MONTH, YEAR


def annuity_factor(i: Num, n: Num) -> Num:
    """i / (1 - (1 + i)^-n), the level payment per unit of loan; 1 / n where i is 0."""
    rate = np.where(np.equal(i, 0.0), 1.0, i)
    level = rate / -np.expm1(-n * np.log1p(rate))
    factor = np.where(np.equal(i, 0.0), 1.0 / np.asarray(n, float), level)
    return factor if factor.ndim else float(factor)


@formula("i / 1 year", unit="1/s")
def per_year(i: Num) -> Num:
    """A yearly share as a rate."""
    return i / YEAR


@formula("a = K i / (1 - (1 + i)^-n)", unit="USD")
def level_payment(K: Num, i: Num, n: Num) -> Num:
    """Level payment per period on a loan ``K`` over ``n`` periods at ``i`` per period."""
    return K * annuity_factor(i, n)


@formula("K i / (1 - (1 + i)^-L) per year", unit="USD/s")
def annuity_rate(K: Num, i: Num, L: Num) -> Num:
    """Capital charge as a level annuity over the life ``L`` (s), yearly payments."""
    return K * annuity_factor(i * YEAR, L / YEAR) / YEAR


@formula("K / L + K i", unit="USD/s")
def opening_balance_rate(K: Num, i: Num, L: Num) -> Num:
    """Capital charge as straight line plus interest on the opening balance for the whole life."""
    return K / L + K * i


@formula("(a_compute + a_building + P_facility u p) / (n u)", unit="USD/s")
def own_rate(a_compute: Num, a_building: Num, P_facility: Num, p: Num, n: Num, u: Num) -> Num:
    """Cost of owning per chip and second in use: capital charges (USD/s) and electricity."""
    return (a_compute + a_building + P_facility * u * p) / (n * u)


@formula("u* = (a_compute + a_building) / (n rent - P_facility p)", unit="1")
def break_even_use(
    a_compute: Num, a_building: Num, P_facility: Num, p: Num, n: Num, rent: Num
) -> Num:
    """Share of hours in use at which owning costs what renting does; above 1 owning never wins.

    Infinite where rent does not even pay the electricity.
    """
    margin = n * rent - P_facility * p
    use = (a_compute + a_building) / np.where(margin > 0.0, margin, 1.0)
    use = np.where(margin > 0.0, use, np.inf)
    return use if use.ndim else float(use)


@formula("B(t) = K ((1 + i)^L - (1 + i)^t) / ((1 + i)^L - 1)", unit="USD")
def loan_balance(K: Num, i: Num, L: Num, t: Num) -> Num:
    """What is left after ``t`` seconds of a loan repaid in level payments over ``L``."""
    rate, life, years = i * YEAR, L / YEAR, t / YEAR
    growth = np.log1p(np.where(np.equal(rate, 0.0), 1.0, rate))
    grown, whole = np.expm1(years * growth), np.expm1(life * growth)  # exact for tiny rates too
    left = np.where(np.equal(rate, 0.0), 1.0 - years / life, (whole - grown) / whole)
    return K * (left if left.ndim else float(left))


@formula("LTV = B / V", unit="1")
def loan_to_value(B: Num, V: Num) -> Num:
    """Debt over the value of what secures it; above 1 the lender is under water."""
    return B / V


@formula("K (i/12) / (1 - (1 + i/12)^-m)", unit="USD")
def monthly_payment(K: Num, i: Num, L: Num) -> Num:
    """Level monthly payment on a loan over ``L``, a twelfth of the yearly rate each month."""
    return K * annuity_factor(i * MONTH, L / MONTH)


@formula("K 1 year / L", unit="USD")
def year_of_wear(K: Num, L: Num) -> Num:
    """A year of straight-line depreciation over the life ``L``."""
    return K * YEAR / L


@formula("K i 1 year", unit="USD")
def year_of_interest(K: Num, i: Num) -> Num:
    """A year of interest on the opening balance."""
    return K * i * YEAR
