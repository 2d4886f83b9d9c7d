import threading

import pytest

from stream.slot import LatestSlot, SlotClosed


def test_newest_item_wins_and_the_overtaken_are_counted() -> None:
    slot: LatestSlot[int] = LatestSlot()
    for item in range(5):
        slot.put(item)
    assert slot.take() == 4
    assert (slot.received, slot.dropped) == (5, 4)


def test_empty_slot_times_out() -> None:
    with pytest.raises(TimeoutError):
        LatestSlot[int]().take(timeout=0.01)


def test_close_wakes_a_waiting_consumer_and_ends_the_slot() -> None:
    slot: LatestSlot[int] = LatestSlot()
    ended = threading.Event()

    def consume() -> None:
        with pytest.raises(SlotClosed):
            slot.take(timeout=10)
        ended.set()

    consumer = threading.Thread(target=consume)
    consumer.start()
    slot.close()
    consumer.join(timeout=10)
    assert ended.is_set()
    slot.put(1)
    assert slot.received == 0


def test_falsy_items_are_items() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(0)
    assert slot.take(timeout=1) == 0
