"""Support code for numba, and its equivalent without compilation.

``NUMBA_DISABLE_JIT=1``, numba's own switch, runs all functions in Python, for debuggers and
coverage. Operations that only a compiler understands (bits of a number, an address, a function that
C can call) therefore come in pairs here, one of which is chosen at import. Python code then gives
the same numbers up to rounding, about a hundred times slower.
"""

import ctypes
import logging
import struct
from numbers import Integral
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config, event, sigutils
from numba.core.ccallback import CFunc
from numba.core.typing.ctypes_utils import to_ctypes
from numba.extending import intrinsic

from skcocoafuse.compiled import code_cache

__all__ = [
    "COMPILED",
    "as_pointer",
    "bits_of",
    "c_callback",
    "call",
    "njit",
    "python_callback",
    "real_of",
]

COMPILED = not config.DISABLE_JIT
_NOT_RECOVERABLE = -1  # tells samplers to stop


# -- functions -----------------------------------------------------------------------------


def _compiled(*, cache, **options):
    """``numba.njit`` with a cache that may fail; ``cache`` switches it on."""
    decorate = numba.njit(**options)

    def compiled(function):
        dispatcher = decorate(function)
        if cache:
            dispatcher._cache = code_cache.cache_for(function)
        return dispatcher

    return compiled


def _compiled_callback(signature):
    """``numba.cfunc`` with a cache that may fail."""

    def compiled(function):
        callback: Any = CFunc(
            function, sigutils.normalize_signature(signature), locals={}, options={}
        )
        callback._cache = code_cache.cache_for(function)
        callback.compile()
        return callback

    return compiled


def _quiet_python(**options):
    """Replacement of ``numba.njit``: overflow and 0 / 0 are as silent as in compiled code."""
    return np.errstate(all="ignore")


class _PythonCallback:
    """A Python function that C can call at its ``address``, as long as this object exists.

    Replacement of numba's ``CFunc`` without compilation.
    """

    _by_address: ClassVar[WeakValueDictionary] = WeakValueDictionary()

    def __init__(self, function, signature):
        self.function = np.errstate(all="ignore")(function)
        self.error: BaseException | None = None  # what the function raised when C called it
        self.kinds = [to_ctypes(kind) for kind in signature.args]
        self._c_function = ctypes.CFUNCTYPE(to_ctypes(signature.return_type), *self.kinds)(
            self._called_by_c
        )
        self.address = ctypes.cast(self._c_function, ctypes.c_void_p).value or 0
        self._by_address[self.address] = self

    def _called_by_c(self, *values):
        try:
            return self.function(*map(_argument, self.kinds, values))
        except BaseException as error:  # there is no Python caller to raise it in
            self.error = error
            logging.getLogger("skcocoafuse").exception("The log density was left by an exception.")
            return _NOT_RECOVERABLE

    @classmethod
    def call(cls, address, *values):
        """Call the function at an address directly, not through C, which would lose exceptions."""
        own = cls._by_address[int(address)]
        return own.function(*map(_argument, own.kinds, values))


def _argument(kind, value):
    """An argument of a C function as its Python body expects it; pointers may be integers."""
    if kind is ctypes.c_void_p:
        return kind(int(value or 0))  # ctypes turns a null pointer into None
    return (
        ctypes.cast(int(value), kind)
        if isinstance(value, Integral) and hasattr(kind, "contents")
        else value
    )


python_callback = _PythonCallback


def _python_pointer(address):
    return ctypes.c_void_p(int(address))


def c_callback(signature):
    """Decorator for functions that C can call; they have an ``address``."""
    if COMPILED:
        return _compiled_callback(signature)
    return lambda function: _PythonCallback(function, signature)


# -- intrinsics ----------------------------------------------------------------------------


@intrinsic
def _compiled_pointer(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@intrinsic
def _compiled_call(typingctx, function, n, theta, gradient, value, user_data):
    def codegen(context, builder, signature, args):
        address, size, *pointers = args
        integer, pointer = cgutils.intp_t, cgutils.voidptr_t
        kind = ir.FunctionType(integer, [integer] + [pointer] * len(pointers))
        callee = builder.inttoptr(address, kind.as_pointer())
        return builder.call(callee, [size, *(builder.inttoptr(p, pointer) for p in pointers)])

    return types.intp(*[types.intp] * 6), codegen


def _bitcast(source, target):
    @intrinsic
    def cast(typingctx, value):
        def codegen(context, builder, signature, args):
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), codegen

    return cast


def _python_bits(x):
    return struct.unpack("<q", struct.pack("<d", x))[0]


def _python_real(bits):
    return struct.unpack("<d", struct.pack("<Q", bits & 0xFFFFFFFFFFFFFFFF))[0]


njit = _compiled if COMPILED else _quiet_python
#: An address (an integer) in the form that ``carray`` accepts.
as_pointer = _compiled_pointer if COMPILED else _python_pointer
#: ``call(address, n, theta, gradient, value, user_data)``: a function of ``c_callback``, which has
#: the signature of ``log_posterior.log_posterior_callback``; all are integers.
call = _compiled_call if COMPILED else _PythonCallback.call
#: The bits of a float64 as an int64, and back.
bits_of = _bitcast(types.float64, types.int64) if COMPILED else _python_bits
real_of = _bitcast(types.int64, types.float64) if COMPILED else _python_real


# -- the first time ------------------------------------------------------------------------


class _SayOnce(event.Listener):
    """Announce that the first use in an environment takes time; later ones use numba's cache.

    A log message rather than a warning, since there is nothing to change in the calling code.
    Python writes it to stderr unless the program has set up logging.
    """

    def __init__(self):
        self._said = False

    def on_start(self, event):
        """Before a pass of numba's compiler; nothing is compiled if the cache has it."""
        if self._said or event.data["module"].partition(".")[0] != "skcocoafuse":
            return
        self._said = True
        logging.getLogger("skcocoafuse").warning(
            "skcocoafuse compiles its numerical code before its first use in this environment, "
            "which may take a minute."
            + " numba caches it on disk: later runs load it in a second."
            * code_cache.in_use()
        )

    def on_end(self, event):
        """After a pass."""


event.register("numba:run_pass", _SayOnce())
