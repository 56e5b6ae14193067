"""Methods that several classes share, under the name of each class."""

import inspect
from functools import update_wrapper
from types import CellType, FunctionType


def with_own_methods(cls):
    """Give a class copies of the public methods that it inherits from this package.

    Python's TypeErrors (an unexpected argument, or too many) show the qualified name of the
    function, which would otherwise name a base class that users do not know.
    """
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        inherited = name not in vars(cls) and function.__module__.startswith("skcocoafuse.")
        if inherited and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, _copy_for(cls, function))
    return cls


def _copy_for(cls: type, function: FunctionType) -> FunctionType:
    """Copy a function as if it were defined in the class, along with a function it wraps."""
    cells = function.__closure__ or ()
    inner = getattr(function, "__wrapped__", None)
    own_inner = inner and _copy_for(cls, inner)
    if inner is not None:
        cells = tuple(CellType(own_inner) if c.cell_contents is inner else c for c in cells)
    code, defaults = function.__code__, function.__defaults__
    own = FunctionType(code, function.__globals__, function.__name__, defaults, cells)
    update_wrapper(own, function)
    own.__wrapped__ = own_inner  # type: ignore[attr-defined]
    if inner is None:
        del own.__wrapped__  # type: ignore[attr-defined]
    own.__kwdefaults__ = function.__kwdefaults__
    own.__module__, own.__qualname__ = cls.__module__, f"{cls.__qualname__}.{function.__name__}"
    return own
