"""The embedded Snowflake as a server over a folder: `python -m tests.dags.snowflake_server PORT FOLDER`.

fakesnow keeps the transaction of a client that is gone open for good. Snowflake rolls a transaction back that
has been idle while it blocks others; so does this server, after seconds instead of minutes.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

from warehouse.engine.fakesnow_patches import as_snowflake

IDLE_SECONDS = 5.0


class Rollback:
    """An ASGI application around fakesnow's that ends sessions which stand still in the middle of a transaction."""

    def __init__(self, app: Any, sessions: dict[str, Any]) -> None:
        self._app, self._sessions = app, sessions
        self._busy: dict[str, int] = {}
        self._seen: dict[str, float] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, noting whose it is."""
        headers = dict(scope.get("headers") or [])
        token = headers.get(b"authorization", b"").decode()[17:-1]
        self._busy[token] = self._busy.get(token, 0) + 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._busy[token] -= 1
            self._seen[token] = time.monotonic()

    def watch(self) -> None:
        """Roll back, for as long as the server lives, what its clients have left."""
        while True:
            time.sleep(0.5)
            for token, session in list(self._sessions.items()):
                idle = time.monotonic() - self._seen.get(token, time.monotonic())
                if idle > IDLE_SECONDS and not self._busy.get(token):
                    self._seen[token] = time.monotonic()
                    with contextlib.suppress(Exception):  # no transaction is open: nothing to end
                        session._duck_conn.execute("rollback")
                        self._sessions.pop(token, None)
                        print("rolled back the transaction of a session that is gone", flush=True)


def describe_merges() -> None:
    """Let the server describe the answer of a MERGE that DuckDB runs itself: one number of rows."""
    from fakesnow.cursor import FakeSnowflakeCursor

    describe = FakeSnowflakeCursor._describe_last_sql

    def described(cursor: Any) -> Any:
        if (cursor._last_sql or "").lstrip().upper().startswith("MERGE"):
            cursor._last_sql, cursor._last_params = "SELECT 0::BIGINT AS 'number of rows updated'", None
        return describe(cursor)

    FakeSnowflakeCursor._describe_last_sql = described


def main(port: int, folder: Path) -> None:
    """Serve until killed."""
    import uvicorn
    from fakesnow.instance import FakeSnow

    server: Any = importlib.import_module("fakesnow.server")  # a function of the package has the same name
    folder.mkdir(parents=True, exist_ok=True)
    describe_merges()
    with as_snowflake():
        server.shared_fs = FakeSnow(db_path=str(folder))
        guarded = Rollback(server.app, server.sessions)
        threading.Thread(target=guarded.watch, daemon=True).start()
        uvicorn.run(guarded, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
