"""Candidates compared two by two: pairings, both orders, and the ratings of the results."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscore.errors import InputError
from stepscore.voting import (
    RATINGS,
    Comparisons,
    Knockout,
    borda,
    both_orders,
    bradley_terry,
    copeland,
    elo,
    majority,
    round_robin,
    win_rate,
)

# 0 beats 1, 1 beats 2, 2 beats 0 and 3; 0 and 3 are level; 1 and 3 came to nothing; 4 met nobody.
MIXED = Comparisons(
    [(0, 1), (1, 2), (2, 0), (3, 0), (3, 2), (1, 3)], [1, 1, 1, 0.5, 0, math.nan], 5
)


def every_pair(strengths: list[float], seed: int = 0) -> Comparisons:
    """What a judge says who knows the strengths, and never errs."""
    pairs = round_robin(len(strengths), seed=seed)
    points = [0.5 + 0.5 * np.sign(strengths[i] - strengths[j]) for i, j in pairs]
    return Comparisons(pairs, points, len(strengths))


def random_comparisons(draw_seed: int, n: int, games: int) -> Comparisons:
    random = np.random.default_rng(draw_seed)
    pairs = np.array([random.choice(n, 2, replace=False) for _ in range(games)])
    points = random.choice([0, 0.25, 0.5, 1, np.nan], games, p=[0.3, 0.1, 0.2, 0.3, 0.1])
    return Comparisons(pairs, points, n)


def test_ratings_of_results_reckoned_by_hand() -> None:
    nan = math.nan
    # 0: won, lost, level; 1: lost, won; 2: lost, won, won; 3: level, lost.
    np.testing.assert_allclose(win_rate(MIXED), [1.5 / 3, 1 / 2, 2 / 3, 0.5 / 2, nan])
    np.testing.assert_allclose(majority(MIXED), [1 / 3, 1 / 2, 2 / 3, 0, nan])
    np.testing.assert_allclose(copeland(MIXED), [0, 0, 1, -1, nan])
    np.testing.assert_allclose(borda(MIXED), [4 * 0.5, 4 * 0.5, 4 * 2 / 3, 4 * 0.25, nan])


def test_a_pair_that_met_often_weighs_once_in_borda_and_often_in_the_win_rate() -> None:
    often = Comparisons([(0, 1)] * 3 + [(0, 2)], [1, 1, 0, 0], 3)
    np.testing.assert_allclose(win_rate(often), [2 / 4, 1 / 3, 1])
    np.testing.assert_allclose(borda(often), [2 / 3 + 0, 2 * 1 / 3, 2 * 1])
    np.testing.assert_allclose(majority(often), [1 / 2, 0, 1])


def test_an_abstention_is_no_loss_no_win_and_no_tie() -> None:
    for name, rating in RATINGS.items():
        with_it = rating(MIXED)
        np.testing.assert_array_equal(with_it, rating(MIXED.decided()), err_msg=name)
        as_loss = Comparisons(MIXED.pairs, np.nan_to_num(MIXED.points, nan=0.0), 5)
        as_tie = Comparisons(MIXED.pairs, np.nan_to_num(MIXED.points, nan=0.5), 5)
        assert not np.array_equal(with_it, rating(as_loss), equal_nan=True), name
        if name not in ("copeland",):  # where a tie counts as nothing
            assert not np.array_equal(with_it, rating(as_tie), equal_nan=True), name
    assert MIXED.abstentions == 1


def test_elo_of_two_games_is_what_its_formula_gives() -> None:
    """The first takes K/2 from the second; then it loses to the third, who is expected 0.477."""
    games = Comparisons([(0, 1), (0, 2)], [1, 0], 3)
    expected = 1 / (1 + 10 ** ((1000 - 1016) / 400))
    ratings = [1016 - 32 * expected, 984, 1000 + 32 * expected]
    np.testing.assert_allclose(elo(games), ratings, rtol=1e-14)
    turned = Comparisons([(0, 2), (0, 1)], [0, 1], 3)
    assert not np.allclose(elo(turned), ratings)  # the order matters
    assert elo(games, seed=1).sum() == pytest.approx(3000)  # what one gains the other loses


def independent_elo(games: Comparisons, k: float) -> dict[int, float]:
    """The loop of Chatbot Arena, with a dictionary of ratings."""
    rating = dict.fromkeys(range(games.candidates), 1000.0)
    for (a, b), s in zip(games.pairs.tolist(), games.points.tolist(), strict=True):
        if s != s:
            continue
        q_a, q_b = 10 ** (rating[a] / 400), 10 ** (rating[b] / 400)
        rating[a] += k * (s - q_a / (q_a + q_b))
        rating[b] += k * (1 - s - q_b / (q_a + q_b))
    return rating


def minorize(games: Comparisons, iterations: int = 20000) -> np.ndarray:
    """No prior, by Hunter's (2004) MM: w_i = wins_i over the sum of n_ij / (w_i + w_j)."""
    n, known = games.candidates, games.decided()
    wins, met = np.zeros(n), np.zeros((n, n))
    for (i, j), s in zip(known.pairs, known.points, strict=True):
        wins[i] += s
        wins[j] += 1 - s
        met[i, j] += 1
        met[j, i] += 1
    w = np.ones(n)
    for _ in range(iterations):
        w = wins / (met / (w[:, None] + w)).sum(axis=1)
        w /= np.exp(np.log(w).mean())
    return np.log(w)


@pytest.mark.parametrize("seed", range(8))
def test_elo_and_bradley_terry_agree_with_independent_implementations(seed: int) -> None:
    games = random_comparisons(seed, n=6, games=60)
    np.testing.assert_allclose(
        elo(games, k=4), list(independent_elo(games, 4).values()), rtol=1e-12
    )
    without_prior = bradley_terry(games, deviation=math.inf)
    np.testing.assert_allclose(without_prior, minorize(games), atol=1e-8)
    # With a prior: the gradient of the penalised likelihood vanishes, reckoned pair by pair.
    for deviation in (0.3, 1.0, 5.0):
        theta = bradley_terry(games, deviation=deviation)
        slope = -theta / deviation**2
        for (i, j), s in zip(games.pairs, games.points, strict=True):
            if not math.isnan(s):
                chance = math.exp(theta[i]) / (math.exp(theta[i]) + math.exp(theta[j]))
                slope[i] += s - chance
                slope[j] -= s - chance
        np.testing.assert_allclose(slope, 0, atol=1e-10)


def test_two_candidates_have_the_log_odds_of_their_games() -> None:
    games = Comparisons([(0, 1)] * 4, [1, 1, 1, 0], 2)
    np.testing.assert_allclose(
        bradley_terry(games, deviation=math.inf), [math.log(3) / 2, -math.log(3) / 2], atol=1e-12
    )


@pytest.mark.parametrize(
    "games",
    [
        Comparisons([(0, 1), (1, 2), (0, 2)], [1, 1, 1], 3),  # 0 never lost
        Comparisons([(0, 1), (0, 1), (2, 3), (2, 3)], [1, 0, 1, 0], 4),  # two islands
        Comparisons([(0, 1), (0, 1), (1, 2)], [1, 0, 1], 3),  # 0 and 1 never lost to 2
    ],
)
def test_a_maximum_that_is_infinite_is_an_error(games: Comparisons) -> None:
    with pytest.raises(InputError, match="finite deviation"):
        bradley_terry(games, deviation=math.inf)
    assert np.isfinite(bradley_terry(games)).all()


def test_bradley_terry_knows_no_order() -> None:
    games = random_comparisons(3, n=5, games=40)
    turned = Comparisons(games.pairs[::-1, ::-1], 1 - games.points[::-1], 5)
    np.testing.assert_allclose(bradley_terry(games), bradley_terry(turned), atol=1e-12)


@given(
    order=st.integers(1, 9).flatmap(lambda n: st.permutations(range(n))),
    seed=st.integers(0, 2**64 - 1),
)
def test_every_rating_recovers_the_order_of_a_judge_that_never_errs(
    order: list[int], seed: int
) -> None:
    games = every_pair([float(place) for place in order], seed)
    ratings = dict(RATINGS)
    # Elo's last games weigh most: only small steps give the order whatever it is.
    ratings["elo"] = functools.partial(elo, k=1.0)
    for name, rating in ratings.items():
        scores = rating(games)
        if len(order) == 1:
            assert np.isnan(scores).all(), name
            continue
        assert np.argsort(np.argsort(scores)).tolist() == list(order), name
        assert len(set(scores.tolist())) == len(order), name


@given(strengths=st.lists(st.integers(0, 3), min_size=2, max_size=8), seed=st.integers(0, 99))
def test_ratings_belong_to_candidates_not_to_their_places(strengths: list[int], seed: int) -> None:
    """Renaming the candidates renames the ratings."""
    games = every_pair([float(s) for s in strengths], seed)
    new = np.random.default_rng(seed).permutation(len(strengths))
    renamed = Comparisons(new[games.pairs], games.points, len(strengths))
    for name, rating in RATINGS.items():
        np.testing.assert_allclose(rating(renamed)[new], rating(games), atol=1e-12, err_msg=name)


@pytest.mark.parametrize("n", range(1, 10))
def test_a_round_robin_pairs_each_two_once_and_its_beginnings_are_balanced(n: int) -> None:
    for seed in (0, 1, 2**64 - 1):
        pairs = round_robin(n, seed=seed)
        assert pairs.shape == (n * (n - 1) // 2, 2)
        assert {frozenset(pair) for pair in pairs.tolist()} == {
            frozenset(pair) for pair in itertools.combinations(range(n), 2)
        }
        # n - 1 of them hold all together, so that all ratings are comparable.
        group = np.arange(n)
        for a, b in pairs[: n - 1]:
            group[group == group[a]] = group[b]
        assert len(set(group.tolist())) == 1
        for size in range(len(pairs)):
            met = np.bincount(pairs[:size].ravel(), minlength=n)
            assert met.max() - met.min() <= 1 + n % 2, (seed, size)
    assert n < 4 or not np.array_equal(round_robin(n, seed=0), round_robin(n, seed=1))


def play(strengths: list[float], seed: int = 0) -> Knockout:
    knockout = Knockout(len(strengths), seed=seed)
    while len(pairs := knockout.pairs()):
        knockout.tell([0.5 + 0.5 * np.sign(strengths[i] - strengths[j]) for i, j in pairs])
    return knockout


@given(order=st.permutations(range(9)), n=st.integers(1, 9), seed=st.integers(0, 2**64 - 1))
def test_a_knockout_finds_the_best_in_one_match_less_than_candidates(
    order: list[int], n: int, seed: int
) -> None:
    knockout = play([float(place) for place in order[:n]], seed)
    assert knockout.remaining.tolist() == [int(np.argmax(order[:n]))]
    assert knockout.matches == n - 1
    assert knockout.rounds == math.ceil(math.log2(n))
    scores = knockout.scores()
    assert scores.argmax() == knockout.remaining[0]
    assert np.sum(scores == 1) == 1
    assert scores.min() >= 0
    assert np.array_equal(scores, play([float(place) for place in order[:n]], seed).scores())


def test_a_knockout_without_decisions_has_no_winner() -> None:
    knockout = play([1.0] * 6)
    assert knockout.remaining.tolist() == list(range(6))
    assert (knockout.rounds, knockout.matches) == (1, 3)
    assert knockout.scores().tolist() == [1.0] * 6
    # The same where no verdict came.
    knockout = Knockout(3)
    knockout.tell([math.nan])
    assert knockout.remaining.tolist() == [0, 1, 2]
    assert not len(knockout.pairs())


@given(
    strengths=st.lists(st.integers(0, 2), min_size=1, max_size=9), seed=st.integers(0, 2**32 - 1)
)
def test_a_knockout_with_ties_puts_nobody_out_whom_nobody_beat(
    strengths: list[int], seed: int
) -> None:
    met: list[frozenset[int]] = []
    knockout = Knockout(len(strengths), seed=seed)
    while len(pairs := knockout.pairs()):
        assert len(set(pairs.ravel().tolist())) == pairs.size  # one match a round
        met += [frozenset(pair) for pair in pairs.tolist()]
        knockout.tell([0.5 + 0.5 * np.sign(strengths[i] - strengths[j]) for i, j in pairs])
    assert len(set(met)) == len(met)  # nobody meets again
    best = max(strengths)
    assert {i for i, s in enumerate(strengths) if s == best} <= set(knockout.remaining.tolist())


def test_rests_go_round() -> None:
    knockout = Knockout(3, seed=4)
    first = set(range(3)) - set(knockout.pairs().ravel().tolist())
    knockout.tell([math.nan])
    # A round that decided nothing is the last; one that decides lets the rested one play.
    knockout = Knockout(5, seed=4)
    rested = set(range(5)) - set(knockout.pairs().ravel().tolist())
    assert len(first) == len(rested) == 1
    knockout.tell([1, 0.5])
    remaining = set(knockout.remaining.tolist())
    assert len(remaining) == 4
    knockout.tell([1, 1])
    assert len(knockout.remaining) == 2


def test_a_constant_place_is_worth_a_tie_in_both_orders() -> None:
    for how in ("average", "agree"):
        for first_place in (0.0, 0.2, 1.0):
            # The candidate stands first and gets `first_place`; second, it gets the rest.
            points = both_orders([first_place], [1 - first_place], how)
            assert points.tolist() == [0.5]
    np.testing.assert_allclose(both_orders([1, 1, 0.9, 0], [1, 0, 0.3, 0]), [1, 0.5, 0.6, 0])
    assert both_orders([1, 1, 0.9, 0, 0.5], [1, 0, 0.3, 0, 1], "agree").tolist() == [
        1, 0.5, 0.5, 0, 0.5
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["average", "agree"])
def test_half_an_answer_is_none(how: str) -> None:
    points = both_orders([1, math.nan, math.nan], [math.nan, 0, math.nan], how)  # type: ignore[arg-type]
    assert np.isnan(points).all()


@pytest.mark.parametrize(
    ("pairs", "points", "message"),
    [
        ([(0, 1)], [1.5], "points"),
        ([(0, 1)], [1, 0], "points"),
        ([(0, 0)], [1], "two different"),
        ([(0, 3)], [1], "two different"),
        ([(-1, 0)], [1], "two different"),
        ([(0.5, 1)], [1], "whole numbers"),
        ([(0, 1, 2)], [1], "whole numbers"),
    ],
)
def test_results_that_make_no_sense_are_refused(
    pairs: list[tuple[float, ...]], points: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Comparisons(pairs, points, 3)


def test_arguments_that_make_no_sense_are_refused() -> None:
    for call in (
        lambda: both_orders([1], [0], "either"),  # type: ignore[arg-type]
        lambda: both_orders([1, 0], [0]),
        lambda: both_orders([2], [0]),
        lambda: elo(MIXED, k=0),
        lambda: elo(MIXED, scale=-1),
        lambda: bradley_terry(MIXED, deviation=0),
        lambda: bradley_terry(MIXED, deviation=math.nan),
        lambda: round_robin(0),
        lambda: round_robin(2.5),  # type: ignore[arg-type]
        lambda: Knockout(0),
        lambda: Knockout(3).tell([1, 0]),
    ):
        with pytest.raises(InputError):
            call()


def test_nobody_compared_is_nan_in_every_rating() -> None:
    nothing = Comparisons([], [], 3)
    for name, rating in RATINGS.items():
        assert np.isnan(rating(nothing)).all(), name
