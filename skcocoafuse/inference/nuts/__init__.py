"""The No-U-Turn sampler: where chains start, how they run, what is done where they disagree."""
