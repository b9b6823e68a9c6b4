"""Nothing is lost: servers and clients that are killed at any moment, and the model that comes of it."""
import hashlib
import os
import random
import signal
import subprocess
import time

import fixtures
import harness

CLIENTS = 3
# Everybody takes part in every round, however long they are away: so the model depends on nothing but the seed.
LOSSLESS = {"federation.min_clients": CLIENTS, "federation.min_updates": CLIENTS, "federation.away_timeout": "10m",
            "federation.idle_timeout": "10m", "federation.deadline": "30m", "federation.linger": "1s",
            "evaluation.path": None}
RECONNECT = {"reconnect.min": "20ms", "reconnect.max": "100ms"}
KILLS = int(os.environ.get("TRIB_KILLS", "8"))  # of the server, and as many of clients


def weights(path):
    """The hash of a checkpoint's numbers: its metadata names the run."""
    return hashlib.sha256(fixtures.all_bytes(fixtures.read_safetensors(path))).hexdigest()


class Base(harness.Case):
    rounds = 6
    settings = {}

    def state_of(self, name):
        return {"state_dir": f"state-{name}"}

    def start_server(self, name, port=0, serving=True, **overrides):
        settings = {**LOSSLESS, "federation.rounds": self.rounds, "listen": f"127.0.0.1:{port}", **self.settings,
                    **self.state_of(name), **overrides}
        server = self.world.server(settings, name=f"server-{name}", serving=False)
        server.state = self.world.dir / f"state-{name}"
        if serving:
            server.port = int(server.wait("serving")["port"])
        return server

    def start_client(self, name, i, port):
        return self.world.client(f"c{i}", port, {**RECONNECT, "state_dir": f"{name}-c{i}"})

    def undisturbed(self):
        """The model that a run without any trouble ends with."""
        server = self.start_server("calm")
        clients = [self.start_client("calm", i, server.port) for i in range(CLIENTS)]
        patience = max(60, self.rounds / 4)
        self.assertEqual([daemon.exit(patience) for daemon in (server, *clients)], [0] * (CLIENTS + 1))
        return weights(server.state / "models/latest.safetensors")

    def kill_at_random(self):
        """Server and clients killed again and again at random moments: the same bits."""
        self.rounds = max(20, 18 * KILLS)
        expected = self.undisturbed()
        seed = int(os.environ.get("TRIB_SEED", time.time_ns() % 1000000))
        print(f"seed {seed}, {KILLS} kills of the server and {KILLS} of clients", flush=True)
        draw = random.Random(seed)
        server = self.start_server("stormy")
        port = server.port
        clients = [self.start_client("stormy", i, port) for i in range(CLIENTS)]
        victims = ["server"] * KILLS + ["client"] * KILLS
        draw.shuffle(victims)
        done = {"server": 0, "client": 0}
        for victim in victims:
            time.sleep(draw.uniform(0, 0.25))  # any moment will do: this waits for nothing
            if not server.alive():
                break  # the run is over
            done[victim] += 1
            if victim == "server":
                server.kill()
                server = self.start_server("stormy", port)
            elif victim == "client":
                i = draw.randrange(CLIENTS)
                if clients[i].alive():
                    clients[i].kill()
                    clients[i] = self.start_client("stormy", i, port)
        self.assertEqual(server.exit(max(120, self.rounds / 4)), 0)
        print(f"killed: {done}", flush=True)
        for client in clients:  # one that was started after the run's end waits for the next
            client.kill()
        self.assertEqual(weights(server.state / "models/latest.safetensors"), expected)


class Plain(Base):
    def test_server_killed_in_each_phase(self):
        """Killed after the tasks went out, after an update came in, after a commit: the run goes on in that round."""
        self.rounds = 100  # a round takes 20 ms: the run must not be over before this process sees its sixth one
        expected = self.undisturbed()
        server = self.start_server("torn")
        port = server.port
        clients = [self.start_client("torn", i, port) for i in range(CLIENTS)]
        run_id = server.find("serving")[0]["run"]
        server.wait("round_started", round=2)
        for number, event in ((2, "task"), (3, "uploaded"), (5, "outcome")):
            clients[0].wait(event, round=number)
            server.kill()
            server = self.start_server("torn", port)
            resumed = server.find("run_resumed")[0]
            self.assertEqual(resumed["run"], run_id)
            self.assertGreaterEqual(int(resumed["round"]), number)
        self.assertEqual([daemon.exit(60) for daemon in (server, *clients)], [0] * (CLIENTS + 1))
        self.assertEqual(weights(server.state / "models/latest.safetensors"), expected)

    def test_uploads_count_again(self):
        """A client that is gone for good after its upload: a restarted server folds what it has."""
        settings = {"federation.away_timeout": "1s", "federation.idle_timeout": "3s"}
        server = self.start_server("kept", **settings)
        port = server.port
        first, second = (self.start_client("kept", i, port) for i in range(2))
        third = self.world.client("c2", port, {**RECONNECT, "state_dir": "kept-c2"})
        third.wait("task", round=1)
        third.signal(signal.SIGSTOP)  # the round stays open
        first.wait("uploaded", round=1)
        second.wait("uploaded", round=1)
        first.kill()
        self.world.client("c3", port, RECONNECT)  # by the time that it is there, both are written down
        server.wait("client_joined", node="c3")
        server.kill()
        server = self.start_server("kept", port, **settings)
        self.assertEqual(server.find("run_resumed")[0]["round_open"], "true")
        self.assertGreaterEqual(int(server.find("run_resumed")[0]["uploads"]), 2)
        third.signal(signal.SIGCONT)
        self.assert_fields(server.wait_round(1), folded=3)

    def test_stopped_and_started(self):
        """SIGTERM in the middle of a round suspends it."""
        expected = self.undisturbed()
        server = self.start_server("suspended")
        port = server.port
        clients = [self.start_client("suspended", i, port) for i in range(CLIENTS)]
        clients[1].wait("task", round=3)
        self.assertEqual(server.stop(), 0)
        server = self.start_server("suspended", port)
        self.assertEqual([daemon.exit(60) for daemon in (server, *clients)], [0] * (CLIENTS + 1))
        self.assertEqual(weights(server.state / "models/latest.safetensors"), expected)

    def test_the_end_is_told_to_late_comers(self):
        """A client that was away when the run ended hears of it from a server that is started again."""
        self.rounds = 1
        settings = {"federation.min_updates": 2, "federation.away_timeout": "1s", "federation.idle_timeout": "1s"}
        server = self.start_server("ended", **settings)
        clients = [self.start_client("ended", i, server.port) for i in range(CLIENTS)]
        clients[2].wait("task", round=1)
        clients[2].kill()
        self.assertEqual([daemon.exit(60) for daemon in (server, *clients[:2])], [0, 0, 0])
        late = self.start_client("ended", 2, server.port)
        late.wait("disconnected")
        again = self.start_server("ended", server.port, **{**settings, "federation.linger": "20s"})
        again.wait("run_complete", rounds=1)
        self.assertEqual(late.exit(20), 0)
        late.wait("goodbye", reason="the run is finished", final="true")
        self.assertEqual(again.stop(), 0)

    def test_damage_is_named_and_refused(self):
        """A byte of the last model has changed: the check names the file, and the server does not start."""
        self.rounds = 2
        server = self.start_server("damaged")
        clients = [self.start_client("damaged", i, server.port) for i in range(CLIENTS)]
        server.wait_round(1)
        self.assertEqual([daemon.exit(60) for daemon in (server, *clients)], [0] * (CLIENTS + 1))
        program, config = harness.run.build / "tributary-server", self.world.dir / "server-damaged.yaml"
        check = [str(program), "--config", str(config), "--check-state"]
        sound = subprocess.run(check, capture_output=True, text=True)
        self.assertRegex(sound.stdout, "sound: 1 runs, 2 rounds, 3 versions, 3 nodes")
        model = server.state / "models/round-000002.safetensors"
        content = bytearray(model.read_bytes())
        content[-1] ^= 1
        model.write_bytes(content)
        damaged = subprocess.run(check, capture_output=True, text=True)
        self.assertEqual(damaged.returncode, 65)
        self.assertRegex(damaged.stdout, "DAMAGED: .*/blobs/../[0-9a-f]{62}: its bytes have changed")
        again = self.start_server("damaged", serving=False, **{"federation.rounds": 3})
        self.assertEqual(again.exit(), 65)
        self.assertRegex(again.wait("failed")["reason"], "blobs/../[0-9a-f]{62}: is not the model that was committed")

    def test_killed_at_random(self):
        self.kill_at_random()


class Compressed(Base):
    """With error feedback at the clients, and deltas with feedback of the server's own."""
    settings = {"codec.up": "uniform:2|range", "codec.down": "uniform:3|range", "codec.feedback": "ef"}

    def test_killed_at_random_with_feedback(self):
        self.kill_at_random()


class Differences(Base):
    """With a strategy that remembers every client."""
    settings = {"strategy.name": "ef21", "codec.up": "topk:10%|f16"}

    def test_killed_at_random_with_ef21(self):
        self.kill_at_random()
