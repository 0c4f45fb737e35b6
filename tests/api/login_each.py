"""Hooks for operations that may end their own session: each case logs in again."""

import os
from typing import Any

import requests
import schemathesis
from hooks import *  # noqa: F403


@schemathesis.auth(refresh_interval=None, retry_on=[])
class Login:
    def get(self, case: Any, context: Any) -> str:
        body = {"username": os.environ["API_USER"], "password": os.environ["API_PASSWORD"]}
        response = requests.post(f"{os.environ['API_URL']}/api/auth/token", json=body, timeout=20)
        response.raise_for_status()
        return str(response.json()["access"])

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}
