"""The queue in front of the workers: clients take turns, background work comes last."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from was_daemon.workers.commands import ReadMetadata
from was_daemon.workers.fair_queue import FairQueue, Job

arrivals = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=30)


def job(client: str, background: bool = False) -> Job:
    return Job(command=ReadMetadata, files=[], arguments={}, client=client, background=background)


def filled(*jobs: Job) -> FairQueue:
    queue = FairQueue()
    for each in jobs:
        queue.push(each)
    return queue


def emptied(queue: FairQueue) -> list[Job]:
    return [queue.pop() for _ in range(len(queue))]


def test_the_jobs_of_one_client_are_done_in_order() -> None:
    jobs = [job("a") for _ in range(5)]
    assert emptied(filled(*jobs)) == jobs


def test_clients_take_turns_however_many_jobs_one_of_them_has() -> None:
    greedy, modest = [job("greedy") for _ in range(4)], [job("modest") for _ in range(2)]
    order = emptied(filled(*greedy, *modest))
    assert order == [greedy[0], modest[0], greedy[1], modest[1], greedy[2], greedy[3]]


def test_whoever_comes_new_waits_one_turn_at_most() -> None:
    queue = filled(*[job("greedy") for _ in range(100)])
    queue.pop()
    newcomer = job("newcomer")
    queue.push(newcomer)
    assert newcomer in (queue.pop(), queue.pop())


def test_a_client_that_asks_again_after_every_answer_takes_turns_like_others() -> None:
    queue = filled(job("eager"), job("patient"), job("patient"))
    assert queue.pop().client == "eager"
    queue.push(job("eager"))
    assert [each.client for each in emptied(queue)] == ["patient", "eager", "patient"]


def test_background_work_comes_after_all_others() -> None:
    warming, waiting = [job("a", background=True) for _ in range(2)], [job("a"), job("b")]
    queue = filled(*warming, *waiting)
    assert emptied(queue) == [*waiting, *warming]


def test_background_work_waits_for_those_who_come_later_too() -> None:
    warming = [job("a", background=True) for _ in range(2)]
    queue = filled(*warming)
    assert queue.pop() is warming[0]
    later = job("b")
    queue.push(later)
    assert emptied(queue) == [later, warming[1]]


def test_background_work_takes_turns_among_itself() -> None:
    queue = filled(*[job(client, background=True) for client in "aaabb"])
    assert [each.client for each in emptied(queue)] == list("ababa")


def test_an_empty_queue_gives_no_job() -> None:
    queue = FairQueue()
    assert len(queue) == 0
    assert not queue
    with pytest.raises(IndexError):
        queue.pop()


@pytest.mark.parametrize("background", [False, True])
def test_a_job_that_does_not_wait_cannot_be_removed(background: bool) -> None:
    done, never = job("a", background), job("b", background)
    queue = filled(done, job("a", background))
    queue.pop()
    for absent in (done, never, job("a", not background)):
        with pytest.raises(ValueError, match=r".*"):
            queue.remove(absent)
    assert len(queue) == 1


@settings(deadline=None, max_examples=300)
@given(arrivals)
def test_everything_comes_out_once_fairly_and_in_order(clients: list[tuple[str, bool]]) -> None:
    jobs = [job(*client) for client in clients]
    queue = filled(*jobs)
    assert len(queue) == len(jobs)
    order = emptied(queue)
    assert sorted(map(id, order)) == sorted(map(id, jobs))
    assert [each.background for each in order] == sorted(each.background for each in order)
    for background in (False, True):
        lane = [each for each in order if each.background is background]
        for client in "abcd":
            mine = [each for each in jobs if (each.client, each.background) == (client, background)]
            assert [each for each in lane if each.client == client] == mine
        # Nobody has two turns in a row while somebody else waits.
        for index, each in enumerate(lane[:-1]):
            if lane[index + 1].client == each.client:
                assert {later.client for later in lane[index:]} == {each.client}


@settings(deadline=None, max_examples=300)
@given(arrivals.filter(len), st.data())
def test_a_removed_job_leaves_the_others_in_their_order(clients: list[tuple[str, bool]], data: st.DataObject) -> None:
    jobs = [job(*client) for client in clients]
    queue = filled(*jobs)
    gone = data.draw(st.sampled_from(jobs))
    queue.remove(gone)
    assert len(queue) == len(jobs) - 1
    order = emptied(queue)
    assert gone not in order
    for client, background in set(clients):
        mine = [each for each in jobs if each is not gone and (each.client, each.background) == (client, background)]
        assert [each for each in order if (each.client, each.background) == (client, background)] == mine
