from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segengine.comparison.costs import pareto_front

numbers = st.one_of(st.none(), st.integers(0, 4).map(float))
points = st.lists(st.tuples(numbers, numbers), max_size=12)


@given(points, st.booleans())
def test_the_front_is_what_trying_every_pair_finds(
    choices: list[tuple[float | None, float | None]], lower: bool
) -> None:
    def beaten(score: float, cost: float) -> bool:
        for other, price in choices:
            if other is None or price is None:
                continue
            cheaper, as_cheap = (price < cost, price <= cost) if lower else (price > cost, price >= cost)
            if (other >= score and cheaper) or (other > score and as_cheap):
                return True
        return False

    expected = tuple(s is not None and c is not None and not beaten(s, c) for s, c in choices)
    found = pareto_front([s for s, _ in choices], [c for _, c in choices], lower_is_better=lower)
    assert found == expected
    if any(s is not None and c is not None for s, c in choices):
        assert any(found)


def test_equal_choices_are_on_the_front_together() -> None:
    assert pareto_front([0.9, 0.9, 0.8], [5.0, 5.0, 5.0]) == (True, True, False)
