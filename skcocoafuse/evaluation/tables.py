"""Results as tables."""


class Tabular:
    """A result with a ``table``, under the name that pandas gives to conversions as well."""

    def to_frame(self):
        """``table``, a pandas.DataFrame."""
        return self.table  # type: ignore[attr-defined]
