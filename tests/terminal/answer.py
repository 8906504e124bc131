"""Types at a terminal: runs a command on a pseudo-terminal, and answers what it asks.

usage: answer.py ANSWERS COMMAND [ARGUMENT...]

ANSWERS is a JSON list of [words that are printed, answer], in their order; the answer TOTP is the code of the secret that was printed behind `or type`
(RFC 6238). What the command printed is printed, and its exit status is this program's.
"""

import base64
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
import time

PATIENCE_S = 60


def code(secret):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = mac[-1] & 15
    return "%06d" % ((struct.unpack(">I", mac[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000)


def main():
    answers, command = json.loads(sys.argv[1]), sys.argv[2:]
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    printed, read_up_to, end = b"", 0, time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        printed += piece
        while answers:
            at = printed.find(answers[0][0].encode(), read_up_to)
            if at < 0:
                break
            read_up_to = at + len(answers[0][0].encode())
            answer = answers.pop(0)[1]
            if answer == "TOTP":
                answer = code(re.findall(rb"or type ([A-Z2-7]+)", printed)[-1].decode())
            # Whoever types has read the question: the program has turned off the echo by then.
            time.sleep(0.3)
            os.write(terminal, answer.encode() + b"\r")
    else:
        os.kill(child, signal.SIGKILL)
    sys.stdout.buffer.write(printed)
    sys.stdout.flush()
    if answers:
        sys.exit("never asked: %s" % answers[0][0])
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
