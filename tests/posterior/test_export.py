"""The posterior in ArviZ's groups: its numbers by other roads, and ArviZ's own tools on it."""

import copy
import warnings
from dataclasses import replace

import arviz
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray
from scipy import special, stats
from sklearn.exceptions import NotFittedError

from skcocoafuse import CoCoAFusERegressor, MoERegressor, Prior
from skcocoafuse.inference.nuts.backend import Run
from skcocoafuse.posterior import export
from tests.conftest import fit_quietly


@pytest.fixture(scope="module")
def data(transition):
    """Inputs and target far from standardised, with weights of which some are zero."""
    rng = np.random.default_rng(0)
    X, y = transition[0][:120], transition[1][:120]
    X = np.column_stack([50.0 + 20.0 * X[:, 0], rng.normal(size=120)])
    return X, 1000.0 + 300.0 * y, rng.integers(0, 3, 120).astype(float)


@pytest.fixture(scope="module")
def model(once, data):
    X, y, weight = data
    estimator = CoCoAFusERegressor(3, gate_features=[0], inference="vi", draws=80)
    estimator.set_params(chains=2, random_state=0)
    name = "exported fit"
    return once({name: lambda: fit_quietly(estimator, X, y, sample_weight=weight)})[name]


@pytest.fixture(scope="module")
def groups(model):
    return model.to_arviz(random_state=0)


def normal_log_density(posterior, constant, y):
    """Of every draw and row, with scipy, from nothing but original units in the groups."""
    p = {name: np.asarray(values.values)[..., None, :] for name, values in posterior.items()}
    coef = {part: posterior[f"{part}_coef"].values for part in ("expert", "gate", "behavior")}
    X = {part: constant[f"X_{part}"].values for part in coef}
    mu = p["expert_intercept"] + X["expert"] @ coef["expert"].mT
    a = special.softmax(p["gate_intercept"] + X["gate"] @ coef["gate"].mT, axis=-1)
    logit = posterior["behavior_intercept"].values[..., None] + coef["behavior"] @ X["behavior"].T
    beta = special.expit(logit)[..., None]
    blend, noise = (a * mu).sum(-1, keepdims=True), (a * p["sigma"] ** 2).sum(-1, keepdims=True)
    fused = stats.norm(
        beta * mu + (1 - beta) * blend, np.sqrt(beta * p["sigma"] ** 2 + (1 - beta) * noise)
    )
    return np.log((a * fused.pdf(y[:, None])).sum(-1))


def test_is_what_the_installed_arviz_calls_its_own(groups):
    kind = xarray.DataTree if arviz.__version__ >= "1" else arviz.InferenceData
    assert isinstance(groups, kind)


def test_log_likelihood_follows_from_the_groups_in_original_units(groups, data):
    _, y, weight = data
    constant = groups["constant_data"]
    rows = constant["row"].values  # those that count
    np.testing.assert_array_equal(rows, np.flatnonzero(weight))
    y, weight = y[rows], weight[rows]
    np.testing.assert_array_equal(constant["sample_weight"].values, weight)
    np.testing.assert_allclose(groups["observed_data"]["y"].values, y)
    expected = weight * normal_log_density(groups["posterior"], constant, y)
    np.testing.assert_allclose(groups["log_likelihood"]["y"].values, expected, rtol=1e-8, atol=1e-8)


def test_pymc_takes_the_standardized_group(groups, model, data):
    """Its log likelihood differs by the logarithm of the target's scale."""
    standardized = xarray.Dataset(dict(groups["posterior_standardized"].data_vars))
    if arviz.__version__ >= "1":
        own = xarray.DataTree.from_dict({"posterior": standardized})
    else:
        own = arviz.InferenceData(posterior=standardized)
    X, y, weight = data
    with model.build_model(X, y, weight), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pm.compute_log_likelihood(own, progressbar=False)
    by_pymc = own["log_likelihood"]["y"].values - weight * np.log(model.fitted_.target.scale)
    by_pymc = by_pymc[..., weight > 0]
    np.testing.assert_allclose(groups["log_likelihood"]["y"].values, by_pymc, rtol=1e-8, atol=1e-8)


def test_parameters_are_those_the_estimator_reports(groups, model):
    posterior = groups["posterior"]
    for name, ours in {
        "expert_intercept": model.expert_intercept_,
        "expert_coef": model.expert_coef_,
        "sigma": model.sigma_,
        "gate_intercept": model.gate_intercept_,
        "gate_coef": model.gate_coef_,
        "behavior_intercept": model.behavior_intercept_,
        "behavior_coef": model.behavior_coef_,
    }.items():
        kept = posterior[name].isel(chain=groups["sample_stats"]["chain_cluster"].values[:, 0] == 0)
        np.testing.assert_allclose(kept.mean(("chain", "draw")).values, ours, rtol=1e-10)


def test_names_are_those_of_the_pymc_model(groups, model, data):
    built = model.build_model(*data)
    variables = {v.name for v in [*built.free_RVs, *built.deterministics]}
    standardized = groups["posterior_standardized"]
    assert set(standardized.data_vars) == variables
    for name in variables:
        assert standardized[name].dims == ("chain", "draw", *built.named_vars_to_dims.get(name, ()))
    assert groups["log_likelihood"]["y"].dims == ("chain", "draw", "row")
    for dim in ("expert", "expert_feature", "gate_feature", "contrast"):
        assert standardized[dim].values.tolist() == list(built.coords[dim])


def test_predictive_draws_have_the_predictive_moments(model, groups, data):
    X = data[0][data[2] > 0]
    values = groups["posterior_predictive"]["y"].values.reshape(-1, len(X))
    dist = model.predict_dist(X)
    z = (values.mean(axis=0) - dist.mean()) / (dist.std() / np.sqrt(len(values)))
    assert np.abs(z).max() < 5.0
    assert abs(np.mean(np.log(values.var(axis=0) / dist.var()))) < 0.1
    again = model.to_arviz(random_state=0)["posterior_predictive"]["y"].values
    np.testing.assert_array_equal(again.reshape(values.shape), values)


def test_arviz_uses_it(groups):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loo = arviz.loo(groups)
        table = arviz.summary(groups)
        standardized = arviz.summary(groups, group="posterior_standardized")
        ess = arviz.ess(groups)
    assert np.isfinite(float(loo.elpd if hasattr(loo, "elpd") else loo.elpd_loo))
    assert {"sigma[0]", "expert_coef[2, x1]", "behavior_intercept"} <= set(table.index)
    assert "gate_coef_contrast[1, x0]" in standardized.index
    assert (ess["sigma"].values > 0).all()


def test_leave_one_out_agrees_with_our_own(nuts_switch):
    from skcocoafuse.evaluation.loo import leave_one_out

    model = nuts_switch["MoERegressor"]
    ours = leave_one_out(model.fitted_.problem, model.posterior_.spec, model.posterior_.flat())[0]
    expected = ours.sum() - len(ours) * np.log(model.fitted_.target.scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loo = arviz.loo(model.to_arviz(posterior_predictive=False))
    found = float(loo.elpd if hasattr(loo, "elpd") else loo.elpd_loo)
    assert found == pytest.approx(expected, abs=0.1)


def test_sampler_statistics_keep_arviz_names(nuts_switch):
    model = nuts_switch["MoERegressor"]
    found = model.to_arviz(log_likelihood=False, posterior_predictive=False)
    stats_ = found["sample_stats"]
    assert {"lp", "diverging", "tree_depth", "n_steps"} <= set(stats_.data_vars)
    assert int(stats_["diverging"].sum()) == model.diagnostics_["n_divergences"]
    np.testing.assert_array_equal(stats_["lp"].values, model.posterior_.log_posterior)
    names = list(found.children) if arviz.__version__ >= "1" else found.groups()
    assert "log_likelihood" not in names
    assert "posterior_predictive" not in names


def test_thinning_is_of_the_large_groups_only(model, monkeypatch):
    n_draws = model.posterior_.n_draws
    thinned = model.to_arviz(thin=7)
    assert thinned["posterior"].sizes["draw"] == n_draws
    kept = thinned["log_likelihood"]["draw"].values
    np.testing.assert_array_equal(kept, np.arange(0, n_draws, 7))
    full = model.to_arviz(thin=1)["log_likelihood"]["y"].sel(draw=kept)
    np.testing.assert_array_equal(thinned["log_likelihood"]["y"].values, full.values)
    monkeypatch.setattr(export, "_MAX_NUMBERS", full.size // 2)
    auto = model.to_arviz()["log_likelihood"]["y"]
    assert full.size // 4 < auto.size <= full.size // 2
    monkeypatch.setattr(export, "_MAX_NUMBERS", 1)
    assert model.to_arviz()["log_likelihood"].sizes["draw"] == 1


def test_clusters_are_named_and_weighted(nuts_switch):
    model = copy.copy(nuts_switch["MoERegressor"])
    clusters, weight = ((1, 3), (0,), (2,)), np.array([0.6, 0.3, 0.1])
    model.posterior_ = replace(model.posterior_, clusters=clusters, cluster_weight=weight)
    chains = model.to_arviz(log_likelihood=False, posterior_predictive=False)["sample_stats"]
    assert (chains["chain_cluster"].values.T == [1, 0, 2, 0]).all()
    for weights in chains["chain_weight"].values.T:
        np.testing.assert_allclose(weights, [0.3, 0.3, 0.1, 0.3])


@pytest.mark.parametrize("thin", [0, -1, 1.5, "all", True, None])
def test_bad_thinning_is_named(model, thin):
    with pytest.raises(ValueError, match="thin must be 'auto' or a positive integer; got"):
        model.to_arviz(thin=thin)


def test_before_fit():
    with pytest.raises(NotFittedError):
        MoERegressor().to_arviz()


def test_one_draw_and_one_expert(data):
    """The mode alone, and a model without a gate: what is not there is left out."""
    X, y, _ = data
    found = MoERegressor(1, gate_features=[], inference="map").fit(X, y).to_arviz()
    assert dict(found["posterior"].sizes) == {
        "chain": 1, "draw": 1, "expert": 1, "expert_feature": 2,
    }  # fmt: skip
    assert set(found["posterior"].data_vars) == {"expert_intercept", "expert_coef", "sigma"}
    assert set(found["constant_data"].data_vars) == {"X_expert", "sample_weight"}
    assert found["posterior_predictive"]["y"].shape == (1, 1, len(y))


def group_names(found):
    return list(found.children) if arviz.__version__ >= "1" else found.groups()


@pytest.fixture(scope="module", params=["vi", "map", "nuts"])
def table_model(request, transition):
    """Columns of which some are called as variables, dims and statistics are."""
    X = pd.DataFrame(np.column_stack([transition[0][:50], np.arange(50.0) % 3]))
    X.columns = ["sigma", "chain_cluster"]
    model = CoCoAFusERegressor(2, inference=request.param, draws=20, tune=20, chains=2)
    return fit_quietly(model.set_params(random_state=0), X, transition[1][:50])


def test_every_group_is_a_table(table_model):
    """By ``to_dataframe`` of ArviZ 0.x and of xarray: a column per variable, a row per entry."""
    found = table_model.to_arviz(random_state=0)
    n_chains, n_draws = found["posterior"]["sigma"].shape[:2]
    for name in group_names(found):
        dataset = found[name] if arviz.__version__ < "1" else found[name].to_dataset()
        assert set(dataset.coords) == set(dataset.dims)
        assert not set(dataset.coords) & set(dataset.data_vars)
        assert list(dataset.to_dataframe().columns) == list(dataset.data_vars)
        if arviz.__version__ >= "1" or name.endswith("_data"):
            continue  # InferenceData gives no tables of these
        for include_coords in (True, False):
            table = found.to_dataframe(groups=name, include_coords=include_coords)
            assert len(table) == dataset.sizes["chain"] * dataset.sizes["draw"]
            n_columns = sum(v.size for v in dataset.data_vars.values()) // len(table)
            assert table.shape[1] == 2 + n_columns
    if arviz.__version__ < "1":
        table = found.to_dataframe(groups=["posterior", "sample_stats", "log_prior"])
        assert len(table) == n_chains * n_draws


@pytest.mark.parametrize("source", ["fit", "file"])
def test_tables_have_the_numbers(table_model, tmp_path, source):
    found = table_model.to_arviz(log_likelihood=False, posterior_predictive=False)
    if source == "file":
        table_model.save(tmp_path / "fit.nc")
        found = arviz.from_netcdf(tmp_path / "fit.nc")
    if arviz.__version__ < "1":
        column = found.to_dataframe(groups="posterior", include_coords=False)["sigma[1]"]
    else:
        column = found["posterior"].to_dataset().to_dataframe()["sigma"]
        column = column.xs(1, level="expert").groupby(["chain", "draw"]).first()
    original = table_model.fitted_.in_original_units()
    np.testing.assert_allclose(column.to_numpy(), original.sigma[..., 1].ravel())


# -- priors and energies -----------------------------------------------------------------


def test_prior_draws_are_those_of_the_estimator(model, groups):
    """The same distribution in the same units, under the same names and dims."""
    prior, posterior = groups["prior"], groups["posterior"]
    assert set(prior.data_vars) == set(posterior.data_vars)
    _, drawn = model.sample_prior_predictive(
        [[50.0, 0.0]], n_samples=4000, random_state=1, return_parameters=True
    )
    for name, values in prior.items():
        assert values.dims == posterior[name].dims
        ours = values.values[0].reshape(len(values.values[0]), -1)
        theirs = drawn[name].reshape(4000, -1)
        for one, other in zip(ours.T, theirs.T, strict=True):
            assert stats.ks_2samp(one, other).pvalue > 1e-4


def test_log_prior_is_that_of_the_pymc_model(groups, model, data):
    """Up to a constant, that of the sum-to-zero restriction."""
    built = model.build_model(*data)
    free = {v.name.removesuffix("_contrast"): v for v in built.free_RVs}
    assert set(free) == set(groups["log_prior"].data_vars)
    names = list(free)
    logp = built.compile_fn(
        [built.logp(free[name], sum=True, jacobian=False) for name in names],
        inputs=built.value_vars,
        point_fn=False,
    )
    standardized = groups["posterior_standardized"]
    found = np.array(
        [
            logp(*(_value_of(standardized, built, v, draw) for v in built.value_vars))
            for draw in range(5)
        ]
    )
    for j, name in enumerate(names):
        ours = groups["log_prior"][name].values[0, :5]
        np.testing.assert_allclose(np.diff(ours), np.diff(found[:, j]), rtol=1e-6, atol=1e-8)


def _value_of(standardized, built, value, draw):
    variable = built.values_to_rvs[value]
    x = standardized[variable.name].values[0, draw]
    return np.log(x) if value.name.endswith("_log__") else x


def test_arviz_finds_the_sensitivity_to_priors_that_we_find(transition):
    """One narrow prior far from the data: both say that sigma conflicts with it."""
    priors = {"sigma": Prior("lognormal", loc=1.0, scale=0.1)}
    estimator = MoERegressor(1, priors=priors, inference="vi", random_state=0)
    found = fit_quietly(estimator, *transition[:2]).to_arviz(posterior_predictive=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if arviz.__version__ >= "1":
            table = arviz.psense_summary(found, round_to=4)
            prior, likelihood = table["prior"], table["likelihood"]
        else:
            prior, likelihood = (
                {"sigma[0]": arviz.psens(found, component=c)["sigma"].item()}
                for c in ("prior", "likelihood")
            )
    assert float(prior["sigma[0]"]) > 0.05
    assert float(likelihood["sigma[0]"]) > 0.05


def test_arviz_draws_priors_beside_posteriors(groups):
    mpl.use("Agg")
    if arviz.__version__ >= "1":
        plot = arviz.plot_prior_posterior(groups, var_names=["sigma"], backend="matplotlib")
        assert "sigma" in plot.viz["plot"].data_vars
    else:
        assert len(arviz.plot_dist_comparison(groups, var_names=["sigma"]).ravel()) == 9
    plt.close("all")


def test_energies_are_those_of_successive_draws(transition):
    """A fit without remedies has them, and ArviZ's plot and BFMI take them."""
    mpl.use("Agg")
    for inference in ("nuts", "pymc"):
        estimator = MoERegressor(1, inference=inference, draws=200, chains=2, random_state=0)
        fitted = fit_quietly(estimator, *transition[:2])
        found = fitted.to_arviz(log_likelihood=False, posterior_predictive=False)
        assert not fitted.diagnostics_.get("remedies")
        energy, lp = (found["sample_stats"][name].values for name in ("energy", "lp"))
        kinetic = energy + lp  # up to the constant and the Jacobian of a linear map
        n_free = 4
        assert np.ptp(kinetic - kinetic.min()) > 0
        assert kinetic.var() == pytest.approx(0.5 * n_free, rel=0.5)
        arviz.plot_energy(found)
        bfmi = arviz.bfmi(found)
        values = bfmi["energy"].values if arviz.__version__ >= "1" else bfmi
        assert (np.asarray(values) > 0.5).all()
    plt.close("all")


def test_energies_of_thinned_draws_are_left_out():
    run = Run(
        None, None, np.zeros((1, 4, 1)), {"energy": np.ones((1, 4)), "n_steps": np.ones((1, 4))}
    )
    assert set(run.thinned(1).statistics) == {"energy", "n_steps"}
    assert set(run.thinned(2).statistics) == {"n_steps"}
