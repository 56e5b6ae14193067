"""Synthetic problems with a known density, drawn from the model family itself."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.utils import check_random_state

from skcocoafuse.model import forward


class _Truth(NamedTuple):
    """A true model of one input x: log gates and means (n, M), sd (M,), beta (n, 1)."""

    log_gate: Callable[[np.ndarray], np.ndarray]
    means: Callable[[np.ndarray], np.ndarray]
    sd: np.ndarray
    beta: Callable[[np.ndarray], np.ndarray]

    def mixture(self, x: np.ndarray) -> forward.Components:
        return forward.fuse(
            forward.NUMPY,
            self.log_gate(x),
            self.means(x),
            self.sd[None] ** 2,
            self.beta(x)[:, None],
        )

    def density(self, X, y) -> np.ndarray:
        x, y = np.asarray(X, dtype=float)[:, 0], np.asarray(y, dtype=float)
        return np.exp(forward.log_density(forward.NUMPY, self.mixture(x), y))


def _draw(truth: _Truth, low, high, n_samples, random_state, return_density):
    rng = check_random_state(random_state)
    x = rng.uniform(low, high, n_samples)
    mixture = truth.mixture(x)
    chosen = np.argmax(mixture.log_weight + rng.gumbel(size=mixture.log_weight.shape), axis=1)
    rows = np.arange(n_samples)
    y = rng.normal(mixture.mean[rows, chosen], np.sqrt(mixture.variance)[rows, chosen])
    return (x[:, None], y, truth.density) if return_density else (x[:, None], y)


def _two_gates(logit: Callable[[np.ndarray], np.ndarray]):
    """Log weights of two experts from the logit of the second."""

    def log_gate(x):
        z = logit(x)
        return np.stack([np.log(expit(-z)), np.log(expit(z))], axis=-1)

    return log_gate


def _lines(intercepts, slopes):
    return lambda x: np.asarray(intercepts) + np.multiply.outer(x, np.asarray(slopes))


def _constant(value: float):
    return lambda x: np.full(len(x), value)


def make_transition(n_samples=300, *, noise=0.25, random_state=None, return_density=False):
    """Two lines with a smooth transition of the mean and constant noise (beta = 0).

    The first line is -1 - 1.2 x, the second 1 + 0.8 x; the weight of the second is
    expit(1.5 x), and x is uniform on (-3, 3).

    Parameters
    ----------
    n_samples : int, default=300
    noise : float, default=0.25
        Standard deviation around the mean.
    random_state : int, RandomState instance or None, default=None
    return_density : bool, default=False
        Also return the true density.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
    y : ndarray of shape (n_samples,)
    density : callable
        ``density(X, y)`` is p(y | x) of every row; only if ``return_density``.

    Examples
    --------
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y, density = make_transition(5, random_state=0, return_density=True)
    >>> density(X, y).shape
    (5,)
    """
    truth = _Truth(
        _two_gates(lambda x: 1.5 * x),
        _lines([-1.0, 1.0], [-1.2, 0.8]),
        np.array([noise, noise]),
        _constant(0.0),
    )
    return _draw(truth, -3.0, 3.0, n_samples, random_state, return_density)


def make_switch(n_samples=300, *, noise=0.25, random_state=None, return_density=False):
    """Two lines with a hard switch: each row follows one of them, never their average (beta = 1).

    The first line is -1.5 + 0.5 x, the second 1.5 + 0.5 x; the probability of the second is
    expit(2 x), and x is uniform on (-3, 3).

    Parameters
    ----------
    n_samples : int, default=300
    noise : float, default=0.25
        Standard deviation around each line.
    random_state : int, RandomState instance or None, default=None
    return_density : bool, default=False
        Also return the true density.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
    y : ndarray of shape (n_samples,)
    density : callable
        ``density(X, y)`` is p(y | x) of every row; only if ``return_density``.

    Examples
    --------
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y, density = make_switch(5, random_state=0, return_density=True)
    >>> X.shape, y.shape, density(X, y).shape
    ((5, 1), (5,), (5,))
    """
    truth = _Truth(
        _two_gates(lambda x: 2.0 * x),
        _lines([-1.5, 1.5], [0.5, 0.5]),
        np.array([noise, noise]),
        _constant(1.0),
    )
    return _draw(truth, -3.0, 3.0, n_samples, random_state, return_density)


def make_bimodal(n_samples=300, *, noise=0.25, random_state=None, return_density=False):
    """Two lines that do not cross, with constant weights 0.6 and 0.4 (beta = 1).

    The lines are -1 - 0.3 x and 1 + 0.3 x, and x is uniform on (-2, 2). The input does not
    determine which line a row follows, so every predictive density should have two modes.

    Parameters
    ----------
    n_samples : int, default=300
    noise : float, default=0.25
        Standard deviation around each line.
    random_state : int, RandomState instance or None, default=None
    return_density : bool, default=False
        Also return the true density.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
    y : ndarray of shape (n_samples,)
    density : callable
        ``density(X, y)`` is p(y | x) of every row; only if ``return_density``.

    Examples
    --------
    >>> from skcocoafuse.datasets import make_bimodal
    >>> X, y, density = make_bimodal(5, random_state=0, return_density=True)
    >>> X.shape, y.shape, density(X, y).shape
    ((5, 1), (5,), (5,))
    """
    truth = _Truth(
        _two_gates(_constant(np.log(0.4 / 0.6))),
        _lines([-1.0, 1.0], [-0.3, 0.3]),
        np.array([noise, noise]),
        _constant(1.0),
    )
    return _draw(truth, -2.0, 2.0, n_samples, random_state, return_density)


def make_switch_and_transition(
    n_samples=600, *, noise=0.25, random_state=None, return_density=False
):
    """Three lines: a smooth transition near x = -2, a hard switch near x = 2.

    The lines are 4 + x, -1.5 - 0.5 x and 2.5 - 0.5 x, and x is uniform on (-5, 5). The behavior
    beta(x) is 0 for x <= 0 and 1 for x > 0.

    Parameters
    ----------
    n_samples : int, default=600
    noise : float, default=0.25
        Standard deviation around the lines.
    random_state : int, RandomState instance or None, default=None
    return_density : bool, default=False
        Also return the true density.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
    y : ndarray of shape (n_samples,)
    density : callable
        ``density(X, y)`` is p(y | x) of every row; only if ``return_density``.

    Examples
    --------
    >>> from skcocoafuse.datasets import make_switch_and_transition
    >>> X, y, density = make_switch_and_transition(5, random_state=0, return_density=True)
    >>> X.shape, y.shape, density(X, y).shape
    ((5, 1), (5,), (5,))
    """

    def log_gate(x):
        logits = np.stack([-1.5 * (x + 2.0), np.zeros_like(x), 2.0 * (x - 2.0)], axis=-1)
        return forward.NUMPY.log_softmax(logits)

    truth = _Truth(
        log_gate,
        _lines([4.0, -1.5, 2.5], [1.0, -0.5, -0.5]),
        np.full(3, noise),
        lambda x: (x > 0).astype(float),
    )
    return _draw(truth, -5.0, 5.0, n_samples, random_state, return_density)
