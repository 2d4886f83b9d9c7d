"""What a cluster decides: where sessions go, how much is free, who has a name, how many replicas are wanted."""

from __future__ import annotations

import random

import numpy as np
import pytest

from signaling.cluster import locations
from signaling.cluster.capacity import EXPECTED, Capacity, SessionLoad
from signaling.cluster.directory import LEASE_S, Codes, Names
from signaling.cluster.placement import SHUN_S, Beliefs, Figures
from signaling.cluster.scaling import TARGET, wanted
from stream.load import LIMITS


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def beliefs(clock: Clock | None = None, **figures: Figures) -> Beliefs:
    made = Beliefs(clock or Clock(), random.Random(1).random)
    for replica, each in figures.items():
        made.learn(replica, each)
    return made


def test_a_session_goes_where_most_is_free() -> None:
    known = beliefs(a=Figures(free=0.2, sessions=1), b=Figures(free=0.7, sessions=5), c=Figures(free=-0.3))
    assert known.order(["a", "b", "c"]) == ["b", "a", "c"]


def test_what_differs_by_less_than_a_session_goes_by_the_count_of_sessions() -> None:
    known = beliefs(a=Figures(free=0.82, sessions=4), b=Figures(free=0.78, sessions=3))
    assert known.order(["a", "b"])[0] == "b"
    known = beliefs(a=Figures(free=0.9, sessions=4, unit=0.05), b=Figures(free=0.78, sessions=3, unit=0.05))
    assert known.order(["a", "b"])[0] == "a"


def test_a_replica_with_room_comes_before_one_with_fewer_sessions_and_none() -> None:
    known = beliefs(a=Figures(free=0.15, sessions=4), b=Figures(free=0.08, sessions=3))
    assert known.order(["a", "b"])[0] == "a"


def test_sessions_that_have_just_begun_count_as_those_that_were_measured_elsewhere() -> None:
    """A replica whose sessions are old enough to be measured, and cheap, does not get all the next ones."""
    known = beliefs(
        old=Figures(free=0.9, sessions=4, cost=0.03, measured=True, unit=0.5),
        young=Figures(free=-0.5, sessions=3, cost=0.5, young=3, unit=0.5),
    )
    places = []
    for _ in range(5):
        places.append(known.order(["old", "young"])[0])
        known.expect(places[-1])
    assert places[0] == "young"
    assert {places.count("old"), places.count("young")} == {2, 3}


def test_a_replica_without_a_place_comes_last_and_an_unknown_one_counts_as_idle() -> None:
    known = beliefs(full=Figures(free=1.0, places=0), busy=Figures(free=0.1))
    assert known.order(["full", "busy", "fresh"]) == ["fresh", "busy", "full"]


def test_while_an_update_runs_sessions_go_to_the_newest_version() -> None:
    known = beliefs(old=Figures(free=1.0, version="1", started=1), new=Figures(free=0.3, version="2", started=2))
    assert known.order(["old", "new"]) == ["new", "old"]
    known.learn("new", Figures(free=0.0, places=0, version="2", started=2))
    assert known.order(["old", "new"]) == ["old", "new"]


def test_a_replica_that_does_not_answer_is_avoided_for_a_while() -> None:
    clock = Clock()
    known = beliefs(clock, a=Figures(free=1.0), b=Figures(free=0.1))
    known.shun("a")
    assert known.order(["a", "b"]) == ["b", "a"]
    clock.now += SHUN_S
    assert known.order(["a", "b"]) == ["a", "b"]


def test_older_figures_change_nothing() -> None:
    known = beliefs(a=Figures(at=5, opened=5, free=0.1))
    known.learn("a", Figures(at=4, opened=4, free=0.9))
    assert known.of("a").opened == 5
    known.keep(["b"])
    assert known.of("a") == Figures()


def test_sessions_on_their_way_count_until_the_replica_says_otherwise() -> None:
    known = beliefs(a=Figures(at=1, opened=5, sessions=2, places=2, free=0.6, cost=0.2))
    assert [known.expect("a"), known.expect("a")] == [5, 6]
    free: float = pytest.approx(0.2)  # type: ignore[assignment]
    assert known.of("a") == Figures(at=1, opened=7, sessions=4, places=0, free=free, cost=0.2, young=2)
    known.learn("a", Figures(at=2, opened=6, sessions=3))
    assert known.of("a").opened == 6


def test_ties_fall_to_different_replicas() -> None:
    known = beliefs()
    assert {known.order(["a", "b", "c"])[0] for _ in range(40)} == {"a", "b", "c"}


def test_figures_of_another_version_are_none() -> None:
    assert Figures.read(Figures(free=0.5).written()) == Figures(free=0.5)
    assert Figures.read({"speed": 3}) is None
    assert Figures.read({}) is None


def test_an_idle_replica_is_free_and_young_sessions_count_as_expected() -> None:
    capacity = Capacity(cores=4)
    assert capacity.free([]) == 1
    young = [SessionLoad(age=1, work=0.0)] * 2
    assert capacity.free(young) == pytest.approx(1 - 2 * EXPECTED.cores / 4 / LIMITS.budget)


def test_measured_work_counts_and_the_process_where_it_spends_more() -> None:
    capacity = Capacity(cores=2)
    settled = [SessionLoad(age=60, work=0.3), SessionLoad(age=60, work=0.3)]
    assert capacity.free(settled) == pytest.approx(1 - 0.6 / 2 / LIMITS.budget)
    for second in range(60):
        capacity.measure(second, 1.2 * second)
    assert capacity.free(settled) == pytest.approx(1 - 1.2 / 2 / LIMITS.budget)
    cheap = [*settled, SessionLoad(age=0, work=0)]
    assert capacity.free(cheap) == pytest.approx(1 - (1.2 + EXPECTED.cores) / 2 / LIMITS.budget)


def test_nothing_is_free_where_work_is_left_out() -> None:
    assert Capacity(cores=64).free([SessionLoad(age=60, work=0.1, reduced=True)]) == 0


@pytest.mark.parametrize(
    ("spent", "current", "replicas"),
    [
        ([], 3, 3),
        ([0.0, 0.0, 0.0], 3, 1),
        ([TARGET, TARGET], 2, 2),
        ([0.9, 0.8], 2, 3),
        ([-0.1, 1.5], 2, 2),
        ([1.0], 4, 6),  # the others have not said anything yet
    ],
)
def test_the_load_asks_for_replicas(spent: list[float], current: int, replicas: int) -> None:
    assert wanted(spent, current) == replicas


def test_a_name_is_held_by_one_replica_until_it_is_released_or_not_heard_of() -> None:
    clock = Clock()
    names = Names(clock)
    assert names.claim("talk", "a")
    assert not names.claim("talk", "b")
    assert names.find("talk") == "a"
    clock.now += LEASE_S - 0.1
    names.report("a", ["talk"])
    clock.now += LEASE_S - 0.1
    assert names.find("talk") == "a"
    names.release("b", ["talk"])
    assert names.find("talk") == "a"
    names.release("a", ["talk"])
    assert names.claim("talk", "b")
    names.report("a", ["talk"])  # late: it is another's by now
    assert names.find("talk") == "b"
    clock.now += LEASE_S
    assert names.find("talk") is None


def test_codes_of_photos_are_bounded() -> None:
    codes = Codes(most_bytes=40)
    for number in range(3):
        codes.keep("child", str(number), np.full(4, number, np.float32))
    assert codes.get("child", "0") is None
    kept = codes.get("child", "1")
    assert kept is not None
    assert kept[0] == 1
    codes.keep("child", "3", np.zeros(4, np.float32))
    assert codes.get("child", "1") is not None
    assert codes.get("child", "2") is None


def test_the_id_of_a_session_names_its_replica() -> None:
    assert locations.replica_of(locations.prefix_of("r1") + "-a-b_c") == "r1"
    assert locations.replica_of("r1-x") == "r1"


@pytest.mark.parametrize("id", ["abc", "", "-abc", "a.b-c", "r1-", "../r-x", "r%2e-x", "r1-x/y", "r" * 65 + "-x"])
def test_other_ids_name_none(id: str) -> None:
    assert locations.replica_of(id) is None
