"""Letters and the ways they leave: one suite for every mailer, SMTP against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from hypothesis import given
from hypothesis import strategies as st

from torg.kit.mail import Letter, Mailer, wire
from torg.kit.mail_files import FileMailer
from torg.kit.mail_smtp import SmtpMailer
from torg.kit.ports import free_port
from torg.kit.settings import BadSettings

SENDER = "Torg <shop@torg.example>"
LETTER = Letter(
    id="0194e2a1-0000-7000-8000-000000000001", to="anna@example.com", to_name="Анна Петрова", language="ru", at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    subject="Заказ подтверждён: мы уже собираем всё, что вы выбрали, и скоро отправим", text="Здравствуйте!\nИтого: 1 290,50 ₽\n", html="<p>Здравствуйте!</p>",
)  # fmt: skip


def read(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=default)


def part(message: EmailMessage, subtype: str) -> str:
    body = message.get_body((subtype,))
    assert body is not None
    return str(body.get_content())


# ---------------------------------------------------------------- on the wire


def test_a_letter_reads_the_same_after_the_wire() -> None:
    message = read(wire(LETTER, SENDER))
    assert (message["from"], message["to"]) == (SENDER, "Анна Петрова <anna@example.com>")
    assert message["subject"] == LETTER.subject
    assert parsedate_to_datetime(message["date"]) == LETTER.at
    assert message["message-id"] == f"<{LETTER.id}@torg.example>"
    assert (part(message, "plain"), part(message, "html")) == (LETTER.text, LETTER.html)
    assert [child.get_content_type() for child in message.iter_parts()] == ["text/plain", "text/html"]


def test_no_line_is_longer_than_the_standard_likes() -> None:
    long = replace(LETTER, subject="ы" * 300, to_name="ж" * 200, text="x" * 5000)
    assert max(len(line) for line in wire(long, SENDER).split(b"\r\n")) <= 78


@given(subject=st.text(max_size=120), name=st.text(max_size=60))
def test_no_text_in_a_header_makes_another_header(subject: str, name: str) -> None:
    head = wire(replace(LETTER, subject=subject, to_name=name), SENDER).partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")]
    assert names == [
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Content-Language", b"Auto-Submitted", b"MIME-Version", b"Content-Type",
    ]  # fmt: skip


def test_a_name_with_a_line_break_adds_no_recipient() -> None:
    message = read(wire(replace(LETTER, to_name="Anna\r\nBcc: all@example.com", subject="a\nb"), SENDER))
    assert message["bcc"] is None
    assert [address.addr_spec for address in message["to"].addresses] == ["anna@example.com"]


# ---------------------------------------------------------------- every mailer


class Post(Protocol):
    """A mailer and what has arrived through it."""

    mailer: Mailer

    def arrived(self) -> list[EmailMessage]: ...


@dataclass
class FilePost:
    mailer: FileMailer

    def arrived(self) -> list[EmailMessage]:
        return [read(message) for (message,) in self.mailer.file.execute("select message from letter order by number")]


@dataclass
class SmtpPost:
    """aiosmtpd, with answers of its own for some addresses."""

    mailer: SmtpMailer
    letters: list[EmailMessage] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    def arrived(self) -> list[EmailMessage]:
        return self.letters

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 aiosmtpd's name
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        self.letters.append(read(envelope.content))
        return "250 OK"


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpPost]:
    post: list[SmtpPost] = []
    listening = await asyncio.get_running_loop().create_server(lambda: SMTP(post[0]), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    post.append(SmtpPost(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, timeout=5)))
    yield post[0]
    listening.close()
    await listening.wait_closed()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FilePost]:
    post = FilePost(FileMailer(tmp_path / "mailbox", SENDER))
    yield post
    post.mailer.file.close()


@pytest.fixture(params=["files", "smtp"])
def post(request: pytest.FixtureRequest) -> Post:
    chosen: Post = request.getfixturevalue(request.param)
    return chosen


async def test_letters_arrive_whole_and_in_their_order(post: Post) -> None:
    letters = [replace(LETTER, id=f"letter-{n}", subject=f"№ {n}") for n in range(5)]
    outcomes = await post.mailer.send(letters)
    assert [outcome.outcome for outcome in outcomes] == ["sent"] * 5
    assert [message["subject"] for message in post.arrived()] == [f"№ {n}" for n in range(5)]
    assert all((part(message, "plain"), part(message, "html")) == (LETTER.text, LETTER.html) for message in post.arrived())


async def test_nothing_to_send_is_no_trouble(post: Post) -> None:
    assert await post.mailer.send([]) == []
    assert post.arrived() == []


async def test_a_mailer_that_works_says_so(post: Post) -> None:
    assert await post.mailer.check() == ""
    await post.mailer.close()


# ---------------------------------------------------------------- files


async def test_the_same_letter_again_is_one_file(files: FilePost) -> None:
    await files.mailer.send([LETTER, LETTER])
    await files.mailer.send([LETTER])
    assert len(files.arrived()) == 1


async def test_old_letters_give_way_to_new_ones_also_after_a_restart(tmp_path: Path) -> None:
    first = FileMailer(tmp_path, SENDER, kept=3)
    await first.send([replace(LETTER, id=f"letter-{n}") for n in range(3)])
    await first.close()
    again = FileMailer(tmp_path, SENDER, kept=3)
    await again.send([replace(LETTER, id="letter-3")])
    assert again.read("letter-0") is None
    assert again.read("letter-3") is not None
    again.remove("letter-3")
    again.remove("letter-3")
    assert again.read("letter-3") is None
    await again.close()


async def test_a_mailbox_that_closes_while_letters_are_written_waits_for_them(tmp_path: Path) -> None:
    for n in range(10):
        files = FileMailer(tmp_path / str(n), SENDER)
        sending = asyncio.create_task(files.send([replace(LETTER, id=f"letter-{i}", html="x" * 3000) for i in range(300)]))
        await asyncio.sleep(0.001 + n / 2000)
        await files.close()
        assert {posted.outcome for posted in await sending} <= {"sent", "deferred"}


async def test_letters_that_cannot_be_written_are_deferred(files: FilePost) -> None:
    pages = files.mailer.file.execute("pragma page_count").fetchone()[0]
    files.mailer.file.execute(f"pragma max_page_count = {pages + 1}")
    outcomes = await files.mailer.send([replace(LETTER, id=f"letter-{n}", text="x" * 9000) for n in range(3)])
    assert [outcome.outcome for outcome in outcomes] == ["deferred"] * 3
    assert files.arrived() == []


# ---------------------------------------------------------------- SMTP


async def test_a_refused_recipient_harms_no_other_letter(smtp: SmtpPost) -> None:
    smtp.answers = {"gone@example.com": "550 no such user", "busy@example.com": "451 try later"}
    addresses = ["anna@example.com", "gone@example.com", "busy@example.com", "boris@example.com"]
    outcomes = await smtp.mailer.send([replace(LETTER, to=to) for to in addresses])
    assert [outcome.outcome for outcome in outcomes] == ["sent", "refused", "deferred", "sent"]
    assert "no such user" in outcomes[1].detail
    assert [message["to"].addresses[0].addr_spec for message in smtp.arrived()] == ["anna@example.com", "boris@example.com"]


async def test_letters_behind_one_that_made_the_server_hang_up_go_over_a_new_connection(smtp: SmtpPost) -> None:
    smtp.answers = {"busy@example.com": "421 closing"}
    outcomes = await smtp.mailer.send([replace(LETTER, to=to) for to in ("a@example.com", "busy@example.com", "b@example.com")])
    assert [outcome.outcome for outcome in outcomes] == ["sent", "deferred", "sent"]


async def test_a_server_that_is_away_defers_all_and_shows() -> None:
    mailer = SmtpMailer(f"smtp://127.0.0.1:{free_port()}", SENDER, timeout=2)
    assert [outcome.outcome for outcome in await mailer.send([LETTER, LETTER])] == ["deferred", "deferred"]
    assert "does not answer" in await mailer.check()


async def test_a_connection_that_breaks_defers_what_was_not_handed_over() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    mailer = SmtpMailer(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", SENDER, timeout=2)
    assert [outcome.outcome for outcome in await mailer.send([LETTER, LETTER])] == ["deferred", "deferred"]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("url", ["http://mail.example", "mail.example:25", "smtp://"])
def test_an_unknown_kind_of_mail_server_is_refused_with_what_would_be_right(url: str) -> None:
    with pytest.raises(BadSettings, match="use smtp://host:port"):
        SmtpMailer(url, SENDER)
