import asyncio

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aiops.serve.admin import AdminApi, Check


def get(api: AdminApi, path: str) -> tuple[int, str, str]:
    async def run() -> tuple[int, str, str]:
        app = web.Application()
        app.add_routes(api.routes())
        async with TestClient(TestServer(app)) as client:
            response = await client.get(path)
            return response.status, await response.text(), response.headers["Content-Type"]

    return asyncio.run(run())


def api(*problems: str) -> AdminApi:
    checks = tuple(Check(f"part{n}", lambda text=text: text) for n, text in enumerate(problems))
    return AdminApi(checks, lambda: b"up 1\n")


def test_a_service_without_problems_is_ready():
    assert get(api("", ""), "/-/ready")[:2] == (200, "aiops is ready\n")


def test_every_problem_is_told_with_its_part():
    status, text, _ = get(api("disk full", "", "draining"), "/-/ready")
    assert (status, text) == (503, "not ready\npart0: disk full\npart2: draining\n")


def test_a_check_is_asked_at_every_request():
    state = {"problem": "starting"}
    subject = AdminApi((Check("start", lambda: state["problem"]),), lambda: b"")
    assert get(subject, "/-/ready")[0] == 503
    state["problem"] = ""
    assert get(subject, "/-/ready")[0] == 200


def test_a_service_that_is_not_ready_is_healthy_all_the_same():
    """A supervisor that kills it for being unready would start the replay from the beginning."""
    assert get(api("replaying"), "/-/healthy")[:2] == (200, "aiops is healthy\n")


def test_metrics_come_as_prometheus_reads_them():
    status, text, content_type = get(api(), "/metrics")
    assert (status, text) == (200, "up 1\n")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
