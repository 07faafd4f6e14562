"""Steps of the main job that need not be repeated: each leaves a marker with a fingerprint of all that went in.

The fingerprint covers the command, the code it runs and the fingerprints of the steps before it. A
step is skipped only when its marker has today's fingerprint and its outputs exist; otherwise its
outputs are deleted first, so nothing half-made is ever read. What a step keeps for resuming (checkpoints)
survives an interruption, but not a change of what goes in.

Decisions: docs/decisions/local.md (072).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from local.aws import processes
from local.aws import processes as stops
from local.settings import LocalRunError

STOP_GRACE_SECONDS: Final = 15.0  # a training job writes its checkpoint


@dataclass(frozen=True, slots=True)
class Step:
    """One child process of the main job."""

    name: str
    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    parameters: str = ""  # what else decides the result
    sources: tuple[Path, ...] = ()  # files and folders of code
    upstream: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()  # deleted before, present after
    required: tuple[Path, ...] = ()  # present after, but never deleted
    resumable: tuple[Path, ...] = ()  # kept when the same step was interrupted


class Steps:
    """Runs steps in order and remembers which are done."""

    def __init__(self, markers: Path, logs: Path, *, cwd: Path, progress: Callable[[str], None]) -> None:
        self._markers, self._logs, self._cwd, self._progress = markers, logs, cwd, progress
        self._fingerprints: dict[str, str] = {}

    def run(self, steps: Sequence[Step]) -> list[str]:
        """Run what is not done yet; the names of the steps that ran. Raises LocalRunError for a failed one."""
        ran = []
        for place, step in enumerate(steps, 1):
            fingerprint = self._fingerprint(step)
            if self._is_done(step, fingerprint):
                continue
            self._progress(f"[{place}/{len(steps)}] {step.title}")
            started = time.monotonic()
            self._prepare(step, fingerprint)
            self._execute(step)
            self._mark(step, fingerprint, seconds=time.monotonic() - started)
            self._progress(f"[{place}/{len(steps)}] {step.title}: done in {time.monotonic() - started:.0f} s")
            ran.append(step.name)
        return ran

    def forget(self, steps: Iterable[Step]) -> None:
        """Have these steps run again, from their beginning."""
        for step in steps:
            self._marker(step).unlink(missing_ok=True)
            self._begun(step).unlink(missing_ok=True)

    def _fingerprint(self, step: Step) -> str:
        digest = hashlib.sha256(step.parameters.encode())
        for path in _code(step.sources):
            digest.update(path.relative_to(self._cwd).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        for name in step.upstream:
            digest.update(self._fingerprints[name].encode())
        self._fingerprints[step.name] = digest.hexdigest()
        return self._fingerprints[step.name]

    def _is_done(self, step: Step, fingerprint: str) -> bool:
        marker = self._marker(step)
        try:
            recorded = json.loads(marker.read_text())["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return bool(recorded == fingerprint) and all(path.exists() for path in step.outputs + step.required)

    def _prepare(self, step: Step, fingerprint: str) -> None:
        self._marker(step).unlink(missing_ok=True)
        begun = self._begun(step)
        leftovers = step.outputs
        if not begun.exists() or begun.read_text() != fingerprint:
            leftovers += step.resumable
        for path in leftovers:
            _remove(path)
        self._markers.mkdir(parents=True, exist_ok=True)
        begun.write_text(fingerprint)

    def _execute(self, step: Step) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{step.name}.log"
        with log.open("wb") as file:
            status = self._wait(step, file)
        missing = [path.name for path in step.outputs + step.required if not path.exists()]
        if status or missing:
            reason = f"status {status}" if status else f"it left no {', '.join(missing)}"
            raise LocalRunError(f"{step.title} failed ({reason}): {_last_words(log)}; the whole log is {log}.")

    def _wait(self, step: Step, log: IO[bytes]) -> int:
        process = None
        with stops.heard():
            try:
                with stops.held():
                    process = processes.start(
                        step.command, environment=step.environment, cwd=self._cwd, output=log, errors=subprocess.PIPE
                    )
                    tee = threading.Thread(target=_tee, args=(process.stderr, log), daemon=True)
                    tee.start()
                return process.wait()
            finally:
                if process is not None:
                    with stops.ignored():
                        processes.stop(process, grace_seconds=STOP_GRACE_SECONDS)
                        tee.join()

    def _mark(self, step: Step, fingerprint: str, *, seconds: float) -> None:
        body = json.dumps({"fingerprint": fingerprint, "seconds": round(seconds, 1), "finished_at": time.time()})
        fresh = self._marker(step).with_suffix(".new")
        fresh.write_text(body)
        fresh.replace(self._marker(step))

    def _marker(self, step: Step) -> Path:
        return self._markers / f"{step.name}.json"

    def _begun(self, step: Step) -> Path:
        return self._markers / f"{step.name}.begun"


def _code(sources: Sequence[Path]) -> list[Path]:
    files = (file for source in sources for file in ([source] if source.is_file() else source.rglob("*")))
    return sorted({file for file in files if file.suffix in (".py", ".sql", ".json", ".txt") and file.is_file()})


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _tee(source: IO[bytes], log: IO[bytes]) -> None:
    """Progress bars to the terminal, everything to the log."""
    with source:
        while chunk := source.read1(65536):  # type: ignore[attr-defined]
            log.write(chunk)
            log.flush()
            sys.stderr.buffer.write(chunk)
            sys.stderr.buffer.flush()


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in processes.tail(log).splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
