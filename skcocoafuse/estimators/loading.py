"""Load a saved fit as an estimator."""

from skcocoafuse import persistence
from skcocoafuse.estimators.experts import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.persistence.paths import local_path

# the only classes that a file may name
_KINDS = {
    kind.__name__: (kind, kind._behavior)
    for kind in (MoERegressor, BoERegressor, CoCoAFusERegressor)
}


def load(path):
    """Load a fitted regressor from a file written by its ``save`` method.

    The loaded regressor gives the same predictions, ``summary``, ``loo`` and ``to_arviz``. No code
    in the file is executed: classes come from a closed list, and values are numbers and text.

    Parameters
    ----------
    path : str or path-like
        As for ``open``, so "~" is not expanded.

    Returns
    -------
    MoERegressor, BoERegressor or CoCoAFusERegressor
        Fitted.

    Raises
    ------
    OSError
        If the file does not exist (``FileNotFoundError``) or cannot be opened.
    ValueError
        If the file was not written by ``save``, has another major version of the format, is
        truncated or corrupted, or its parts are inconsistent; the message says which. No content
        of the file is used before its SHA-256 checksum has been verified.

    Examples
    --------
    >>> import os, tempfile
    >>> from skcocoafuse import BoERegressor, load
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y = make_transition(100, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "transition.nc")
    ...     BoERegressor(inference="map", random_state=0).fit(X, y).save(path)
    ...     model = load(path)
    >>> model.predict(X).shape
    (100,)
    """
    path = local_path(path)
    saved = persistence.read(path, _KINDS)
    known = set(saved.kind().get_params(deep=False))
    unknown = sorted(set(saved.parameters) - known)
    if unknown:
        raise ValueError(
            f"{path} has parameters of {saved.kind.__name__} that are unknown to this release: "
            f"they must be among {sorted(known)}; got {unknown}. Upgrade skcocoafuse."
        )
    estimator = saved.kind(**saved.parameters)
    try:
        estimator._check_parameters()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path} has parameters that {saved.kind.__name__} does not accept: {error} Copy it "
            "again, or upgrade skcocoafuse if a newer release wrote the file."
        ) from error
    return estimator._restore(saved.fit)
