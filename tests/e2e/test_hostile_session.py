"""Clients that break the protocol of the session, of downloads, or of gRPC itself."""
import math
import socket

import grpc

import harness
import wire
from hostile import INVALID, LIMIT, NAME, HostileCase


class Sessions(HostileCase):
    def thrown_out(self, act, code, pattern, named=True):
        """The session ends with a code and a text; the log has it."""
        self.mark = self.server.mark()
        with wire.Node(NAME, self.server.port) as node:
            session = node.session()
            act(session)
            end = session.wait_end()
        self.assertEqual(end.code, code, end.details)
        self.assertRegex(end.details, pattern)
        if named:
            self.named(pattern, "session_refused")

    def test_first_message_not_hello(self):
        self.thrown_out(lambda session: session.send(progress=self.pb.Progress(round=1)), INVALID,
                        "the first message is not Hello")

    def test_empty_first_message(self):
        self.thrown_out(lambda session: session.send_raw(b""), INVALID, "the first message is not Hello")

    def test_second_hello(self):
        def act(session):
            session.hello()
            session.wait("welcome")
            session.hello()

        self.thrown_out(act, INVALID, "a second Hello")

    def test_wrong_protocol(self):
        for most, least, update in ((0, 0, "client"), (2, 2, "server"), (3, 2, "server"), (4000000000, 0, "server")):
            self.thrown_out(lambda session: session.hello(protocol=most, protocol_least=least),
                            grpc.StatusCode.UNIMPLEMENTED,
                            f"protocol {least or most} to {most} are spoken by this client, 1 to 1 by this server: "
                            f"update the {update}")

    def test_later_protocol(self):
        """A client that speaks more than we do is told what both speak."""
        with wire.joined(NAME, self.server.port, protocol=7, protocol_least=1) as (_, session):
            self.assertEqual(session.welcome.protocol, 1)

    def test_garbage(self):
        for garbage in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", bytes(50)):
            self.thrown_out(lambda session: session.send_raw(garbage), INVALID, ".")

    def test_garbage_after_hello(self):
        def act(session):
            session.hello()
            session.wait("welcome")
            session.send_raw(b"\xff" * 1000)

        self.thrown_out(act, INVALID, ".")

    def test_oversize_message(self):
        self.thrown_out(lambda session: session.hello(software="x" * (3 << 20)), LIMIT, "(?i)larger than max|limit",
                        named=False)

    def test_many_codecs_and_tags(self):
        """A greedy Hello within the message limit is no reason to die."""
        with wire.Node(NAME, self.server.port) as node:
            session = node.session()
            session.hello(codecs=["c" * 100] * 5000 + ["f32"], tags=["t" * 1000] * 1000)
            session.wait_end() if not welcomed(session) else session.leave()
        self.assertTrue(self.server.alive())

    def test_leaves_without_a_word(self):
        """The channel is torn down in the middle of a round."""
        self.mark = self.server.mark()
        node = wire.Node(NAME, self.server.port)
        task = node.join().wait("task")
        node.close()
        self.server.wait("client_left", since=self.mark, node=NAME, reason="connection lost")
        self.named("disconnected and did not come back in time", "client_late")
        self.goes_on(task.round, late=1)

    def test_half_closed(self):
        """Ending the sending side is a way of leaving."""
        self.mark = self.server.mark()
        with wire.Node(NAME, self.server.port) as node:
            session = node.join()
            task = session.wait("task")
            session.outbox.put(None)
            session.wait_end()
        self.goes_on(task.round, late=1)

    def test_unknown_fields(self):
        """What a later version may say is passed over."""
        with self.attack(late=1) as (_, session, task, _):
            unknown = b"\x9a\x06\x03abc"  # field 99
            session.send_raw(self.pb.ClientMessage(progress=self.pb.Progress(round=task.round)).SerializeToString() + unknown)
            session.send_raw(unknown)
            self.assertIsNone(session.end)

    def test_replaces_herself(self):
        """Many sessions of one node: the last one counts."""
        with self.attack(late=1) as (_, first, task, _), wire.Node(NAME, self.server.port) as other:
            second = other.join()
            self.assertRegex(first.wait("goodbye").reason, "another session of this node has taken over")
            self.assertEqual(second.wait("task").round, task.round)
            second.leave()


def welcomed(session):
    try:
        session.wait("welcome", 3)
        return True
    except harness.Unmet:
        return False


class Offers(HostileCase):
    def bad_offer(self, pattern, **changes):
        with self.attack(rejected=1) as (_, session, task, model):
            session.offer(task, wire.make_frame([0.0] * model.n, model.schema), **changes)
            self.rejected(session, task, pattern)
            self.named(pattern, "update_rejected")

    def test_no_examples(self):
        self.bad_offer("the offer is for no examples", examples=0)

    def test_absurd_length(self):
        for length in (2**63, 2**64 - 1, 10**9):
            self.bad_offer("longer than any update", update=self.pb.Blob(sha256=bytes(32), len=length))

    def test_no_update(self):
        self.bad_offer("lacks the update's hash or length", update=None)
        self.bad_offer("lacks the update's hash or length", update=self.pb.Blob(sha256=bytes(31), len=100))
        self.bad_offer("lacks the update's hash or length", update=self.pb.Blob(sha256=bytes(32)))

    def test_numbers(self):
        self.bad_offer("loss or norm is not a finite number", loss=math.nan)
        self.bad_offer("loss or norm is not a finite number", norm=math.inf)
        self.bad_offer("loss or norm is not a finite number", norm=-1.0)

    def test_boundless_examples(self):
        """Whatever she claims, she weighs no more than strategy.max_examples."""
        with self.attack(folded=3) as (node, session, task, model):
            frame = wire.make_frame([0.0] * model.n, model.schema)
            self.granted(session, task, frame, examples=2**64 - 1)
            self.assertTrue(node.upload(wire.cut(task, frame)).accepted)
            self.assertEqual(session.wait("outcome", round=task.round).kind, self.pb.Outcome.FOLDED)

    def test_another_round(self):
        with self.attack(late=1) as (_, session, task, model):
            frame = wire.make_frame([0.0] * model.n, model.schema)
            for number in (0, task.round + 1, 2**64 - 1):
                session.offer(task, frame, round=number)
                self.assertEqual(session.wait("outcome").kind, self.pb.Outcome.LATE)

    def test_offer_again_and_again(self):
        """Each offer is answered; only one update counts."""
        with self.attack(folded=3) as (node, session, task, model):
            frames = [wire.make_frame([0.001 * i] * model.n, model.schema) for i in range(5)]
            for frame in frames:
                self.granted(session, task, frame)
            self.assertTrue(node.upload(wire.cut(task, frames[-1])).accepted)
            self.assertEqual(session.wait("outcome", round=task.round).kind, self.pb.Outcome.FOLDED)

    def test_flood(self):
        """Thousands of messages at once: they are taken, or she is thrown out for them; either way it is known."""
        with self.attack() as (_, session, task, _):
            for _ in range(5000):
                session.send(progress=self.pb.Progress(round=task.round, phase="train" * 100))
            session.send(failure=self.pb.Failure(round=task.round, status="limit", reason="that was all"))
            self.named("messages come faster than they can be taken|that was all")
            if session.end is not None:
                self.assertEqual(session.end.code, LIMIT, session.end.details)

    def test_forged_log_lines(self):
        """Nothing that she says becomes a line of the log."""
        forged = '\nts=2020-01-01T00:00:00.000Z level=info component=round event=forged\r\n\x1b[2J" event=forged'
        with self.attack(failed=1) as (_, session, task, _):
            session.send(failure=self.pb.Failure(round=task.round, status=forged, reason=forged))
            self.server.wait("client_failed", since=self.mark, node=NAME)
            session.leave(forged)
            self.server.wait("client_goodbye", since=self.mark, node=NAME)
        self.assertEqual(self.server.find("forged"), [])
        self.assertNotIn("\x1b", self.server.text())
        self.assertNotIn("\r", self.server.text())

    def test_progress_of_others(self):
        """She cannot speak about rounds that are not hers to speak about, nor fill the log by trying."""
        with self.attack(late=1) as (_, session, task, _):
            for number in (0, task.round - 1, task.round + 1, 2**64 - 1):
                session.send(failure=self.pb.Failure(round=number, status="x", reason="y"))
            session.send(progress=self.pb.Progress(round=task.round))
        self.assertEqual(self.server.find("client_failed", since=self.mark, node=NAME), [])


class Calls(HostileCase):
    def test_downloads(self):
        with self.attack(late=1) as (node, _, task, model):
            whole = task.model.len
            for digest, offset, code, pattern in (
                    (bytes(32), 0, grpc.StatusCode.NOT_FOUND, "not, or no longer, published"),
                    (b"short", 0, INVALID, "lacks a SHA-256"), (b"", 0, INVALID, "lacks a SHA-256"),
                    (task.model.sha256, whole, INVALID, f"offset {whole} is beyond the blob's {whole} bytes"),
                    (task.model.sha256, 2**64 - 1, INVALID, "offset 18446744073709551615 is beyond")):
                self.expect_call(lambda: node.download(digest, offset), code, pattern)

    def test_old_model(self):
        """A model of a past round is not served for ever."""
        with self.attack(late=1) as (_, _, task, _):
            pass
        with self.attack(late=1) as (node, _, _, _):
            self.expect_call(lambda: node.download(task.model.sha256), grpc.StatusCode.NOT_FOUND, "no longer, published")

    def test_unknown_method(self):
        with wire.Node(NAME, self.server.port) as node:
            for path in ("/tributary.v1.Federation/Steal", "/nothing/AtAll", "/grpc.reflection.v1.ServerReflection/X"):
                method = node.channel.unary_unary(path)
                self.expect_call(lambda: method(b"x", timeout=10), grpc.StatusCode.UNIMPLEMENTED,
                                 f"this server has no method {path}")

    def test_download_without_reading(self):
        with self.attack(late=1) as (node, _, task, _):
            method = node.channel.unary_stream(wire.SERVICE + "Download", self.pb.DownloadRequest.SerializeToString,
                                               self.pb.Chunk.FromString)
            calls = [method(self.pb.DownloadRequest(sha256=task.model.sha256)) for _ in range(50)]
        for call in calls:
            call.cancel()

    def test_download_garbage(self):
        with wire.Node(NAME, self.server.port) as node:
            method = node.channel.unary_stream(wire.SERVICE + "Download")
            self.expect_call(lambda: list(method(b"\xff" * 50, timeout=10)), INVALID, ".")

    def test_silent_connection(self):
        """Open sockets that never say a word do not keep others out."""
        connections = [socket.create_connection(("127.0.0.1", self.server.port)) for _ in range(20)]
        try:
            with self.attack(late=1):
                pass
        finally:
            for connection in connections:
                connection.close()


class Silence(harness.Case):
    def test_never_reads(self):
        """A client that takes nothing in is late, again and again; the others go on."""
        server = self.world.server({"federation.min_clients": 3, "federation.rounds": 2,
                                    "federation.idle_timeout": f"{1000 * harness.run.factor:.0f}ms"})
        clients = self.world.clients(2, server)
        with wire.Node(NAME, server.port) as node:
            session = wire.Session(node, read=False)
            session.hello()
            for number in (1, 2):
                server.wait("client_late", node=NAME, round=number, reason="made no progress in time")
                self.assert_fields(server.wait_round(number), cohort=3, folded=2, late=1)
            self.assertEqual([daemon.exit() for daemon in (server, *clients)], [0, 0, 0])
