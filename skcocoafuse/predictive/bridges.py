"""Conversion of predictive distributions to objects of other packages, and to a picture."""


def plot(dist, y=None, *, prob=0.9, target_name="y", ax=None):
    """Draw ``dist`` with its display; see its ``plot``."""
    from skcocoafuse.plotting import PredictiveDensityDisplay  # a layer above

    return PredictiveDensityDisplay.from_predictions(
        dist, y, prob=prob, target_name=target_name, ax=ax
    )


def to_skpro(dist, index=None, columns=None):
    """Wrap ``dist`` in a distribution object of skpro; see its ``to_skpro``."""
    try:
        from skcocoafuse.predictive.skpro_distribution import SkproDistribution
    except ImportError as error:
        raise ImportError(
            "to_skpro needs the package skpro, which cannot be imported "
            f'({error}). Install it with: pip install "skcocoafuse[skpro]"'
        ) from error
    index = range(len(dist)) if index is None else index
    columns = range(1) if columns is None else columns
    return SkproDistribution(dist, index, columns)
