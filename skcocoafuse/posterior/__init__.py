"""Posterior draws as plain arrays, with consistent expert labels."""
