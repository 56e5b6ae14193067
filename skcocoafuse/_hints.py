"""Keywords of other packages, answered with a hint at the corresponding one of this package."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_INSIDE = "is the probability inside the interval"
#: What statsmodels, MAPIE, scipy and ArviZ call the coverage of an interval.
COVERAGE = {
    "alpha": f"coverage {_INSIDE}: for alpha=0.05, the probability outside, use coverage=0.95.",
    **dict.fromkeys(
        ("confidence", "confidence_level", "level", "ci_prob", "hdi_prob"),
        f"It is called coverage here, as in coverage=0.95; it {_INSIDE}.",
    ),
}
#: The same for ``prob``, the probability of a highest-density region.
PROB = {
    "alpha": "prob is the probability inside the region: for alpha=0.05, the probability outside, "
    "use prob=0.95.",
    **dict.fromkeys(
        ("coverage", "confidence", "ci_prob", "hdi_prob"),
        "It is called prob here, as in prob=0.95: the probability inside the region.",
    ),
}
#: What skpro, scikit-learn and numpy call the probabilities of quantiles.
QUANTILES = dict.fromkeys(
    ("alpha", "q", "quantile"),
    "It is called quantiles here, as in quantiles=[0.05, 0.5, 0.95]: the probabilities below.",
)
#: What MAPIE before 1.0, quantile-forest and sktime pass to ``predict``.
PREDICT = {
    "alpha": "predict returns the mean; predict_interval(X, coverage=0.95) returns the intervals "
    "for alpha=0.05.",
    "coverage": "predict returns the mean; predict_interval(X, coverage=0.95) returns intervals of "
    "new observations, predict_mean(X, coverage=0.95) credible intervals of the mean.",
    **dict.fromkeys(
        ("quantiles", "quantile"),
        "predict returns the mean; predict_quantiles(X, quantiles=[0.05, 0.95]) returns quantiles.",
    ),
}


def refuse(keywords: Iterable[str], remedies: dict[str, str], name: str) -> None:
    """Raise a TypeError for the first of the keywords that has a remedy.

    Parameters
    ----------
    keywords : iterable of str
        Keywords that a function was called with.
    remedies : dict of str to str
        What to write instead, by keyword.
    name : str
        Name of the function.

    Raises
    ------
    TypeError
        If a keyword has a remedy.
    """
    for keyword in keywords:
        if keyword in remedies:
            raise TypeError(
                f"{name}() got an unexpected keyword argument {keyword!r}. {remedies[keyword]}"
            )


def hints(remedies: dict[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function to say, in the TypeError for an unexpected keyword, what to use instead.

    Parameters
    ----------
    remedies : dict of str to str
        By keyword; none of them is a parameter of the function.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def with_hints(*args: P.args, **kwargs: P.kwargs) -> R:
            refuse(kwargs, remedies, function.__name__)
            return function(*args, **kwargs)

        return with_hints

    return decorate
