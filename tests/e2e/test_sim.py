"""The simulator's command line: runs and what they write, the same whatever the threads; mistakes; ends before the end."""
import csv
import json
import os
import pathlib
import signal
import time
import xml.etree.ElementTree

import fixtures
import harness
from harness import call, run

SIM = "tributary-sim"


class Sim(harness.Case):
    def experiment(self, overrides=None, variants=True):
        settings = {
            "name": "blobs", "title": "Four quarters", "targets": [0.5, 0.9],
            "data.path": fixtures.blobs(run.dir), "data.partition": "shards:2",
            "clients.count": 20, "clients.speed": "lognormal:50,1", "clients.dropout": 0.1,
            "federation.rounds": 6, "federation.clients_per_round": 8, "federation.deadline": "60s",
            "model.name": "logistic", "model.example": [8, 8, 1], "model.classes": fixtures.CLASSES,
            "training.learning_rate": 0.1, "training.batch_size": 8,
        }
        if variants:
            settings["variants"] = [{"name": "plain"}, {"name": "2 bits", "set": {"codec.up": "rotate|uniform:2|range"}}]
        settings.update(overrides or {})
        return self.world.config("sim", settings)

    def children(self, daemon, n):
        """The processes of its runs, once there are n."""
        listing = pathlib.Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
        until = time.monotonic() + 60 * run.factor
        while time.monotonic() < until:
            found = [int(word) for word in listing.read_text().split()]
            if len(found) >= n:
                return found
            time.sleep(0.02)
        raise harness.Unmet(f"fewer than {n} runs have begun")

    def endless(self, *arguments):
        path = self.experiment({"federation.rounds": 1000000, "evaluation.every": 1000000}, variants=False)
        daemon = harness.Daemon("sim", [str(run.build / SIM), str(path), *arguments], self.world.dir)
        self.world.daemons.append(daemon)
        return daemon

    def test_results(self):
        """Every round of every run, in each format; threads and processes change nothing."""
        path = self.experiment()
        files = {}
        for name, arguments in (("one", ["--jobs", 1, "--threads", 1]), ("two", ["--jobs", 3, "--threads", 2])):
            outputs = [self.world.dir / f"{name}.{kind}" for kind in ("json", "csv", "svg")]
            code, out, err = call(SIM, path, "--seeds", "3,7", *arguments, "--json", outputs[0], "--csv", outputs[1],
                                  "--svg", outputs[2], timeout=60)
            self.assertEqual(code, 0, err)
            self.assertIn("plain", out)
            self.assertIn("2 bits", out)
            self.assertRegex(err, r"(?m)^plain, seed 3: 6 rounds, accuracy 0\.\d+, \d+ uploads, ")
            files[name] = [output.read_text() for output in outputs]
        self.assertEqual(files["one"], files["two"])
        report = json.loads(files["one"][0])
        self.assertEqual([(curve["variant"], curve["seed"], len(curve["points"])) for curve in report["curves"]],
                         [("plain", 3, 6), ("plain", 7, 6), ("2 bits", 3, 6), ("2 bits", 7, 6)])
        plain, coded = report["curves"][0]["points"][-1], report["curves"][2]["points"][-1]
        self.assertGreater(plain["accuracy"], 0.4)
        self.assertLess(coded["bytes_up"] / coded["uploads"], plain["bytes_up"] / plain["uploads"])
        self.assertEqual(len(list(csv.DictReader(files["one"][1].splitlines()))), 4 * 6)
        xml.etree.ElementTree.fromstring(files["one"][2])

    def test_choices(self):
        """--variant, --rounds, --set, --quiet, --log and --check."""
        path = self.experiment()
        log, table = self.world.dir / "sim.log", self.world.dir / "points.csv"
        code, out, err = call(SIM, path, "--variant", "2 bits", "--rounds", 2, "--set", "clients.dropout=0", "-q",
                              "--log", log, "--csv", table)
        self.assertEqual((code, err), (0, ""))
        self.assertNotIn("plain", out)
        rows = list(csv.DictReader(table.read_text().splitlines()))
        self.assertEqual([row["variant"] for row in rows], ["2 bits", "2 bits"])
        self.assertEqual(log.read_text().count("event=round_committed"), 2)
        code, out, err = call(SIM, path, "--check", "--seeds", 3)
        self.assertEqual((code, out, err), (0, "the configuration is valid: 20 clients, 800 examples, 6 runs of 2 "
                                               "variants\n", ""))

    def test_mistakes(self):
        good = self.experiment()
        cases = [
            ([], 64, "name the file that describes the experiment"),
            (["nowhere.yaml"], 66, "nowhere.yaml"),
            ([good, "--seeds", "x"], 64, '--seeds: "x"'),
            ([good, "--seeds", "0"], 64, "--seeds: 0"),
            ([good, "--variant", "none"], 64, "--variant none: the file describes no variant of this name"),
            ([good, "--set", "clients.sped=fixed:1"], 78, 'did you mean "clients.speed"?'),
            ([good, "--log-level", "loud"], 64, "--log-level loud"),
            ([good, "--thread", "2"], 64, "did you mean --threads?"),
            ([good, "--set", "data.path=/nonexistent", "-q"], 66, "4 of 4 runs failed; plain, seed 1: "),
            ([good, "--json", "/nonexistent/x.json", "-q", "--rounds", "1"], 66, "/nonexistent/x.json"),
        ]
        for arguments, wanted, message in cases:
            with self.subTest(arguments=arguments):
                extra = ["--seeds", "2"] if message.startswith("4 of 4") else []
                code, _, err = call(SIM, *arguments, *extra, timeout=60)
                self.assertEqual(code, wanted, err)
                self.assertIn(message, err)
        bad = self.experiment({"variants": [{"name": "a"}, {"name": "b", "set": {"training": {"epochs": 0}}}]})
        code, _, err = call(SIM, bad)
        self.assertEqual(code, 78)
        self.assertRegex(err, r"sim\.yaml:\d+: training\.epochs: 0 is below the minimum 1")

    def test_interrupted(self):
        """Ctrl-C ends all runs at once and leaves nothing behind."""
        temporary = self.world.dir / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = str(temporary)
        try:
            daemon = self.endless("--seeds", "2", "--jobs", "2")
        finally:
            del os.environ["TMPDIR"]
        children = self.children(daemon, 2)
        daemon.signal(signal.SIGINT)
        self.assertEqual(daemon.exit(), 75)
        self.assertIn("interrupted", daemon.text())
        self.assertEqual(list(temporary.iterdir()), [])
        for pid in children:
            self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())

    def test_killed_run(self):
        """A run that dies is named with its reason; the other runs go on, and what they gave is written."""
        table = self.world.dir / "points.csv"
        path = self.experiment({"variants": [{"name": "endless", "set": {"federation.rounds": 1000000}}, {"name": "fine"}],
                                "evaluation.every": 2})
        daemon = harness.Daemon("sim", [str(run.build / SIM), str(path), "--jobs", "1", "--csv", str(table)],
                                self.world.dir)
        self.world.daemons.append(daemon)
        os.kill(self.children(daemon, 1)[0], signal.SIGKILL)
        self.assertEqual(daemon.exit(60), 70)
        self.assertIn("1 of 2 runs failed; endless, seed 1: its process was killed by signal 9", daemon.text())
        rows = list(csv.DictReader(table.read_text().splitlines()))
        self.assertEqual(sum(row["variant"] == "fine" for row in rows), 6)
