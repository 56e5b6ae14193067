"""The model in machine code, where fits and predictions spend their time."""
