"""The No-U-Turn sampler on the compiled kernel.

Read the modules in this order: ``sampler`` has the steps of a fit, ``method`` the settings and the
stages that can be left out, ``pilots`` short chains that show how long trajectories are,
``convergence`` the loop over the ``remedies`` for chains that diverge or disagree. ``state`` is the
state of that loop, ``backend`` runs chains with nutpie, ``jumps`` implements a remedy.
"""
