"""One client for all requests of a process: making one reads all certificates."""

from __future__ import annotations

import httpx

CLIENT = httpx.Client(timeout=30)
