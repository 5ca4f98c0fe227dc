from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.providers.shelf import Shelf


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12))))
def test_what_is_kept_is_the_newest_that_fits(puts: list[tuple[int, int]]) -> None:
    shelf: Shelf[int] = Shelf(most=5, heaviest=10)
    model: dict[bytes, tuple[int, int]] = {}
    for turn, (number, weight) in enumerate(puts):
        name = bytes([number])
        shelf.put(name, turn, weight)
        model.pop(name, None)
        if weight <= 10:
            model[name] = turn, weight
        while len(model) > 5 or sum(weight for _, weight in model.values()) > 10:
            del model[next(iter(model))]
        for each in map(bytes, zip(range(21), strict=True)):
            kept = model.get(each)
            assert (each in shelf) == (kept is not None)
            assert shelf.get(each) == (kept[0] if kept else None)
    assert len(shelf) == len(model)


def test_nothing_is_kept_under_no_name() -> None:
    assert Shelf[int]().get(None) is None
