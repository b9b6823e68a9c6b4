"""The stage for hostile clients: two honest clients that want to get on with their rounds, and mallory, who takes part
with a certificate of her own."""
import contextlib
import re

import grpc

import harness
import wire

NAME = "mallory"


class HostileCase(harness.SharedCase):
    """Every round waits for mallory to be there and is closed as soon as she is done or gone."""

    settings = {}

    @classmethod
    def open(cls):
        cls.pb = wire.federation_pb2()
        cls.server = cls.world.server({"federation.min_clients": 3, "federation.rounds": 1000000,
                                       "federation.away_timeout": "100ms", "federation.deadline": "120s",
                                       "strategy.max_norm": 20, "limits.pause": "0s", "limits.messages": 2000, **cls.settings})
        cls.clients = cls.world.clients(2, cls.server)

    @contextlib.contextmanager
    def attack(self, folded=2, **fields):
        """(node, session, task, model) of a round; afterwards the round commits with the honest updates."""
        self.mark = self.server.mark()
        with wire.Node(NAME, self.server.port) as node:
            session = node.join()
            try:
                task = session.wait("task")
                yield node, session, task, wire.Frame(node.fetch(task.model))
            finally:
                session.leave()
                committed = self.server.wait("round_committed", round=task.round)  # also when this test has failed
        self.check_round(committed, folded, fields)

    def check_round(self, committed, folded, fields):
        wanted = {key: str(value) for key, value in {"folded": folded, **fields}.items()}
        self.assertEqual({key: committed[key] for key in wanted}, wanted, committed)
        self.assertTrue(all(client.alive() for client in self.clients))

    def goes_on(self, number, folded=2, **fields):
        """The round is committed; honest clients alone are in it, unless told otherwise."""
        self.check_round(self.server.wait("round_committed", round=number), folded, fields)

    def named(self, pattern, event=None):
        """The server's log tells people what mallory did."""
        wanted = re.compile(pattern)
        self.assertTrue(self.server.alive())
        events = [event] if event else ["update_rejected", "upload_broken", "session_refused", "upload_refused",
                                        "client_late", "client_failed", "session_slow"]
        try:
            return self.server.wait(events, 3, since=self.mark, node=NAME, reason=wanted)
        except harness.Unmet:
            pass
        lines = "\n".join(line for line in self.server.lines[self.mark:] if NAME in line)
        self.fail(f"the log does not say that {NAME}: {pattern}\n{lines}")

    def granted(self, session, task, frame, **offer):
        session.offer(task, frame, **offer)
        return session.wait("decision", round=task.round)

    def expect_call(self, call, code, pattern):
        got, details, _ = wire.outcome_of(call)
        self.assertEqual(got, code, details)
        self.assertRegex(details, pattern)

    def rejected(self, session, task, pattern):
        outcome = session.wait("outcome", round=task.round)
        self.assertEqual(outcome.kind, self.pb.Outcome.REJECTED, outcome)
        self.assertRegex(outcome.reason, pattern)


INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISMATCH = grpc.StatusCode.FAILED_PRECONDITION
CORRUPT = grpc.StatusCode.DATA_LOSS
LIMIT = grpc.StatusCode.RESOURCE_EXHAUSTED
