"""Whatever people hold for a list is taken for one, and gives what the list gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore import same_answer
from stepscore.errors import InputTypeError
from stepscore.evaluation import pass_at_k, prm_at_k
from stepscore.lists import as_list, as_lists
from stepscore.search import search


class Column(Sequence[Any]):
    """A column of a data set as `datasets` gives it: items by index, made when they are read."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: Any) -> Any:
        return self._items[key]


class OldColumn:
    """Nothing but a length and items, as an older protocol has it."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        return self._items[index]


class Chunked:
    """An array of Arrow, whose items are scalars of its own."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return map(object, self._items)  # type: ignore[arg-type]

    def to_pylist(self) -> list[Any]:
        return list(self._items)


def series(items: list[Any]) -> Any:
    return pytest.importorskip("pandas").Series(items, index=range(10, 10 + len(items)))


def arrow(items: list[Any]) -> Any:
    return pytest.importorskip("pyarrow").array(items)


def objects(items: list[Any]) -> Any:
    array = np.empty(len(items), object)
    array[:] = items
    return array


KINDS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "map": lambda items: (item for item in items),
    "values of a dict": lambda items: dict(enumerate(items)).values(),
    "deque": deque,
    "ndarray": objects,
    "column": Column,
    "old column": OldColumn,
    "chunked": Chunked,
    "series": series,
    "arrow": arrow,
}
NO_LISTS = ["abc", b"abc", {"a": 1}, {"a"}, frozenset("a"), 3, None, np.array("abc"), np.str_("a")]
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@kinds
def test_the_items(kind: Callable[[list[Any]], Any]) -> None:
    assert as_list("f", "x", kind(["a", "b"]), "texts") == ["a", "b"]
    assert as_list("f", "x", kind([]), "texts") == []
    assert as_lists([kind(["a", "b"]), "c", 3]) == [["a", "b"], "c", 3]


def test_texts_of_numpy() -> None:
    array = np.array([["a", "b"], ["c", "d"]])
    assert as_lists(array) == [["a", "b"], ["c", "d"]]
    assert [type(text) for text in as_list("f", "x", array[0], "texts")] == [str, str]


@pytest.mark.parametrize("value", NO_LISTS, ids=repr)
def test_what_is_no_list(value: Any) -> None:
    with pytest.raises(InputTypeError, match=r"^f: x: expected a list, of texts; got \w+; p"):
        as_list("f", "x", value, "of texts")
    assert as_lists(value) is value


def test_a_table_is_no_list_of_the_names_of_its_columns() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InputTypeError, match="got DataFrame"):
        as_list("f", "x", pandas.DataFrame({"a": ["x"]}), "of texts")


# --- wherever a list is taken ----------------------------------------------------------------

TEXTS = ["The answer is 2.", r"\boxed{3}", "Hm."]


@kinds
def test_answers(kind: Callable[[list[Any]], Any]) -> None:
    assert stepscore.extract_answers(kind(TEXTS)) == ["2", "3", None]
    assert stepscore.answer_keys(kind(TEXTS)) == ["2", "3", None]
    offsets = np.array([0, 3])
    assert stepscore.group_answers(kind(TEXTS), offsets, verify=None).tolist() == [0, 1, -1]
    assert same_answer(kind(["1/2", "3"]), kind(["0.5", "4"])).tolist() == [True, False]


@pytest.mark.parametrize("call", [stepscore.extract_answers, stepscore.answer_keys])
@pytest.mark.parametrize("value", ["7", {"a": "7"}, {"7"}], ids=repr)
def test_one_text_is_no_list_of_answers(call: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(TypeError, match=r"texts: expected a list, each item a text or None; got"):
        call(value)


@kinds
def test_numbers(kind: Callable[[list[Any]], Any]) -> None:
    if kind in (KINDS["chunked"], KINDS["ndarray"]):
        pytest.skip("no array of numbers to NumPy")
    names = list if kind in (KINDS["old column"], KINDS["arrow"]) else kind
    scores, offsets = [0.5, 0.25, 0.75], [0, 2, 3]
    found = stepscore.aggregate(kind(scores), kind(offsets), names(["min", "mean"]))
    assert found.tolist() == [[0.25, 0.375], [0.75, 0.75]]
    votes = stepscore.vote(kind([0, 1, 0]), kind(scores), kind(offsets), "majority")
    assert votes.winner.tolist() == [0, 2]
    correct = [True, False, True]
    assert pass_at_k(kind(correct), kind(offsets), kind([1])).mean.tolist() == [0.75]
    prm = prm_at_k(kind(correct), kind(scores), kind(offsets), kind([2]), too_few="nan")
    assert prm.values[0].tolist() == [1.0]


@pytest.fixture(scope="module")
def lab() -> Any:
    return stepscore.load("lab")


PROBLEMS = ["85+95-16+20+11-30=?", "69+15-75+61+71-84=?"]
SOLUTIONS = [["85+95=180", "180-16=164"], "69+15=84\n84-75=9"]


@kinds
def test_scores(kind: Callable[[list[Any]], Any], lab: Any) -> None:
    def nested(solutions: list[Any]) -> Any:
        return kind([each if isinstance(each, str) else kind(each) for each in solutions])

    if kind is arrow:
        pytest.skip("an array of Arrow has items of one kind")
    whole = [values.tolist() for values in lab.score(PROBLEMS, SOLUTIONS)]
    assert [values.tolist() for values in lab.score(kind(PROBLEMS), nested(SOLUTIONS))] == whole
    same = [values.tolist() for values in lab.score(PROBLEMS[0], nested(SOLUTIONS[:1]))]
    assert len(same[0]) == 2
    ranked = lab.rank(PROBLEMS[0], nested([["85+95=170"], "85+95=180"]))
    assert ranked == lab.rank(PROBLEMS[0], [["85+95=170"], "85+95=180"])
    assert [each.text for each in ranked] == ["85+95=180", "85+95=170"]
    many = lab.rank_many(kind(PROBLEMS), kind([nested(["85+95=170"]), nested(["69+15=84"])]))
    assert [ranking[0].text for ranking in many] == ["85+95=170", "69+15=84"]
    with lab.session(kind(PROBLEMS)) as session:
        branches = session.extend(kind(list(session.roots)), nested([["85+95=180"], "69+15=84"]))
        assert [len(scores) for scores in branches.scores] == [1, 1]


@kinds
def test_problems_of_a_search(kind: Callable[[list[Any]], Any]) -> None:
    asked: list[str] = []

    def policy(requests: Any) -> list[list[stepscore.search.Continuation]]:
        asked.extend(request.problem for request in requests)
        made = stepscore.search.Continuation("The answer is 2.", 5, finished=True)
        return [[made] * request.count for request in requests]

    result = search(kind(PROBLEMS), "best_of_n", policy, lambda r: [1.0] * len(r), n=1,
                    stop=kind(["\n"]))  # fmt: skip
    assert [problem.problem for problem in result] == PROBLEMS
    assert sorted(set(asked)) == sorted(PROBLEMS)


@pytest.mark.parametrize("value", ["one text", {"a": 1}, None], ids=repr)
def test_one_text_is_no_list_of_problems(value: Any) -> None:
    with pytest.raises(InputTypeError, match="search: problems: expected a list, one text per pro"):
        search(value, "best_of_n", lambda r: [])
