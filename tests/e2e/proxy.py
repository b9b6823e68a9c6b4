"""A bad network: a TCP proxy on this machine whose faults are switched while connections run through it.

What it counts is what it has delivered: bytes that one side's kernel took over. What it has read and not yet delivered
when connections are cut is lost, as on a line. Everything happens in one thread; its users' calls only change, under the
lock, what that thread does next."""
import collections
import selectors
import socket
import struct
import threading
import time

UP, DOWN = "up", "down"  # from the client, and to it
FIN, RST = "fin", "rst"
HALF = "half"  # the client sees a reset, the server sees nothing
WAYS = (FIN, RST, HALF)
PIECE = 64 << 10
HELD = 256 << 10  # bytes on the way in one direction of a connection,
LONG_HELD = 4 << 20  # and with a delay
BURST = 0.02  # seconds' worth of bytes that may go at once
TICK = 0.005  # seconds between looks at a line that waits for its rate


class Pipe:
    """One direction of a connection."""

    def __init__(self, direction, source, sink):
        self.direction = direction
        self.source = source
        self.sink = sink
        self.queue = collections.deque()  # (when it arrives, bytes)
        self.queued = 0
        self.ended = False  # no more comes
        self.closed = False  # and the other side was told


class Line:
    """Both sockets of a connection through the proxy."""

    def __init__(self, client, server):
        self.client = client
        self.server = server
        self.connecting = True  # to the server
        self.cut = False  # it waits for both ends to close it
        self.pipes = (Pipe(UP, client, server), Pipe(DOWN, server, client))

    def sockets(self):
        return (self.client, self.server)


class Proxy:
    """Listens on a port of its own, `port`, for the server on another."""

    def __init__(self, target, host="127.0.0.1"):
        self.target = (host, target)
        self.lock = threading.Condition()
        self.lines = []
        self.left = []  # servers' ends of lines that were cut in half
        self.sent = {UP: 0, DOWN: 0}
        self.connections = 0
        self.cuts = 0  # that hit a connection
        self._delay = 0.0
        self._rate = None
        self._credit = {UP: 0.0, DOWN: 0.0}
        self._paid = time.monotonic()
        self._stalled = False
        self._plan = {UP: [], DOWN: []}  # (at so many bytes, what to do), ascending
        self._watched = {}
        self._select = selectors.DefaultSelector()
        self._bell, self._ring = socket.socketpair()
        self._bell.setblocking(False)
        self._select.register(self._bell, selectors.EVENT_READ)
        self._listener = None
        self.port = self._listen(host, 0)
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- faults --

    def delay(self, seconds):
        """Every byte takes so long, one way."""
        self._set("_delay", seconds)

    def rate(self, bytes_per_second):
        """All connections together, each way; None = as fast as it goes."""
        self._set("_rate", bytes_per_second)

    def stall(self):
        """Half-open: connections are accepted and stand, and nothing moves on them."""
        self._set("_stalled", True)

    def flow(self):
        """The end of a stall: what was under way arrives."""
        self._set("_stalled", False)

    def refuse(self):
        """No new connections."""
        with self.lock:
            if self._listener is not None:
                self._select.unregister(self._listener)
                self._listener.close()
                self._listener = None

    def accept(self):
        """New connections again, on the same port."""
        with self.lock:
            if self._listener is None:
                self._listen(self.target[0], self.port)

    def cut(self, how=RST):
        """Break every connection; how many there were."""
        with self.lock:
            return self._cut(how)

    def cut_at(self, direction, n, how=RST):
        """Break every connection at the moment when exactly n bytes in all have been delivered in a direction."""
        self.at(direction, n, lambda: self._cut(how))

    def stall_at(self, direction, n):
        """Let nothing through from there on."""
        self.at(direction, n, lambda: setattr(self, "_stalled", True))

    def at(self, direction, n, action):
        """Call this, in the proxy's thread or here, when exactly n bytes have been delivered, or are already."""
        with self.lock:
            self._plan[direction].append((n, action))
            self._plan[direction].sort(key=lambda step: step[0])
            self._act(direction)
            self._wake()

    def wait(self, direction, n, timeout):
        """Until n bytes in all have been delivered; whether they were."""
        with self.lock:
            return self.lock.wait_for(lambda: self.sent[direction] >= n, timeout)

    def close(self):
        with self.lock:
            self._running = False
            self._wake()
        self._thread.join()
        self.refuse()
        with self.lock:
            for line in list(self.lines):
                self._end(line)
            for sock in self.left:
                sock.close()
        self._select.close()
        self._bell.close()
        self._ring.close()

    # -- inside --

    def _set(self, name, value):
        with self.lock:
            setattr(self, name, value)
            self._wake()

    def _wake(self):
        self._ring.send(b"!")

    def _listen(self, host, port):
        listener = socket.create_server((host, port), backlog=256)
        listener.setblocking(False)
        self._select.register(listener, selectors.EVENT_READ)
        self._listener = listener
        return listener.getsockname()[1]

    def _run(self):
        while True:
            with self.lock:
                if not self._running:
                    return
                now = time.monotonic()
                self._pay(now)
                timeout = None
                for line in list(self.lines):
                    timeout = self._prepare(line, now, timeout)
            ready = self._select.select(timeout)
            with self.lock:
                for key, events in ready:
                    self._serve(key.fileobj, events)
                self.lock.notify_all()

    def _pay(self, now):
        """What the rate allows by now."""
        if self._rate is not None:
            for direction in (UP, DOWN):
                most = max(self._rate * BURST, 1500)
                self._credit[direction] = min(most, self._credit[direction] + self._rate * (now - self._paid))
        self._paid = now

    def _room(self, direction):
        """Bytes that may be delivered now."""
        room = PIECE if self._rate is None else min(PIECE, int(self._credit[direction]))
        if self._plan[direction]:
            room = min(room, self._plan[direction][0][0] - self.sent[direction])
        return max(room, 0)

    def _prepare(self, line, now, timeout):
        """Ask for what a line can do; when it should be looked at again."""
        wanted = {line.client: 0, line.server: 0}
        if line.connecting:
            wanted[line.server] |= selectors.EVENT_WRITE
        for pipe in line.pipes if not line.connecting and not self._stalled else ():
            if not pipe.ended and pipe.queued < (LONG_HELD if self._delay > 0 else HELD):
                wanted[pipe.source] |= selectors.EVENT_READ
            if not pipe.queue:
                continue
            due = pipe.queue[0][0] - now
            if due <= 0 and self._room(pipe.direction) == 0:
                due = TICK
            if due > 0:
                timeout = due if timeout is None else min(timeout, due)
            else:
                wanted[pipe.sink] |= selectors.EVENT_WRITE
        for sock, events in wanted.items():
            self._watch(sock, line, events)
        return timeout

    def _watch(self, sock, line, events):
        former = self._watched.get(sock, (None, 0))[1]
        if events == former:
            return
        if former == 0:
            self._select.register(sock, events)
        elif events == 0:
            self._select.unregister(sock)
        else:
            self._select.modify(sock, events)
        self._watched[sock] = (line, events)

    def _serve(self, sock, events):
        if sock is self._bell:
            self._bell.recv(4096)
        elif sock is self._listener:
            self._open()
        elif sock in self._watched:  # not ended meanwhile
            line = self._watched[sock][0]
            try:
                self._move(line, sock, events)
            except BlockingIOError:
                pass  # it was ready before another call changed things
            except OSError:
                self._break(line, RST)  # one side broke it: so the other learns of it

    def _open(self):
        try:
            client = self._listener.accept()[0]
        except OSError:
            return
        server = socket.socket()
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.connect_ex(self.target)
        self.connections += 1
        self.lines.append(Line(client, server))

    def _move(self, line, sock, events):
        if line.connecting:
            fault = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if fault:
                raise OSError(fault, "connect")
            line.connecting = False
            return
        for pipe in line.pipes:
            if pipe.source is sock and events & selectors.EVENT_READ and line in self.lines and not line.cut:
                self._receive(line, pipe)
            if pipe.sink is sock and events & selectors.EVENT_WRITE and line in self.lines and not line.cut:
                self._deliver(pipe)
            if pipe.ended and not pipe.queue and not pipe.closed and line in self.lines:
                pipe.closed = True
                pipe.sink.shutdown(socket.SHUT_WR)
        if all(pipe.ended and not pipe.queue for pipe in line.pipes) and line in self.lines:
            self._end(line)

    def _receive(self, line, pipe):
        content = pipe.source.recv(PIECE)
        if not content:
            pipe.ended = True
        elif not line.cut:
            pipe.queue.append((time.monotonic() + self._delay, content))
            pipe.queued += len(content)

    def _deliver(self, pipe):
        due, content = pipe.queue[0]
        room = self._room(pipe.direction)
        if room == 0:
            return
        n = pipe.sink.send(content[:room])
        if n == len(content):
            pipe.queue.popleft()
        else:
            pipe.queue[0] = (due, content[n:])
        pipe.queued -= n
        self.sent[pipe.direction] += n
        if self._rate is not None:
            self._credit[pipe.direction] -= n
        self._act(pipe.direction)

    def _act(self, direction):
        plan = self._plan[direction]
        while plan and plan[0][0] <= self.sent[direction]:
            plan.pop(0)[1]()

    def _cut(self, how):
        lines = [line for line in self.lines if not line.cut]
        for line in lines:
            self._break(line, how)
        self.cuts += len(lines) > 0
        self._wake()
        return len(lines)

    def _break(self, line, how):
        if how != FIN or line.connecting:
            if how == HALF:
                self.left.append(line.server.dup())
            for sock in line.sockets() if how == RST else (line.client,):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._end(line)
            return
        line.cut = True
        for pipe in line.pipes:
            pipe.queue.clear()
            pipe.queued = 0
            if not pipe.closed:
                pipe.closed = True
                try:
                    pipe.sink.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it has gone by itself

    def _end(self, line):
        self.lines.remove(line)
        for sock in line.sockets():
            self._watch(sock, line, 0)
            self._watched.pop(sock, None)
            sock.close()
