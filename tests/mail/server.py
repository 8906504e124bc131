"""An SMTP server for tests: STARTTLS first, then a login, then it keeps every mail in a mailbox directory. It never ends a session itself.

usage: server.py PORT USER PASSWORD CERTIFICATE KEY MAILBOX
"""

import asyncio
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult, LoginPassword


class Hanging(Mailbox):
    """Keeps every mail, and never answers to QUIT."""

    async def handle_QUIT(self, server, session, envelope):
        await asyncio.sleep(3600)
        return "221 Bye"


def main():
    port, user, password, certificate, key, mailbox = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def authenticate(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=good)

    controller = Controller(
        Hanging(mailbox),
        hostname="127.0.0.1",
        port=int(port),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        auth_require_tls=True,
        authenticator=authenticate,
    )
    controller.start()
    threading.Event().wait()


main()
