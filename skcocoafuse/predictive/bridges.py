"""Conversion of predictive distributions to objects of other packages."""


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
