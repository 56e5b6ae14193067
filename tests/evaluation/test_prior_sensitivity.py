"""Draws before and after the data, and which priors conclusions are sensitive to."""

import numpy as np
import pymc as pm
import pytest
from scipy import special, stats
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior, prior_sensitivity
from skcocoafuse.model.pymc_model import variable_name
from tests.conftest import REGRESSORS

# -- before the data ------------------------------------------------------------------------


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_prior_predictive_is_that_of_pymc(regressor, transition):
    X, y = transition[0][:20], transition[1][:20]
    estimator = regressor(3, random_state=0)
    before = dict(vars(estimator))
    values = estimator.sample_prior_predictive(X, y, n_samples=3000, random_state=0)
    assert values.shape == (3000, 20)
    assert vars(estimator) == before
    with estimator.build_model(X, y):
        theirs = pm.sample_prior_predictive(draws=3000, random_seed=1).prior_predictive["y"]
    theirs = y.mean() + y.std() * theirs.values[0]
    for row in (0, 7, 19):
        assert stats.ks_2samp(values[:, row], theirs[:, row]).pvalue > 1e-3
    within = [abs(v[:, 3] - v[:, 11]) for v in (values, theirs)]  # rows share their parameters
    assert stats.ks_2samp(*within).pvalue > 1e-3


def test_prior_parameters_are_those_of_the_values(transition):
    """With one expert the values are a line and noise, in original units."""
    X, y = 5.0 + 2.0 * transition[0], 100.0 + 30.0 * transition[1]
    values, parameters = BoERegressor(1).sample_prior_predictive(
        X, y, n_samples=800, random_state=0, return_parameters=True
    )
    line = parameters["expert_intercept"] + parameters["expert_coef"][:, 0] @ X.T
    errors = (values - line) / parameters["sigma"]
    assert stats.kstest(errors[:, 0], "norm").pvalue > 1e-3
    sigma = stats.lognorm(1.0, scale=y.std() * np.exp(-1.0))
    assert stats.kstest(parameters["sigma"][:, 0], sigma.cdf).pvalue > 1e-3
    assert set(parameters) == {
        "expert_intercept", "expert_coef", "sigma", "gate_intercept", "gate_coef", "noise_coef",
    }  # fmt: skip


def test_prior_predictive_moves_with_the_units_of_the_target(transition):
    X, y = transition[:2]
    arguments = {"n_samples": 20, "random_state": 0}
    ours = MoERegressor(target_resolution=0.0).sample_prior_predictive(X, y, **arguments)
    moved = MoERegressor(target_resolution=0.0).sample_prior_predictive(X, 7 - 3 * y, **arguments)
    np.testing.assert_allclose((moved - 7 + 3 * y.mean()) / 3, ours - y.mean(), atol=1e-9)


def test_a_flat_prior_is_a_uniform_beta(transition):
    X, y = transition[:2]
    priors = {"behavior_intercept": Prior("flat")}
    parameters = CoCoAFusERegressor(priors=priors).sample_prior_predictive(
        X, y, n_samples=2000, random_state=0, return_parameters=True
    )[1]
    center = parameters["behavior_intercept"] + parameters["behavior_coef"] @ X.mean(axis=0)
    assert stats.kstest(special.expit(center), "uniform").pvalue > 1e-3


def test_sigma_before_the_data_includes_rounding(transition):
    X, y = transition[:2]
    parameters = MoERegressor(target_resolution=2.0).sample_prior_predictive(
        X, y, n_samples=500, random_state=0, return_parameters=True
    )[1]
    least = 2.0 / np.sqrt(12.0)
    assert least <= parameters["sigma"].min() < 1.05 * least


def test_a_fit_lends_its_scale(map_fit, transition):
    X, y, X_test = transition[:3]
    arguments = {"n_samples": 5, "random_state": 0}
    np.testing.assert_array_equal(
        map_fit.sample_prior_predictive(X, **arguments),
        map_fit.sample_prior_predictive(X, y, **arguments),
    )
    assert map_fit.sample_prior_predictive(X_test[:7], **arguments).shape == (5, 7)


def test_without_a_scale_there_is_nothing_to_draw(transition):
    with pytest.raises(NotFittedError, match=r"not fitted yet.*Pass 'y' as well"):
        MoERegressor().sample_prior_predictive(transition[0])
    with pytest.raises(ValueError, match="y is constant"):
        MoERegressor().sample_prior_predictive(transition[0], np.ones(300))


@pytest.mark.parametrize("bad", [0, -1, 2.0, True, "many", None])
def test_a_number_of_samples_is_a_positive_integer(bad, map_fit, transition):
    X, y = transition[:2]
    for call in (
        lambda: MoERegressor().sample_prior_predictive(X, y, n_samples=bad),
        lambda: map_fit.sample_posterior_predictive(X, bad),
    ):
        with pytest.raises(ValueError, match=r"n_samples must be a positive integer; got"):
            call()


# -- after the data -------------------------------------------------------------------------


def test_posterior_predictive_follows_the_distribution(nuts_transition, transition):
    model, X = nuts_transition["CoCoAFusERegressor"], transition[2][:4]
    values = model.sample_posterior_predictive(X, 2000, random_state=0)
    assert values.shape == (2000, 4)
    np.testing.assert_array_equal(values.T, model.sample_y(X, 2000, random_state=0))
    dist = model.predict_dist(X)
    for row in range(4):
        assert stats.kstest(dist[row].cdf(values[:, row][None])[0], "uniform").pvalue > 1e-3


# -- which priors conclusions are sensitive to -----------------------------------------------


def scale_of(estimator, **changes):
    """Sensitivities as a table by prior and conclusion."""
    return prior_sensitivity(estimator, **changes).table


def test_priors_add_up_to_the_log_posterior(nuts_transition):
    """With the slope of the logarithm they are what the engine says, up to a constant."""
    from skcocoafuse.evaluation.power_scaling import log_likelihood

    for model in nuts_transition.values():
        posterior, spec = model.posterior_, model.posterior_.spec
        draws = posterior.flat()
        total = log_likelihood(model.fitted_.problem, draws) + sum(spec.log_prior(draws).values())
        total += np.log(draws.sigma).sum(axis=-1)
        assert np.ptp(total - posterior.log_posterior.reshape(-1)) < 1e-6


def test_arviz_says_the_same(nuts_transition, transition):
    """Its own weights and distance, and the log priors of the PyMC model."""
    arviz_stats = pytest.importorskip("arviz_stats")
    import xarray
    from pymc.stats import compute_log_prior

    model, (X, y) = nuts_transition["CoCoAFusERegressor"], transition[:2]
    posterior = model.posterior_
    beta = posterior.parameters.behavior_intercept  # at the mean of the input
    groups = model.to_arviz(posterior_predictive=False)
    pymc_model = model.build_model(X, y)
    groups["log_prior"] = compute_log_prior(
        xarray.DataTree.from_dict({"posterior": groups["posterior_standardized"].to_dataset()}),
        model=pymc_model, extend_inferencedata=False, progressbar=False,
    )  # fmt: skip
    groups["posterior"] = xarray.Dataset({"logit": (("chain", "draw"), beta)})

    ours = scale_of(model, conclusions={"logit": beta}).xs("logit", level="conclusion")
    alphas = (0.8, 1.25)

    def theirs(group, names):
        arguments = {"group": group, "alphas": alphas, "group_var_names": names}
        return float(arviz_stats.psense(groups, **arguments)["logit"])

    # ArviZ smooths both tails of the weights, and fits them to another number of draws
    for block in (block for block in posterior.spec.blocks if block.size):
        expected = theirs("prior", [variable_name(block)])
        found = ours.loc[block.name, "prior_sensitivity"]
        assert found == pytest.approx(expected, rel=0.05, abs=0.003)
    assert ours.loc["all", "prior_sensitivity"] == pytest.approx(theirs("prior", None), rel=0.05)
    likelihood = theirs("likelihood", None)
    assert ours.loc["all", "likelihood_sensitivity"] == pytest.approx(likelihood, rel=0.05)


def test_a_refit_with_the_scaled_prior_agrees(transition):
    """N(1, s) to the power a is N(1, s / sqrt(a)) up to a constant, so it can be fitted."""
    X, y = transition[0][:60], transition[1][:60]

    def fit(power):
        prior = Prior("normal", loc=1.0, scale=0.15 / np.sqrt(power))
        return BoERegressor(
            1, priors={"expert_coef": prior}, inference="vi", draws=5000, random_state=0
        ).fit(X, y)

    alpha = 1.25
    models = [fit(power) for power in (1.0, 1 / alpha, alpha)]
    slope, less, more = (m.posterior_.parameters.expert_coef[..., 0, 0] for m in models)
    table = scale_of(models[0], conclusions={"slope": slope}, alpha=alpha)
    found = table.loc[("expert_coef", "slope")]
    shift = 0.5 * (more.mean() - less.mean()) / slope.std() / np.log2(alpha)
    # of 20 000 draws, and each mean of 3 fits is off by sd / sqrt(20 000)
    assert found["shift"] == pytest.approx(shift, abs=0.1 * shift)
    assert shift > 0.3
    assert found["prior_sensitivity"] > 0.05
    assert found["diagnosis"] == "potential prior-data conflict"
    assert "expert_coef" in prior_sensitivity(models[0]).sensitive_priors


def test_more_rows_hang_less_on_priors():
    from skcocoafuse.datasets import make_transition

    few, many = (
        BoERegressor(1, inference="vi", random_state=0).fit(*make_transition(n, random_state=0))
        for n in (100, 1500)
    )
    few, many = (scale_of(m)["prior_sensitivity"].groupby("prior").max() for m in (few, many))
    assert many["expert_coef"] < min(0.01, 0.5 * few["expert_coef"])


def test_rows_are_those_given(nuts_transition, transition):
    model, X = nuts_transition["CoCoAFusERegressor"], transition[2]
    result = prior_sensitivity(model, X[:3])
    assert {e.entry for e in result.entries} <= {"", "row 0", "row 1", "row 2"}
    one, two = (
        prior_sensitivity(model, X[[row]]).table["prior_sensitivity"].xs("sd", level="conclusion")
        for row in (0, 1)
    )
    both = prior_sensitivity(model, X[:2]).table["prior_sensitivity"].xs("sd", level="conclusion")
    np.testing.assert_allclose(both, np.maximum(one, two[one.index])[both.index])


def test_it_sees_through_wrappers(transition):
    X, y = transition[:2]
    model = MoERegressor(inference="vi", random_state=0)
    alone = scale_of(model.fit(X, y), X=X[:3])
    pipe = TransformedTargetRegressor(
        make_pipeline(FunctionTransformer(), MoERegressor(inference="vi", random_state=0)),
        transformer=FunctionTransformer(),
        check_inverse=False,
    ).fit(X, y)
    wrapped = scale_of(pipe, X=X[:3])
    np.testing.assert_array_equal(wrapped["prior_sensitivity"], alone["prior_sensitivity"])
    with pytest.raises(TypeError, match="StandardScaler has no prior sensitivity"):
        prior_sensitivity(StandardScaler())


def test_own_conclusions(nuts_transition):
    model = nuts_transition["CoCoAFusERegressor"]
    coef = model.to_arviz(log_likelihood=False, posterior_predictive=False)["posterior"][
        "gate_coef"
    ]
    result = prior_sensitivity(model, conclusions={"gates": coef, "first": coef[..., 0, 0]})
    entries = {e.conclusion: e.entry for e in result.entries}
    assert entries["gates"] in ("[0, 0]", "[1, 0]")
    assert entries["first"] == ""


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"alpha": 1.0}, ValueError, "alpha must be a finite number above 1; got 1.0"),
        ({"alpha": np.inf}, ValueError, "alpha must be a finite number"),
        ({"alpha": np.nan}, ValueError, "alpha must be a finite number"),
        ({"alpha": "2"}, ValueError, "alpha must be a finite number above 1; got '2'"),
        ({"threshold": 0.0}, ValueError, "threshold must be a finite number above 0"),
        ({"conclusions": [1.0]}, TypeError, "conclusions must be a dict.*got list"),
        ({"conclusions": {"mean": np.ones((4, 1000))}}, ValueError, "'mean' is a standard one"),
        ({"conclusions": {"a": np.ones(4000)}}, ValueError, r"\(4, 1000\).*got shape \(4000,\)"),
        ({"conclusions": {"a": np.ones((4, 1000, 0))}}, ValueError, "got shape"),
        ({"conclusions": {"a": np.full((4, 1000), np.nan)}}, ValueError, "must be finite"),
        ({"X": np.ones((3, 2))}, ValueError, "expecting 1 features"),
    ],
)
def test_errors_teach(changes, error, message, nuts_transition):
    with pytest.raises(error, match=message):
        prior_sensitivity(nuts_transition["BoERegressor"], **changes)


def test_draws_must_be_those_of_the_posterior(map_fit, nuts_transition, monkeypatch):
    with pytest.raises(ValueError, match=r"prior_sensitivity\(\) needs draws.*got 1.*'map'"):
        prior_sensitivity(map_fit)
    with pytest.raises(NotFittedError):
        prior_sensitivity(MoERegressor())
    model = nuts_transition["BoERegressor"]
    monkeypatch.setattr(model, "diagnostics_", {**model.diagnostics_, "pareto_k": 0.75})
    with pytest.raises(ValueError, match=r"prior_sensitivity\(\) needs draws.*k-hat 0.75"):
        prior_sensitivity(model)


def test_it_is_about_the_heaviest_cluster(nuts_transition, monkeypatch):
    from dataclasses import replace

    model = nuts_transition["BoERegressor"]
    clusters = replace(
        model.posterior_, clusters=((1, 3), (0, 2)), cluster_weight=np.array([0.9, 0.1])
    )
    monkeypatch.setattr(model, "posterior_", clusters)
    draws = clusters.parameters.sigma[..., 0]
    result = prior_sensitivity(model, conclusions={"sigma 0": draws})
    assert result.n_draws == 2000
    monkeypatch.setattr(model, "posterior_", clusters.chains([1, 3]))
    alone = prior_sensitivity(model, conclusions={"sigma 0": draws[[1, 3]]})
    assert result.entries == alone.entries
