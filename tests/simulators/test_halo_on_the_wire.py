"""The pretend Halo behind a real socket: dropped connections, late writes, several callers at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from joinery.serving import serve
from simulators.halo import create_halo, sign_in

pytestmark = pytest.mark.servers


@pytest.fixture
def halo():
    found = create_halo()
    yield found
    found.stop()


@pytest.fixture
def http(halo):
    served = serve(halo.wsgi)
    with sign_in(served.url) as client:
        yield client
    served.close()


def summaries(http):
    return [row["summary"] for row in http.get("/api/Tickets").json()["tickets"]]


@pytest.mark.parametrize(("fault", "left"), [("lost_response", ["x"]), ("lost_request", [])])
def test_a_dropped_connection_hides_whether_the_ticket_was_made(http, fault, left):
    http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Tickets"}, "fault": fault}])
    with pytest.raises(httpx.TransportError):
        http.post("/api/Tickets", json=[{"summary": "x"}])
    assert summaries(http) == left


def test_a_late_write_lands_after_a_restart_too(tmp_path):
    first = create_halo(tmp_path)
    served = serve(first.wsgi)
    with sign_in(served.url) as http:
        http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "lands_late", "delay": 0.2}])
        with pytest.raises(httpx.TransportError):
            http.post("/api/Tickets", json=[{"summary": "late"}])
        assert summaries(http) == []
        token = http.headers["Authorization"]
    served.close()
    first.stop()
    landed = threading.Event()
    again = create_halo(tmp_path)
    again.start()
    served = serve(again.wsgi)
    with httpx.Client(base_url=served.url, headers={"Authorization": token}) as http:
        for _ in range(400):
            if summaries(http):
                break
            landed.wait(0.05)
        assert summaries(http) == ["late"]
    served.close()
    again.stop()


def test_callers_at_once_get_numbers_of_their_own(http):
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: http.post("/api/Tickets", json=[{"summary": f"t{n}"}]).json()["id"], range(80)))
    assert sorted(ids) == list(range(1, 81))
