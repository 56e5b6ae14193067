"""Settings of the process that threads change for a while."""

import logging

import pytest

from skcocoafuse.inference.pymc_sampler import quiet


def test_log_lines_are_held_back_until_the_last_of_two_leaves():
    """Fits in threads begin and end in any order."""
    logger = logging.getLogger("pymc")
    before = logger.level
    first, second = quiet(True), quiet(True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert logger.level == logging.ERROR
    second.__exit__(None, None, None)
    assert logger.level == before
    with pytest.raises(KeyError, match="on purpose"), quiet(True):
        raise KeyError("on purpose")
    assert logger.level == before
    with quiet(False):
        assert logger.level == before
