"""What the fleet and its building cost to buy, as they stand after each delivery."""

from __future__ import annotations

from datetime import date

from chares.build import Timeline
from chares.ledger import Figure, NotAsked, ratio, total
from chares.money import costs
from chares.money.rates import Rates, held
from chares.money.running import Section, section
from chares.money.statement import Line, Stand, Use, named

SAME_SIZE = 0.01  # a published figure is compared where it counts the same chips within this


def capital(
    rates: Rates, use: Use, site: Timeline | NotAsked
) -> tuple[Section, tuple[Stand, ...]] | str | None:
    """Cost of the chips with servers and network, and of the building where there is a site."""
    if not use.chips:
        return None
    prices = [_system(rates, chip, online) for chip, _, online in use.chips]
    bought = [(chip, n, p, t) for (chip, n, t), p in zip(use.chips, prices, strict=True) if p]
    if len(bought) < len(use.chips):
        lacking = sorted({c for (c, _, _), p in zip(use.chips, prices, strict=True) if p is None})
        return f"The capital: no price of {', '.join(lacking)} is known."
    stands = tuple(_stand(rates, use, site, bought, day) for day in _days(use))
    scope, lines = "site-capital", []
    for chip in dict.fromkeys(chip for chip, _, _, _ in bought):
        mine = [x for x in bought if x[0] == chip]
        amount = costs.purchase([n for _, n, _, _ in mine], [p for _, _, p, _ in mine])
        amount = named(amount, f"bill.capital.{chip}", f"{chip} in servers, with network")
        note = "Chips in servers, with their part of the network, at the price of their first day."
        lines.append(Line(amount.id, amount.label, scope, amount, note))
    if building := stands[-1].building:
        amount = named(building, "bill.capital.building", "Building, power and cooling")
        lines.append(Line(amount.id, amount.label, scope, amount, "By facility power."))
    found = section(scope, "bill.capital", "Capital", lines)
    chips = stands[-1].chips
    others = [named(ratio(found.total, chips), "bill.capital_per_chip", "Capital per chip")]
    for stand in stands:
        others += _beside(stand)
    return Section(scope, found.lines, found.total, tuple(others)), stands


def _system(rates: Rates, chip: str, online: Figure) -> Figure | None:
    price = rates.chip_price(chip, date.fromordinal(int(online.value)))
    if price is None:
        return None
    server = costs.server_price(price, rates.server_factor(chip))
    system = costs.system_price(server, rates.network_share())
    return named(system, "", f"{chip}: price per chip with server and network")


def _days(use: Use) -> list[float]:
    return sorted({float(online.value) for _, _, online in use.chips})


def _stand(
    rates: Rates,
    use: Use,
    site: Timeline | NotAsked,
    bought: list[tuple[str, Figure, Figure, Figure]],
    day: float,
) -> Stand:
    there = [x for x in bought if float(x[3].value) <= day]
    online = next(t for _, _, _, t in there if float(t.value) == day)
    counts = [n for _, n, _, _ in there]
    chips = named(total(counts), "", "chips so far", "chip")
    compute = costs.purchase(counts, [p for _, _, p, _ in there])
    building = None
    last = day == _days(use)[-1]
    power = site_power(rates, use, site, day, last)
    if rates.case.site is not None and power is not None:
        price = rates.building_price(date.fromordinal(int(day)))
        building = costs.construction(power, price)
    whole = named(total([compute, building] if building else [compute]), "", "Capital")
    said = published(rates, "capital_cost", day, float(chips.value))
    return Stand(online, chips, compute, building, whole, said)


def site_power(
    rates: Rates, use: Use, site: Timeline | NotAsked, day: float, last: bool
) -> Figure | None:
    """Facility power once the batches of a day are there."""
    if last and use.facility_power is not None:
        return use.facility_power
    if isinstance(site, Timeline):
        for phase in site.phases:
            if float(phase.online.value) == day:
                return phase.facility_power
    there = tuple(x for x in use.chips if float(x[2].value) <= day)
    return rates.power(there) if there else None


def published(rates: Rates, quantity: str, day: float, chips: float) -> Figure | None:
    """What is published about the site as it stood that day with as many chips."""
    site = rates.case.site
    if not site or site.id not in rates.facts.ids("sites"):
        return None
    on, name = date.fromordinal(int(day)), str(site.id)
    count = held(rates.facts, name, "gpus_online", on)
    if count is None or abs(count.value / chips - 1) > SAME_SIZE:
        return None
    label = f"{quantity.replace('_', ' ')}, as published"
    return rates.leaf(name, quantity, on, label)


def _beside(stand: Stand) -> list[Figure]:
    """Capital at one size, what was published about it, and computed over published."""
    size = f"{stand.chips.value:.0f}"
    label = f"{stand.chips.value:,.0f} chips"
    found = [named(stand.capital, f"bill.capital_at({size})", f"Capital at {label}")]
    if stand.published is not None:
        said = f"Published capital at {label}"
        found.append(named(stand.published, f"bill.capital_published({size})", said))
        off = f"Computed over published capital at {label}"
        over = ratio(stand.capital, stand.published)
        found.append(named(over, f"bill.capital_over_published({size})", off, "1"))
    return found
