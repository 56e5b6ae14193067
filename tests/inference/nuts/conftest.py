"""What tests of remedies share."""

import numpy as np
import pytest

from skcocoafuse.inference.nuts import remedies


@pytest.fixture
def however_little_predictions_change(monkeypatch):
    """Made-up chains are so narrow that they disagree about hardly anything."""
    monkeypatch.setattr(remedies, "predictive_error", lambda *_: np.inf)
