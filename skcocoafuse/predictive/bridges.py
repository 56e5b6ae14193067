"""Ways out: predictive distributions as objects of other packages."""


def to_skpro(dist, index=None, columns=None):
    """A distribution object of skpro that asks ``dist``; see its ``to_skpro``."""
    try:
        from skcocoafuse.predictive.skpro_distribution import SkproDistribution
    except ImportError as error:
        raise ImportError(
            "to_skpro needs the package skpro, which cannot be imported "
            f'({error}). Install it by: pip install "skcocoafuse[skpro]"'
        ) from error
    index = range(len(dist)) if index is None else index
    columns = range(1) if columns is None else columns
    return SkproDistribution(dist, index, columns)
