"""Files of fits: nothing is lost, other programs read them, and bad ones say what is bad."""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace

import arviz
import h5py
import joblib
import numpy as np
import pandas as pd
import pytest
import xarray
from scipy import special
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior, load
from skcocoafuse.persistence.container import arrays_in, read_file, unpack
from tests.conftest import fit_quietly
from tests.persistence.editing import array, at, both, numbers, reseal, without


@pytest.fixture(scope="module")
def data(transition):
    """Named inputs and a target far from standardised, with weights of which some are zero."""
    rng = np.random.default_rng(0)
    X, y = transition[0][:120, 0], transition[1][:120]
    X = pd.DataFrame({"größe": 50.0 + 20.0 * X, "b": rng.normal(size=120)})
    return X, 1000.0 + 300.0 * y, rng.integers(0, 3, 120).astype(float)


def quadratic():
    return make_column_transformer((PolynomialFeatures(2, include_bias=False), ["größe"]))


ESTIMATORS = {
    "plain": MoERegressor(inference="vi", draws=80, chains=2, random_state=0),
    "parts": CoCoAFusERegressor(
        3,
        expert_features=quadratic(),
        gate_features=np.array([0]),
        behavior_features=[],
        priors={"sigma": Prior("half_normal", scale=np.float64(0.5))},
        inference="vi",
        draws=80,
        random_state=np.random.RandomState(5),
    ),
    "one expert, as it is": BoERegressor(
        1, gate_features=(), inference="map", standardize=False, target_resolution=2.0
    ),
    "sampled": CoCoAFusERegressor(draws=50, tune=50, chains=2, random_state=0),
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def model(request, once, data):
    X, y, weight = data
    estimator, name = clone(ESTIMATORS[request.param]), f"kept {request.param}"
    return once({name: lambda: fit_quietly(estimator, X, y, sample_weight=weight)})[name]


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("fits") / "fit.nc"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def loaded(path):
    return load(path)


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """The file of a small fit, to be spoilt."""
    path = tmp_path_factory.mktemp("fits") / "plain.nc"
    X, y, _ = data
    fit_quietly(clone(ESTIMATORS["plain"]), X, y).save(path)
    return path


# -- nothing is lost ---------------------------------------------------------------------


def test_predictions_are_the_same(model, loaded, data):
    X, y, _ = data
    assert type(loaded) is type(model)
    for method in ("predict", "predict_interval", "predict_gate", "predict_experts", "local_coef"):
        expected = getattr(model, method)(X)
        np.testing.assert_array_equal(getattr(loaded, method)(X), expected, err_msg=method)
    np.testing.assert_array_equal(loaded.log_prob(X, y), model.log_prob(X, y))
    again = loaded.sample_y(X, 3, random_state=1)
    np.testing.assert_array_equal(again, model.sample_y(X, 3, random_state=1))


def test_attributes_are_the_same(model, loaded):
    assert set(vars(loaded)) == set(vars(model))
    for name in (name for name in vars(model) if name.endswith("_")):
        if name not in ("posterior_", "diagnostics_"):
            np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name), err_msg=name)
    assert list(loaded.diagnostics_) == list(model.diagnostics_)
    np.testing.assert_equal(loaded.diagnostics_, model.diagnostics_)
    assert loaded.posterior_.spec == model.posterior_.spec
    assert loaded.posterior_.stats.keys() == model.posterior_.stats.keys()
    for name, values in model.posterior_.stats.items():
        assert loaded.posterior_.stats[name].dtype == values.dtype


def test_parameters_are_the_same(model, loaded):
    ours, theirs = model.get_params(deep=False), loaded.get_params(deep=False)
    assert list(theirs) == list(ours)
    for name, value in ours.items():
        if isinstance(value, np.random.RandomState):
            np.testing.assert_array_equal(theirs[name].get_state()[1], value.get_state()[1])
        elif hasattr(value, "fit"):
            assert str(theirs[name]) == str(value)
        else:
            np.testing.assert_array_equal(theirs[name], value)
            assert type(theirs[name]) is type(value)


def test_tables_and_groups_are_the_same(model, loaded):
    pd.testing.assert_frame_equal(loaded.summary(), model.summary())
    ours, theirs = model.to_arviz(random_state=0), loaded.to_arviz(random_state=0)
    for group in ("posterior", "sample_stats", "log_likelihood", "constant_data"):
        for name, values in ours[group].data_vars.items():
            # the rows may lie otherwise in memory, and products with them round otherwise
            np.testing.assert_allclose(theirs[group][name].values, values.values, rtol=1e-12)


def test_leave_one_out_is_the_same(nuts_transition, tmp_path):
    model = nuts_transition["MoERegressor"]
    model.save(tmp_path / "fit.nc")
    found, expected = load(tmp_path / "fit.nc").loo(), model.loo()
    np.testing.assert_allclose(found.pointwise, expected.pointwise, rtol=1e-10)
    np.testing.assert_allclose(found.pareto_k, expected.pareto_k, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(found.y, expected.y)
    assert found.converged == expected.converged


def test_a_loaded_estimator_clones_fits_and_saves(model, loaded, data, tmp_path):
    X, y, _ = data
    fresh = clone(loaded).set_params(inference="map").fit(X, y)
    assert fresh.n_features_in_ == 2
    loaded.save(tmp_path / "again.nc")
    np.testing.assert_array_equal(load(tmp_path / "again.nc").predict(X), model.predict(X))


def test_clusters_keep_their_order_and_weights(data, tmp_path):
    X, y, _ = data
    model = fit_quietly(MoERegressor(inference="vi", draws=30, random_state=0), X, y)
    model.posterior_ = replace(
        model.posterior_,
        clusters=((3, 1), (0,), (2,)),
        cluster_weight=np.array([0.6, 0.3, 0.1]),
        cluster_elpd=np.array([-1.5, -2.5, -np.inf]),
    )
    model.save(tmp_path / "clusters.nc")
    loaded = load(tmp_path / "clusters.nc")
    assert loaded.posterior_.clusters == model.posterior_.clusters
    np.testing.assert_array_equal(loaded.posterior_.cluster_elpd, model.posterior_.cluster_elpd)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    pd.testing.assert_frame_equal(loaded.summary(), model.summary())


def test_inputs_without_names(data, tmp_path):
    X, y, _ = data
    X = X.to_numpy()
    model = MoERegressor(inference="map", expert_features=PolynomialFeatures(2)).fit(X, y)
    model.save(str(tmp_path / "fit without names"))  # any name, and strings as well
    loaded = load(str(tmp_path / "fit without names"))
    assert not hasattr(loaded, "feature_names_in_")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


# -- others read it ----------------------------------------------------------------------


def test_hdf5_alone_is_enough_to_predict(model, path, data):
    """As from R or Julia: the mean of the mixture, from nothing but numbers in original units."""
    with h5py.File(path) as file:
        assert file.attrs["estimator"].decode() == type(model).__name__
        assert json.loads(file.attrs["parameters"])["n_experts"] == model.n_experts
        versions = json.loads(file.attrs["versions"])
        clusters = json.loads(file["skcocoafuse"].attrs["fit"])["islands"]
        p = {name: values[()] for name, values in file["posterior"].items()}
        chain_weight = file["sample_stats/chain_weight"][:, 0]
        constant = {name: values[()] for name, values in file["constant_data"].items()}
        y = file["observed_data/y"][()]
    assert {"skcocoafuse", "numpy", "scikit-learn"} <= set(versions)
    assert clusters == [list(chains) for chains in model.posterior_.clusters]
    lines = p["expert_intercept"][..., None, :] + constant["X_expert"] @ p["expert_coef"].mT
    log_gate = p.get("gate_intercept", np.zeros(lines.shape[-1]))[..., None, :]
    if "gate_coef" in p:
        log_gate = log_gate + constant["X_gate"] @ p["gate_coef"].mT
    mean = (special.softmax(log_gate, axis=-1) * lines).sum(-1).mean(axis=1)  # of every chain
    X, target, weight = data
    np.testing.assert_allclose(chain_weight @ mean, model.predict(X)[weight > 0], rtol=1e-9)
    np.testing.assert_allclose(y, target[weight > 0])


def test_xarray_and_arviz_read_it(model, path):
    posterior = xarray.open_dataset(path, group="posterior", engine="h5netcdf")
    assert posterior["expert_coef"].dims == ("chain", "draw", "expert", "expert_feature")
    posterior.close()
    groups = model.to_arviz(log_likelihood=False, posterior_predictive=False)
    for group in ("posterior", "sample_stats", "observed_data", "constant_data"):
        with xarray.open_dataset(path, group=group, engine="h5netcdf") as found:
            own = groups[group]
            assert set(found.variables) == set(own.variables)
            assert set(found.coords) == set(own.coords)
            assert found.attrs["inference_library"] == "skcocoafuse"
            for name, variable in own.variables.items():
                assert found[name].dims == variable.dims
                kinds = {found[name].dtype.kind, variable.dtype.kind}
                assert len(kinds) == 1 or kinds == {"O", "U"}  # text
                np.testing.assert_array_equal(found[name].values, variable.values)
    assert "sigma" in arviz.from_netcdf(path)["posterior"]
    with xarray.open_dataset(path) as file:  # what it is shows without the engine's name
        assert file.attrs["estimator"] == type(model).__name__


def test_others_see_what_load_reads(path):
    contents = unpack(read_file(path), path)
    arrays = arrays_in(contents)
    with h5py.File(path) as file:
        group = file["skcocoafuse"]
        assert json.loads(group.attrs["fit"]) == contents.index["fit"]
        for name, values in arrays.items():
            np.testing.assert_array_equal(group[name][()], values, err_msg=name)
        assert json.loads(file.attrs["parameters"]) == contents.index["parameters"]


def test_text_has_a_fixed_size(path):
    """Where its size varies, a damaged file can make HDF5 loop; netCDF's dims have no text."""
    varying = []

    def look(name, item):
        dtypes = {key: item.attrs.get_id(key).dtype for key in item.attrs}
        if isinstance(item, h5py.Dataset):
            dtypes["itself"] = item.dtype
        for key, dtype in dtypes.items():
            text = h5py.check_string_dtype(dtype)
            if text is not None and text.length is None:
                varying.append((name, key))

    with h5py.File(path) as file:
        look("/", file)
        file.visititems(look)
    assert varying == []


# -- saving ------------------------------------------------------------------------------


def test_before_fit(tmp_path):
    with pytest.raises(NotFittedError):
        MoERegressor().save(tmp_path / "fit.nc")


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"expert_features": FunctionTransformer(np.sqrt)}, "expert_features"),
        ({"inference_options": {"callback": print}}, "inference_options['callback']"),
        ({"gate_features": range(1)}, "gate_features"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_saved_is_named_and_leaves_no_file(parameters, name, data, tmp_path):
    X, y, _ = data
    model = MoERegressor(inference="map").fit(X, y).set_params(**parameters)
    path = tmp_path / "fit.nc"
    path.write_text("an earlier file")
    with pytest.raises(TypeError) as info:
        model.save(path)
    assert str(info.value).startswith(f"save() cannot write {name}")
    assert "joblib.dump" in str(info.value)
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]
    assert path.read_text() == "an earlier file"


def test_a_transformer_fitted_inside_is_named_too(data, tmp_path):
    X, y, _ = data
    model = MoERegressor(inference="map", expert_features=FunctionTransformer(np.cbrt)).fit(X, y)
    model.set_params(expert_features=None)
    with pytest.raises(TypeError, match=r"cannot write designs\['expert'\]\['transformer'\]"):
        model.save(tmp_path / "fit.nc")


class OwnRegressor(MoERegressor):
    pass


def test_classes_of_ones_own_are_refused(data, tmp_path):
    model = OwnRegressor(inference="map").fit(*data[:2])
    with pytest.raises(TypeError, match="got an estimator of the class OwnRegressor"):
        model.save(tmp_path / "fit.nc")


def test_parameters_that_fit_would_not_take_are_refused(data, tmp_path):
    model = MoERegressor(inference="map").fit(*data[:2]).set_params(draws="many")
    with pytest.raises(ValueError, match="'draws' parameter of MoERegressor must be an int"):
        model.save(tmp_path / "fit.nc")
    assert not list(tmp_path.iterdir())


def test_what_load_would_refuse_is_not_written(data, tmp_path):
    X, y, _ = data
    expert_features = PolynomialFeatures((60, 60))  # accurate nowhere, and slow as a spline
    model = MoERegressor(inference="map", expert_features=expert_features).fit(X[["b"]] / 5, y)
    with pytest.raises(ValueError, match=r"wrote nothing to .*degree must be an int.*joblib"):
        model.save(tmp_path / "fit.nc")
    assert not list(tmp_path.iterdir())


def test_the_number_of_jobs_of_a_transformer_is_not_kept(data, tmp_path):
    X, y, _ = data
    made = quadratic().set_params(n_jobs=2)
    with joblib.parallel_config("threading"):
        model = MoERegressor(inference="map", expert_features=made).fit(X, y)
    model.save(tmp_path / "fit.nc")
    loaded = load(tmp_path / "fit.nc")
    assert loaded.expert_features.n_jobs is None
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


# -- files that are not what they should be ----------------------------------------------


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.nc")


class Explosive:
    def __reduce__(self):
        return exec, ("raise RuntimeError('code from a file was run')",)


@pytest.mark.parametrize(
    "content",
    [b"", b"x,y\n1,2\n", b"CDF\x01\x00\x00\x00\x00", pickle.dumps(Explosive())],
    ids=["empty", "text", "netCDF-3", "pickle"],
)
def test_other_files(content, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other was not written by save\(\): it must be a netCDF"):
        load(path)


def test_other_netcdf_files(tmp_path, plain):
    path = tmp_path / "other.nc"
    with h5py.File(path, "w") as file:
        file["sigma"] = np.ones(3)
    with pytest.raises(ValueError, match=r"or was not written by save\(\)"):
        load(path)
    groups = load(plain).to_arviz()
    groups.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match=r"arviz\.from_netcdf; they are not a whole fit"):
        load(path)


def test_files_of_the_first_format(tmp_path):
    """They were never released: one message says what to do."""
    path = tmp_path / "old.nc"
    with h5py.File(path, "w") as file:
        file.attrs.update(format="skcocoafuse fit", format_version="1.0")
    with pytest.raises(ValueError, match=r"Files of format 1, .* fit again, or load them with"):
        load(path)


@pytest.mark.parametrize("part", [1e-9, 0.001, 0.1, 0.5, 0.9, 1.0 - 1e-9])
def test_truncated_files(part, plain, tmp_path):
    path = tmp_path / "half.nc"
    content = plain.read_bytes()
    path.write_bytes(content[: 8 + int(part * (len(content) - 8))])
    with pytest.raises(ValueError, match=r"half\.nc is truncated or damaged.* Copy it again"):
        load(path)


@pytest.mark.parametrize("name", ["expert_coef", "y"])
def test_a_changed_number_is_noticed(name, plain, tmp_path):
    contents = unpack(read_file(plain), plain)
    *_, offset = contents.index["arrays"][name]
    content = bytearray(plain.read_bytes())
    content[offset + 20] ^= 1
    path = tmp_path / "changed.nc"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"changed\.nc is damaged.* Copy it again"):
        load(path)


def test_a_program_that_changed_the_file_is_noticed(plain, tmp_path):
    path = tmp_path / "changed.nc"
    shutil.copy(plain, path)
    with h5py.File(path, "r"):
        pass
    load(path)
    with h5py.File(path, "r+") as file:
        file["skcocoafuse/y"][0] += 1.0
    with pytest.raises(ValueError, match=r"changed\.nc is .*damaged"):
        load(path)


@pytest.fixture
def spoilt(plain, tmp_path):
    """Change what a copy of a good file says, its digest right again, and load it."""

    def spoil(edit):
        path = tmp_path / "spoilt.nc"
        reseal(plain, path, edit)
        return load(path)

    return spoil


def test_unspoilt_it_loads(spoilt):
    assert spoilt(lambda index, image: None).n_experts == 2


@pytest.mark.parametrize("version", ["3.0", "1.0", "0.9", "20.0", "", "one", 2.5, None])
def test_another_major_version(version, spoilt):
    with pytest.raises(ValueError, match=r"format_version must be 2\.x for skcocoafuse .*; got"):
        spoilt(at("format_version", version))


def test_a_newer_minor_version_with_more_in_it_is_read(spoilt):
    spoilt(
        both(
            at("format_version", "2.7"),
            at("something_new", 1),
            at("fit.something_new", [1, 2]),
            at("versions.something_new", "3.0"),
            array("something_new", np.ones(3)),
        )
    )


def test_parameters_that_a_file_does_not_know_have_their_defaults(spoilt):
    assert spoilt(without("parameters.target_accept")).target_accept == MoERegressor().target_accept


def test_unknown_parameters_are_named(spoilt):
    with pytest.raises(ValueError, match=r"unknown to this release.*got \['colour'\]\. Upgrade"):
        spoilt(at("parameters.colour", "red"))


@pytest.mark.parametrize("name", ["Pipeline", "os.system", "BaseExpertsRegressor", "", None, []])
def test_other_classes_are_refused(name, spoilt):
    with pytest.raises(ValueError, match=r"'estimator' must be one of .* got"):
        spoilt(at("estimator", name))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (without("arrays.sigma"), "variable 'sigma'"),
        (without("arrays.y"), "'y'"),
        (array("sample_weight", np.ones(7)), "shape"),
        (at("parameters", "{'n_experts': 2}"), "names and values"),
        (at("parameters.random_state", {"$pickle": "gASVAAAA"}), r"'\$pickle'"),
        (at("fit.n_experts", 3), "shape"),
        (at("fit.n_experts", "two"), "n_experts must be an int"),
        (at("fit.n_features_in", 1), "feature_names_in must have 1 names"),
        (at("fit.islands", [[0], [0]]), "islands must have each chain once"),
        (at("fit.islands", [[0]]), "islands must have each chain once"),
        (at("fit.islands", [[0], [1]]), "island_weight must have 2 numbers"),
        (at("fit.priors", {"sigma": {"$prior": {"family": "normal"}}}), "sigma"),
        (at("fit.designs.expert.names", ["a"]), "shape"),
        (
            at("fit.designs.gate.columns", {"$array": ["i", 8, [2], [0, 2]]}),
            r"designs\.gate\.columns must have 2 numbers below 2",
        ),
        (without("fit"), "fit"),
        (without("arrays"), "arrays"),
    ],
)
def test_damage_is_told(edit, says, spoilt):
    with pytest.raises(ValueError, match=rf"spoilt\.nc is damaged, or .*{says}") as info:
        spoilt(edit)
    assert "It was saved with" in str(info.value)


def test_a_transformer_that_changed_its_mind_is_told(data, tmp_path):
    X, y, _ = data
    path = tmp_path / "fit.nc"
    MoERegressor(inference="map", expert_features=quadratic()).fit(X, y).save(path)

    def change(inputs):
        inputs[0, 0] += 1.0

    reseal(path, path, numbers("X", change))
    with pytest.raises(ValueError, match=r"designs\.expert\.transformer must have the columns"):
        load(path)


_NOTHING_RUNS = """
import sys
import skcocoafuse

def watch(event, arguments):
    if event in ("pickle.find_class", "subprocess.Popen", "os.system"):
        raise RuntimeError(f"{event} {arguments}")

skcocoafuse.load(sys.argv[1])
sys.addaudithook(watch)
model = skcocoafuse.load(sys.argv[1])
assert not {"pymc", "arviz", "nutpie", "xarray", "h5py", "h5netcdf"} & set(sys.modules)
"""


def test_loading_unpickles_nothing_and_starts_nothing(plain):
    """Nor does HDF5 see the file: damaged and crafted ones make it loop, crash or read others."""
    subprocess.run([sys.executable, "-c", _NOTHING_RUNS, plain], check=True)
