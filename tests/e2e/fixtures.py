"""What the daemons are given: certificates, datasets; and the reading of checkpoints. Plain Python and the openssl
program."""
import collections
import functools
import json
import pathlib
import random
import struct
import subprocess

Identity = collections.namedtuple("Identity", "certificate key")
Tensor = collections.namedtuple("Tensor", "dtype shape data")
Checkpoint = collections.namedtuple("Checkpoint", "metadata tensors")

CLASSES = 4
SIDE = 8


# ---- certificates ----

def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")


CA_CONFIG = """
[ca]
default_ca = this
[this]
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
default_md = sha256
policy = any
x509_extensions = leaf
unique_subject = no
[any]
commonName = supplied
[leaf]
subjectAltName = {san}
extendedKeyUsage = clientAuth
"""


class Authority:
    """A CA and the certificates that it signs, each made once."""

    def __init__(self, folder, name):
        self.dir = folder
        self.dir.mkdir(parents=True)
        self.certificate = folder / "ca.pem"
        self.key = folder / "ca.key"
        self.issued = {}
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 30,
                "-subj", f"/CN={name} CA", "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, san, usage):
        if (name, san) not in self.issued:
            certificate, key = self.dir / f"{name}.pem", self.dir / f"{name}.key"
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 30,
                    "-subj", f"/CN={name}", "-CA", self.certificate, "-CAkey", self.key,
                    "-addext", f"subjectAltName={san}", "-addext", f"extendedKeyUsage={usage}",
                    "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate)
            key.chmod(0o600)
            self.issued[name, san] = Identity(certificate, key)
        return self.issued[name, san]

    def server(self, name="server", san="DNS:localhost,IP:127.0.0.1"):
        return self.issue(name, san, "serverAuth")

    def node(self, name):
        return self.issue(name, f"URI:tributary://node/{name}", "clientAuth")

    def expired(self, name):
        """A node's certificate that ended in 2020."""
        certificate, key, request = (self.dir / f"expired-{name}{end}" for end in (".pem", ".key", ".csr"))
        if not certificate.exists():
            config = self.dir / "ca.cnf"
            config.write_text(CA_CONFIG.format(dir=self.dir, san=f"URI:tributary://node/{name}"))
            (self.dir / "index.txt").write_text("")
            (self.dir / "serial").write_text("1000\n")
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                    "-keyout", key, "-out", request)
            openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.certificate, "-keyfile", self.key,
                    "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-in", request, "-out", certificate)
        return Identity(certificate, key)


# ---- datasets ----

def idx(kind, sizes, data):
    return struct.pack(f">HBB{len(sizes)}I", 0, kind, len(sizes), *sizes) + bytes(data)


def write_images(folder, prefix, images, labels, side=SIDE):
    folder.mkdir(parents=True, exist_ok=True)
    flat = b"".join(bytes(image) for image in images)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(8, (len(images), side, side), flat))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(8, (len(labels),), labels))
    return folder


def make_blobs(n, seed, side=SIDE, noise=60):
    """Images of CLASSES kinds: a bright quarter each, under noise."""
    rng = random.Random(seed)
    images, labels = [], []
    for i in range(n):
        label = i % CLASSES
        image = bytearray()
        for y in range(side):
            for x in range(side):
                bright = (y >= side // 2) * 2 + (x >= side // 2) == label
                image.append(min(255, max(0, int(rng.gauss(160 if bright else 90, noise)))))
        images.append(image)
        labels.append(label)
    return images, labels


@functools.lru_cache(maxsize=None)
def blobs(parent, train=800, test=200, side=SIDE):
    """The folder of a small dataset that is easy to learn; made once."""
    folder = pathlib.Path(parent) / f"blobs-{train}-{side}"
    write_images(folder, "train", *make_blobs(train, 1, side), side)
    write_images(folder, "t10k", *make_blobs(test, 2, side), side)
    return folder


# ---- checkpoints ----

def read_safetensors(path):
    """By the format's published description, as strictly as it says."""
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__", {})
    data = content[8 + length:]
    tensors, at = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        elements = 1
        for size in entry["shape"]:
            elements *= size
        if begin != at or entry["dtype"] != "F32" or end - begin != 4 * elements:
            raise ValueError(f"{path}: tensor {name} is {entry}")
        tensors[name] = Tensor(entry["dtype"], entry["shape"], data[begin:end])
        at = end
    if at != len(data):
        raise ValueError(f"{path}: {len(data) - at} bytes belong to no tensor")
    return Checkpoint(metadata, tensors)


def floats(content):
    return list(struct.unpack(f"<{len(content) // 4}f", content))


def all_bytes(checkpoint):
    return b"".join(tensor.data for tensor in checkpoint.tensors.values())
