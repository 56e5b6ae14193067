"""Keywords that other packages use, answered with the one that is meant here."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_INSIDE = "is the probability inside the interval"
#: What statsmodels, MAPIE, scipy and ArviZ call the coverage of an interval.
COVERAGE = {
    "alpha": f"coverage {_INSIDE}: for alpha=0.05, the probability outside, give coverage=0.95.",
    **dict.fromkeys(
        ("confidence", "confidence_level", "level", "ci_prob", "hdi_prob"),
        f"Its name here is coverage, as in coverage=0.95; it {_INSIDE}.",
    ),
}
#: The same for a region of highest density, which ``prob`` is about.
PROB = {
    "alpha": "prob is the probability inside the region: for alpha=0.05, the probability outside, "
    "give prob=0.95.",
    **dict.fromkeys(
        ("coverage", "confidence", "ci_prob", "hdi_prob"),
        "Its name here is prob, as in prob=0.95: the probability inside the region.",
    ),
}
#: What skpro, scikit-learn and numpy call the probabilities of quantiles.
QUANTILES = dict.fromkeys(
    ("alpha", "q", "quantile"),
    "Its name here is quantiles, as in quantiles=[0.05, 0.5, 0.95]: the probabilities below.",
)
#: What MAPIE before 1.0, quantile-forest and sktime ask of ``predict``.
PREDICT = {
    "alpha": "predict gives the mean; predict_interval(X, coverage=0.95) gives the intervals of "
    "alpha=0.05.",
    **dict.fromkeys(
        ("quantiles", "quantile"),
        "predict gives the mean; predict_quantiles(X, quantiles=[0.05, 0.95]) gives quantiles.",
    ),
}


def refuse(keywords: Iterable[str], remedies: dict[str, str], name: str) -> None:
    """Raise the TypeError about the first of the keywords that there is a remedy for.

    Parameters
    ----------
    keywords : iterable of str
        What a function was called with.
    remedies : dict of str to str
        What to write instead, by keyword.
    name : str
        Of the function.
    """
    for keyword in keywords:
        if keyword in remedies:
            raise TypeError(
                f"{name}() got an unexpected keyword argument {keyword!r}. {remedies[keyword]}"
            )


def hints(remedies: dict[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say in the TypeError about an unexpected keyword what to write instead.

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
