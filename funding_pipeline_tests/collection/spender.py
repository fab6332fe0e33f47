"""A process that spends from a shared budget and prints the true times. Run: python -m … ARGUMENTS

FOLDER tick|backfill LIMIT SECONDS WEIGHT COUNT      COUNT "forever": until killed
"""

import asyncio
import sys
import time
from pathlib import Path

from funding_pipeline.collection.budget import Priority, SharedBudget
from funding_pipeline.exchanges.base import RateLimit


async def spend(
    folder: str, priority: str, limit: str, seconds: str, weight: str, count: str
) -> None:
    limits = [RateLimit(int(limit), float(seconds))]
    budget = SharedBudget(Path(folder), "madeup", limits, Priority(priority))
    print("ready", flush=True)
    sent = 0
    while count == "forever" or sent < int(count):
        async with budget.spend(int(weight)):
            print(f"{time.time():.6f}", flush=True)
        sent += 1
    budget.close()


if __name__ == "__main__":
    asyncio.run(spend(*sys.argv[1:]))
