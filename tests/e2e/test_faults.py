"""Daemons that die, hang, stop or run out of disk in the middle of a round."""
import os
import re
import signal
import subprocess

import fixtures
import harness

# A client with this trains an instant; one without trains for as long as nobody stops it.
QUICK = {"limits.max_epochs": 1}
ENDLESS = {"training.epochs": 100000}


class Clients(harness.Case):
    def begin(self, overrides=None, victim=None):
        """A round in which c0 and c1 are done at once and c2 trains endlessly."""
        settings = {"federation.min_clients": 3, "federation.rounds": 1, **ENDLESS}
        settings.update(overrides or {})
        server = self.world.server(settings)
        honest = self.world.clients(2, server, QUICK)
        slow = self.world.client("c2", server, victim)
        slow.wait("task", round=1)
        for client in honest:
            client.wait("uploaded", round=1)
        return server, honest, slow

    def test_client_killed(self):
        server, honest, slow = self.begin()
        slow.kill()
        self.assert_fields(server.wait("client_left", node="c2"), reason="connection lost", part_in_round="tasked")
        server.wait("client_late", node="c2", round=1, reason="disconnected and did not come back in time")
        self.assert_fields(server.wait_round(1), cohort=3, folded=2, late=1, failed=0, rejected=0)
        self.assertEqual([daemon.exit() for daemon in (server, *honest)], [0, 0, 0])

    def test_client_unplugged(self):
        """A client that hangs is late; when it wakes up it takes part again."""
        server, honest, slow = self.begin({"federation.idle_timeout": "2s", "federation.rounds": 2})
        slow.signal(signal.SIGSTOP)
        server.wait("client_late", node="c2", round=1, reason="made no progress in time")
        self.assert_fields(server.wait_round(1), cohort=3, folded=2, late=1)
        slow.signal(signal.SIGCONT)
        slow.wait("outcome", round=1, outcome="late", reason="made no progress in time")
        slow.wait("task", round=2)

    def test_late_client_returns(self):
        """Stopped in one round, folded in the next."""
        server = self.world.server({"federation.min_clients": 3, "federation.rounds": 1000000,
                                    "federation.idle_timeout": "2s"})
        clients = self.world.clients(3, server)
        server.wait_round(1)
        clients[2].signal(signal.SIGSTOP)
        late = server.wait("client_late", node="c2", reason="made no progress in time")
        self.assert_fields(server.wait_round(late["round"]), cohort=3, folded=2, late=1)
        clients[2].signal(signal.SIGCONT)
        mark = server.mark()
        server.wait("round_committed", since=mark, cohort=3, folded=3)
        self.assertEqual([daemon.stop() for daemon in (server, *clients)], [0, 0, 0, 0])

    def test_client_restarted(self):
        """Killed and started again within the time allowed: it does the round anew."""
        server, honest, slow = self.begin({"federation.away_timeout": "30s"})
        slow.kill()
        server.wait("client_left", node="c2")
        again = self.world.client("c2", server, QUICK)
        self.assert_fields(server.wait_round(1), cohort=3, folded=3, late=0)
        self.assertEqual([daemon.exit() for daemon in (server, again, *honest)], [0, 0, 0, 0])

    def test_client_stopped(self):
        """SIGTERM in the middle of its training: it takes its leave and ends at once."""
        server, honest, slow = self.begin()
        self.assertEqual(slow.stop(3), 0)
        slow.wait("stop", reason="SIGTERM")
        server.wait("client_goodbye", node="c2", reason="the client is stopping")
        self.assert_fields(server.wait_round(1), cohort=3, folded=2, late=1)
        self.assertEqual([daemon.exit() for daemon in (server, *honest)], [0, 0, 0])

    def test_deadline(self):
        server, _, slow = self.begin({"federation.deadline": "1s"})
        server.wait("client_late", node="c2", reason="deadline reached")
        slow.wait("outcome", outcome="late", reason="deadline reached")
        self.assert_fields(server.wait_round(1), cohort=3, folded=2, late=1)

    def test_too_few_updates(self):
        """The round is given up with its reason, and tried again."""
        server, honest, slow = self.begin({"federation.min_updates": 3})
        slow.kill()
        record = server.wait("round_abandoned", round=1)
        self.assert_fields(record, attempt=1, folded=2, late=1)
        self.assertEqual(record["reason"], "nobody is left to wait for with 2 of at least 3 updates")
        for client in honest:
            client.wait("outcome", round=1, outcome="abandoned")
        again = self.world.client("c2", server, QUICK)
        self.assert_fields(server.wait_round(1), cohort=3, folded=3)
        self.assertEqual([daemon.exit() for daemon in (server, again, *honest)], [0, 0, 0, 0])

    def test_same_node_twice(self):
        """A second daemon with the same certificate takes the first one's place; no round is counted twice."""
        server = self.world.server({"federation.min_clients": 2})
        first = self.world.client("c0", server)
        server.wait("client_joined", node="c0")
        second = self.world.client("c0", server)
        server.wait("client_replaced", node="c0", level="warn")
        first.wait("disconnected", reason="another session of this node has taken over")
        other = self.world.client("c1", server)
        self.assert_fields(server.wait_round(1), cohort=2, folded=2)
        self.assertEqual([server.exit(), second.exit(), other.exit()], [0, 0, 0])


class Servers(harness.Case):
    def begin(self, **overrides):
        server = self.world.server({"federation.min_clients": 3, **ENDLESS, **overrides})
        clients = [*self.world.clients(2, server, QUICK), self.world.client("c2", server)]
        for client in clients:
            client.wait("task", round=1)
        clients[0].wait("uploaded", round=1)
        return server, clients

    def again(self, server, **overrides):
        return self.world.server({"federation.min_clients": 3, "listen": f"127.0.0.1:{server.port}", **overrides})

    def test_server_killed(self):
        """The clients come back by themselves, whatever they were doing, and the new run goes through."""
        server, clients = self.begin()
        server.kill()
        for client in clients:
            client.wait("disconnected", level="warn")
        new = self.again(server, **{"federation.rounds": 2})
        for number in (1, 2):
            self.assert_fields(new.wait_round(number), cohort=3, folded=3)
        self.assertEqual([daemon.exit() for daemon in (new, *clients)], [0, 0, 0, 0])

    def test_server_stopped(self):
        """SIGTERM in a round: the clients are told and come back later, and the round goes on."""
        server, clients = self.begin(**{"federation.rounds": 3})
        self.assertEqual(server.stop(5), 0)
        self.assertRegex(server.wait("stopping")["signal"], "SIGTERM")
        self.assert_fields(server.wait("run_finished"), reason="stopped", rounds=0)
        for client in clients:
            record = client.wait("disconnected", reason="the server is stopping")
            self.assertLessEqual(float(record["retry_seconds"]), 10)
        self.assertEqual(server.find("round_abandoned"), [])
        files = len(os.listdir(server.state / "uploads"))  # c0's at least; another's may have been on its way
        new = self.again(server)
        resumed = new.wait("run_resumed")
        self.assert_fields(resumed, round=1, round_open="true")
        self.assertIn(int(resumed["uploads"]), range(1, files + 1))
        self.assert_fields(new.wait_round(1, 40), cohort=3, folded=3)
        self.assertEqual(new.exit(), 0)  # maybe before c0, whose update it had, is back

    def test_server_stopped_while_waiting(self):
        server = self.world.server({"federation.min_clients": 2})
        client = self.world.client("c0", server)
        server.wait("client_joined")
        self.assertEqual(server.stop(5), 0)
        client.wait("disconnected", reason="the server is stopping")
        self.assertEqual(client.stop(3), 0)

    def test_server_not_there_yet(self):
        """Clients that start first find the server when it comes."""
        probe = self.world.server(name="probe")
        self.assertEqual(probe.stop(), 0)
        clients = self.world.clients(2, probe)
        for client in clients:
            record = client.wait("disconnected", count=2)
            self.assertRegex(record["reason"], f"127.0.0.1:{probe.port}: .*Connection refused")
        server = self.again(probe, **{"federation.min_clients": 2})
        self.assert_fields(server.wait_round(1), cohort=2, folded=2)

    def test_sigint_twice(self):
        """A second signal ends at once what hangs on."""
        server, _ = self.begin()
        server.signal(signal.SIGINT)
        server.wait("stopping")
        server.killed = True  # by the second signal, unless it was quicker
        server.signal(signal.SIGINT)
        self.assertIn(server.exit(5), (0, -signal.SIGINT))


class Disk(harness.Case):
    def small_disk(self):
        """A folder that is a file system of 1 MB; skips the test where that is not permitted."""
        disk = self.world.dir / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True,
                                 text=True)
        if mounted.returncode != 0:
            self.skipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)])
        return disk

    def test_disk_full_at_checkpoint(self):
        """The commit fails with its reason, the server lives, and goes on when there is room again."""
        disk = self.small_disk()
        layers = [{"layer": "flatten"}, {"layer": "linear", "units": 1000}, {"layer": "linear", "units": fixtures.CLASSES}]
        server = self.world.server({"state_dir": disk, "federation.rounds": 2, "checkpoints.keep": 1,
                                    "codec.up": "topk:1%|f16", "model.layers": layers})
        filler = fill(disk, leave=100000)  # enough for records and an update, too little for a model of 276 KB
        client = self.world.client("c0", server)
        failed = server.wait("commit_failed", round=1, level="error")
        self.assertRegex(failed["reason"], "disk/blobs/.*No space left on device")
        self.assertRegex(server.wait("round_abandoned", round=1)["reason"], "No space left on device")
        client.wait("outcome", round=1, outcome="abandoned")
        self.assertEqual(server.find("round_committed"), [])
        filler.unlink()
        for number in (1, 2):
            self.assert_fields(server.wait_round(number), folded=1)
        self.assertEqual((server.exit(), client.exit()), (0, 0))
        self.assertEqual(sorted(os.listdir(disk / "models")), ["latest.safetensors", "round-000002.safetensors"])
        fixtures.read_safetensors(disk / "models" / "latest.safetensors")

    def test_disk_full_at_upload(self):
        """No room for the uploads: they break off with the fault's name, and go on when there is room."""
        disk = self.small_disk()
        server = self.world.server({"federation.min_clients": 2, "federation.min_updates": 2, "state_dir": disk,
                                    "federation.retry_pause": "300ms"})
        filler = fill(disk, leave=0)
        clients = self.world.clients(2, server)
        server.wait(("upload_broken", "grant_failed"), reason=re.compile("No space left on device"))
        self.assertTrue(server.alive())
        filler.unlink()
        self.assert_fields(server.wait_round(1), cohort=2, folded=2)
        self.assertEqual([daemon.exit() for daemon in (server, *clients)], [0, 0, 0])


def fill(folder, leave):
    """Fill a folder's file system up to some bytes; the file that does."""
    room = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(bytes(max(0, room.f_bavail * room.f_bsize - leave)))
    return filler


class Port(harness.Case):
    def test_port_is_free_at_once(self):
        """A server that ended leaves its port to the next, although clients were connected."""
        server = self.world.server({"federation.min_clients": 2})
        client = self.world.client("c0", server)
        server.wait("client_joined")
        server.kill()
        again = self.world.server({"federation.min_clients": 2, "listen": f"127.0.0.1:{server.port}"})
        again.wait("client_joined", node="c0")
        self.assertTrue(client.alive())
