"""Questions asked backwards: chips for a deadline, days, tokens or a model for a budget, a batch.

Each is a search over the same table of strategies at other counts, batches or shapes; none has a
formula of its own for time, memory or cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chares.errors import InputError, NoPlan
from chares.model import Shape, count_parameters, model_flops
from chares.search.asking import suited_batch
from chares.search.scaling import Size, sizes

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.search.asking import Question

RULES = ("chinchilla", "llama-3")
FINE = 16  # steps between a power of two and the next
MOST_CHIPS = 2**20


@dataclass(frozen=True)
class Asked:
    """What a backward question found: the size that answers it and all that were tried."""

    what: str
    answer: Size | None
    tried: tuple[Size, ...]
    value: float | None = None  # tokens, parameters or sequences, where the question is for these
    note: str = ""
    tokens: float | None = None  # of the largest model

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "question": self.what,
            "answer": self.answer.as_dict() if self.answer else None,
            "value": self.value,
            "note": self.note,
            "tokens": self.tokens,
            "tried": [s.as_dict() for s in self.tried],
        }


def _at(question: Question, counts: Iterable[int]) -> Iterator[Size]:
    """The job at each count, with a batch that the count can divide."""
    batch = question.asked.global_batch
    for count in counts:
        suited = batch if batch % count == 0 else suited_batch(count, batch)
        yield from sizes(question.at(count, suited), [count], grow=False)


def _needs(question: Question, price: bool = False) -> None:
    if not question.asked.tokens:
        raise InputError("no-tokens", "the question needs tokens", hint="give --tokens")
    if price and not question.asked.hourly_price:
        raise InputError("no-price", "the question needs a price", hint="give --price")


def _days(size: Size) -> float:
    return size.best.days or float("inf") if size.best else float("inf")


def _cost(size: Size) -> float:
    return size.best.cost_usd or float("inf") if size.best else float("inf")


def fewest_chips(question: Question, days: float) -> Asked:
    """The smallest fleet that is done in ``days`` (without failures): powers of two first, then
    sixteenths between the last that is too slow and the first that is fast enough."""
    _needs(question)
    tried: list[Size] = []
    count = 1
    for count in (2**i for i in range(21)):
        tried += _at(question, [count])
        if _days(tried[-1]) <= days:
            break
    else:
        return Asked("fewest chips for a deadline", None, tuple(tried))
    step = max(1, count // 2 // FINE)
    tried += _at(question, range(count // 2 + step, count, step))
    fast = [s for s in tried if _days(s) <= days]
    best = min(fast, key=lambda s: (s.chips, _days(s)))
    return Asked("fewest chips for a deadline", best, tuple(tried))


def days_for(question: Question, usd: float) -> Asked:
    """The fewest days that a budget buys: the fastest of all fleets whose run costs at most
    ``usd``."""
    _needs(question, price=True)
    tried = list(_at(question, (2**i for i in range(3, 21))))
    cheap = [s for s in tried if _cost(s) <= usd]
    if cheap:
        top = max(s.chips for s in cheap)
        step = max(1, top // FINE)
        tried += _at(question, range(top + step, min(2 * top, MOST_CHIPS), step))
        cheap = [s for s in tried if _cost(s) <= usd]
    best = min(cheap, key=lambda s: (_days(s), s.chips)) if cheap else None
    return Asked("fewest days for a budget", best, tuple(tried))


def most_tokens(question: Question, usd: float) -> Asked:
    """The tokens that a budget buys on the fleet as asked, by its fastest strategy."""
    probe = replace(question, asked=replace(question.asked, tokens=1e12))
    _needs(probe, price=True)
    (size,) = _at(probe, [probe.asked.n_chips])
    if size.best is None:
        raise NoPlan("no-strategy-fits", "the model does not fit on this fleet")
    tokens = usd / _cost(size) * 1e12
    asked = replace(question.asked, tokens=tokens)
    (found,) = _at(replace(question, asked=asked), [asked.n_chips])
    return Asked("most tokens for a budget", found, (found,), tokens)


def optimal_tokens(shape: Shape, seq_len: float, rule: str, facts: Facts) -> float:
    """Tokens for a model by a rule of the field: chinchilla (tokens per parameter, Hoffmann 2022)
    or llama-3 (tokens grow as a power of compute, Grattafiori 2024, 3.2.1).

    Raises `InputError` for another rule.
    """
    if rule == "chinchilla":
        ratio = facts.get("scaling-rules", "chinchilla_tokens_per_parameter").value
        return float(count_parameters(shape).active) * float(ratio)
    if rule != "llama-3":
        raise InputError("unknown-rule", f"there is no rule `{rule}`", hint=", ".join(RULES))
    names = ("llama_3_exponent", "llama_3_compute", "llama_3_tokens")
    power, compute, tokens = (float(facts.get("scaling-rules", n).value) for n in names)
    per_token = float(model_flops(shape, seq_len))
    # D = D0 (f D / C0)^a, solved for D
    return float((tokens * (per_token / compute) ** power) ** (1.0 / (1.0 - power)))


def scaled_shape(shape: Shape, factor: float) -> Shape:
    """The shape with about ``factor`` times the parameters: depth by the cube root, width by the
    same, heads of the same size, experts of the same number."""
    each = factor ** (1.0 / 3.0)
    layers = max(1, round(float(shape.n_layers) * each))
    groups = max(1, int(shape.n_heads) // int(shape.n_kv_heads))
    heads = max(8, round(float(shape.n_heads) * each / 8) * 8)
    width = heads / float(shape.n_heads)
    moe = round(float(shape.n_moe_layers) * layers / float(shape.n_layers))
    return replace(
        shape, n_layers=layers, n_heads=heads, n_kv_heads=max(1, heads // groups),
        d_model=round(float(shape.d_model) * width / 128) * 128,
        d_ff=round(float(shape.d_ff) * width / 128) * 128,
        d_expert=round(float(shape.d_expert) * width / 128) * 128,
        d_shared=round(float(shape.d_shared) * width / 128) * 128, n_moe_layers=moe,
    )  # fmt: skip


def largest_model(question: Question, usd: float, rule: str, facts: Facts) -> Asked:
    """The largest model of this family that a budget trains on the fleet as asked, with the tokens
    that a rule asks for: sizes from a hundredth to a hundred times, in steps of a tenth."""
    best: tuple[float, Size, float] | None = None
    tried: list[Size] = []
    for i in range(-48, 49):
        shape = scaled_shape(question.asked.shape, 1.1**i)
        tokens = optimal_tokens(shape, question.asked.seq_len, rule, facts)
        scaled = replace(question, asked=replace(question.asked, shape=shape, tokens=tokens))
        _needs(scaled, price=True)
        (size,) = _at(scaled, [question.asked.n_chips])
        tried.append(size)
        if _cost(size) > usd:
            if best is not None:
                break
            continue
        best = float(count_parameters(shape).total), size, tokens
    if best is None:
        return Asked(f"largest model for a budget ({rule})", None, tuple(tried))
    return Asked(
        f"largest model for a budget ({rule})", best[1], tuple(tried), best[0],
        f"{best[0]:.3g} parameters on {best[2]:.3g} tokens", best[2],
    )  # fmt: skip


def best_batch(question: Question, limit_tokens: float, critical: float = 0.0) -> Asked:
    """The batch of at most ``limit_tokens`` tokens with which the run is done first.

    With a ``critical`` batch (tokens) a larger batch needs more tokens: D (1 + B / B_crit)
    (McCandlish et al. 2018, eq. 2.7), against the tokens asked for as those of a small batch.
    """
    _needs(question)
    asked, count = question.asked, question.asked.n_chips
    unit = suited_batch(count, 1)
    most = int(limit_tokens // asked.seq_len)
    batches = sorted({unit * 2**i for i in range(24)} | {suited_batch(count, asked.global_batch)})
    tried: list[Size] = []
    for batch in (b for b in batches if b <= most):
        more = 1.0 + batch * asked.seq_len / critical if critical else 1.0
        moved = question.at(count, batch)
        moved = replace(moved, asked=replace(moved.asked, tokens=asked.tokens * more))
        tried += sizes(moved, [count], grow=False)
    fitting = [s for s in tried if s.best]
    best = min(fitting, key=lambda s: (_days(s), s.global_batch)) if fitting else None
    value = float(best.global_batch) if best else None
    return Asked("best batch under a limit", best, tuple(tried), value)
