"""The pool's queues: none is starved."""

from __future__ import annotations

import threading
from functools import partial

from bot.store.pool import OF_OTHERS, Pool


def test_urgent_work_starves_neither_of_the_other_queues() -> None:
    """Urgent work comes between any two other pieces. The other two queues take turns all the same."""
    pool, go_on, order = Pool(1), threading.Event(), list[str]()

    def work(name: str) -> None:
        order.append(name)
        pool.submit(lambda: None, urgent=True)

    blocked = pool.submit(go_on.wait, urgent=False)
    for of_others, name in ((True, "request"), (False, "turn")):
        OF_OTHERS.set(of_others)
        done = [pool.submit(partial(work, name), urgent=False) for _ in range(3)]
    go_on.set()
    assert blocked.result()
    done[-1].result()
    pool.close()

    assert sorted(order[:2]) == sorted(order[2:4]) == ["request", "turn"]
