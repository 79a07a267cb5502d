"""The yardstick of benchmarks/service.py: a bare BentoML service that sends back what it is sent."""

from __future__ import annotations

from typing import Any

import bentoml


@bentoml.service(workers=1)
class Echo:
    """Does nothing."""

    @bentoml.api  # type: ignore[untyped-decorator]
    async def echo(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer
