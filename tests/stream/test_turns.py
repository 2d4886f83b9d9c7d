import threading
from concurrent.futures import ThreadPoolExecutor

from stream.turns import Turns


def test_turns_are_given_in_the_order_of_asking() -> None:
    turns, order = Turns(1), list[int]()

    def work(number: int) -> None:
        with turns:
            order.append(number)

    with ThreadPoolExecutor(5) as threads, turns:
        for number in range(5):
            threads.submit(work, number)
            while len(turns._waiting) <= number:
                threading.Event().wait(0.001)
        assert order == []
    assert order == [0, 1, 2, 3, 4]


def test_as_many_as_there_are_turns_work_at_once() -> None:
    turns, together = Turns(3), threading.Barrier(3)

    def work() -> int:
        with turns:
            return together.wait(10)

    with ThreadPoolExecutor(3) as threads:
        assert sorted(job.result(10) for job in [threads.submit(work) for _ in range(3)]) == [0, 1, 2]


def test_a_turn_that_fails_is_given_back() -> None:
    turns = Turns(1)
    for _ in range(2):
        try:
            with turns:
                raise LookupError
        except LookupError:
            pass
    with turns:
        pass
