"""What a person reads after a mistake in the command line or the configuration."""
import re

import harness
from harness import call

SERVER, CLIENT = "tributary-server", "tributary-client"


class Config(harness.Case):
    def setUp(self):
        super().setUp()
        self.files = {SERVER: self.world.config("server", self.world.server_settings()),
                      CLIENT: self.world.config("client", self.world.client_settings("c0", 7443))}

    def fails(self, program, arguments, code, *patterns):
        """The program ends with a code, nothing on stdout, and a message of one line that has every pattern."""
        got, out, err = call(program, *arguments)
        self.assertEqual(out, "")
        self.assertTrue(got == code or (code == "any" and got != 0), f"exit code {got}: {err}")
        self.assertEqual(err.count("\n"), 1, err)
        for pattern in patterns:
            self.assertRegex(err, pattern)

    def with_line(self, program, line):
        """A copy of the good configuration with one more line; its path and that line's number."""
        text = self.files[program].read_text() + line + "\n"
        path = self.world.dir / "changed.yaml"
        path.write_text(text)
        return path, text.count("\n")

    def both(self, line, code, *patterns):
        for program in (SERVER, CLIENT):
            with self.subTest(program=program, line=line):
                path, number = self.with_line(program, line)
                self.fails(program, ["--config", path], code, f"^{program}: .*changed.yaml:{number}: ", *patterns)

    def test_unknown_key(self):
        self.both("log.levle: info", 78, 'log.levle: unknown key; did you mean "log.level"\\?')
        self.both("stat_dir: here", 78, 'stat_dir: unknown key; did you mean "state_dir"\\?')
        self.both("wholly_unlike_any: 1", 78, "wholly_unlike_any: unknown key$")

    def test_ill_typed(self):
        self.both("net.keepalive: tomorrow", 78, 'net.keepalive: "tomorrow" is not a duration')
        self.both("log.format: xml", 78, 'log.format: "xml" is not known; it is one of: logfmt, json')
        self.both("log.file: [a, b]", 78, "log.file: must be a single value, not a list")
        for program, key, text in ((SERVER, "training.momentum", '"fast" is not a (finite )?number'),
                                   (SERVER, "checkpoints.keep", '"fast" is not a whole number'),
                                   (CLIENT, "limits.max_memory", '"fast" is not a size'),
                                   (CLIENT, "data.regression", '"fast" is not true or false')):
            with self.subTest(key=key):
                path, number = self.with_line(program, f"{key}: fast")
                self.fails(program, ["--config", path], 78, f"changed.yaml:{number}: {key}: {text}")

    def test_out_of_bounds(self):
        self.both("net.keepalive: 3h", 78, "net.keepalive: 3h is above the maximum 1h")
        for program, line, text in (
                (SERVER, "checkpoints.keep: 0", "checkpoints.keep: 0 is below the minimum 1"),
                (SERVER, "training.momentum: 1.5", "training.momentum: 1.5 is above the maximum 0.9999"),
                (SERVER, "strategy.max_abs: -1", "strategy.max_abs: -1 is below the minimum 0.001"),
                (CLIENT, "limits.max_epochs: -1", "limits.max_epochs: -1 is below the minimum 0"),
                (CLIENT, "net.keepalive: 1s", "net.keepalive: is below the minimum 5s")):
            with self.subTest(line=line):
                path, number = self.with_line(program, line)
                self.fails(program, ["--config", path], 78, f"changed.yaml:{number}: {text}")

    def test_values_that_do_not_fit_together(self):
        for program, key, value, text in (
                (SERVER, "federation.min_updates", 5, "min_updates: 5 is above min_clients 1"),
                (SERVER, "strategy.name", "fedavgg", 'strategy.name: "fedavgg" is unknown; known (is|are) fedavg'),
                (SERVER, "codec.up", "zip", 'codec.up: codec "zip" is not known; known are f32, f16'),
                (SERVER, "model.name", "mlp", "give exactly one of model.name and model.layers"),
                (CLIENT, "data.client", 4, "data.client: 4 is not below data.clients 4"),
                (CLIENT, "data.partition", "iidd", 'data.partition: "iidd" is not known; did you mean "iid"'),
                (CLIENT, "data.format", "idy", 'data.format: "idy" is not known; did you mean "idx"'),
                (CLIENT, "server.address", "nowhere", 'server.address: "nowhere" is not HOST:PORT')):
            with self.subTest(key=key):
                settings = (self.world.server_settings({key: value}) if program == SERVER
                            else self.world.client_settings("c0", 7443, {key: value}))
                self.fails(program, ["--config", self.world.config("odd", settings)], 78, text)

    def test_missing_required(self):
        for program, key in ((SERVER, "state_dir"), (SERVER, "tls.ca"), (SERVER, "model.classes"),
                             (SERVER, "model.example"), (CLIENT, "server.address"), (CLIENT, "tls.key"),
                             (CLIENT, "data.path")):
            with self.subTest(key=key):
                settings = (self.world.server_settings({key: None}) if program == SERVER
                            else self.world.client_settings("c0", 7443, {key: None}))
                path = self.world.config("lacking", settings)
                self.fails(program, ["--config", path], 78, f"lacking.yaml.*{re.escape(key)}.*missing")

    def test_missing_files(self):
        for program in (SERVER, CLIENT):
            with self.subTest(program=program):
                self.fails(program, ["--config", self.world.dir / "none.yaml"], 66,
                           "none.yaml: cannot be opened: No such file or directory")
                self.fails(program, ["--config", self.world.dir], 74, "Is a directory")

    def test_not_yaml(self):
        for program in (SERVER, CLIENT):
            path = self.world.dir / "broken.yaml"
            path.write_text("tls:\n  ca: [\n")
            self.fails(program, ["--config", path], 78, "broken.yaml:\\d: not valid YAML")

    def test_command_line(self):
        for program in (SERVER, CLIENT):
            with self.subTest(program=program):
                good = self.files[program]
                self.fails(program, [], 64, "--config FILE is (missing|required)", "--sample-config")
                self.fails(program, ["--confg", good], 64, "--confg: unknown option; did you mean --config\\?")
                self.fails(program, ["--config"], 64, "--config: needs a value")
                self.fails(program, ["--config", good, "more"], 64, "more: unexpected argument")
                self.fails(program, ["--config", good, "--set", "log.levl=info"], 78,
                           '--set: log.levl: unknown key; did you mean "log.level"')
                self.fails(program, ["--config", good, "--set", "log.level=loud"], 78, '"loud" is not known')
                self.fails(program, ["--config", good, "--set", "log.level"], "any", "KEY=VALUE")

    def test_help_and_version(self):
        for program in (SERVER, CLIENT):
            code, out, err = call(program, "--help")
            self.assertEqual((code, err), (0, ""))
            for option in ("--config", "--set", "--check-config", "--dump-config", "--sample-config", "--version"):
                self.assertIn(option, out)
            code, out, _ = call(program, "--version")
            self.assertEqual(code, 0)
            self.assertRegex(out, rf"^{program} \d+\.\d+\.\d+")

    def test_check_config(self):
        for program in (SERVER, CLIENT):
            code, out, err = call(program, "--config", self.files[program], "--check-config")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("valid", out)

    def test_a_former_name_is_taken(self):
        """A key of an earlier version works on, and whoever checks or starts is told what it is called now."""
        former = self.world.config("former", self.world.client_settings(
            "c0", 7443, {"compute.threads": None, "training.threads": 1}))
        code, out, err = call(CLIENT, "--config", former, "--check-config")
        self.assertEqual(code, 0)
        self.assertRegex(err, r"^tributary-client: .*former.yaml:\d+: training.threads is called compute.threads now\n$")
        self.assertIn("valid", out)
        code, dump, err = call(CLIENT, "--config", former, "--dump-config")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("compute:", dump)
        self.assertNotIn("training:", dump)
        self.fails(CLIENT, ["--config", former, "--set", "compute.threads=1", "--set", "training.threads=2"], 78,
                   "--set: training.threads: the same as --set compute.threads")

    def test_check_config_finds_what_a_start_would(self):
        """A check that passes must not be followed by a start that fails for its settings."""
        for program, key, value in ((CLIENT, "data.path", "/nowhere"), (CLIENT, "tls.ca", "/nowhere"),
                                    (SERVER, "tls.ca", "/nowhere"), (SERVER, "model.name", "mpl"),
                                    (SERVER, "evaluation.path", "/nowhere")):
            with self.subTest(program=program, key=key):
                changes = {key: value, "model.layers": None} if key == "model.name" else {key: value}
                settings = (self.world.server_settings(changes) if program == SERVER
                            else self.world.client_settings("c0", 7443, changes))
                code, _, err = call(program, "--config", self.world.config("wrong", settings), "--check-config")
                self.assertNotEqual(code, 0)
                self.assertIn(value, err)

    def test_dump_config(self):
        """The dump parses back to the same dump, overrides included."""
        for program in (SERVER, CLIENT):
            with self.subTest(program=program):
                code, dump, err = call(program, "--config", self.files[program], "--set", "net.keepalive=17s",
                                       "--dump-config")
                self.assertEqual((code, err), (0, ""))
                self.assertIn("keepalive: 17s", dump)
                again = self.world.dir / "sub" / "again.yaml"
                again.parent.mkdir(exist_ok=True)
                again.write_text(dump)
                self.assertEqual(call(program, "--config", again, "--dump-config"), (0, dump, ""))

    def test_sample_config(self):
        """Every key of the dump stands in the sample, which asks for changes and is valid after them."""
        for program in (SERVER, CLIENT):
            with self.subTest(program=program):
                code, sample, err = call(program, "--sample-config")
                self.assertEqual((code, err), (0, ""))
                _, dump, _ = call(program, "--config", self.files[program], "--dump-config")
                for name in re.findall(r"^(?:  )?([a-z_]+):", dump, re.M):
                    self.assertRegex(sample, rf"(?m)^\s*(# )?{name}:")
                path = self.world.dir / "sample.yaml"
                path.write_text(sample)
                code, _, err = call(program, "--config", path, "--dump-config")
                if code != 0:  # what it asks for may be no default: the message must name the key that it lacks
                    self.assertRegex(err, "(server.address|model)")

    def fails_to_start(self, program, changes, code, pattern):
        """A fault that only the start finds: one line of event=failed, and the code."""
        settings = (self.world.server_settings(changes) if program == SERVER
                    else self.world.client_settings("c0", 7443, changes))
        got, _, err = call(program, "--config", self.world.config("odd", settings))
        record = [harness.parse_line(line) for line in err.splitlines()][-1]
        self.assertEqual((got, record and record["event"], record and record["level"]), (code, "failed", "error"), err)
        self.assertRegex(record["reason"], pattern)

    def test_server_start(self):
        for changes, code, pattern in (
                ({"model.name": "mpl", "model.layers": None}, 66, 'unknown model "mpl"; did you mean "mlp"'),
                ({"model.layers": [{"layer": "linaer", "units": 3}]}, 78, 'odd.yaml:\\d+: .*"linaer".*"linear"'),
                ({"model.layers": [{"layer": "conv2d", "channels": 3, "kernel": 9}]}, 78, "odd.yaml:\\d+:.*(kernel|window)"),
                ({"model.example": [0, 8]}, 78, "odd.yaml:\\d+: model.example.*not a whole number from 1"),
                ({"compute.backend": "cuda"}, 78, 'compute.backend: "cuda" is unknown'),
                ({"listen": "1234"}, 64, 'listen: "1234" must be host:port'),
                ({"listen": "192.0.2.1:7443"}, 78, "listen: 192.0.2.1:7443: this machine has no such address"),
                ({"state_dir": "/proc/nowhere"}, 66, "/proc/nowhere: the directory cannot be made")):
            with self.subTest(changes=changes):
                self.fails_to_start(SERVER, changes, code, pattern)

    def test_port_in_use(self):
        server = self.world.server()
        self.fails_to_start(SERVER, {"listen": f"127.0.0.1:{server.port}", "state_dir": "other"}, 69,
                            f"listen: 127.0.0.1:{server.port}: address already in use; choose another port or stop")
        self.assertTrue(server.alive())
