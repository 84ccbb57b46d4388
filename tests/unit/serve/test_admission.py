import pytest

from aiops.errors import OverloadError
from aiops.serve.admission import RETRY_AFTER_S, Admission, Condition


def test_bodies_are_held_up_to_the_bound():
    admission = Admission(bytes_max=100, conditions=())
    with admission.hold(60), admission.hold(40):
        assert admission.bytes_now == 100
        with pytest.raises(OverloadError, match="body_bytes_in_flight_max"), admission.hold(1):
            pass
    assert admission.bytes_now == 0


def test_a_body_larger_than_the_bound_may_enter_alone():
    admission = Admission(bytes_max=100, conditions=())
    with admission.hold(500), pytest.raises(OverloadError), admission.hold(1):
        pass
    assert admission.bytes_now == 0


def test_room_comes_back_when_the_holder_fails():
    admission = Admission(bytes_max=100, conditions=())
    with pytest.raises(ZeroDivisionError), admission.hold(60):
        raise ZeroDivisionError
    assert admission.bytes_now == 0


def test_conditions_are_asked_each_time_and_the_first_met_is_told():
    state = {"queue": False, "disk": False}
    admission = Admission(
        bytes_max=100,
        conditions=(
            Condition("queue full", lambda: state["queue"]),
            Condition("disk full", lambda: state["disk"]),
        ),
    )
    with admission.hold(1):
        pass
    state["disk"] = True
    with pytest.raises(OverloadError, match="disk full"), admission.hold(1):
        pass
    state["queue"] = True
    with pytest.raises(OverloadError, match="queue full") as caught, admission.hold(1):
        pass
    assert caught.value.retry_after_s == RETRY_AFTER_S
    state.update(queue=False, disk=False)
    with admission.hold(100):
        assert admission.bytes_now == 100


def test_a_condition_met_later_does_not_touch_who_is_inside():
    state = {"met": False}
    admission = Admission(bytes_max=9, conditions=(Condition("x", lambda: state["met"]),))
    with admission.hold(5):
        state["met"] = True
    assert admission.bytes_now == 0
