"""What CONTRIBUTING promises: a row of a table is all that a parameter or a prior family takes.

A copy of the package with made-up rows runs in an interpreter of its own, without compilation.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import skcocoafuse

ROOT = Path(skcocoafuse.__file__).parent

PARAMETER = """    "tail": Parameter(
        EXPERT,
        "shape",
        ("expert",),
        POSITIVE,
        Prior("lognormal", loc=0.5),
        "a made-up number of expert {k}",
    ),
    "gate_intercept": Parameter("""
FAMILY = """    "cauchy": Family(
        REAL,
        ("loc", "scale"),
        lambda log, x, p: -log(math.pi * p.scale * (1.0 + ((x - p.loc) / p.scale) ** 2)),
        lambda x, loc, scale, df, smoothing: (
            -math.log1p(((x - loc) / scale) ** 2),
            -2.0 * (x - loc) / (scale**2 + (x - loc) ** 2),
        ),
        lambda rng, p, size: p.loc + p.scale * rng.standard_cauchy(size),
        lambda pm, name, p, dims: pm.Cauchy(name, alpha=p.loc, beta=p.scale, dims=dims),
    ),
    "normal": Family("""

CHECKS = """if True:
    import os, sys, tempfile
    import numpy as np
    import pytensor
    import skcocoafuse
    from skcocoafuse import CoCoAFusERegressor, Prior, load
    from skcocoafuse.compiled.kernel import Kernel
    from skcocoafuse.inference import mode_search
    from skcocoafuse.model.parameters import PARAMETERS
    from skcocoafuse.model.pymc_model import build_pymc_model
    from tests.problems import finite_difference, log_posterior, make_problem

    assert skcocoafuse.__file__.startswith(sys.argv[1])
    priors = {"tail": Prior("half_normal", 0.7), "expert_coef": Prior("cauchy", 0.5, loc=0.2)}
    problem = make_problem(2, (2, 1, 1), n=20, priors=priors, n_noise=1)
    spec, rng = problem.spec, np.random.default_rng(0)

    # the vector and its names
    theta = rng.normal(size=(3, spec.n_parameters))
    values = spec.unpack(theta)
    assert values.tail.shape == (3, 2) and (values.tail > 0).all()
    np.testing.assert_allclose(spec.pack(values), theta, atol=1e-12)
    assert (spec.sample_prior(rng, 5).tail > 0).all()
    swapped = values.permute_experts(np.array([[1, 0]] * 3))
    np.testing.assert_array_equal(swapped.tail, values.tail[:, ::-1])

    # machine code, the plain definition and the PyMC model
    kernel = Kernel(problem)
    value, gradient = kernel(theta[0])
    np.testing.assert_allclose(value, log_posterior(problem, theta[0]), rtol=1e-11)
    slopes = finite_difference(lambda at: kernel(at)[0], theta[0])
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        model = build_pymc_model(problem)
        names = {v.name for v in model.value_vars}
        assert "tail_log__" in names
        point, start = {}, 0
        for block in spec.blocks:
            part = theta[0, start : start + block.size].reshape(block.shape)
            start += block.size
            suffix = {"positive": "_log__", "contrast": "_contrast"}.get(block.constraint, "")
            point[block.name + suffix] = part
        logp = model.compile_logp()
        other = {**point, "tail_log__": point["tail_log__"] + 0.3}
        other["expert_coef"] = other["expert_coef"] - 0.2
        moved = theta[0].copy()
        first = np.cumsum([0] + [block.size for block in spec.blocks])
        where = dict(zip((block.name for block in spec.blocks), first))
        moved[where["tail"] : where["tail"] + 2] += 0.3
        moved[where["expert_coef"] : where["expert_coef"] + 4] -= 0.2
        difference = kernel(moved)[0] - value
        np.testing.assert_allclose(logp(other) - logp(point), difference, rtol=1e-8)

    # a fit, in all that a user sees
    mode_search.N_STARTS, mode_search.MAX_ROUNDS = 2, 1
    X, y = rng.normal(size=(24, 1)), rng.normal(size=24)
    fit = CoCoAFusERegressor(2, inference="map", random_state=0).fit(X, y)
    np.testing.assert_allclose(fit.tail_, np.exp(0.5), rtol=1e-5)  # the mode of its prior
    table = fit.summary()
    assert table.loc["expert 1: tail", "meaning"] == "a made-up number of expert 1"
    _, drawn = fit.sample_prior_predictive(X, n_samples=4, random_state=0, return_parameters=True)
    assert drawn["tail"].shape == (4, 2)
    exported = fit.to_arviz(log_likelihood=False, posterior_predictive=False)["posterior"]
    assert exported["tail"].dims == ("chain", "draw", "expert")
    with tempfile.TemporaryDirectory() as folder:
        fit.save(os.path.join(folder, "fit.nc"))
        again = load(os.path.join(folder, "fit.nc"))
    np.testing.assert_array_equal(again.tail_, fit.tail_)
    try:
        CoCoAFusERegressor(priors={"tail": Prior("normal")}).fit(X, y)
    except ValueError as error:
        assert "positive numbers" in str(error)
    else:
        raise AssertionError("a prior on real numbers was taken")
    print("arrived")
"""


def test_a_made_up_parameter_and_family_arrive_everywhere(tmp_path):
    shutil.copytree(ROOT, tmp_path / "skcocoafuse", ignore=shutil.ignore_patterns("__pycache__"))
    for table, before, row in (
        ("parameters", '    "gate_intercept": Parameter(', PARAMETER),
        ("priors", '    "normal": Family(', FAMILY),
    ):
        path = tmp_path / "skcocoafuse" / "model" / f"{table}.py"
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1
        path.write_text(text.replace(before, row), encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), str(ROOT.parent)])  # the latter for tests.problems
    result = subprocess.run(
        [sys.executable, "-c", CHECKS, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "1"},
        timeout=500,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "arrived"
