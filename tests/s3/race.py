#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""race.py ENDPOINT BUCKET WRITERS ROUNDS: that many writers put each name at once, with If-None-Match: *. Of each name exactly one
must win, and the object must be the winner's, also after the losers have tried again. What fencing stands on."""
import sys
import threading

from s3req import S3


def main():
    endpoint, bucket, writers, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    conns = [S3(endpoint) for _ in range(writers)]
    got = [None] * writers
    start = threading.Barrier(writers)
    bodies = [bytes([65 + i]) * (100000 + i) for i in range(writers)]

    def write(i, name):
        start.wait()
        got[i] = conns[i].create(name, bodies[i])

    overlapped = 0
    for r in range(rounds):
        name = f"/{bucket}/race/{r:04d}"
        threads = [threading.Thread(target=write, args=(i, name)) for i in range(writers)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        won = [i for i in range(writers) if got[i] == 200]
        # 409: the store saw the race while it went on; who gets it may have lost or not, so he tries again.
        for i in range(writers):
            while got[i] == 409:
                overlapped += 1
                got[i] = conns[i].create(name, bodies[i])
                if got[i] == 200:
                    won.append(i)
        if len(won) != 1 or any(got[i] not in (200, 412) for i in range(writers)):
            sys.exit(f"round {r}: {won} won, statuses {got}")
        for i in range(writers):
            if conns[i].create(name, bodies[i]) != 412:
                sys.exit(f"round {r}: the name could be created again")
        status, _, body = conns[0].request("GET", name)
        if status != 200 or body != bodies[won[0]]:
            sys.exit(f"round {r}: the object is not what writer {won[0]} put (status {status})")
    print(f"{rounds} races of {writers}: one winner each ({overlapped} answers 409)")


main()
