"""The model in machine code: what fits and predictions spend their time in."""
