"""The three estimators: what each is for, and how they differ."""

import inspect
import textwrap
from typing import Any, ClassVar

from skcocoafuse import streams
from skcocoafuse._hints import COVERAGE, hints
from skcocoafuse.estimators import insights
from skcocoafuse.estimators.own_methods import with_own_methods
from skcocoafuse.estimators.regressor import BaseExpertsRegressor
from skcocoafuse.inference import ENGINES

_PARAMETERS = """\
n_experts : int, default=2
    Number of linear experts.
expert_features, gate_features : None, list or transformer, default=None
    Inputs of these parts of the model: None for all columns, a list of column names or
    indices (``[]`` means a constant), or a scikit-learn transformer, which is cloned and
    fitted inside ``fit``. Columns that a part uses directly must hold finite numbers; a
    transformer receives X unchanged and handles its own columns (strings, missing values);
    columns that no part uses may hold anything.
noise_features : None, list or transformer, default=()
    Inputs on which the noise around each expert depends, in the same way; by default it is
    constant. The log of its standard deviation is linear in them, and levels off far outside of
    the data (at 55 times that at average inputs).
{behavior}noise : {{"normal", "student_t"}}, default="normal"
    Distribution of the noise around a fused expert. Student's t forgives outliers. Its degrees of
    freedom, one number for all experts, are learned; they are larger than 1, so that predictions
    have a mean. ``sigma`` is then its scale; with at most 2 it has no standard deviation.
priors : dict of str to Prior, optional
    Priors on the standardized scale, by parameter name: ``"expert_intercept"``,
    ``"expert_coef"``, ``"sigma"``, ``"noise_coef"``, ``"gate_intercept"``,
    ``"gate_coef"``{behavior_priors}; with Student's t also ``"noise_df"``, for the excess of the
    degrees of freedom over 1. Parameters that are not listed keep their default prior, which for
    slopes is narrower, with heavier tails, in parts with more than 15 columns; other names raise
    an error.
{inference}
draws, tune, chains : int, default=1000, 500, 4
    Number of kept draws and of warm-up draws per chain, and number of chains.
target_accept : float, default=0.9
    Target acceptance rate of step size adaptation; increase it if there are divergences.
    ``"nuts"`` does so once, automatically, if trajectories are short;
    ``diagnostics_["target_accept"]`` is the value it used.
inference_options : dict, optional
    Further options of the engine: ``maxdepth`` (of trajectories, 7 by default) and
    ``max_gradients`` (that a fit may take to get chains to agree) for ``"nuts"``; ``method`` and
    ``n`` for ``"advi"``; any argument of ``pm.sample`` for ``"pymc"``.
standardize : bool, default=True
    Whether to standardize inputs and target inside ``fit``, so that priors of unit scale are
    meaningful. Fitted attributes are always in original units.
target_resolution : "auto" or float, default="auto"
    Step to which the target was rounded when it was recorded, in its units. Its square over 12,
    the variance that rounding adds, is the minimum variance of an expert: without it, an expert
    can collapse onto repeated values (ratings, counts, zeros), where the likelihood is unbounded,
    and the posterior is useless. "auto" uses the smallest difference between two distinct values
    of ``y`` (values that differ only by floating-point rounding count as one), which is
    negligible for continuous targets; 0.0 disables it.
warm_start : bool, default=False
    Whether ``fit`` starts from the posterior of the previous fit, for data that changed slightly.
    The result is still the posterior given the new data alone. If there is no previous fit, or it
    did not converge, had other experts or columns, or was fitted to data that are too different,
    a cold start is used.
n_jobs : int, optional
    Number of chains to run in parallel, and of threads of ``loo``. None means all cores, or 1
    inside a joblib worker process (so that a parallel grid search does not oversubscribe).
random_state : int, RandomState instance or None, default=None
    Seed, for reproducible draws.
progress_bar : bool, default=False
    Whether to show the progress of the mode search and of the sampler."""

_BEHAVIOR_FEATURES = """\
behavior_features : None, list or transformer, default=None
    Inputs of the behavior gate, as above.
"""

_BEHAVIOR_PRIORS = """,
    ``"behavior_intercept"``, ``"behavior_coef"``"""

_ATTRIBUTES = """\
expert_coef_ : ndarray of shape (n_experts, n_expert_features)
    Posterior mean coefficients of the experts, in original units.
expert_intercept_ : ndarray of shape (n_experts,)
    Posterior mean intercepts of the experts.
sigma_ : ndarray of shape (n_experts,)
    Posterior mean residual standard deviations, or scales of Student's t; at average inputs if the
    noise depends on inputs.
noise_coef_ : ndarray of shape (n_experts, n_noise_features)
    Posterior mean coefficients of their logarithm.
noise_df_ : float
    Posterior mean degrees of freedom of the noise; infinite if it is Normal.
gate_coef_ : ndarray of shape (n_experts, n_gate_features)
    Posterior mean coefficients of the gate's log weights; they sum to zero over experts.
gate_intercept_ : ndarray of shape (n_experts,)
    Posterior mean intercepts of the gate's log weights.
{behavior}posterior_ : Posterior
    All draws as NumPy arrays, with consistently labeled experts.
diagnostics_ : dict
    R-hat, effective sample size, ``chain_clusters`` and their weights, divergences, share of the
    data per expert, seconds per phase; with ``"nuts"``, the remedies that were applied and their
    cost (``remedies``).
fitted_ : Fit
    Both of these, with the rows and scales of the fit, as one record for functions of this
    package.
n_features_in_ : int
    Number of features seen during ``fit``.
feature_names_in_ : ndarray of str
    Names of features seen during ``fit``; only if X has string column names."""

_BEHAVIOR_ATTRIBUTES = """\
behavior_coef_ : ndarray of shape (n_behavior_features,)
    Posterior mean coefficients of the logit of beta.
behavior_intercept_ : float
    Posterior mean intercept of the logit of beta.
"""


def _inference_words() -> str:
    """The engines in words, from their registry."""
    names = ", ".join(f'"{name}"' for name in ENGINES)
    said = "; ".join(f'``"{name}"`` {row.words}' for name, row in ENGINES.items())
    text = textwrap.fill(f"Inference engine. {said}.", 96, break_on_hyphens=False)
    return f'inference : {{{names}}}, default="nuts"\n{textwrap.indent(text, "    ")}'


def _documented(cls):
    """Fill in the shared parts of the three docstrings, if any (none under ``python -OO``)."""
    if cls.__doc__ is None:
        return cls
    learned = cls._behavior is None
    doc = inspect.cleandoc(cls.__doc__)  # the same text on every Python
    parameters = _PARAMETERS.format(
        behavior=_BEHAVIOR_FEATURES if learned else "",
        behavior_priors=_BEHAVIOR_PRIORS if learned else "",
        inference=_inference_words(),
    )
    attributes = _ATTRIBUTES.format(behavior=_BEHAVIOR_ATTRIBUTES if learned else "")
    cls.__doc__ = doc.replace("%(parameters)s", parameters).replace("%(attributes)s", attributes)
    return cls


@with_own_methods
@_documented
class MoERegressor(BaseExpertsRegressor):
    r"""Mixture of Experts: a mixture of linear regressions with input-dependent weights.

    .. math:: p(y \mid x) = \sum_i a_i(x)\, N(y;\, b_i + w_i^T x,\, s_i^2)

    with softmax gates :math:`a(x)`. Suited to hard switches and to several regimes at the same
    inputs; across a smooth transition, it produces spurious modes and overly wide intervals.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    CoCoAFusERegressor : Learns where to mix and where to blend.
    BoERegressor : Averages parameters instead of densities.

    References
    ----------
    Jordan and Jacobs (1994), "Hierarchical mixtures of experts and the EM algorithm",
    Neural Computation 6(2).

    Examples
    --------
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(200, random_state=0)
    >>> model = MoERegressor(inference="map", random_state=0).fit(X, y)
    >>> model.predict_gate(X[:4]).shape
    (4, 2)
    """

    _behavior = 1.0


@with_own_methods
@_documented
class BoERegressor(BaseExpertsRegressor):
    r"""Blend of Experts: one Normal whose parameters are averaged over linear experts.

    .. math:: p(y \mid x) = N\left(y;\, \sum_i a_i \mu_i,\, \sum_i a_i s_i^2\right)

    Suited to smooth transitions; it fails at hard switches and cannot have two modes.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    CoCoAFusERegressor : Learns where to mix and where to blend.
    MoERegressor : Averages densities instead of parameters.

    References
    ----------
    Raffa Ugolini, Tanelli and Breschi, "CoCoAFusE: Beyond Mixtures of Experts via Model
    Fusion", arXiv 2505.01105.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y = make_transition(200, random_state=0)
    >>> BoERegressor(inference="map", random_state=0).fit(X, y).predict(X[:4]).shape
    (4,)
    """

    _behavior = 0.0


@with_own_methods
@_documented
class CoCoAFusERegressor(BaseExpertsRegressor):
    r"""Competitive and collaborative experts: learns from the inputs how much to mix or blend.

    A behavior gate :math:`\beta(x) \in (0, 1)` interpolates between each expert
    (:math:`\beta = 1`, a Mixture of Experts) and the blend of all experts (:math:`\beta = 0`, a
    Blend of Experts):

    .. math::

        p(y \mid x) = \sum_i a_i\, N(y;\, \beta \mu_i + (1 - \beta) \bar\mu,\,
                                     \beta s_i^2 + (1 - \beta) \bar v),

    with :math:`\bar\mu = \sum_j a_j \mu_j` and :math:`\bar v = \sum_j a_j s_j^2`.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MoERegressor : The same model with beta fixed at 1.
    BoERegressor : The same model with beta fixed at 0.

    Notes
    -----
    Where the experts agree, or one of them has all the weight, beta has no effect and is not
    identified by the data: interpret it together with the gate.

    References
    ----------
    Raffa Ugolini, Tanelli and Breschi, "CoCoAFusE: Beyond Mixtures of Experts via Model
    Fusion", arXiv 2505.01105. That the blend is linear in means and variances is this
    project's interpretation.

    Examples
    --------
    >>> from skcocoafuse import CoCoAFusERegressor
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y = make_transition(200, random_state=0)
    >>> model = CoCoAFusERegressor(inference="map", random_state=0).fit(X, y)
    >>> model.predict_interval(X[:4], coverage=0.9).shape
    (4, 2)
    """

    _behavior = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseExpertsRegressor._parameter_constraints,
        "behavior_features": "no_validation",
    }

    def __init__(
        self,
        n_experts=2,
        *,
        expert_features=None,
        noise_features=(),
        gate_features=None,
        behavior_features=None,
        noise="normal",
        priors=None,
        inference="nuts",
        draws=1000,
        tune=500,
        chains=4,
        target_accept=0.9,
        inference_options=None,
        standardize=True,
        target_resolution="auto",
        warm_start=False,
        n_jobs=None,
        random_state=None,
        progress_bar=False,
    ):
        super().__init__(
            n_experts,
            expert_features=expert_features,
            noise_features=noise_features,
            gate_features=gate_features,
            noise=noise,
            priors=priors,
            inference=inference,
            draws=draws,
            tune=tune,
            chains=chains,
            target_accept=target_accept,
            inference_options=inference_options,
            standardize=standardize,
            target_resolution=target_resolution,
            warm_start=warm_start,
            n_jobs=n_jobs,
            random_state=random_state,
            progress_bar=progress_bar,
        )
        self.behavior_features = behavior_features

    @hints(COVERAGE)
    @streams.on_partitions
    def predict_behavior(self, X, coverage=None, output="default"):
        """Posterior mean of beta, the degree to which experts are mixed (1) or blended (0).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval.
        output : {"default", "pandas"}, default="default"
            Arrays, or a DataFrame with the index of ``X``.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
            Not identified where the experts agree or one gate weight is near 1.
        interval : ndarray of shape (n_samples, 2)
            Only if ``coverage`` is given.
        DataFrame
            If ``output="pandas"``: columns ``"mean"`` and, with ``coverage``, ``"lower"`` and
            ``"upper"``.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1, or ``output`` is unknown.
        """
        return self._insight(insights.behavior, X, coverage, output, axis=None)
