import warnings

import numpy as np
import pytest
from scipy import integrate, special, stats

from skcocoafuse import MoERegressor, Prior
from skcocoafuse.model.parameters import DEFAULT_PRIORS, complete_priors, default_priors
from skcocoafuse.model.priors import (
    FAMILIES,
    sample_sum_to_zero,
    sum_to_zero_basis,
)

ORACLES = {
    "laplace": lambda p: stats.laplace(p.loc, p.scale),
    "normal": lambda p: stats.norm(p.loc, p.scale),
    "student_t": lambda p: stats.t(p.df, p.loc, p.scale),
    "lognormal": lambda p: stats.lognorm(p.scale, scale=np.exp(p.loc)),
    "half_normal": lambda p: stats.halfnorm(scale=p.scale),
    "flat": lambda p: stats.logistic(),
}


def prior_of(family):
    if family == "flat":
        return Prior("flat")
    return Prior(family, scale=0.7, loc=0.0 if family == "half_normal" else 0.3, df=5.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_density_is_scipys(family):
    prior, x = prior_of(family), np.array([0.01, 0.5, 1.0, 4.0])
    np.testing.assert_allclose(prior.log_density(np.log, x), ORACLES[family](prior).logpdf(x))


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_follow_the_density(family):
    prior = prior_of(family)
    draws = prior.sample(np.random.default_rng(0), 4000)
    assert stats.kstest(draws, ORACLES[family](prior).cdf).pvalue > 1e-3


@pytest.mark.parametrize("n_experts", range(1, 6))
def test_basis_is_orthonormal_and_sums_to_zero(n_experts):
    basis = sum_to_zero_basis(n_experts)
    np.testing.assert_allclose(basis.T @ basis, np.eye(n_experts - 1), atol=1e-14)
    np.testing.assert_allclose(basis.sum(axis=0), 0.0, atol=1e-14)


def test_with_two_experts_the_logit_difference_is_laplace():
    draws = sample_sum_to_zero(np.random.default_rng(0), Prior("laplace"), (5000, 2))
    assert stats.kstest(draws[:, 0] - draws[:, 1], stats.laplace.cdf).pvalue > 1e-3


@pytest.mark.parametrize("family", ["laplace", "normal", "student_t"])
def test_restricted_draws_follow_the_restricted_density(family):
    """Three experts: the first entry's law by integrating the density over the plane."""
    prior = Prior(family, scale=0.8)
    draws = sample_sum_to_zero(np.random.default_rng(1), prior, (4000, 3))
    np.testing.assert_allclose(draws.sum(axis=1), 0.0, atol=1e-12)

    first = np.linspace(-25, 25, 1001)
    a, b = np.meshgrid(first, first, indexing="ij")
    density = np.exp(sum(prior.log_density(np.log, g) for g in (a, b, -a - b)))
    marginal = integrate.trapezoid(density, first, axis=1)
    cdf = integrate.cumulative_trapezoid(marginal, first, initial=0)
    for k in range(3):  # every entry has the same law
        result = stats.kstest(draws[:, k], lambda x: np.interp(x, first, cdf / cdf[-1]))
        assert result.pvalue > 1e-3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Prior("cauchy"), ValueError, "must be one of .*laplace.*got 'cauchy'"),
        (lambda: Prior("normal", scale=0.0), ValueError, "scale must be positive"),
        (lambda: Prior("student_t", df=-1), ValueError, "df must be positive"),
        (lambda: Prior("normal", loc=np.nan), ValueError, "loc must be finite"),
        (lambda: Prior("half_normal", loc=1.0), ValueError, "no loc"),
        (lambda: Prior("flat", scale=2.0), ValueError, "no (loc|scale)"),
        (lambda: complete_priors({"behavior_coef": Prior("flat")}), ValueError, "cannot be flat"),
        (lambda: complete_priors({"sigma": Prior("flat")}), ValueError, "positive numbers"),
        (lambda: complete_priors({"slope": Prior("normal")}), ValueError, "known names: .*sigma"),
        (lambda: complete_priors({"sigma": 1.0}), TypeError, "must be a Prior"),
        (lambda: complete_priors([1]), TypeError, "must be a dict"),
        (lambda: complete_priors({"sigma": Prior("normal")}), ValueError, "positive numbers"),
        (lambda: complete_priors({"expert_coef": Prior("lognormal")}), ValueError, "real numbers"),
        (
            lambda: complete_priors({"gate_coef": Prior("normal", loc=1.0)}),
            ValueError,
            "exchangeable",
        ),
    ],
)
def test_errors_teach(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_priors_compare_and_defaults_fill_in():
    assert Prior("normal", 2.0) == Prior("normal", scale=2.0)
    mine = complete_priors({"sigma": Prior("half_normal")})
    assert mine["sigma"] == Prior("half_normal")
    assert {k: v for k, v in mine.items() if k != "sigma"} == {
        k: v for k, v in DEFAULT_PRIORS.items() if k != "sigma"
    }


@pytest.mark.parametrize("n_columns", [0, 1, 15, 16, 50, 2000])
def test_slopes_of_many_columns_are_sparse(n_columns):
    """Their expected absolute sum is that of 2.2 Laplace slopes, however many; no other changes."""
    found = default_priors({"expert": n_columns, "gate": 3, "noise": n_columns})
    assert tuple(found) == tuple(DEFAULT_PRIORS)
    changed = {"expert_coef", "noise_coef"} if n_columns > 15 else set()
    assert {name for name in found if found[name] != DEFAULT_PRIORS[name]} == changed
    for name in sorted(changed):
        prior, few = found[name], DEFAULT_PRIORS[name]
        size = stats.t(prior.df, scale=prior.scale).expect(np.abs)
        assert n_columns * size == pytest.approx(4 * np.sqrt(3) / np.pi * few.scale, rel=1e-6)
        laplace = stats.laplace(scale=size)  # of the same expected size
        far = 20 * size
        assert prior.log_density(np.log, far) > laplace.logpdf(far) + 5  # a few may be large


def test_a_fit_has_the_priors_of_its_columns_and_of_its_user():
    X = np.random.default_rng(0).normal(size=(60, 20))
    model = MoERegressor(
        2, inference="map", random_state=0, gate_features=[0], noise_features=list(range(12)),
        priors={"noise_coef": Prior("normal", scale=3.0)},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.fit(X, X[:, 0]).fitted_.problem.spec.priors
    assert found["expert_coef"] == Prior("student_t", scale=0.1, df=3.0)
    assert found["gate_coef"] == Prior("laplace", scale=1.0)
    assert found["noise_coef"] == Prior("normal", scale=3.0)


def test_flat_makes_beta_uniform():
    draws = Prior("flat").sample(np.random.default_rng(2), 4000)
    assert stats.kstest(special.expit(draws), "uniform").pvalue > 1e-3
    assert Prior("flat").log_density(np.log, np.array([-800.0, 800.0])) == pytest.approx(-800)
