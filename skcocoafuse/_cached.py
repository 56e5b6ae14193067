"""Properties that are computed once, without a lock."""

import functools
import sys

if sys.version_info >= (3, 12):
    cached_property = functools.cached_property
else:

    class cached_property(functools.cached_property):  # as in functools
        """:class:`functools.cached_property` as it is from Python 3.12 on.

        Before, all instances share one lock: threads that need the same property of different
        instances wait for one another, and a process forked while a thread computes it hangs.
        """

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            return vars(instance).setdefault(self.attrname, self.func(instance))
