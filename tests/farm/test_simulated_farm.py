"""Years of a farm: partitions, frozen and restarted processes, lost replies, clock skew, a key service that fails.

``DPM_FARM_SEED=17 pytest tests/farm/test_simulated_farm.py`` replays one seed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from tests.farm.simulation import Farm

SEEDS = [int(os.environ["DPM_FARM_SEED"])] if "DPM_FARM_SEED" in os.environ else list(range(1, 4))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A broken network is reported thousands of times."""
    logging.getLogger("dpmiddleware").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("dpmiddleware").setLevel(logging.NOTSET)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_farm_keeps_its_promises_for_a_year(seed: int) -> None:
    """No valid payload is refused, one key per rotation, none used early, revocations apply, no key hides a loss."""
    farm = Farm(seed)
    farm.run(days=365)
    assert farm.opened > 500, f"seed {seed}: nothing was tried"
    assert len(farm.world.made) >= 4, f"seed {seed}: keys did not rotate"


@pytest.mark.soak
@pytest.mark.parametrize("hundred", range(10))
def test_a_thousand_farms_keep_their_promises(hundred: int) -> None:
    """The same for a thousand seeds."""
    for seed in range(1_000 + 100 * hundred, 1_100 + 100 * hundred):
        Farm(seed).run(days=365)
