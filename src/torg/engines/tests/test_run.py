from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from torg.engines import processes, run
from torg.engines.port import EngineRefused, Place
from torg.engines.tests.fake import Fake, starts
from torg.kit.ports import free_port


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = run.place_of(Fake(), tmp_path / "data", free_port(), tmp_path / "homes")
    yield place
    run.stop(Fake(), place, quiet, patience=0)


def quiet(line: str) -> None:
    """Nobody listens."""


def test_started_engine_answers_and_is_prepared(place: Place) -> None:
    engine, told = Fake(), list[str]()
    run.start(engine, place, told.append)
    assert starts(place) == 1
    assert engine.prepared == [place.data]
    assert told == ["installing a few lines", "starting Fake 1.0", f"ready at 127.0.0.1:{place.port}"]


def test_engine_that_runs_is_not_started_again(place: Place) -> None:
    engine = Fake()
    run.start(engine, place, quiet)
    run.start(engine, place, quiet)
    assert starts(place) == 1
    assert engine.installed == 1


def test_stopped_engine_is_gone_and_starts_again_on_its_records(place: Place) -> None:
    run.start(Fake(), place, quiet)
    assert run.stop(Fake(), place, quiet)
    assert run.running(place) is None
    assert not run.stop(Fake(), place, quiet)
    run.start(Fake(), place, quiet)
    assert starts(place) == 2


def test_killed_engine_counts_as_ended(place: Place) -> None:
    run.start(Fake(), place, quiet)
    started = run.running(place)
    assert started
    os.kill(started.pid, signal.SIGKILL)
    assert processes.gone(started.pid, started.mark, 60)
    assert run.running(place) is None
    run.start(Fake(), place, quiet)
    assert starts(place) == 2


def test_engine_outlives_the_process_that_started_it(place: Place) -> None:
    code = """
import sys
from pathlib import Path
from torg.engines import run
from torg.engines.tests.fake import Fake
run.start(Fake(), run.place_of(Fake(), Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])), print)
"""
    arguments = [str(place.data.parents[1]), str(place.port), str(place.home.parent)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert starts(place) == 1
    assert run.running(place)


def test_process_that_got_the_number_of_an_ended_engine_is_left_alone(place: Place) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        run.make(place.data)
        kept = {"pid": stranger.pid, "mark": "12345 of another boot", "port": place.port}
        place.data.with_name("fake.process").write_text(json.dumps(kept))
        assert run.running(place) is None
        assert not run.stop(Fake(), place, quiet)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_engine_that_dies_at_its_start_is_refused_with_its_last_words(place: Place) -> None:
    with pytest.raises(EngineRefused, match=r"(?s)ended while it started.*smells funny"):
        run.start(Fake("dies"), place, quiet)


def test_engine_that_never_answers_is_refused_and_ended(place: Place) -> None:
    with pytest.raises(EngineRefused, match="didn't answer within 0 s"):
        run.start(Fake("mute"), place, quiet, patience=0.3)
    assert run.running(place) is None


def test_engine_that_ignores_the_request_to_end_is_killed(place: Place) -> None:
    told: list[str] = []
    run.start(Fake("stubborn"), place, quiet)
    assert run.stop(Fake(), place, told.append, patience=0.3)
    assert run.running(place) is None
    assert told == ["still ran after 0 s and was killed"]


def test_port_where_somebody_else_listens_is_refused(place: Place, tmp_path: Path) -> None:
    run.start(Fake(), place, quiet)
    other = run.place_of(Fake(), tmp_path / "other", place.port, place.home.parent)
    with pytest.raises(EngineRefused, match="Something else listens"):
        run.start(Fake(), other, quiet)


def test_second_port_for_an_engine_that_runs_is_refused(place: Place) -> None:
    run.start(Fake(), place, quiet)
    elsewhere = run.place_of(Fake(), place.data.parents[1], free_port(), place.home.parent)
    with pytest.raises(EngineRefused, match="runs already"):
        run.start(Fake(), elsewhere, quiet)


def test_engine_is_looked_for_where_it_ran_last(place: Place) -> None:
    run.start(Fake(), place, quiet)
    assert run.place_of(Fake(), place.data.parents[1], home=place.home.parent) == place


def test_two_starts_at_once_start_one_engine(place: Place) -> None:
    engine, told = Fake(), list[str]()
    threads = [threading.Thread(target=run.start, args=(engine, place, told.append)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert starts(place) == 1
    assert engine.installed == 1
    assert told.count("runs already") == 3


def test_record_of_a_process_that_was_cut_short_counts_as_none(place: Place) -> None:
    run.make(place.data)
    place.data.with_name("fake.process").write_text('{"pid": 1')
    assert run.running(place) is None
    run.start(Fake(), place, quiet)
    assert starts(place) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts engines as somebody else")
def test_folder_that_the_engines_user_cannot_enter_is_named(tmp_path: Path) -> None:
    class Elsewhere(Fake):
        def user(self) -> str:
            return "nobody"

    tmp_path.chmod(0o700)
    with pytest.raises(EngineRefused, match=r"can't enter /.*open it \(chmod o\+x\)"):
        run.start(Elsewhere(), run.place_of(Fake(), tmp_path / "data", free_port(), tmp_path / "homes"), quiet)
