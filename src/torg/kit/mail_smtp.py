"""Letters by SMTP (RFC 5321): `smtp://user:password@host:587` (STARTTLS where the server offers it), `smtps://…:465`."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import aiosmtplib

from torg.kit.mail import SENT, Letter, Posted, wire
from torg.kit.settings import BadSettings

PORTS = {"smtp": 25, "smtps": 465}
TIMEOUT = 20.0  # seconds for a connection or an answer


class SmtpMailer:
    """Implements Mailer. One connection carries a batch; it is opened for it and closed after it."""

    def __init__(self, url: str, sender: str, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise BadSettings(f"TORG_SMTP={url!r}: use smtp://host:port or smtps://host:port, with user:password@ before the host where it asks for them")
        self._server, self._sender, self._timeout = parts, sender, timeout

    async def send(self, letters: Sequence[Letter]) -> Sequence[Posted]:
        server, outcomes = self._connection(), list[Posted]()
        try:
            for letter in letters:
                if not server.is_connected:  # the first letter, or the one before it made the server hang up
                    await server.connect()
                outcomes.append(await self._hand_over(server, letter))
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            outcomes += [Posted("deferred", _words(error))] * (len(letters) - len(outcomes))
        await _leave(server)
        return outcomes

    async def check(self) -> str:
        server = self._connection()
        try:
            await server.connect()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return f"the mail server {self._server.hostname} does not answer: {_words(error)}"
        await _leave(server)
        return ""

    async def close(self) -> None:
        """Nothing is held between batches."""

    async def _hand_over(self, server: aiosmtplib.SMTP, letter: Letter) -> Posted:
        """Raises what says that the connection is of no more use; a refusal of this one letter is an outcome."""
        try:
            await server.sendmail(self._sender, [letter.to], wire(letter, self._sender))
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refusal(error.recipients[0].code, _words(error.recipients[0]))
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error.code, _words(error))
        except ValueError as error:
            return Posted("refused", f"this address cannot be written to: {_words(error)}")
        return SENT

    def _connection(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.hostname, port=server.port or PORTS[server.scheme], use_tls=server.scheme == "smtps", timeout=self._timeout,
            username=unquote(server.username) if server.username else None, password=unquote(server.password) if server.password else None,
        )  # fmt: skip


async def _leave(server: aiosmtplib.SMTP) -> None:
    try:
        await server.quit()
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        server.close()  # what was handed over stays handed over, however the server takes leave


def _refusal(code: int, words: str) -> Posted:
    """RFC 5321, 4.2.1: 5yz is for good, 4yz for now."""
    return Posted("refused" if code >= 500 else "deferred", words)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
