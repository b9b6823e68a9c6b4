"""Federations that go well."""
import json
import pathlib
import re
import signal
import time

import fixtures
import harness

NUMBER = re.compile(r"^-?[0-9.]+(e-?[0-9]+)?$")


def checkpoint_of(world, state="state"):
    return fixtures.read_safetensors(world.dir / state / "models" / "latest.safetensors")


class Rounds(harness.Case):
    def run_federation(self, n, overrides=None, client_overrides=None, order=None, state="state"):
        """A whole run with n clients; the server, ended."""
        settings = {"federation.min_clients": n, "state_dir": state}
        settings.update(overrides or {})
        server = self.world.server(settings, name=f"server-{state}")
        clients = [self.world.client(f"c{i}", server, client_overrides) for i in order or range(n)]
        self.assertEqual(server.exit(60), 0)
        for client in clients:
            self.assertEqual(client.exit(), 0, client.name)
        return server, clients

    def test_happy_path(self):
        server, clients = self.run_federation(4, {"federation.rounds": 3})
        rounds = [server.wait("round_committed", round=number) for number in (1, 2, 3)]
        for number, record in enumerate(rounds, 1):
            self.assert_fields(record, level="info", component="round", round=number, cohort=4, offered=4, uploaded=4,
                               folded=4, skipped=0, rejected=0, late=0, failed=0)
            for key in ("bytes_up", "bytes_down", "train_loss", "loss", "accuracy", "seconds", "seconds_train",
                        "seconds_collect", "seconds_apply", "seconds_evaluate", "seconds_commit"):
                self.assertRegex(record.get(key, "(missing)"), NUMBER, key)
            self.assertGreater(int(record["bytes_up"]), 4 * 1100 * 4)
        accuracy = [float(record["accuracy"]) for record in rounds]
        self.assertLess(accuracy[0], accuracy[2])
        self.assertGreater(accuracy[2], 0.8)
        self.assertLess(float(rounds[2]["loss"]), float(rounds[0]["loss"]))
        self.assert_fields(server.wait("run_finished"), reason="all rounds are done", rounds=3)
        for client in clients:
            for number in (1, 2, 3):
                self.assert_fields(client.wait("outcome", round=number), outcome="folded")
            client.wait("goodbye", reason="the run is finished", final="true")
            client.wait("trained", round=3, examples=200)
        self.check_models(rounds[0]["run"])

    def check_models(self, run_id):
        models = self.world.dir / "state" / "models"
        self.assertEqual(sorted(path.name for path in models.iterdir()),
                         ["latest.safetensors"] + [f"round-00000{i}.safetensors" for i in (1, 2, 3)])
        checkpoint = checkpoint_of(self.world)
        self.assertEqual({name: tensor.shape for name, tensor in checkpoint.tensors.items()},
                         {"linear1.weight": [16, 64], "linear1.bias": [16], "linear3.weight": [4, 16],
                          "linear3.bias": [4]})
        self.assertEqual({key: checkpoint.metadata[key] for key in ("format", "run", "round", "updates")},
                         {"format": "tributary", "run": run_id, "round": "3", "updates": "4"})
        self.assertRegex(checkpoint.metadata["schema"], "^[0-9a-f]{64}$")
        values = fixtures.floats(fixtures.all_bytes(checkpoint))
        self.assertTrue(all(abs(value) < 10 for value in values) and any(values))
        self.assertEqual(list((self.world.dir / "state" / "uploads").iterdir()), [])

    def test_checkpoints_keep(self):
        self.run_federation(1, {"federation.rounds": 4, "checkpoints.keep": 2})
        models = self.world.dir / "state" / "models"
        self.assertEqual(sorted(path.name for path in models.iterdir()),
                         ["latest.safetensors", "round-000003.safetensors", "round-000004.safetensors"])
        self.assertEqual((models / "latest.safetensors").resolve().name, "round-000004.safetensors")

    def test_named_model(self):
        server, _ = self.run_federation(2, {"model.name": "mlp", "model.layers": None, "training.epochs": 2})
        self.assertEqual(checkpoint_of(self.world).tensors["fc1.weight"].shape, [200, 64])
        self.assertGreater(float(server.wait_round(1)["accuracy"]), 0.8)

    def test_same_seed_same_bits(self):
        """Whatever the order of arrival and the number of threads."""
        model = {"model.name": "mlp", "model.layers": None, "federation.rounds": 2}
        self.run_federation(3, {**model, "compute.threads": 1}, {"compute.threads": 1}, [0, 1, 2], "one")
        self.run_federation(3, {**model, "compute.threads": 2}, {"compute.threads": 2}, [2, 0, 1], "two")
        one, two = checkpoint_of(self.world, "one"), checkpoint_of(self.world, "two")
        self.assertEqual(fixtures.all_bytes(one), fixtures.all_bytes(two))
        self.run_federation(3, {**model, "federation.seed": 2}, None, [0, 1, 2], "other")
        self.assertNotEqual(fixtures.all_bytes(one), fixtures.all_bytes(checkpoint_of(self.world, "other")))

    def test_f16_halves_bytes(self):
        model = {"model.name": "mlp", "model.layers": None, "federation.rounds": 2}
        raw, _ = self.run_federation(2, model, state="raw")
        half, _ = self.run_federation(2, {**model, "codec.up": "f16", "codec.down": "f16"}, state="half")
        for key in ("bytes_up", "bytes_down"):
            ratio = int(half.wait_round(2)[key]) / int(raw.wait_round(2)[key])
            self.assertTrue(0.49 < ratio < 0.52, f"{key}: f16 / f32 = {ratio:.3f}")
        self.assertAlmostEqual(float(half.wait_round(2)["accuracy"]), float(raw.wait_round(2)["accuracy"]), delta=0.05)

    def test_k_of_n(self):
        """Two updates of three close the round; the third is told that it is late."""
        server = self.world.server({"federation.rounds": 2, "federation.min_clients": 3,
                                    "federation.clients_per_round": 2, "federation.over_selection": 1.5,
                                    "training.epochs": 100000})
        quick = [self.world.client(f"c{i}", server, {"limits.max_epochs": 1}) for i in range(2)]
        slow = self.world.client("c2", server)
        for number in (1, 2):
            self.assert_fields(server.wait_round(number), cohort=3, offered=2, folded=2, late=1, failed=0, rejected=0)
            server.wait("client_late", round=number, node="c2", reason="enough updates")
            slow.wait("outcome", round=number, outcome="late", reason="enough updates")
        for daemon in (server, slow, *quick):
            self.assertEqual(daemon.exit(), 0)

    def test_cohort_of_some(self):
        """Only the clients of the cohort are asked."""
        server, clients = self.run_federation(4, {"federation.clients_per_round": 1, "federation.over_selection": 1,
                                                  "federation.rounds": 4, "federation.selector": "round_robin"})
        for number in range(1, 5):
            self.assert_fields(server.wait_round(number), cohort=1, folded=1)
        self.assertEqual([len(client.find("trained")) for client in clients], [1, 1, 1, 1])

    def test_json_log(self):
        server = self.world.server({"log.format": "json"})
        client = self.world.client("c0", server, {"log.format": "json"})
        self.assertEqual((server.exit(), client.exit()), (0, 0))
        for daemon, event in ((server, "round_committed"), (client, "trained")):
            records = [json.loads(line) for line in daemon.lines]
            self.assertEqual(sum(record["event"] == event for record in records), 1)
        record = next(record for record in map(json.loads, server.lines) if record["event"] == "round_committed")
        self.assertIsInstance(record["folded"], int)
        self.assertIsInstance(record["accuracy"], float)

    def test_no_evaluation(self):
        """Without a test set a round says nothing about loss and accuracy, rather than nonsense."""
        server, _ = self.run_federation(1, {"evaluation.path": None})
        record = server.wait_round(1)
        self.assertNotIn("nan", record.values())

    def test_csv_regression(self):
        """Another reader, another loss."""
        rows = "".join(f"{x / 50},{(x * 7 % 50) / 50},{0.6 * x / 50 - 0.2 * (x * 7 % 50) / 50}\n" for x in range(200))
        table = self.world.dir / "table.csv"
        table.write_text("a,b,y\n" + rows)
        server, _ = self.run_federation(
            1, {"federation.rounds": 3, "model.layers": [{"layer": "linear", "units": 1}], "model.example": [2],
                "model.classes": 1, "training.loss": "mse", "evaluation.format": "csv", "evaluation.path": table,
                "evaluation.label_column": "y", "evaluation.normalise": "none", "training.epochs": 5},
            {"data.format": "csv", "data.path": table, "data.label_column": "y", "data.regression": True,
             "data.normalise": "none", "data.partition": "file", "data.clients": 1})
        self.assertLess(float(server.wait_round(3)["loss"]), 0.25 * float(server.wait_round(1)["loss"]) + 1e-4)

    def test_log_file_and_reopen(self):
        """A SIGHUP opens the log anew, for logrotate."""
        probe = self.world.server(name="probe")
        self.assertEqual(probe.stop(), 0)
        log = self.world.dir / "rotating.log"
        server = self.world.server({"log.file": log, "federation.min_clients": 2,
                                    "listen": f"127.0.0.1:{probe.port}"}, serving=False)
        first = self.world.client("c0", probe.port)
        first.wait("registered")
        log.rename(log.with_suffix(".old"))
        server.signal(signal.SIGHUP)
        second = self.world.client("c1", probe.port)
        self.assertEqual([daemon.exit() for daemon in (server, first, second)], [0, 0, 0])
        self.assertIn("event=round_committed", log.read_text())
        old = log.with_suffix(".old").read_text()
        self.assertIn("event=serving", old)
        self.assertNotIn("event=round_committed", old)


class Footprint(harness.Case):
    def test_start_and_idle_memory(self):
        """Figures, not verdicts: start to registered, and memory of a client that waits."""
        server = self.world.server({"federation.min_clients": 2})
        client = self.world.client("c0", server, {"data.partition": "file"})
        client.wait("registered")
        registered_ms = (time.monotonic() - client.started) * 1000
        client.wait("data_loaded")
        threads = len(list(pathlib.Path(f"/proc/{client.process.pid}/task").iterdir()))
        print(f"     start to registered {registered_ms:.0f} ms (goal < 100); client at idle {client.rss_kb() / 1024:.1f} MB "
              f"(goal < 25), {threads} threads; server {server.rss_kb() / 1024:.1f} MB")
