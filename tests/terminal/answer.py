"""Types at a terminal: runs a command on a pseudo-terminal, and answers what it asks.

usage: answer.py ANSWERS COMMAND [ARGUMENT...]

ANSWERS is a JSON list of [words that are printed, answer], in their order; the answer TOTP is the code of the secret that was printed behind `or type`
(RFC 6238). What the command printed is printed, and its exit status is this program's.

TERMINAL_SIZE=COLUMNSxROWS in the environment is the size of the terminal; TERMINAL_SECONDS=N interrupts the command (Ctrl-C) after so many seconds, which
is no failure then: what it printed before is printed.
"""

import base64
import fcntl
import hashlib
import hmac
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE_S = 60
# How long a command that was interrupted may take to end.
END_S = 40


def code(secret):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = mac[-1] & 15
    return "%06d" % ((struct.unpack(">I", mac[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000)


def interrupt(child, terminal):
    """Ends the command as Ctrl-C does, reading on so that it does not wait for its reader; by force if it does not end."""
    os.kill(child, signal.SIGINT)
    end = time.monotonic() + END_S
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                time.sleep(0.1)
    os.kill(child, signal.SIGKILL)


def main():
    answers, command = json.loads(sys.argv[1]), sys.argv[2:]
    columns, rows = map(int, os.environ.pop("TERMINAL_SIZE", "80x24").split("x"))
    seconds = float(os.environ.pop("TERMINAL_SECONDS", "0"))
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvp(command[0], command)
    printed, read_up_to, end = b"", 0, time.monotonic() + (seconds or PATIENCE_S)
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        printed += piece
        while answers:
            # A long question goes on in the next line.
            words = re.compile(rb"\s+".join(re.escape(word.encode()) for word in answers[0][0].split()))
            found = words.search(printed, read_up_to)
            if not found:
                break
            read_up_to = found.end()
            answer = answers.pop(0)[1]
            if answer == "TOTP":
                answer = code(re.findall(rb"or\s+type\s+([A-Z2-7]+)", printed)[-1].decode())
            # Whoever types has read the question: the program has turned off the echo by then.
            time.sleep(0.3)
            os.write(terminal, answer.encode() + b"\r")
    else:
        interrupt(child, terminal)
        seconds or sys.exit("the command did not end")
    sys.stdout.buffer.write(printed)
    sys.stdout.flush()
    if seconds and not answers:
        sys.exit(0)
    if answers:
        sys.exit("never asked: %s" % answers[0][0])
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
