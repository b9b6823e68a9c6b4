#!/usr/bin/python3
"""The networks of bench-train under PyTorch (Debian: python3-torch), for a comparison in the same hour on the same machine.

Prints `torch/NETWORK/tTHREADS value steps/s`: forward, backward and a plain SGD step on one fixed batch.
"""
import argparse
import time

import torch
from torch import nn


def mlp():
    return nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))


def cnn_mnist():
    return nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2),
                         nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))


def cnn_cifar():
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(4096, 512), nn.ReLU(), nn.Linear(512, 10))


NETWORKS = {
    "mlp-784-200-200-10-b32": (mlp, (32, 784)),
    "mnist-cnn-b10": (cnn_mnist, (10, 1, 28, 28)),
    "mnist-cnn-b32": (cnn_mnist, (32, 1, 28, 28)),
    "mnist-cnn-b64": (cnn_mnist, (64, 1, 28, 28)),
    "cifar-cnn-b32": (cnn_cifar, (32, 3, 32, 32)),
}


def steps_per_second(build, shape, seconds):
    torch.manual_seed(1)
    model, x, y = build(), torch.rand(shape), torch.randint(0, 10, (shape[0],))
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    best = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        n = 0
        while time.monotonic() - begin < seconds / 5:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
            n += 1
        best = max(best, n / (time.monotonic() - begin))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="for each network and number of threads")
    options = parser.parse_args()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, (build, shape) in NETWORKS.items():
            print(f"torch/{name}/t{threads} {steps_per_second(build, shape, options.seconds):.1f} steps/s", flush=True)


if __name__ == "__main__":
    main()
