"""How good a fit is: convergence, leave-one-out, comparison, sensitivity, scores."""
