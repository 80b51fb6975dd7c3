from __future__ import annotations
from tests.fakes.world import World

def test_it(world: World) -> None:
    world.repository("tool")
    c = world.start()
    world.work()
    print(world.ended(world.run(c)), world.pull_requests("tool"), world.publication("tool"))
    world.require_tidy()
