"""Compiled code where the interpreter is not as usual: no docstrings, no compiler, no cache."""

import json
import os
import subprocess
import sys

import numpy as np


def run(code, *options, **environment):
    """Run code in an interpreter of its own; what it says on both streams."""
    result = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=500,
    )
    assert result.returncode == 0, result.stderr
    return result


def test_nothing_needs_docstrings_or_asserts():
    """``python -OO`` takes both away; chains also go through R-hat and ESS."""
    code = """if True:
        import warnings
        from sklearn.exceptions import ConvergenceWarning
        from skcocoafuse import CoCoAFusERegressor
        from skcocoafuse.datasets import make_switch
        warnings.simplefilter("ignore", ConvergenceWarning)
        X, y = make_switch(60, random_state=0)
        model = CoCoAFusERegressor(draws=20, tune=20, chains=2, random_state=0).fit(X, y)
        dist = model.predict_dist(X[:2])
        print(model.summary().shape, dist.interval(0.9)[0].shape, dist.crps(y[:2]).shape)
        repr(model), model._repr_html_(), model.to_arviz()
        assert False, "with -OO this is not run"
    """
    assert "(2,) (2,)" in run(code, "-OO").stdout


NUMBERS = """if True:
    import dataclasses, json, warnings
    import numpy as np
    from skcocoafuse import CoCoAFusERegressor, Prior
    from skcocoafuse.datasets import make_transition
    from skcocoafuse.inference import Settings, mode_search
    from skcocoafuse.inference.nuts import backend
    from skcocoafuse.compiled.kernel import Kernel
    from skcocoafuse.compiled.tails import t_table
    from skcocoafuse.predictive import mixture
    from tests.problems import make_problem

    warnings.simplefilter("error")
    found = {}
    families = {
        "expert_coef": Prior("normal", 2.0), "gate_coef": Prior("student_t"),
        "sigma": Prior("half_normal", 0.8), "behavior_intercept": Prior("flat"),
    }
    rng = np.random.default_rng(0)
    for behavior in (None, 0.0, 1.0):
        for M, priors in ((1, None), (3, families)):
            kernel = Kernel(make_problem(M, behavior=behavior, n=70, priors=priors))
            points = rng.normal(size=(3, kernel.n_parameters))
            points[2] *= 1e3  # exp() overflows: no number, and no exception
            values, gradients = kernel.function().at_many(points)
            found[f"kernel {behavior} {M}"] = [*values[:2], *gradients[:2].ravel()]
            found[f"overflow {behavior} {M}"] = [bool(np.isfinite(values[2]))]
    mode_search.N_STARTS, mode_search.MAX_ROUNDS = 2, 2
    kernel = Kernel(make_problem(2, n=40))
    mode = mode_search.find_modes(kernel, rng)[0]
    settings = Settings(5, 5, 2, 0.8, 1, 0, options={"maxdepth": 2})
    # not those of the curvature, whose differences enlarge rounding errors a million times
    coordinates = dataclasses.replace(mode.normal, factor=np.eye(kernel.n_parameters))
    (draws,) = backend.run_chains([backend.Launch(kernel, coordinates, 2)], settings, rng)
    found["chains called from C"] = draws.z.ravel().tolist()
    X, y = make_transition(50, random_state=0)
    model = CoCoAFusERegressor(inference="map", random_state=0).fit(X, y)
    dist = model.predict_dist(X[:3])
    found["predictions"] = np.concatenate([
        dist.mean(), dist.std(), dist.logpdf(y[:3]), dist.crps(y[:3]), dist.ppf(0.05), dist.cdf(0.1)
    ]).tolist()
    rng = np.random.default_rng(1)
    size = (1, 2000)
    w, m, s = np.full(size, 1 / 2000), rng.normal(size=size), rng.uniform(0.5, 1.0, size)
    q = np.full((1, 1), 0.01)
    for noise, table in (("normal", None), ("t", t_table(2 + rng.lognormal(size=1000)))):
        own = mixture.Mixtures(w, m, s, table)
        found[f"many components, {noise}"] = [*mixture.spread(own), *mixture.ppf(own, q)[0]]
        found[f"draw by draw, {noise}"] = mixture.log_density_of_draws(
            own._replace(weight=1000 * w).by_draw(2), np.ones(1)
        )[0, :9].tolist()
    print(json.dumps(found))
"""


def test_python_gives_the_numbers_of_compiled_code():
    """``NUMBA_DISABLE_JIT=1`` leaves all to Python, callbacks for the sampler included."""
    results = [run(NUMBERS, NUMBA_DISABLE_JIT=switch) for switch in ("0", "1")]
    compiled, python = (json.loads(result.stdout) for result in results)
    assert compiled.keys() == python.keys()
    for name, expected in compiled.items():
        np.testing.assert_allclose(python[name], expected, rtol=1e-7, atol=1e-9, err_msg=name)
    assert results[1].stderr == ""


def test_an_error_in_a_python_callback_stops_the_sampler():
    code = """if True:
        import numpy as np
        from skcocoafuse.compiled import kernel
        from skcocoafuse.inference import Settings
        from skcocoafuse.inference.nuts import backend
        from skcocoafuse.compiled.coordinates import Coordinates
        from tests.problems import make_problem

        def faulty(*arguments):
            raise KeyError("a fault")

        kernel.log_posterior_callback.function = faulty
        own = kernel.Kernel(make_problem(1, n=10))
        try:
            own(np.zeros(own.n_parameters))
        except KeyError:
            print("raised to Python")
        launch = backend.Launch(own, Coordinates.plain(own.plain.laplace_transform), 1)
        try:
            backend.run_chains([launch], Settings(5, 5, 1, 0.8, 1, 0), np.random.default_rng(0))
        except RuntimeError:
            print("raised by nutpie")
    """
    result = run(code, NUMBA_DISABLE_JIT="1")
    assert result.stdout.splitlines() == ["raised to Python", "raised by nutpie"]
    assert "KeyError: 'a fault'" in result.stderr


def test_says_once_that_it_compiles_and_not_where_the_cache_has_it(tmp_path):
    """On stderr, by the standard library's logging: a warning as an error is no concern of it."""
    code = """if True:
        import numpy as np
        from skcocoafuse.predictive import mixture
        one = np.ones((1, 1))
        own = mixture.Mixtures(one, one, one)
        mixture.expected_distance(own, one)
        mixture.expected_distance(own, np.ones((1, 2), dtype=np.float32))
        mixture.log_density_of_draws(own.by_draw(1), one[0])
    """
    options = "-W", "error"
    cold, warm = (run(code, *options, NUMBA_CACHE_DIR=str(tmp_path)) for _ in "ab")
    assert cold.stdout == warm.stdout == warm.stderr == ""
    assert cold.stderr.count("compiles its numerical code") == len(cold.stderr.splitlines()) == 1


def test_the_program_decides_where_that_is_said(caplog):
    from numba.core import event

    from skcocoafuse.compiled import jit

    listener = jit._SayOnce()
    for module in ("pytensor.tensor", "skcocoafuse_of_another", "skcocoafuse.model", "skcocoafuse"):
        listener.on_start(
            event.Event("numba:run_pass", event.EventStatus.START, {"module": module})
        )
    ((name, _, _),) = caplog.record_tuples
    assert name == "skcocoafuse"
