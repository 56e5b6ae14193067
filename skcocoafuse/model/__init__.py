"""What is assumed: parameters and priors as data, the forward mathematics, the PyMC model."""
