"""dyadid: difference-in-differences on pairs, with dyadic inference. What is here is made in `engine.api`."""

from engine.api import *  # noqa: F403
from engine.api import __all__


def __dir__() -> list[str]:
    return __all__
