"""Daemons under test: starting them, reading their logs, ending them. Nothing here sleeps: every wait is for a line of a
log or the end of a process, with a deadline."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import fixtures

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:", "Assertion `")
LEAK = re.compile(r"leak of (\d+) byte\(s\) in (\d+) object\(s\) allocated from:\n((?: +#\d.*\n?)+)")
OPENSSL_ERROR_STATE = 904  # bytes a thread, in OpenSSL 3.0
A_CONNECTION = 32768  # bytes that OpenSSL has for one, at most
HEAD_LINES, TAIL_LINES = 12, 16


class run:
    """What all tests of one invocation share."""

    build = None
    dir = None
    keep = False
    factor = 1.0  # deadlines are longer for instrumented daemons
    pki = None


def open_run(build, keep):
    run.build = build
    run.keep = keep
    run.dir = pathlib.Path(tempfile.mkdtemp(prefix="tributary-e2e-"))
    program = (build / "tributary-server").read_bytes()
    if b"__asan_init" in program or b"__tsan_init" in program:
        run.factor = 6.0
    os.environ["LSAN_OPTIONS"] = "exitcode=0 " + os.environ.get("LSAN_OPTIONS", "")  # report_of judges, not the code
    os.environ["TSAN_OPTIONS"] = "ignore_noninstrumented_modules=1 " + os.environ.get("TSAN_OPTIONS", "")
    run.pki = fixtures.Authority(run.dir / "pki", "federation")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def close_run():
    if run.keep:
        print(f"kept {run.dir}")
    else:
        shutil.rmtree(run.dir, ignore_errors=True)


class Unmet(AssertionError):
    """Something that was waited for did not happen."""


def report_of(text):
    """What a sanitizer has to say in a program's stderr, or None."""
    for line in text.splitlines():
        if any(mark in line for mark in SANITIZER_MARKS):
            return line
    # gRPC's own threads may still be ending when the process does: OpenSSL frees the state of its errors as they do, and
    # the connection that is being closed. What OpenSSL allocates for us is looked at in the unit tests.
    leaks = [(int(size), int(n), stack) for size, n, stack in LEAK.findall(text)
             if int(size) != int(n) * OPENSSL_ERROR_STATE or "CRYPTO_zalloc" not in stack.splitlines()[-1]]
    foreign = [size for size, _, stack in leaks if all("libcrypto" in line or "libssl" in line or "__interceptor" in line
                                                        for line in stack.splitlines())]
    if leaks and (len(foreign) < len(leaks) or sum(foreign) > A_CONNECTION):
        size, _, stack = leaks[0]
        return f"a leak of {size} bytes:\n{stack}"
    return None


# ---- logs ----

FIELD = re.compile(r'([A-Za-z_0-9]+)=("(?:[^"\\]|\\.)*"|[^ ]*)')


def parse_line(line):
    """The fields of a logfmt or JSON line; None for any other text."""
    if line.startswith("{"):
        try:
            return {key: value if isinstance(value, str) else json.dumps(value) for key, value in json.loads(line).items()}
        except ValueError:
            return None
    if not line.startswith("ts="):
        return None
    return {key: json.loads(value) if value.startswith('"') else value for key, value in FIELD.findall(line)}


def fits(record, event, wanted):
    if record is None or record.get("event") not in ([event] if isinstance(event, str) else event):
        return False
    for key, want in wanted.items():
        have = record.get(key)
        if have is None:
            return False
        if hasattr(want, "search"):
            if not want.search(have):
                return False
        elif callable(want):
            if not want(have):
                return False
        elif have != str(want):
            return False
    return True


class Daemon:
    """A process whose stderr is its log."""

    def __init__(self, name, arguments, folder):
        self.name = name
        self.lines = []
        self.records = []
        self.code = None
        self.killed = False  # by us, so that ending by a signal is no crash
        self.stopped = False  # by us, with SIGSTOP
        self.changed = threading.Condition()
        self.started = time.monotonic()
        self.file = open(folder / f"{name}.log", "ab")
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, cwd=folder, start_new_session=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for raw in self.process.stderr:
            self.file.write(raw)
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self.changed:
                self.lines.append(line)
                self.records.append(parse_line(line))
                self.changed.notify_all()
        self.process.stderr.close()
        code = self.process.wait()
        self.file.close()
        with self.changed:
            self.code = code
            self.changed.notify_all()

    # -- reading --

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def mark(self):
        """A place in the log; `since=` takes it."""
        with self.changed:
            return len(self.lines)

    def find(self, event, since=0, **wanted):
        with self.changed:
            return [record for record in self.records[since:] if fits(record, event, wanted)]

    def wait(self, event, timeout=20, since=0, count=1, **wanted):
        """The count-th line of an event (or of one of several) whose fields are as wanted: a value, a pattern or a
        predicate each."""
        until = time.monotonic() + timeout * run.factor
        with self.changed:
            while True:
                found = [record for record in self.records[since:] if fits(record, event, wanted)]
                if len(found) >= count:
                    return found[count - 1]
                if self.code is not None:
                    raise Unmet(f"{self.name} ended with {self.code} before event={event} {wanted or ''}")
                if not self.changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise Unmet(f"{self.name}: no event={event} {wanted or ''} within {timeout:g} s")

    # -- ending --

    def alive(self):
        with self.changed:
            return self.code is None

    def signal(self, number):
        if self.alive():
            self.stopped = number == signal.SIGSTOP or (self.stopped and number != signal.SIGCONT)
            self.process.send_signal(number)

    def kill(self):
        self.killed = True
        if self.alive():
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended just now
        self.exit(10)

    def exit(self, timeout=20):
        """Its exit code, when it has ended."""
        until = time.monotonic() + timeout * run.factor
        with self.changed:
            while self.code is None:
                if not self.changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise Unmet(f"{self.name} has not ended within {timeout:g} s")
            return self.code

    def stop(self, timeout=10):
        self.signal(signal.SIGTERM)
        return self.exit(timeout)

    def rss_kb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))

    # -- judging --

    def crash(self):
        """Why its end was no orderly one, or None."""
        report = report_of(self.text())
        if report:
            return f"{self.name}: {report}"
        if self.code is not None and self.code < 0 and not self.killed:
            return f"{self.name} died of signal {-self.code}"
        return None

    def tail(self):
        shown = [line for line, record in zip(self.lines, self.records) if record is None or record.get("event") != "grpc"]
        state = "running" if self.code is None else f"exit {self.code}"
        if len(shown) > HEAD_LINES + TAIL_LINES:
            shown[HEAD_LINES:-TAIL_LINES] = [f"... {len(shown) - HEAD_LINES - TAIL_LINES} lines ..."]
        return "\n".join([f"---- {self.name} ({state})"] + [line[:400] for line in shown])


class Server(Daemon):
    port = None
    state = None

    def wait_round(self, number, timeout=30):
        return self.wait("round_committed", timeout, round=number)


# ---- a federation in a folder ----

def yaml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(yaml_value(item) for item in value) + "]"
    return json.dumps(str(value))


def to_yaml(settings):
    """{"tls.ca": x} as nested YAML; None leaves a key out."""
    sections = {}
    for key, value in settings.items():
        section, dot, name = key.partition(".")
        if value is not None:
            sections.setdefault(section, {})[name if dot else ""] = value
    text = []
    for section, keys in sections.items():
        if "" in keys:
            text.append(f"{section}: {yaml_value(keys[''])}")
        else:
            text.append(f"{section}:")
            text.extend(f"  {name}: {yaml_value(value)}" for name, value in keys.items())
    return "\n".join(text) + "\n"


class World:
    """One test's folder and processes."""

    def __init__(self, name):
        self.dir = run.dir / re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        self.dir.mkdir()
        self.daemons = []
        self.closers = []
        self.inside = {}  # by a daemon's name: the command that runs its command
        self._starts = {}

    # -- configurations --

    def config(self, name, settings):
        path = self.dir / f"{name}.yaml"
        path.write_text(to_yaml(settings))
        return path

    def server_settings(self, overrides=None):
        identity = run.pki.server()
        settings = {
            "listen": "127.0.0.1:0", "state_dir": "state",
            "tls.ca": run.pki.certificate, "tls.certificate": identity.certificate, "tls.key": identity.key,
            "federation.rounds": 1, "federation.min_clients": 1, "federation.deadline": "60s",
            "federation.idle_timeout": "20s", "federation.away_timeout": "300ms", "federation.retry_pause": "100ms",
            "model.layers": [{"layer": "flatten"}, {"layer": "linear", "units": 16}, {"layer": "relu"},
                             {"layer": "linear", "units": fixtures.CLASSES}],
            "model.example": [8, 8, 1], "model.classes": fixtures.CLASSES,
            "training.learning_rate": 0.1, "training.batch_size": 16,
            "evaluation.path": fixtures.blobs(run.dir), "compute.threads": 1,
        }
        settings.update(overrides or {})
        return settings

    def client_settings(self, node, port, overrides=None):
        identity = run.pki.node(node)
        settings = {
            "server.address": f"127.0.0.1:{port}",
            "tls.ca": run.pki.certificate, "tls.certificate": identity.certificate, "tls.key": identity.key,
            "data.path": fixtures.blobs(run.dir), "data.partition": "iid", "data.clients": 4,
            "data.client": int(node[1:]) % 4 if node[1:].isdigit() else 0,
            "compute.threads": 1, "reconnect.min": "50ms", "reconnect.max": "500ms",
        }
        settings.update(overrides or {})
        return settings

    # -- processes --

    def start(self, kind, program, name, path, *arguments):
        self._starts[name] = self._starts.get(name, 0) + 1
        label = name if self._starts[name] == 1 else f"{name}-{self._starts[name]}"
        command = [*self.inside.get(name, ()), str(run.build / program), "--config", str(path), *arguments]
        daemon = kind(label, command, self.dir)
        self.daemons.append(daemon)
        return daemon

    def server(self, overrides=None, serving=True, name="server"):
        """A server; with `serving` it listens when this returns."""
        path = self.config(name, self.server_settings(overrides))
        server = self.start(Server, "tributary-server", name, path)
        server.state = self.dir / "state"
        if serving:
            server.port = int(server.wait("serving")["port"])
        return server

    def client(self, node, server, overrides=None):
        port = server if isinstance(server, int) else server.port
        path = self.config(node, self.client_settings(node, port, overrides))
        return self.start(Daemon, "tributary-client", node, path)

    def clients(self, n, server, overrides=None):
        return [self.client(f"c{i}", server, overrides) for i in range(n)]

    # -- the end --

    def close(self, orderly):
        """End everything; with `orderly`, every daemon must take a SIGTERM well. Returns what went wrong."""
        faults = []
        for closer in reversed(self.closers):
            closer()
        for daemon in self.daemons:
            if daemon.stopped:  # only then: SIGCONT would undo the SIGSTOP by which a leak check holds a daemon that ends
                daemon.signal(signal.SIGCONT)
            if orderly and not daemon.find(("stop", "run_finished")):  # not when it is ending by itself
                daemon.signal(signal.SIGTERM)
        for daemon in self.daemons:
            try:
                if orderly and daemon.alive() and daemon.exit(10) != 0:
                    faults.append(f"{daemon.name} ended with {daemon.code}, and not with 0, on SIGTERM or by itself")
            except Unmet as unmet:
                faults.append(f"on SIGTERM: {unmet}")
            if daemon.alive():
                daemon.kill()
        faults.extend(filter(None, (daemon.crash() for daemon in self.daemons)))
        return faults

    def tails(self):
        return "\n".join(daemon.tail() for daemon in self.daemons)

    def remove(self):
        if not run.keep:
            shutil.rmtree(self.dir, ignore_errors=True)


class Case(unittest.TestCase):
    """A test with a world of its own."""

    longMessage = True
    maxDiff = None

    def setUp(self):
        self.world = World(self.id())
        self.addCleanup(self.world.remove)

    def tearDown(self):
        faults = self.world.close(orderly=self.id() not in self._outcome.result.failed)
        if faults:
            self.fail("; ".join(faults))

    def assert_fields(self, record, **wanted):
        self.assertEqual({key: record.get(key) for key in wanted}, {key: str(value) for key, value in wanted.items()})


class SharedCase(unittest.TestCase):
    """Tests that share one world, in the order of their names. Subclasses make it in `open`."""

    longMessage = True
    maxDiff = None
    world = None

    @classmethod
    def open(cls):
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        cls.world = World(cls.__module__ + "." + cls.__name__)
        try:
            cls.open()
        except BaseException:
            cls.world.close(orderly=False)
            print(cls.world.tails(), flush=True)
            raise

    @classmethod
    def tearDownClass(cls):
        faults = cls.world.close(orderly=True)
        if faults:
            print(cls.world.tails(), flush=True)
            raise Unmet("; ".join(faults))
        cls.world.remove()


def call(program, *arguments, timeout=20):
    """Run a program to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([str(run.build / program), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout * run.factor)
    if report_of(done.stderr):
        raise Unmet(f"{program}: {report_of(done.stderr)}")
    return done.returncode, done.stdout, done.stderr
