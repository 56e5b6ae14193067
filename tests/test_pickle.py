"""A fitted estimator travels: it predicts where no sampler can be imported."""

import pickle
import subprocess
import sys

import numpy as np

_FORBIDDEN = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pymc", "pytensor", "nutpie", "arviz"}:
            raise ImportError(f"{name} is forbidden here")

sys.meta_path.insert(0, Wall())
import pickle
import numpy as np

with open(sys.argv[1], "rb") as stream:
    model, X, y = pickle.load(stream)
out = {
    "predict": model.predict(X), "interval": model.predict_interval(X),
    "quantiles": model.predict_quantiles(X), "sample": model.sample_y(X, 3, random_state=0),
    "log_prob": model.log_prob(X, y), "gate": model.predict_gate(X),
    "experts": model.predict_experts(X), "behavior": model.predict_behavior(X),
    "responsibilities": model.responsibilities(X, y), "score": np.array(model.score(X, y)),
}
np.savez(sys.argv[2], **out)
"""


def test_predicts_the_same_without_any_sampler(nuts_transition, transition, tmp_path):
    model, X, y = nuts_transition["CoCoAFusERegressor"], transition[2][:40], transition[3][:40]
    with open(tmp_path / "model.pkl", "wb") as stream:
        pickle.dump((model, X, y), stream)
    subprocess.run(
        [sys.executable, "-c", _FORBIDDEN, tmp_path / "model.pkl", tmp_path / "out.npz"],
        check=True,
    )
    expected = {
        "predict": model.predict(X),
        "interval": model.predict_interval(X),
        "quantiles": model.predict_quantiles(X),
        "sample": model.sample_y(X, 3, random_state=0),
        "log_prob": model.log_prob(X, y),
        "gate": model.predict_gate(X),
        "experts": model.predict_experts(X),
        "behavior": model.predict_behavior(X),
        "responsibilities": model.responsibilities(X, y),
        "score": np.array(model.score(X, y)),
    }
    found = np.load(tmp_path / "out.npz")
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_pickles_are_no_larger_than_their_draws(nuts_transition):
    model = nuts_transition["CoCoAFusERegressor"]
    numbers = (
        sum(a.size for a in model.posterior_.parameters) + 5 * model.posterior_.log_posterior.size
    )
    assert len(pickle.dumps(model)) < 8 * numbers + 20_000
