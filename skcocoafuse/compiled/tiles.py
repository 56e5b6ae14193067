"""The forward mathematics compiled, for a block of rows and one draw of the parameters.

Gate, behavior gate and fusion as in ``forward``, which tests compare this with. Rows are taken in
blocks that stay in the first-level cache. Each block has a workspace ``c`` (one line per quantity
shared by the experts) and one ``w[k]`` per expert; two base addresses per loop are few enough for
the compiler to vectorise.
"""

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import OPTIONS, ROWS, affine, affine_of_one
from skcocoafuse.compiled.jit import njit

_exp = vector_math.exp

LEARNED, BLEND, MIXTURE = 2, 0, 1  # what beta is: a logistic of the behavior inputs, 0, or 1

# Lines of the shared workspace, and their length together; more may follow.
BETA, INV_SUM, MEAN, VAR, PEAK, SHARED = range(0, 6 * ROWS, ROWS)
# Lines of each expert's workspace, in the same way.
MU, E, GATE, OWN = range(0, 4 * ROWS, ROWS)


@njit(**OPTIONS)
def _gate_and_average(c, w, variance):
    """Softmax of the gate logits, then the averages mbar and vbar."""
    n_experts = variance.size
    for i in range(ROWS):
        c[PEAK + i] = w[0, E + i]
    for k in range(1, n_experts):
        u = w[k]
        for i in range(ROWS):
            c[PEAK + i] = max(c[PEAK + i], u[E + i])
    for i in range(ROWS):
        c[INV_SUM + i] = 0.0
        c[MEAN + i] = 0.0
        c[VAR + i] = 0.0
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[E + i] -= c[PEAK + i]
            u[GATE + i] = _exp(u[E + i])
        for i in range(ROWS):
            c[INV_SUM + i] += u[GATE + i]
    for i in range(ROWS):
        c[INV_SUM + i] = 1.0 / c[INV_SUM + i]
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[GATE + i] *= c[INV_SUM + i]
            c[MEAN + i] += u[GATE + i] * u[MU + i]
            c[VAR + i] += u[GATE + i] * variance[k]


@njit(**OPTIONS)
def forward_block(
    c, w, intercept, coef, variance, gate_intercept, gate_coef,
    behavior_intercept, behavior_coef, X_expert, X_gate, X_behavior, behavior,
):  # fmt: skip
    """Fill BETA, INV_SUM, MEAN, VAR, PEAK and MU, E, GATE: all that fusion needs.

    Designs are a block each of ``affine.in_blocks``; ``variance`` holds the experts' s^2;
    ``behavior`` is ``LEARNED`` or the number beta is fixed at.
    """
    beta = c[BETA : BETA + ROWS]
    for i in range(ROWS):
        beta[i] = behavior
    if behavior == LEARNED:
        affine_of_one(X_behavior, behavior_intercept, behavior_coef, beta)
        for i in range(ROWS):
            beta[i] = 1.0 / (1.0 + _exp(min(-beta[i], 700.0)))
    affine(X_expert, intercept, coef, w, MU)
    affine(X_gate, gate_intercept, gate_coef, w, E)
    _gate_and_average(c, w, variance)
