"""The picture of a vote: complete, escaped, and on its own."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from stepscore.report.votes_svg import ChosenAnswer, SampledAnswer, votes_svg

SVG = "{http://www.w3.org/2000/svg}"
MISLED = ChosenAnswer("The majority", "8", 2, False, ["3+4=8", "so <8>"], [0.1, 0.0], 0)
RESCUED = ChosenAnswer("The PRM's vote", "7", 1, True, ["3+4=7"], [0.9], -1)
ANSWERS = [SampledAnswer("8", [0.0, 0.02]), SampledAnswer("7", [0.9])]


def drawn(
    answers: list[SampledAnswer] = ANSWERS,
    chosen: tuple[ChosenAnswer, ...] = (MISLED, RESCUED),
    problem: str = "3+4=?",
) -> ET.Element:
    return ET.fromstring(votes_svg(problem, "7", answers, chosen, caption="a", footer="b"))


def texts(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def test_it_says_who_chose_what_and_where_it_went_wrong() -> None:
    shown = texts(drawn())
    for text in (
        "the right answer is 7",
        "2 votes, scores add up to 0.02",
        "✗ chosen by the majority",
        "✓ chosen by the PRM's vote",
        "✗ wrong, 2 of 3",
        "so <8>",
        "0.900",
    ):
        assert shown.count(text) == 1
    assert shown.count("the first error") == 1
    assert shown.index("3+4=8") < shown.index("the first error") < shown.index("so <8>")


def test_the_colour_is_that_of_the_score() -> None:
    fills = [box.get("fill") for box in drawn().iter(f"{SVG}rect") if box.get("fill")]
    assert fills[:2] == ["#e5484d"] * 2
    assert fills[2] not in fills[:2]
    (best,) = drawn([SampledAnswer("7", [1.0])], (RESCUED,)).findall(f"{SVG}rect[@fill='#2f9e57']")
    assert float(best.get("x", "")) < 200


def test_many_answers_share_a_line_and_all_stay_inside() -> None:
    answers = [SampledAnswer(str(number), [0.5] * (40 - number)) for number in range(9)]
    picture = drawn(answers, (replace(MISLED, answer="0"),))
    shown = texts(picture)
    assert "others" in shown
    assert f"{sum(40 - number for number in range(4, 9))} votes, scores add up to 85.00" in shown
    assert "5" not in shown
    width, height = float(picture.get("width", "")), float(picture.get("height", ""))
    for box in picture.iter(f"{SVG}rect"):
        x, y, wide, high = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height


def test_nothing_comes_from_elsewhere_and_texts_are_escaped() -> None:
    problem = "<script>alert(1)</script> & <b>"
    picture = drawn(problem=problem)
    assert problem in texts(picture)
    assert {part.tag for part in picture.iter()} == {
        f"{SVG}{name}" for name in ("svg", "title", "style", "rect", "text")
    }
    style = picture.findtext(f"{SVG}style") or ""
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
