"""The real Dask operator, for `kopf run`; names of schedulers lead to their loopback address in the double."""

from __future__ import annotations

import os
import socket
from typing import Any

_lookup = socket.getaddrinfo


def _of_double(host: Any, *args: Any, **kwargs: Any) -> Any:
    return _lookup(os.environ["SCHEDULER_HOST"] if "-scheduler." in str(host) else host, *args, **kwargs)


socket.getaddrinfo = _of_double

from dask_kubernetes.operator.controller import controller as controller  # noqa: E402  # its handlers register
