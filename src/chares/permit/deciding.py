"""Which rules of a door meet an item and a deal on a day, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from chares.facts import Facts
from chares.permit.answers import SEVERITY, severity
from chares.permit.goods import Item
from chares.permit.measures import Measured
from chares.permit.places import Groups, gaps, groups
from chares.permit.rulebook import Instrument, Outcome, Rule, instruments, named

NO_CONTROL = "no control in force"
NO_EXPORT = "no export"


@dataclass(frozen=True, slots=True)
class Deal:
    """Where an item goes, to whom and when.

    ``headquarters``: country of the buyer's ultimate parent (empty: that of the destination).
    ``route``: ``export`` from the United States, ``reexport`` or ``transfer`` (in-country).
    ``volume_share``: TPP of this product shipped to China and Macau over that shipped to US
    customers (None: not asked). ``listed``, ``listed_share``: what the Entity List says of the
    buyer and its owners (None: not asked).
    """

    to: str
    on: date
    headquarters: str = ""
    route: str = "export"
    volume_share: float | None = None
    listed: bool | None = None
    listed_share: float | None = None

    def unasked(self) -> set[str]:
        """The measures on which the question says nothing, and which are taken to pass."""
        given = {
            "volume_share": self.volume_share,
            "buyer_listed": self.listed,
            "buyer_listed_share": self.listed_share,
        }
        return {measure for measure, value in given.items() if value is None}

    def measures(self) -> dict[str, float | bool | None]:
        """What buyer and route add to the measures of the item."""
        return {
            "shipped_from_us": self.route == "export",
            "volume_share": self.volume_share or 0.0,
            "buyer_listed": bool(self.listed),
            "buyer_listed_share": self.listed_share or 0.0,
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that meets the case; ``certain`` is False where a measure is missing."""

    instrument: Instrument
    rule: Rule
    outcome: Outcome
    certain: bool

    @property
    def paragraph(self) -> str:
        return self.outcome.paragraph or self.rule.paragraph


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules come to: the answer, the rule that decides, and all that met the case."""

    verdict: str
    policy: str
    paragraph: str
    main: Hit | None = None
    relief: Hit | None = None
    hits: tuple[Hit, ...] = ()
    doubts: tuple[Hit, ...] = ()
    gap: str = ""

    @property
    def answer(self) -> tuple[str, str]:
        return self.verdict, self.policy


@dataclass(frozen=True, slots=True)
class Book:
    """The instruments of one door and the country groups, as they were known by a day."""

    instruments: tuple[Instrument, ...]
    groups: Groups
    gaps: tuple[tuple[frozenset[str], frozenset[str], str], ...] = ()

    @classmethod
    def of(cls, facts: Facts, door: str) -> Book:
        return cls(instruments(facts, door), groups(facts), gaps(facts) if door == "export" else ())


def measured(item: Item, deal: Deal) -> Measured:
    """Item and deal as one set of measures."""
    return {**item.measures(), **deal.measures()}


def decide(item: Item, deal: Deal, book: Book) -> Decision:
    """The answer of one door's rules, without its explanation."""
    to = book.groups.counts_as(deal.to, deal.on)
    home = book.groups.counts_as(deal.headquarters or deal.to, deal.on)
    deal = replace(deal, to=to, headquarters=home)
    if deal.to == "US" and book.gaps:
        return Decision("allowed", "", NO_EXPORT)
    met = [h for i in book.instruments for h in meets(i, item, deal, book.groups)]
    hits = tuple(h for h in met if h.certain and h.instrument.role != "relief")
    doubts = tuple(h for h in met if not h.certain and h.instrument.role != "relief")
    if not hits and not doubts and not exists(book.instruments, item, deal.on):
        return Decision("no-rule", "", "no rule of this kind yet")
    gap = _gap(item, deal, book)
    main = max(hits, key=lambda h: severity(h.outcome.verdict, h.outcome.policy), default=None)
    rank = SEVERITY[main.outcome.verdict] if main and main.outcome.verdict in SEVERITY else 1
    if any(SEVERITY.get(h.outcome.verdict, 1) > rank for h in doubts):
        return Decision("unknown", "", doubts[0].paragraph, main, None, hits, doubts, gap)
    if gap and (_foreign(item, book) or rank < SEVERITY["licence"]):
        return Decision("unknown", "", "not covered", main, None, hits, doubts, gap)
    if main is None:
        return Decision("allowed", "", NO_CONTROL, doubts=doubts)
    relief = _relief(main, met)
    outcome = relief.outcome if relief else main.outcome
    paragraph = f"{main.paragraph}; {relief.paragraph}" if relief else main.paragraph
    return Decision(outcome.verdict, outcome.policy, paragraph, main, relief, hits, doubts, gap)


def _relief(main: Hit, met: Iterable[Hit]) -> Hit | None:
    """A milder review policy for a licence that the goods, not the buyer, make necessary."""
    if main.outcome.verdict != "licence" or main.instrument.scope == "buyer":
        return None
    found = [h for h in met if h.certain and h.instrument.role == "relief"]
    mine = severity(main.outcome.verdict, main.outcome.policy)
    milder = [h for h in found if severity(h.outcome.verdict, h.outcome.policy) < mine]
    return milder[0] if milder else None


def meets(instrument: Instrument, item: Item, deal: Deal, groups: Groups) -> list[Hit]:
    """The rules of an instrument that meet a case on its day (with `certain` False where a
    measure is missing, or where it is not known whether the instrument still holds)."""
    state = instrument.state(deal.on)
    if state not in ("binding", "unknown"):
        return []
    return would_meet(instrument, item, deal, groups, state == "binding")


def would_meet(
    instrument: Instrument, item: Item, deal: Deal, groups: Groups, sure: bool = True
) -> list[Hit]:
    """As `meets`, whatever the state of the instrument."""
    found = []
    case = measured(item, deal)
    for rule in instrument.rules:
        if not (rule.spell.holds(deal.on) and _for(rule, item)):
            continue
        holds = rule.holds(case)
        outcome = _outcome(instrument, rule, item, deal, groups) if holds is not False else None
        if outcome:
            found.append(Hit(instrument, rule, outcome, sure and bool(holds)))
    return found


def _for(rule: Rule, item: Item) -> bool:
    if rule.items and not named(item.id, rule.items):
        return False
    return not rule.vendors or item.vendor in rule.vendors


def _outcome(
    instrument: Instrument, rule: Rule, item: Item, deal: Deal, groups: Groups
) -> Outcome | None:
    for outcome in rule.outcomes:
        if not outcome.spell.holds(deal.on) or (
            outcome.items and not named(item.id, outcome.items)
        ):
            continue
        if not outcome.reach:
            return outcome
        reach = instrument.reaches[outcome.reach]
        if groups.reached(reach, deal.to, deal.headquarters, deal.on):
            return outcome
    return None


def exists(instruments: Iterable[Instrument], item: Item, on: date) -> bool:
    """Whether the jurisdiction had a rule of this kind on a day. A letter binds its addressee: it
    is a rule only for the makers it was written to. A rule that ended has existed."""
    return any(
        i.role == "control"
        and i.scope != "buyer"
        and i.state(on) in ("binding", "ended", "unknown")
        and any(
            (r.spell.first is None or r.spell.first <= on)
            and (not r.vendors or item.vendor in r.vendors)
            for r in i.rules
        )
        for i in instruments
    )


def _foreign(item: Item, book: Book) -> bool:
    """A maker outside these rules: even a licence under them would say the wrong thing."""
    return any(item.vendor in vendors for _, vendors, _ in book.gaps)


def _gap(item: Item, deal: Deal, book: Book) -> str:
    for places, vendors, sentence in book.gaps:
        if {deal.to, deal.headquarters} & places or item.vendor in vendors:
            return sentence
    return ""
