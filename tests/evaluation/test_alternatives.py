"""The order in which settings are tried: on candidates made up here, without fits."""

import numpy as np
import pytest

from skcocoafuse.evaluation.alternatives import try_alternatives
from skcocoafuse.evaluation.selection import Candidate, NExpertsSelection

N_ROWS = 400
CONVERGED = {
    "chain_clusters": [[0, 1]], "rhat": 1.0, "rhat_within": 1.0, "ess": 1000.0, "n_chains": 2,
    "n_draws": 1000, "n_divergences": 0, "expert_share": np.ones(1),
}  # fmt: skip


def candidate(mean, *, dropped=False, **sizes):
    """Predicts every row with the same log density, but for an error that all candidates share."""
    shared = np.random.default_rng(0).normal(size=N_ROWS)
    scored = np.full(N_ROWS, True)
    if dropped:
        scored[N_ROWS // 2 :] = False
    none = np.zeros(N_ROWS, dtype=bool)
    weight = np.ones(N_ROWS)
    return Candidate(mean + shared, weight, none, [CONVERGED], 1.0, scored=scored, **sizes)


def choose(
    elpd, alternatives, rule="best", numbers=(1, 2, 3, 5, 8), dropped=(), not_tried=(), **sizes
):
    """What is selected if settings have the mean log density ``elpd(**params)``, and what was run.

    Settings in ``dropped`` leave the race; numbers in ``not_tried`` are larger than ``numbers``.
    """
    run = []

    def evaluate(settings, rival=None, must_gain=False):
        run.extend(settings)
        return [candidate(elpd(**each), dropped=each in dropped, **sizes) for each in settings]

    settings = [{"n_experts": m} for m in numbers]
    first = dict(zip(numbers, evaluate(settings), strict=True))
    selection = NExpertsSelection(first, "cv", rule, 0.95, not_tried=tuple(not_tried))
    tried = try_alternatives(selection, alternatives, evaluate)
    found = NExpertsSelection(first, "cv", rule, 0.95, alternatives=tried)
    return found, run[len(numbers) :]


def costly_noise(n_experts, noise="full"):
    """Noise of all inputs pays for one expert only; without it two experts are best."""
    gain = {1: 0.0, 2: 0.5, 3: 0.2, 5: -0.5, 8: -1.0}[n_experts]
    return gain + (0.1 if noise == "none" else -n_experts)


def test_the_number_is_chosen_again_with_what_was_better():
    found, run = choose(costly_noise, {"noise": ["none"]})
    assert found.choose(found.candidates) == 1  # before
    assert found.params == {"n_experts": 2, "noise": "none"}
    assert found.n_experts == 2
    assert found.selected.elpd.elpd == pytest.approx(
        candidate(costly_noise(2, "none")).elpd.elpd, rel=1e-12
    )
    # next to 1 is 2, which is better; next to that 3, which is not; 5 and 8 are not tried
    assert run == [{"n_experts": m, "noise": "none"} for m in (1, 2, 3)]


def test_the_table_says_what_was_tried_and_selected():
    found, _ = choose(costly_noise, {"noise": ["none"]})
    table = found.table_of_alternatives
    assert table[["name", "value"]].to_numpy().tolist() == [
        ["noise", "none"],
        ["n_experts", 2],
        ["n_experts", 3],
    ]
    assert table["selected"].tolist() == [True, True, False]
    assert table["dropped"].tolist() == [False, False, False]
    # each beside what was selected before it
    np.testing.assert_allclose(table["elpd_gain"], N_ROWS * np.array([1.1, 0.5, -0.3]))
    assert found.table.index[found.table["chosen"]].tolist() == [2]
    assert "2 experts" in repr(found)
    assert "with noise='none'" in repr(found)


def test_the_number_is_not_chosen_again_if_nothing_was_better():
    found, run = choose(lambda n_experts, noise="full": -abs(n_experts - 3.0), {"noise": ["none"]})
    assert found.params == {"n_experts": 3}
    assert run == [{"n_experts": 3, "noise": "none"}]


def test_the_number_is_not_chosen_again_for_a_small_gain():
    """Half of the values that make no difference are better by chance."""
    for gain, again in ((3.9 / N_ROWS, False), (4.1 / N_ROWS, True)):
        found, run = choose(
            lambda n_experts, noise="full", gain=gain: gain * (noise == "none") - n_experts,
            {"noise": ["none"]},
        )
        assert found.params == {"n_experts": 1, "noise": "none"}
        assert (len(run) == 2) == again


def test_fewer_experts_suffice_with_what_was_better():
    """As few as the rule allows, though one more is better by less than 4."""

    def elpd(n_experts, noise="full"):
        if noise == "full":
            return 0.1 * n_experts
        return 1.0 + 0.001 * n_experts

    found, run = choose(elpd, {"noise": ["none"]}, rule="one_se")
    assert found.params == {"n_experts": 1, "noise": "none"}
    assert run == [{"n_experts": m, "noise": "none"} for m in (8, 5, 3, 2, 1)]
    found, run = choose(elpd, {"noise": ["none"]}, rule="best")
    assert found.params == {"n_experts": 8, "noise": "none"}
    assert run == [{"n_experts": m, "noise": "none"} for m in (8, 5)]


def test_what_left_the_race_is_not_selected():
    two = {"n_experts": 2, "noise": "none"}
    found, run = choose(costly_noise, {"noise": ["none"]}, dropped=[two])
    assert two in run
    assert found.table_of_alternatives["dropped"].tolist() == [False, True]
    assert found.params == {"n_experts": 1, "noise": "none"}


@pytest.mark.parametrize("rule", ["best", "one_se"])
@pytest.mark.parametrize("seed", range(20))
def test_the_search_ends_and_never_ends_below_where_it_began(rule, seed):
    rng = np.random.default_rng(seed)
    means = {(m, noise): rng.normal() for m in (1, 2, 3, 5, 8) for noise in ("full", "none", "t")}
    found, run = choose(
        lambda n_experts, noise="full": means[n_experts, noise], {"noise": ["none", "t"]}, rule
    )
    assert len(run) == len({tuple(each.values()) for each in run})  # nothing twice
    first = found.candidates[found.choose(found.candidates)].elpd.elpd
    assert found.selected.elpd.elpd >= first - (0.0 if rule == "best" else 4.0)
    chosen = means[found.params["n_experts"], found.params.get("noise", "full")]
    assert found.selected.elpd.elpd == pytest.approx(candidate(chosen).elpd.elpd, abs=1e-9)


def test_numbers_that_were_not_tried_may_be_best_with_other_settings():
    def elpd(n_experts, noise="full"):
        return -n_experts if noise == "full" else 0.1 * n_experts

    found, run = choose(elpd, {"noise": ["none"]}, numbers=(1, 2, 3), not_tried=(5, 8))
    assert [each["n_experts"] for each in run] == [1, 2, 3, 5, 8]
    assert found.params == {"n_experts": 8, "noise": "none"}


def test_numbers_that_are_too_large_for_the_rows_are_not_tried_again():
    def elpd(n_experts, noise="full"):
        return -n_experts if noise == "full" else 0.1 * n_experts

    found, run = choose(
        elpd, {"noise": ["none"]}, numbers=(1, 2), not_tried=(3, 5, 8), most_experts=3
    )
    assert [each["n_experts"] for each in run] == [1, 2, 3]
    assert found.params == {"n_experts": 3, "noise": "none"}


def test_numbers_that_were_not_tried_are_said_and_count_for_the_edge():
    first = {m: candidate(gain) for m, gain in ((1, 0.0), (2, 2.0), (3, 1.0))}
    found = NExpertsSelection(first, "cv", "best", 0.95, not_tried=(5, 8))
    assert "not tried, since fewer are better or rows too few: n_experts=[5, 8]" in repr(found)
    assert found.table.index.tolist() == [1, 2, 3]
    two = {m: first[m] for m in (1, 2)}
    assert NExpertsSelection(two, "cv", "best", 0.95).edge == "largest"
    assert NExpertsSelection(two, "cv", "best", 0.95, not_tried=(3,)).edge is None
