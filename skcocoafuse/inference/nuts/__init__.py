"""The No-U-Turn sampler on the compiled kernel, as a method of five parts.

Read them in this order: ``sampler`` has the steps of a fit, ``method`` what can be set or left out,
``pilots`` the search for where to start, ``convergence`` the loop over the ``remedies`` for chains
that diverge or disagree. ``state`` is what that loop hands on, ``backend`` runs chains by nutpie;
``jumps`` and ``bridge_sampling`` have the mathematics of two remedies.
"""
