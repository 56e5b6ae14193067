"""What a user holds: the three regressors, the choice of their size, saved fits."""
